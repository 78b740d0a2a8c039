"""`python -m agent`: load a bundle, connect to the contest, play and learn until it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import cv2
import torch
import tyro
from tyro import MISSING

from agent import bundle, play
from agent.learner.handle import start
from agent.learning.planner import Budget
from gym_remote.client import RemoteEnv
from gym_remote.exceptions import GymRemoteError
from retro_common.errors import UsageError
from retro_common.text import shown

MAX_THREADS = 1024


def _from_environment(name: str, kind: type, default: float) -> Any:
    """The number in an environment variable, or the default.

    Raises:
        UsageError: it is no such number.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{name} must be {what}, not {shown(text)}") from None


@dataclasses.dataclass
class Args:
    """Play a contest with a pretrained bundle and fine-tune it on the way.

    The defaults of --socket, --out, --seed, --timesteps and --wallclock can be set by the
    environment variables RETRO_CONTEST_SOCKET, _OUT, _SEED, _TIMESTEPS and _WALLCLOCK, that of
    --bundle by RETRO_BUNDLE.
    """

    bundle: Path = Path(os.environ["RETRO_BUNDLE"]) if "RETRO_BUNDLE" in os.environ else MISSING
    """folder of the pretrained bundle"""
    socket: Path = Path(os.environ.get("RETRO_CONTEST_SOCKET", "tmp/sock"))
    """directory that the contest's socket is in"""
    timesteps: int = dataclasses.field(
        default_factory=lambda: _from_environment("RETRO_CONTEST_TIMESTEPS", int, 1_000_000)
    )
    """the contest's budget in timesteps, for planning; the server has the last word"""
    wallclock: float = dataclasses.field(
        default_factory=lambda: _from_environment("RETRO_CONTEST_WALLCLOCK", float, 12 * 3600.0)
    )
    """the contest's budget in seconds, for planning; the server has the last word"""
    out: Path = Path(os.environ.get("RETRO_CONTEST_OUT", "out"))
    """folder for the fine-tuned bundle"""
    learn: bool = True
    """fine-tune; --no-learn plays the bundle as it is"""
    learner: Literal["process", "inline"] | None = None
    """learn beside the playing, or stop playing for every update (reproducible, and the same
    however busy the machine is); without it the bundle says"""
    seed: int = dataclasses.field(
        default_factory=lambda: _from_environment("RETRO_CONTEST_SEED", int, 0)
    )
    """seed of the agent's choices"""
    timeout: float = 120.0
    """seconds to wait for the contest to appear, and for each of its answers"""
    threads: int = 1
    """threads for the networks"""


def check(args: Args) -> None:
    """Raise a UsageError for the first number that cannot be.

    The wall clock may be infinite: a contest without a limit.
    """
    if args.timesteps <= 0 or not args.wallclock > 0:
        raise UsageError("--timesteps and --wallclock must be above 0")
    if not 0 < args.timeout < math.inf:
        raise UsageError("--timeout must be above 0 and finite")
    if not 0 <= args.seed < 1 << 63:
        raise UsageError(f"--seed must be between 0 and 2^63 - 1, not {shown(args.seed)}")
    if not 1 <= args.threads <= MAX_THREADS:
        raise UsageError(f"--threads must be between 1 and {MAX_THREADS}, not {args.threads}")


def main() -> int:
    args = tyro.cli(Args, prog="python -m agent")
    check(args)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    log = logging.getLogger("agent")

    asked: list[str] = []

    def stop(signum: int, frame: object) -> None:
        # Once is enough: what follows is saving, which nothing should break off.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asked.append(signal.Signals(signum).name)
        raise play.Stopped(asked[0])

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    torch.manual_seed(args.seed)
    try:
        models, manifest = bundle.load(args.bundle)
        args.out.mkdir(parents=True, exist_ok=True)
        if not os.access(args.out, os.W_OK):
            raise UsageError(f"--out {args.out}: no permission to write there")
        learner = start(models, args.seed, args.learner) if args.learn else None
        try:
            env = RemoteEnv(str(args.socket), connect_timeout=args.timeout, timeout=args.timeout)
            with contextlib.closing(env):
                progress = play.run(
                    env,
                    models,
                    Budget(args.timesteps, args.wallclock),
                    learner=learner,
                    seed=args.seed,
                    save=play.saver(models, manifest, args.out, args.seed),
                    asked_to_stop=lambda: asked[0] if asked else None,
                )
        finally:
            if learner is not None:
                learner.finish(0.0)
    except play.Stopped as signal_name:
        log.info("stopped by %s; what was learnt is saved", signal_name)
        return 0
    except (GymRemoteError, ConnectionError, FileNotFoundError, TimeoutError) as error:
        log.error("the contest broke off: %s: %s", type(error).__name__, error)
        return 1
    rewards = progress.rewards
    mean = sum(rewards) / len(rewards) if rewards else float("nan")
    log.info("%d episodes, mean reward %.1f", len(rewards), mean)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UsageError as error:
        print(f"python -m agent: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"python -m agent: {error}", file=sys.stderr)
        sys.exit(2)
