"""The stages `collect` and `controller` on a Ray cluster (https://docs.ray.io), `collect` on SLURM.

A shard depends on the seed and on its number alone, so a task on any node records it. In
`controller` each group of environments (`pretrain.sampler`) is an actor of Ray's: it holds the
emulators and the networks, plays a rollout with the weights of C that it is sent, and answers with
latents, actions and rewards. The learner waits for all groups: so the result does not depend on the
number of nodes.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agent.config import AgentConfig
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from pretrain.config import CollectConfig, PretrainConfig
from pretrain.data.recorder import ShardJob, record
from pretrain.sampler import Group, group_columns, open_group, play_groups
from retro_common.errors import UsageError
from retro_common.files import remove_tree, write_atomically
from retro_common.provenance import ROOT
from retro_common.text import clean
from retro_contest.levels import Level
from retro_contest.runs import slurm
from retro_contest.runs.nodes import (
    Needs,
    connect,
    fetch,
    local_level,
    portable,
    portable_level,
    processors,
)

if TYPE_CHECKING:
    from ray import ObjectRef

RESTARTS = 5
"""how often an actor is started again on another node"""
PATIENCE = 600.0
"""seconds for a rollout, or for a node with a free processor"""
SHARD_MINUTES = 60
"""that SLURM gives the job of a shard"""
AGAIN = "run the same command again to go on"


# --- collect ---


def record_shards(
    address: str, jobs: Sequence[ShardJob], config: PretrainConfig, metadata: dict[str, Any]
) -> Generator[int, None, None]:
    """Record shards on the nodes, and write them here.

    Yields:
        The number of shards that were written since the last time; 0 several times a second.

    Raises:
        UsageError: the cluster cannot be used, a node is not as this machine, or a level cannot be
            played.
    """
    needs: dict[Level, Needs] = {}
    collect, movies = config.collect, []
    if collect.movies is not None:
        movies = [collect.movies]
        collect = replace(collect, movies=portable(collect.movies))
    orders: dict[Path, tuple[Any, ...]] = {}
    for job in jobs:
        if job.level not in needs:
            needs[job.level] = Needs.of([job.level], movies)
        played = (job.seed, config.agent.actions, collect, config.draw_all, metadata)
        orders[job.path] = (needs[job.level], portable_level(job.level), *played)
    if address == "slurm":
        yield from _in_jobs(config.out / "collect" / "jobs", orders)
    else:
        yield from _in_tasks(address, orders)


def _in_tasks(address: str, orders: Mapping[Path, tuple[Any, ...]]) -> Generator[int, None, None]:
    connect(address)
    import ray
    from ray.exceptions import RayError

    # Ray records a shard again whose node is lost: it comes out the same.
    task = ray.remote(_record_here).options(num_cpus=1, max_retries=-1)
    waiting: dict[Any, Path] = {}
    try:
        for path, order in orders.items():
            waiting[task.remote(*order)] = path
        while waiting:
            finished, _ = ray.wait(list(waiting), timeout=0.2)
            for reference in finished:
                write_atomically(waiting.pop(reference), fetch(reference))
            yield len(finished)
    except RayError as error:
        raise UsageError(f"collect: a shard was lost ({clean(error, 500)}); {AGAIN}") from None
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _in_jobs(folder: Path, orders: Mapping[Path, tuple[Any, ...]]) -> Generator[int, None, None]:
    remove_tree(folder)
    submitted = slurm.submit(folder, _record_here, [*orders.values()], timeout_min=SHARD_MINUTES)
    waiting = dict(zip(submitted, orders, strict=True))
    try:
        while waiting:
            finished = [job for job in waiting if job.done()]
            for job in finished:
                write_atomically(waiting.pop(job), slurm.result(job))
            yield len(finished)
            time.sleep(0.2)
    except slurm.Lost as error:
        raise UsageError(f"collect: a shard was lost ({clean(error, 500)}); {AGAIN}") from None
    finally:
        for job in waiting:
            job.cancel(check=False)
        remove_tree(folder)


def _record_here(
    needs: Needs,
    level: Level,
    seed: int,
    actions: Sequence[str],
    collect: CollectConfig,
    draw_all: bool,
    metadata: dict[str, Any],
) -> bytes:
    """Record a shard on this node: the task. Returns its bytes."""
    needs.check()
    if collect.movies is not None:
        collect = replace(collect, movies=ROOT / collect.movies)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        record(path, local_level(level), seed, actions, collect, draw_all, metadata)
        return path.read_bytes()


# --- controller ---


@dataclass(frozen=True)
class _GroupSettings:
    """All that a group depends on."""

    needs: Needs
    config: AgentConfig
    levels: list[Level]
    envs: int
    number: int
    seed: int
    draw_all: bool
    timesteps_per_level: Mapping[str, int]
    threads: int


class _GroupActor:
    """One group, in a process of its own on some node."""

    def __init__(self, settings: _GroupSettings) -> None:
        self._settings = settings
        self._group: Group | None = None

    def play(
        self, weights: dict[str, torch.Tensor], length: int, world_model: list[ObjectRef]
    ) -> dict[str, Any]:
        """Fill a rollout of T timesteps.

        Args:
            weights: of C.
            length: T.
            world_model: where to find the weights of V and M: they are looked at once.

        Returns:
            Its `arrays`, each (T, N, ...) for the group's N environments; `finished` as
            `play_groups` has them; the `timesteps` on each level, and the seconds `waited`.
        """
        if self._group is None:  # not in the constructor, whose errors reach nobody as they are
            self._group = self._open(world_model[0])
        group = self._group
        self._models.controller.load_state_dict(weights)
        before, waited = group.timesteps_per_level(), group.waited
        columns = group.columns
        part = Rollout.of(self._settings.config, length, columns.stop - columns.start)
        finished = play_groups([(group, part)])
        after = group.timesteps_per_level()
        return {
            "arrays": {
                name: np.asarray(value) for name, value in vars(part).items() if value is not None
            },
            "finished": finished,
            "timesteps": {name: after[name] - before[name] for name in after},
            "waited": group.waited - waited,
        }

    def _open(self, world_model: ObjectRef) -> Group:
        import ray

        settings = self._settings
        settings.needs.check()
        # As in one process, where environments begin before C is told to play on one thread.
        torch.set_num_threads(settings.threads)
        models = self._models = Models.build(settings.config)
        models.vision.to(memory_format=torch.channels_last)
        models.controller.to(memory_format=torch.channels_last)
        vision, memory = ray.get(world_model)
        models.vision.load_state_dict(vision)
        models.memory.load_state_dict(memory)
        group = open_group(
            models,
            [local_level(level) for level in settings.levels],
            settings.envs,
            settings.number,
            seed=settings.seed,
            device=torch.device("cpu"),
            draw_all=settings.draw_all,
            timesteps_per_level=settings.timesteps_per_level,
        )
        group.reset()
        torch.set_num_threads(1)
        return group


class ClusterSampler(ExitStack):
    """`pretrain.sampler.Sampler` with its groups on the nodes of a cluster.

    Its rollouts are those of a `Sampler` on the CPU, bit for bit where all processors are of one
    kind. A group whose node is lost begins anew on another one, and
    plays the rollout that it was playing.
    """

    def __init__(
        self,
        address: str,
        models: Models,
        levels: Sequence[Level],
        envs: int,
        *,
        seed: int,
        draw_all: bool = False,
        timesteps_per_level: Mapping[str, int] | None = None,
    ):
        """
        Args:
            address: see `retro_contest.runs.nodes.connect`.
            models: their V and M are sent once, their C before every rollout.

        Raises:
            UsageError: the cluster cannot be used.
        """
        super().__init__()
        connect(address)
        import ray

        self._controller, self.waited = models.controller, 0.0
        self._played = dict.fromkeys((level.name for level in levels), 0)
        self._columns = group_columns(envs)
        groups = len(self._columns)
        for name, count in (timesteps_per_level or {}).items():
            self._played[name] = count // groups * groups  # as the groups share them
        self._world_model = ray.put((_weights(models.vision), _weights(models.memory)))
        settings = _GroupSettings(
            needs=Needs.of(levels),
            config=models.config,
            levels=[portable_level(level) for level in levels],
            envs=envs,
            number=0,
            seed=seed,
            draw_all=draw_all,
            timesteps_per_level=dict(timesteps_per_level or {}),
            threads=torch.get_num_threads(),
        )
        actor = ray.remote(_GroupActor).options(
            num_cpus=_share(processors(), groups),
            scheduling_strategy="SPREAD",
            max_restarts=RESTARTS,
            max_task_retries=-1,  # they are used up before Ray knows that a node is lost
        )
        self._actors = [actor.remote(replace(settings, number=n)) for n in range(groups)]
        for each in self._actors:
            self.callback(ray.kill, each)

    def timesteps_per_level(self) -> dict[str, int]:
        """Timesteps played on each level, by its name."""
        return dict(self._played)

    def play(self, rollout: Rollout) -> list[tuple[int, float]]:
        """Fill the rollout.

        Returns:
            Level number and contest reward of each episode that ended.

        Raises:
            UsageError: a node is not as this machine, or an actor was lost too often.
            TimeoutError: an actor does not answer, or finds no free processor.
        """
        import ray
        from ray.exceptions import RayError

        weights = ray.put(_weights(self._controller))
        length, world_model = len(rollout.rewards), [self._world_model]
        playing = [actor.play.remote(weights, length, world_model) for actor in self._actors]
        if ray.wait(playing, num_returns=len(playing), timeout=PATIENCE)[1]:
            raise TimeoutError(
                f"a group of environments gave no answer for {PATIENCE:.0f} s: "
                "was a node lost, and has no other one a free processor?"
            )
        finished: list[tuple[int, int, float]] = []
        for reference, columns in zip(playing, self._columns, strict=True):
            try:
                played = fetch(reference)
            except RayError as error:
                raise UsageError(
                    f"controller: an actor was lost ({clean(error, 500)}); {AGAIN}"
                ) from None
            part = vars(rollout.part(columns))
            for name, array in played["arrays"].items():
                np.asarray(part[name])[:] = array
            finished += played["finished"]
            for name, count in played["timesteps"].items():
                self._played[name] += count
            self.waited += played["waited"]
        finished.sort(key=lambda episode: episode[0])  # stable: as one process comes to them
        return [(level, reward) for _, level, reward in finished]


def _weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().cpu() for name, weight in network.state_dict().items()}


def _share(nodes: Sequence[float], groups: int) -> float:
    """Processors that each group reserves: one, or such a part of one that all find room."""
    for parts in itertools.count(1):
        if sum(int(cpus * parts) for cpus in nodes) >= groups:
            return int(10_000 / parts) / 10_000  # Ray counts in ten-thousandths
    raise AssertionError
