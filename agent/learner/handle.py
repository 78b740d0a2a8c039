"""The two learners as the main loop sees them: one in its own process, one in the actor's.

Both take rollouts and give weights. The main loop calls `poll` between timesteps and gets a report
when an update has ended; after a good update the new weights are already in the actor's controller.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import torch

from agent.learner.shared import Exchange, in_order
from agent.learner.trainer import Trainer
from agent.learning.planner import Plan, longest_rollout
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from retro_common.config import to_dict

log = logging.getLogger("agent")

START_SECONDS = 60.0
"""least time for a learner's start: it imports PyTorch, perhaps on a busy machine"""
END_SECONDS = 0.5
"""how long a crashed learner may take to exit by itself, so that its exit code is known"""
KILL_SECONDS = 5.0
"""a killed process is gone within this time, unless the kernel holds it"""


@dataclasses.dataclass(frozen=True)
class Report:
    """Outcome of a rollout: the metrics of `Trainer.update`, or why there was no update."""

    metrics: dict[str, float] | None = None
    problem: str = ""


class Learner(Protocol):
    """The interface between the main loop and a learner."""

    rollout: Rollout
    """a ring in which timesteps are stored; another one after each `hand_over`"""
    capacity: int
    """timesteps that the ring holds"""

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait at most this long until it can learn; returns whether it can."""

    def idle(self) -> bool:
        """Whether a rollout can be handed over."""

    def hand_over(self, first: int, length: int, plan: Plan) -> None:
        """Learn from the `length` timesteps that begin in row `first` of the ring `rollout`."""

    def poll(self) -> Report | None:
        """The outcome of the last rollout, once; None while there is nothing new."""

    def finish(self, seconds: float) -> Report | None:
        """Let a running update end, if it does so in time, and end the learner."""


class InlineLearner:
    """Learns in the actor's process, in `hand_over`."""

    def __init__(self, models: Models, seed: int, capacity: int):
        self.capacity = capacity
        self.rollout = Rollout.of(models.config, capacity, envs=1)
        pretrained = copy.deepcopy(models.controller).requires_grad_(False)
        self._trainer = Trainer(models, pretrained, seed, torch.device("cpu"))
        self._report: Report | None = None

    def wait_until_ready(self, seconds: float) -> bool:
        return True

    def idle(self) -> bool:
        return True

    def hand_over(self, first: int, length: int, plan: Plan) -> None:
        try:
            metrics = self._trainer.update(in_order(self.rollout, first, length), plan)
        except (FloatingPointError, MemoryError, RuntimeError) as error:
            self._report = Report(problem=str(error))
        else:
            self._report = Report(metrics)

    def poll(self) -> Report | None:
        report, self._report = self._report, None
        return report

    def finish(self, seconds: float) -> Report | None:
        return self.poll()


