"""The collect stage: play the training levels in parallel and keep what was seen as shards.

What shard k holds depends on the seed and on k alone, whoever plays it and when. So a collection
that was stopped, or killed, goes on by playing the shards that are missing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import retro_contest.levels
from pretrain.config import PretrainConfig
from pretrain.data.recorder import record, start_worker
from pretrain.errors import Stopped
from pretrain.stage import Meter, Stage, StopRequest, seed_of
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.provenance import git_commit
from retro_contest.levels import Level

COMPONENT = 1  # this stage's place in the run's seed


def stage(config: PretrainConfig, fresh: bool = False) -> Stage:
    settings = to_dict(config.collect)
    del settings["workers"]  # has no influence on what is collected
    levels = [level.name for level in retro_contest.levels.find(config.levels)]
    settings |= {"levels": levels, "actions": list(config.agent.actions), "seed": config.seed}
    return Stage("collect", config.out / "collect", settings, fresh)


def shard_folder(config: PretrainConfig) -> Path:
    return (config.base or config.out) / "collect" / "shards"


def shard_names(config: PretrainConfig) -> list[str]:
    """File names of all shards of the run. Shard k plays level k modulo the number of levels."""
    levels = len(retro_contest.levels.find(config.levels))
    rounds = -(-config.collect.timesteps // (config.collect.shard * levels))
    count = max(2, rounds * levels)  # one is held back for validation
    return [f"{k:05d}.safetensors" for k in range(count)]


def collected_timesteps(config: PretrainConfig) -> int:
    """Timesteps of all shards: `collect.timesteps`, rounded up to whole shards of every level."""
    return len(shard_names(config)) * config.collect.shard


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Record every shard that is not there yet.

    Raises:
        Stopped: asked to stop; the finished shards are kept.
        UsageError: a level cannot be played, or a worker died.
    """
    work = stage(config, fresh)
    folder, names = shard_folder(config), shard_names(config)
    if work.finished and all((folder / name).exists() for name in names):
        print(f"collect: already done ({folder})")
        return
    levels = retro_contest.levels.find(config.levels)
    jobs = [
        ShardJob(folder / name, levels[k % len(levels)], seed_of(config.seed, COMPONENT, k))
        for k, name in enumerate(names)
    ]
    record_all(jobs, config, {"commit": git_commit(), "run": work.fingerprint})
    work.finish(timesteps=collected_timesteps(config), levels=[level.name for level in levels])


@dataclass(frozen=True)
class ShardJob:
    """One shard to record."""

    path: Path
    level: Level
    seed: int


def record_all(jobs: Sequence[ShardJob], config: PretrainConfig, metadata: dict[str, Any]) -> None:
    """Record the shards that are not there yet, in worker processes.

    Raises:
        Stopped: asked to stop; the finished shards are kept.
        UsageError: a level cannot be played, or a worker died.
    """
    for folder in {job.path.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not job.path.exists()]
    shard = config.collect.shard
    done = (len(jobs) - len(missing)) * shard
    pool = ProcessPoolExecutor(
        max_workers=min(config.collect.workers, max(1, len(missing))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
    )
    with (
        StopRequest() as stop,
        Meter("collect", len(jobs) * shard, "timesteps", done) as meter,
        pool,
    ):
        waiting = {
            pool.submit(
                record,
                job.path,
                job.level,
                job.seed,
                config.agent.actions,
                config.collect,
                config.draw_all,
                metadata,
            )
            for job in missing
        }
        try:
            while waiting and not stop.asked:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += shard
                meter.update(done)
        except BrokenProcessPool:
            raise UsageError(
                "collect: a worker died (out of memory, or killed); run the command again to go on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
        if stop.asked:
            raise Stopped
