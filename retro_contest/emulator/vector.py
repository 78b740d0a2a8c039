"""Many environments at once: one emulator per process, frames in shared memory.

>>> with VectorEnv("pangolin-train", num_envs=8, seed=1) as envs:
...     obs, infos = envs.reset()
...     obs, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())

An environment may go to another level at every episode's end, also of another game: it goes where
the fewest timesteps have been played, so that a long run plays all levels for the same time however
long their episodes are.

To let a learner work while environments step, use `VectorEnv.step_async` and `VectorEnv.step_wait`;
to step one half of the environments while the policy computes actions for the other, use two
VectorEnvs (with different seeds).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from retro_common.errors import UsageError
from retro_common.files import anonymous_memory
from retro_contest.emulator import worker
from retro_contest.emulator.worker import Shared
from retro_contest.levels import Level, find

log = logging.getLogger(__name__)

# The emulator computes in one thread; a pool of BLAS threads per worker would only be in the way.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class WorkerError(RuntimeError):
    """An environment failed in its worker process; the message holds the worker's traceback."""


@dataclass(frozen=True)
class Episode:
    """One finished episode."""

    env: int
    """index of the environment that played it"""
    level: int
    """index into `VectorEnv.levels`"""
    reward: float
    """sum of the contest's rewards, before any wrapper changed them"""
    length: int
    """timesteps"""
    variables: dict[str, int]
    """all RAM variables of the game as they were at the end"""
    from_start: bool = True
    """whether it began where the level begins; a wrapper may let it begin elsewhere"""


@dataclass
class _Process:
    """A worker process as the parent sees it."""

    popen: subprocess.Popen
    socket: socket.socket
    level: int = 0
    episodes: int = 0  # started so far, over all restarts
    restarts: int = 0
    record: Any = field(default=None, repr=False)


