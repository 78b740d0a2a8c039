"""How Gymnasium makes the contest's environments: `gymnasium.make` and `gymnasium.make_vec`.

The environment is the contest's own, with its sticky actions, frame skip and time limit. What the
keywords add is for training: the contest itself gives whole frames and takes all 12 buttons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium

from retro_common.errors import UsageError
from retro_contest.emulator.make import make
from retro_contest.emulator.preprocessing import Preprocessing, StartStates, Variables
from retro_contest.emulator.vector import VectorEnv
from retro_contest.levels import Level

State = bytes | str | Path


def make_env(
    levels: Level | str | None = None,
    *,
    render_mode: str | None = None,
    variables: Sequence[str] = (),
    start_states: Sequence[State] | None = None,
    draw_all: bool = False,
    record: str | Path | None = None,
    **preprocessing: Any,
) -> gymnasium.Env:
    """Make one environment. Only one can exist per process.

    Args:
        levels: the level, or its name as the command line takes it.
        render_mode: `rgb_array`, which it also is without this.
        variables: names of the RAM variables that `info` holds.
        start_states: save-states that episodes begin at; see `StartStates`.
        draw_all, record: see `retro_contest.emulator.make.make`.
        preprocessing: the fields of `Preprocessing`.

    Raises:
        UsageError: the level is unknown or its ROM is missing, or an option is impossible.
    """
    _check_render_mode(render_mode)
    wrap = Preprocessing(**preprocessing)
    env: gymnasium.Env = make(_named(levels), draw_all=draw_all, record=record)
    try:
        env = Variables(env, variables)
        if start_states is not None:
            env = StartStates(env, start_states)
        return wrap(env)
    except BaseException:
        env.close()  # the process could not make another
        raise


def make_vector_env(
    num_envs: int,
    levels: Level | str | Sequence[Level | str] | None = None,
    *,
    render_mode: str | None = None,
    seed: int | None = None,
    wrap: Callable[[gymnasium.Env], gymnasium.Env] | None = None,
    variables: Sequence[str] = (),
    start_states: Sequence[State] | None = None,
    draw_all: bool = False,
    **preprocessing: Any,
) -> VectorEnv:
    """Make `num_envs` environments in as many processes: a `VectorEnv`.

    Args:
        num_envs: number of environments.
        levels: the levels to play: one, several, or the name of a level set.
        render_mode: must be None or `rgb_array`; a vector environment renders nothing.
        seed, variables, draw_all: see `VectorEnv`.
        wrap: applied to each environment inside its process, after the other keywords.
        start_states: save-states that episodes begin at, where there is one level.
        preprocessing: the fields of `Preprocessing`.

    Raises:
        UsageError: a level is unknown or its ROM is missing, or an option is impossible.
    """
    _check_render_mode(render_mode)
    setup = _Setup(Preprocessing(**preprocessing), start_states, wrap)
    envs = VectorEnv(
        _named(levels), num_envs, seed=seed, wrap=setup, variables=variables, draw_all=draw_all
    )
    if start_states is not None and len(envs.levels) > 1:
        envs.close()
        raise UsageError("start_states belong to one level: name one")
    return envs


@dataclass(frozen=True)
class _Setup:
    """What a worker does to its environment."""

    preprocessing: Preprocessing
    start_states: Sequence[State] | None
    wrap: Callable[[gymnasium.Env], gymnasium.Env] | None

    def __call__(self, env: gymnasium.Env) -> gymnasium.Env:
        if self.start_states is not None:
            env = StartStates(env, self.start_states)
        env = self.preprocessing(env)
        return env if self.wrap is None else self.wrap(env)


def _named(levels: Any) -> Any:
    if levels is None:
        raise UsageError('no level is named: levels="GAME/STATE", or an id that has one')
    return levels


def _check_render_mode(mode: str | None) -> None:
    if mode not in (None, "rgb_array"):
        raise UsageError(f"render_mode is {mode!r}, but there is only 'rgb_array'")