class ProcessLearner:
    """Learns in the process ``python -m agent.learner``; playing never waits for it.

    A learner that crashes, hangs, or gives weights that are not finite is started again with the
    last good weights, `learner_restarts` times in a row; after that there is no learner, and `idle`
    stays False.
    """

    def __init__(self, models: Models, seed: int, capacity: int):
        """
        Raises:
            OSError: there is not enough memory for the rollouts, or no process can be started.
        """
        self.capacity = capacity
        self._models, self._seed = models, seed
        self._config = models.config.online
        self._exchange = Exchange(models, capacity)
        self._good = copy.deepcopy(models.controller.state_dict())
        for name, tensor in self._good.items():
            self._exchange.pretrained[name].copy_(tensor)
        self._slot = 0
        self._failures = 0
        self._starts = -1
        self._process: subprocess.Popen | None = None
        self._start()

    @property
    def rollout(self) -> Rollout:
        return self._exchange.rollouts[self._slot]

    @property
    def pid(self) -> int | None:
        """Process number of the learner, or None if there is no learner any more."""
        return None if self._process is None else self._process.pid

    def idle(self) -> bool:
        return self._process is not None and self._ready and not self._busy

    def wait_until_ready(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.idle() and self._process is not None and time.monotonic() < deadline:
            if report := self.poll():
                log.warning("%s", report.problem)
            time.sleep(0.02)
        return self.idle()

    def hand_over(self, first: int, length: int, plan: Plan) -> None:
        self._busy, self._alive_at = True, time.monotonic()
        self._send(
            {
                "slot": self._slot,
                "first": first,
                "length": length,
                "plan": dataclasses.asdict(plan),
            }
        )
        self._slot = 1 - self._slot

    def poll(self) -> Report | None:
        if self._process is None:
            return None
        try:
            received = self._socket.recv(65536)
        except BlockingIOError:
            return self._check_alive()
        except OSError as error:
            return self._fail(f"the learner's connection broke: {error}")
        if not received:
            return self._fail(f"the learner crashed (exit code {self._end_process(END_SECONDS)})")
        self._buffer += received
        if b"\n" not in self._buffer:
            return None
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer = json.loads(line)
        if answer["kind"] == "ready":
            self._ready = True
            return None
        self._busy = False
        if answer["kind"] == "failed":
            return Report(problem=answer["reason"])
        return self._adopt(answer["metrics"])

    def finish(self, seconds: float) -> Report | None:
        """May be called again after an interruption."""
        deadline, report = time.monotonic() + seconds, None
        while self._process is not None and self._busy and time.monotonic() < deadline:
            if report := self.poll():
                break
            time.sleep(0.01)
        self._end_process()
        # An interruption may have come between two of the weights.
        self._models.controller.load_state_dict(self._good)
        return report

    def _adopt(self, metrics: dict[str, float]) -> Report:
        """Take the published weights, if they are good."""
        try:
            good = self._exchange.weights()
        except ValueError as error:
            return self._fail(f"the learner's weights are refused: {error}")
        self._good = good
        self._models.controller.load_state_dict(good)
        self._failures = 0
        return Report(metrics)

    def _check_alive(self) -> Report | None:
        """Kill a learner that should be busy and gives no heartbeat."""
        now, beats = time.monotonic(), self._exchange.beats()
        if self.idle() or beats != self._beats:
            self._beats, self._alive_at = beats, now
            return None
        patience = self._config.learner_patience
        if not self._ready:
            patience = max(patience, START_SECONDS)
        if now - self._alive_at > patience:
            return self._fail(f"the learner is stuck: no heartbeat for {patience:g} s")
        return None

    def _fail(self, problem: str) -> Report:
        """Start the learner again, if it may."""
        self._end_process()
        self._failures += 1
        if self._failures > self._config.learner_restarts:
            return Report(problem=f"{problem}; playing on without learning")
        try:
            self._start()
        except OSError as error:
            return Report(problem=f"{problem}; no other can be started: {error}")
        return Report(problem=f"{problem}; another one starts with the last good weights")

    def _start(self) -> None:
        self._exchange.publish(self._good)
        self._buffer, self._ready, self._busy = b"", False, False
        self._beats, self._alive_at = self._exchange.beats(), time.monotonic()
        ours, theirs = socket.socketpair()
        here = str(Path(__file__).resolve().parents[2])
        paths = [here, os.environ.get("PYTHONPATH", "")]
        fds = (theirs.fileno(), self._exchange.fd)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent.learner", *map(str, fds)],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                pass_fds=fds,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._socket.setblocking(False)
        self._starts += 1
        log.info("the learner is process %d", self._process.pid)
        self._send(
            {
                "config": to_dict(self._models.config),
                "capacity": self.capacity,
                "seed": self._seed + self._starts,
            }
        )

    def _send(self, message: dict) -> None:
        # `poll` finds out about a learner that is gone or does not read.
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _end_process(self, grace: float = 0.0) -> int | None:
        """End the process, if there is one, by force if need be; returns its exit code."""
        process = self._process
        if process is None:
            return None
        self._socket.close()
        if grace:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        code = process.poll()
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)
        self._process = None
        return code


def start(models: Models, seed: int, kind: str | None = None) -> Learner | None:
    """A learner of this kind, by default the configuration's; None if it cannot be started.

    Its process takes seconds to start; meanwhile the agent can connect to the contest.
    """
    capacity = longest_rollout(models.config.online)
    if (kind or models.config.online.learner) == "inline":
        return InlineLearner(models, seed, capacity)
    try:
        return ProcessLearner(models, seed, capacity)
    except OSError as error:
        log.warning("playing without learning: the learner cannot be started: %s", error)
        return None