class VectorEnv(gymnasium.vector.VectorEnv):
    """N environments in N processes; see the module's docstring.

    Episodes restart by themselves within the same step: where an episode ended, the returned
    observation is the first of the next episode, and `infos["final_obs"]` has its last.

    `infos` holds, in the form that Gymnasium's vector wrappers expect:

    - `level`: int `[N]`, index into `levels` of the level that each environment plays now;
    - `variables`: float32 `[N, V]`, if asked for: the RAM variables that go with `obs`, NaN where a
      game has no such variable;
    - only in a step that ended an episode, objects `[N]` with None where none ended: `episodes`,
      each an `Episode`, and `final_obs`, each like a row of `obs`; `_episodes` and `_final_obs`,
      bool `[N]`, say where.

    A worker that is killed or hangs is replaced (its episode counts as truncated, with reward 0 in
    this step and no `Episode`); one that raises an exception ends the run with it.

    Args:
        levels: the levels to play: a name as the command line takes it (`pangolin-train`,
            `GAME/STATE`), a level, or a sequence of levels and such names. Their observations must
            have the same shape.
        num_envs: number of processes.
        seed: the same seed and actions give the same observations, rewards and levels. None draws
            a seed.
        wrap: applied to each environment inside its worker, for example to shrink frames there.
            Workers import the module it comes from: keep torch out of it.
        variables: names of the RAM variables to report in `infos`.
        draw_all: see `retro_contest.emulator.make.make`.
        timeout: seconds after which a silent worker counts as hung.
        max_restarts: replacements per environment before it raises `WorkerError`.

    Raises:
        UsageError: a level is unknown, or its ROM is missing.
        ValueError: there is no level or no environment, or levels differ in their spaces.
        WorkerError: an environment could not be started.
    """

    levels: list[Level]
    """the levels that it plays"""
    timesteps_per_level: np.ndarray
    """int64 `[len(levels)]`, timesteps played so far on each level"""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        levels: str | Level | Sequence[Level | str],
        num_envs: int,
        *,
        seed: int | None = None,
        wrap: Callable[[gymnasium.Env], gymnasium.Env] | None = None,
        variables: Sequence[str] = (),
        draw_all: bool = False,
        timeout: float = 120,
        max_restarts: int = 3,
    ) -> None:
        self._workers: list[_Process] = []
        self.levels = _levels(levels)
        if not self.levels or num_envs < 1:
            raise ValueError(f"nothing to play: {len(self.levels)} levels, {num_envs} environments")
        self.num_envs = num_envs
        self.timesteps_per_level = np.zeros(len(self.levels), np.int64)
        self._seed = secrets.randbits(32) if seed is None else seed
        self._timeout = timeout
        self._max_restarts = max_restarts
        self._setup = {
            "levels": self.levels,
            "num_envs": num_envs,
            "variables": tuple(variables),
            "wrap": cloudpickle.dumps(wrap),
            "draw_all": draw_all,
        }
        self._mean_length = 1000.0  # timesteps of an episode, a guess until some have ended
        self._waiting = False
        try:
            for i in range(num_envs):  # all start at once, then each is waited for
                self._workers.append(self._start(i, i % len(self.levels)))
            spaces = self._expect(0, worker.SPACES)
            self.single_observation_space, self.single_action_space = spaces
            self.observation_space = batch_space(spaces[0], num_envs)
            self.action_space = batch_space(spaces[1], num_envs)
            specification = Shared.specification(spaces[0], spaces[1], num_envs, len(variables))
            self._fd = anonymous_memory("retro_contest.vector", Shared.size(specification))
            self._shared = Shared.over(self._fd, specification)
            self._share(0)
            for i in range(1, num_envs):
                self._meet(i)
        except BaseException:
            self.close(terminate=True)
            raise

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every environment; running ones are dropped."""
        self._must_be_open()
        if seed is not None:
            self._seed = seed
            for process in self._workers:
                process.episodes = 0
        if self._waiting:
            self.step_wait()
        self._new_episodes(range(self.num_envs))
        return self._shared.observations.copy(), self._infos()

    def step(self, actions: np.ndarray) -> tuple:
        """Play one timestep in every environment; returns the same as `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: np.ndarray) -> None:
        """Let every environment start its next timestep, and return at once."""
        self._must_be_open()
        if self._waiting:
            raise RuntimeError("step_async() again before step_wait()")
        self._shared.actions[:] = actions
        for process in self._workers:
            with contextlib.suppress(OSError):  # it died: step_wait() replaces it
                worker.send(process.socket, worker.STEP)
        self._waiting = True

    def step_wait(
        self,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Wait until every environment has played its timestep.

        Returns:
            `(obs [N, ...], rewards float32 [N], terminations bool [N], truncations bool [N],
            infos)`; all are copies of their own.

        Raises:
            WorkerError: an environment raised an exception, or died too often.
        """
        if not self._waiting:
            raise RuntimeError("step_wait() without step_async()")
        self._waiting = False
        shared = self._shared
        ended, episodes = [], {}
        for i, process in enumerate(self._workers):
            self.timesteps_per_level[process.level] += 1
            try:
                kind, record = self._receive(i)
            except (EOFError, TimeoutError) as error:
                self._replace(i, error)
                shared.final_observations[i] = shared.observations[i]
                shared.rewards[i], shared.terminations[i], shared.truncations[i] = 0, False, True
                ended.append(i)
                continue
            if kind == worker.ENDED:
                ended.append(i)
                episodes[i] = Episode(i, process.level, *record)
                self._mean_length += 0.05 * (record[1] - self._mean_length)
        rewards, terminations, truncations = (
            array.copy() for array in (shared.rewards, shared.terminations, shared.truncations)
        )
        if ended:
            self._new_episodes(ended)
        infos = self._infos()
        if ended:
            finals = {i: shared.final_observations[i].copy() for i in ended}
            infos |= self._where_ended("final_obs", finals)
        if episodes:
            infos |= self._where_ended("episodes", episodes)
        return shared.observations.copy(), rewards, terminations, truncations, infos

    def close_extras(self, timeout: float = 5, terminate: bool = False, **kwargs: Any) -> None:
        """End all workers; `close()` calls this."""
        for process in self._workers:
            process.socket.close()  # a worker exits when its socket closes
        deadline = time.monotonic() + (0 if terminate else timeout)
        for process in self._workers:
            try:
                process.popen.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
        self._workers = []
        if hasattr(self, "_fd"):
            os.close(self._fd)
            del self._fd, self._shared

    @property
    def pids(self) -> list[int]:
        """Process IDs of the workers, by environment."""
        return [process.popen.pid for process in self._workers]

    def __enter__(self) -> VectorEnv:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError("this VectorEnv is closed")

    def _infos(self) -> dict[str, Any]:
        infos = {"level": np.array([process.level for process in self._workers])}
        if self._setup["variables"]:
            infos["variables"] = self._shared.variables.copy()
        return infos

    def _where_ended(self, name: str, values: dict[int, Any]) -> dict[str, np.ndarray]:
        """Values by environment as Gymnasium has them: objects, and a mask."""
        objects, mask = np.full(self.num_envs, None), np.zeros(self.num_envs, bool)
        for i, value in values.items():
            objects[i], mask[i] = value, True
        return {name: objects, f"_{name}": mask}

    def _new_episodes(self, indices: Sequence[int]) -> None:
        """Give each of these environments its next level and wait until it has begun it."""
        playing = np.zeros(len(self.levels))
        for i, process in enumerate(self._workers):
            if i not in indices:
                playing[process.level] += 1
        for i in indices:
            # Environments that are on a level now will still add to it.
            level = int(np.argmin(self.timesteps_per_level + playing * self._mean_length))
            playing[level] += 1
            self._workers[i].level = level
            self._send_reset(i)
        for i in indices:
            while True:
                try:
                    self._receive(i)
                    break
                except (EOFError, TimeoutError) as error:
                    self._replace(i, error)
                    self._send_reset(i)

    def _send_reset(self, i: int) -> None:
        process = self._workers[i]
        # One seed per episode: an episode does not depend on those that came before it.
        seed = np.random.SeedSequence([self._seed, i, process.episodes]).generate_state(1)[0]
        process.episodes += 1
        with contextlib.suppress(OSError):  # it died: the wait for its answer notices
            worker.send(process.socket, worker.RESET, (process.level, int(seed)))

    def _start(self, i: int, level: int) -> _Process:
        """Start worker `i`; it makes its environment and reports its spaces."""
        ours, theirs = socket.socketpair()
        environment = os.environ | _ONE_THREAD
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        # A plain subprocess rather than multiprocessing: it does not import the parent's main
        # module again, which may hold torch.
        popen = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-m",
                "retro_contest.emulator.worker",
                str(theirs.fileno()),
            ],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        ours.settimeout(self._timeout)
        process = _Process(popen, ours, level)
        worker.send(ours, worker.SETUP, self._setup | {"index": i, "level": level})
        return process

    def _meet(self, i: int) -> None:
        """Wait until worker `i` is ready and share the memory with it."""
        spaces = self._expect(i, worker.SPACES)
        expected = (self.single_observation_space, self.single_action_space)
        if spaces != expected:
            level = self.levels[self._workers[i].level].name
            raise ValueError(f"{level} has other spaces than {self.levels[0].name}: {spaces}")
        self._share(i)

    def _share(self, i: int) -> None:
        with contextlib.suppress(OSError):  # it died: the wait for its answer notices
            socket.send_fds(self._workers[i].socket, [b"m"], [self._fd])

    def _receive(self, i: int) -> tuple[bytes, Any]:
        """The next message of worker `i`; an exception in it is raised here."""
        kind, payload = worker.receive(self._workers[i].socket)
        if kind == worker.FAILED:
            usage, text = payload
            level = self.levels[self._workers[i].level].name
            self.close(terminate=True)
            if usage is not None:
                raise UsageError(usage)
            raise WorkerError(f"environment {i} failed on {level}:\n{text}")
        return kind, payload

    def _expect(self, i: int, wanted: bytes) -> Any:
        try:
            kind, payload = self._receive(i)
        except (EOFError, TimeoutError) as error:
            raise WorkerError(f"environment {i} did not start: {self._cause(i, error)}") from error
        assert kind == wanted
        return payload

    def _cause(self, i: int, error: Exception) -> str:
        """Why a worker does not answer, in words."""
        process = self._workers[i]
        if isinstance(error, TimeoutError):
            process.popen.kill()
            process.popen.wait()
            return f"silent for {self._timeout:g} s"
        code = process.popen.wait()
        return f"killed by signal {-code}" if code < 0 else f"exited with {code}"

    def _replace(self, i: int, error: Exception) -> None:
        """Start a new worker in the place of one that died or hangs."""
        old = self._workers[i]
        cause = self._cause(i, error)
        where = f"environment {i} ({self.levels[old.level].name})"
        if old.restarts >= self._max_restarts:
            self.close(terminate=True)
            raise WorkerError(f"{where}: {cause}, after {old.restarts} restarts") from error
        log.warning("%s: %s; starting it again", where, cause)
        old.socket.close()
        new = self._start(i, old.level)
        new.episodes, new.restarts = old.episodes, old.restarts + 1
        self._workers[i] = new
        self._meet(i)


def _levels(levels: str | Level | Sequence[Level | str]) -> list[Level]:
    """The levels that are meant; a name may mean several."""
    if isinstance(levels, str | Level):
        levels = [levels]
    found: list[Level] = []
    for level in levels:
        found += [level] if isinstance(level, Level) else find(level)
    return found
