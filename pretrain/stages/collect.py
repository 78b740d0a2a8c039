"""The collect stage: play the training levels in parallel and record rollouts as shards.

The content of shard k depends on the seed and on k alone. So a collection that was stopped, or
killed, goes on by playing the shards that are missing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from pretrain.config import PretrainConfig
from pretrain.data.movies import find_movie
from pretrain.data.recorder import ShardJob, record, start_worker
from pretrain.data.shards import Origin, ShardSet
from pretrain.meter import Meter, StopRequest
from pretrain.stage import Seeds, Stage, Stopped, seed_of
from retro_common.config import to_dict
from retro_common.errors import UsageError
from retro_common.provenance import git_commit
from retro_contest import levels
from retro_contest.levels import Level


def stage(config: PretrainConfig) -> Stage:
    collect = to_dict(config.collect)
    del collect["workers"]  # has no influence on the shards
    settings = {
        "agent": {"actions": list(config.agent.actions)},
        "collect": collect,
        "levels": [level.name for level in levels.find(config.levels)],
        "seed": config.seed,
    }
    return Stage("collect", config.out / "collect", settings)


def shard_folder(config: PretrainConfig) -> Path:
    return (config.base or config.out) / "collect" / "shards"


def shard_names(config: PretrainConfig) -> list[str]:
    """File names of all shards of the run. Shard k plays level k modulo the number of levels."""
    number = len(levels.find(config.levels))
    rounds = -(-config.collect.timesteps // (config.collect.shard * number))
    count = max(2, rounds * number)  # one is held back for validation
    return [f"{k:05d}.safetensors" for k in range(count)]


def open_shards(config: PretrainConfig) -> ShardSet:
    """The shards of the run.

    Raises:
        UsageError: one is missing, damaged, or of another run or level.
    """
    names, shards = [level.name for level in levels.find(config.levels)], shard_names(config)
    seeds = [seed_of(config.seed, Seeds.COLLECT, k) for k in range(len(shards))]
    origin = Origin(stage(config).fingerprint, names, len(config.agent.actions), seeds)
    return ShardSet(shard_folder(config), shards, origin)


def collected_timesteps(config: PretrainConfig) -> int:
    """Timesteps of all shards: `collect.timesteps`, rounded up to whole shards of every level."""
    return len(shard_names(config)) * config.collect.shard


def run(config: PretrainConfig, fresh: bool = False, cluster: str = "") -> None:
    """Record every shard that is missing.

    Args:
        cluster: address of a Ray cluster whose nodes play; see `pretrain.cluster`.

    Raises:
        Stopped: asked to stop; the finished shards are kept.
        UsageError: a level cannot be played, or a worker died.
    """
    training = levels.find(config.levels)
    check_movies(config.collect.movies, training)
    work = stage(config).open(fresh)
    folder, names = shard_folder(config), shard_names(config)
    if work.finished and all((folder / name).exists() for name in names):
        print(f"collect: already done ({folder})")
        return
    jobs = [
        ShardJob(folder / name, training[k % len(training)], seed_of(config.seed, Seeds.COLLECT, k))
        for k, name in enumerate(names)
    ]
    record_all(jobs, config, {"commit": git_commit(), "run": work.fingerprint}, cluster)
    work.finish(timesteps=collected_timesteps(config), levels=[level.name for level in training])


def check_movies(folder: Path | None, training: Sequence[Level]) -> None:
    """Raise a UsageError for a folder of movies that does not exist, or has none of these levels.

    Without movies the shards would be others, and nobody would notice.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError(f"collect.movies: no folder {folder}")
    if all(find_movie(folder, level.state) is None for level in training):
        raise UsageError(f"collect.movies: {folder} holds no movie STATE.json of a training level")


def record_all(
    jobs: Sequence[ShardJob], config: PretrainConfig, metadata: dict[str, Any], cluster: str = ""
) -> None:
    """Record the missing ones of these shards, in worker processes or on a cluster.

    Raises:
        Stopped: asked to stop; the finished shards are kept.
        UsageError: a level cannot be played, or a worker died.
    """
    for folder in {job.path.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not job.path.exists()]
    shard = config.collect.shard
    done = (len(jobs) - len(missing)) * shard
    if cluster:
        from pretrain.cluster import record_shards

        recorded = record_shards(cluster, missing, config, metadata)
    else:
        recorded = _record_in_processes(missing, config, metadata)
    with (
        contextlib.closing(recorded),
        StopRequest() as stop,
        Meter("collect", len(jobs) * shard, "timesteps", done) as meter,
    ):
        for finished in recorded:
            done += finished * shard
            meter.update(done)
            if stop.asked:
                break
    if stop.asked:
        raise Stopped


def _record_in_processes(
    jobs: Sequence[ShardJob], config: PretrainConfig, metadata: dict[str, Any]
) -> Generator[int, None, None]:
    """Yields the number of shards that were finished since the last time, several times a second.

    Where it is closed, the shards that have begun are finished first.
    """
    pool = ProcessPoolExecutor(
        max_workers=min(config.collect.workers, max(1, len(jobs))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
        initargs=(os.getpid(),),
    )
    with pool:
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
            for job in jobs
        }
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                yield len(finished)
        except BrokenProcessPool:
            raise UsageError(
                "collect: a worker died (out of memory, or killed); run the command again to go on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
