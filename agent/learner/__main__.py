"""``python -m agent.learner``: the learner of a running ``python -m agent``, which starts it.

It receives a socket's number and the number of shared memory (`agent.learner.shared`). On the
socket, one JSON object a line: first its configuration, then one line per rollout to learn from. It
answers `ready` once, and to each rollout `updated`, after its weights are published, or `failed`.
It ends when the socket is closed.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import sys
from typing import Any, TextIO

import torch

from agent.config import AgentConfig, OnlineConfig
from agent.learner.shared import Exchange, in_order
from agent.learner.trainer import Trainer
from agent.learning.planner import Plan
from agent.models.actor import Models
from retro_common.config import validate


def main(control_fd: int, memory_fd: int) -> None:
    # Signals go to the actor's process; it stops this one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    actor = os.getppid()
    with socket.socket(fileno=control_fd) as control, control.makefile("rw") as lines:
        setup = json.loads(lines.readline())
        config = validate(AgentConfig, setup["config"], "the actor's configuration")
        torch.set_num_threads(config.online.learner_threads)
        torch.manual_seed(setup["seed"])
        models = Models.build(config)
        exchange = Exchange(models, setup["capacity"], memory_fd)
        models.controller.load_state_dict(exchange.weights())
        pretrained = copy.deepcopy(models.controller).requires_grad_(False)
        pretrained.load_state_dict(exchange.pretrained)
        device = _device(config.online)

        def after_step() -> None:
            exchange.beat()
            if os.getppid() != actor:
                sys.exit("the learner ends: its actor is gone")

        trainer = Trainer(
            models.to(device), pretrained.to(device), setup["seed"], device, after_step
        )
        _answer(lines, {"kind": "ready"})
        for line in lines:
            _answer(lines, _update(json.loads(line), trainer, exchange))


def _update(task: dict[str, Any], trainer: Trainer, exchange: Exchange) -> dict[str, Any]:
    """Learn from one rollout; returns the answer to the actor."""
    exchange.beat()
    rollout = in_order(exchange.rollouts[task["slot"]], task["first"], task["length"])
    try:
        metrics = trainer.update(rollout, Plan(**task["plan"]))
    except (FloatingPointError, MemoryError) as error:
        return {"kind": "failed", "reason": str(error)}
    exchange.publish(trainer.controller.state_dict())
    return {"kind": "updated", "metrics": metrics}


def _answer(lines: TextIO, answer: dict[str, Any]) -> None:
    lines.write(json.dumps(answer) + "\n")
    lines.flush()


def _device(config: OnlineConfig) -> torch.device:
    if config.learner_device != "auto":
        return torch.device(config.learner_device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except BrokenPipeError:
        sys.exit(0)  # the actor is gone
