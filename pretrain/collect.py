"""The collect stage: play the training levels in parallel and keep what was seen as shards.

What shard k holds depends on the seed and on k alone, whoever plays it and when. So a collection
that was stopped, or killed, goes on by playing the shards that are missing.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

import contest.environment
import contest.levels
from agent.actions import action_table
from agent.config import to_dict
from agent.errors import UsageError
from agent.frames import shrink
from agent.provenance import git_commit
from contest.levels import Level
from pretrain.config import CollectConfig, PretrainConfig
from pretrain.errors import Stopped
from pretrain.shards import ShardWriter
from pretrain.stage import Meter, Stage, StopRequest, seed_of

COMPONENT = 1  # this stage's place in the run's seed


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = to_dict(config.collect)
    del settings["workers"]  # has no influence on what is collected
    levels = [level.name for level in contest.levels.find(config.levels)]
    settings |= {"levels": levels, "actions": list(config.agent.actions), "seed": config.seed}
    return Stage("collect", config.out / "collect", settings, fresh)


def shard_names(config: PretrainConfig) -> list[str]:
    """File names of all shards of the run. Shard k plays level k modulo the number of levels."""
    levels = len(contest.levels.find(config.levels))
    rounds = -(-config.collect.timesteps // (config.collect.shard * levels))
    count = max(2, rounds * levels)  # one is held back for validation
    return [f"{k:05d}.safetensors" for k in range(count)]


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Record every shard that is not there yet.

    Raises:
        Stopped: asked to stop; the finished shards are kept.
        UsageError: a level cannot be played, or a worker died.
    """
    work = stage(config, fresh)
    folder = config.out / "shards"
    names = shard_names(config)
    if fresh:
        for path in folder.glob("*.safetensors"):
            path.unlink()
    if work.finished and all((folder / name).exists() for name in names):
        print(f"collect: already done ({folder})")
        return
    folder.mkdir(parents=True, exist_ok=True)
    levels = contest.levels.find(config.levels)
    missing = [k for k, name in enumerate(names) if not (folder / name).exists()]
    timesteps = config.collect.shard

    pool = ProcessPoolExecutor(
        max_workers=min(config.collect.workers, max(1, len(missing))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    done = (len(names) - len(missing)) * timesteps
    with (
        StopRequest() as stop,
        Meter("collect", len(names) * timesteps, "timesteps", done) as meter,
        pool,
    ):
        metadata = {"commit": git_commit(), "run": work.fingerprint}
        waiting = {
            pool.submit(_record, folder / names[k], k, levels[k % len(levels)], config, metadata)
            for k in missing
        }
        try:
            while waiting and not stop.asked:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += timesteps
                meter.update(done)
        except BrokenProcessPool:
            raise UsageError(
                "collect: a worker died (out of memory, or killed); run the command again to go on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
        if stop.asked:
            raise Stopped
    work.finish(timesteps=len(names) * timesteps, levels=[level.name for level in levels])


# ---- in the workers --------------------------------------------------------------------------

_env: contest.environment.ContestEnv | None = None
"""the worker's emulator: a process can have only one"""


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    sys.stdout.reconfigure(line_buffering=True)


def _environment(level: Level) -> contest.environment.ContestEnv:
    global _env
    if _env is None or _env.level != level:
        if _env is not None:
            _env.close()
        _env = contest.environment.make(level)
    return _env


def _record(path: Path, k: int, level: Level, config: PretrainConfig, metadata: dict) -> None:
    """Play and write shard k."""
    env = _environment(level)
    seed = seed_of(config.seed, COMPONENT, k)
    rng = np.random.default_rng(seed)
    buttons = action_table(config.agent.actions)
    frame, info = env.reset(seed=seed)
    writer = ShardWriter(level.name, sorted(env.retro.data.lookup_all()))
    behaviour = PersistentRandom(config.collect, len(buttons), rng)
    start = True
    while len(writer) < config.collect.shard:
        action = behaviour.act()
        seen, variables = shrink(frame), info
        frame, reward, terminated, truncated, info = env.step(buttons[action])
        end = terminated or truncated
        writer.add(seen, action, reward, start, end, variables)
        start = end
        if end:
            frame, info = env.reset()
            behaviour = PersistentRandom(config.collect, len(buttons), rng)
    writer.write(path, {**metadata, "shard": k, "seed": seed})


class PersistentRandom:
    """Random play that gets somewhere: it favours a few actions and keeps each for a while."""

    def __init__(self, config: CollectConfig, actions: int, rng: np.random.Generator):
        self._preferences = rng.dirichlet(np.full(actions, config.spread))
        self._persistence, self._rng = config.persistence, rng
        self._action, self._left = 0, 0

    def act(self) -> int:
        """The index of the next action."""
        if self._left == 0:
            self._action = int(self._rng.choice(len(self._preferences), p=self._preferences))
            self._left = int(self._rng.geometric(1 / self._persistence))
        self._left -= 1
        return self._action
