"""What trainers do to frames and buttons, by Gymnasium's own wrappers.

>>> prepare = Preprocessing(actions=("RIGHT", "RIGHT B", "LEFT"), size=84, grey=True, stack=4)
>>> env = prepare(make("PangolinDash-Genesis-v0/FernHollow.Act1"))  # to train
>>> env = prepare(RemoteEnv())  # to play in the contest: the same observations and actions
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    ResizeObservation,
    TransformAction,
)

from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError
from retro_common.text import shown


@dataclass(frozen=True)
class Preprocessing:
    """Wraps an environment of the contest, or a `gym_remote.RemoteEnv`. By default it does nothing.

    Raises:
        UsageError: an option is impossible, or a library that it needs is missing.
    """

    actions: Sequence[str] = ()
    """button combinations such as `RIGHT B`: the action is their number, `Discrete(len(actions))`;
    without them it is the 12 buttons, `MultiBinary(12)`"""
    size: int | tuple[int, int] | None = None
    """frames are shrunk to this height and width (OpenCV's INTER_AREA); None leaves them"""
    grey: bool = False
    """frames lose their colours and their last dimension: uint8 `(H, W)`"""
    stack: int = 1
    """the observation is the last `stack` frames, the newest one last: `(stack, H, W)`"""

    def __call__(self, env: gymnasium.Env) -> gymnasium.Env:
        """The wrapped environment."""
        if self.stack < 1:
            raise UsageError(f"stack must be at least 1, not {self.stack}")
        if self.actions:
            press = Press(tuple(self.actions))
            env = TransformAction(env, press, gymnasium.spaces.Discrete(len(self.actions)))
        if self.size is not None:
            shape = (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)
            if len(shape) != 2 or min(shape) < 1:
                raise UsageError(f"size must be one or two numbers of at least 1, not {self.size}")
            try:
                env = ResizeObservation(env, shape)
            except gymnasium.error.DependencyNotInstalled:
                raise UsageError(
                    "size needs OpenCV: pip install 'retro-contest-kit[train]'"
                ) from None
        if self.grey:
            env = GrayscaleObservation(env)
        if self.stack > 1:
            env = FrameStackObservation(env, self.stack)
        return env


class Press:
    """From the number of a button combination such as `RIGHT B` to the 12 buttons, int8 `(12,)`.

    Raises:
        UsageError: a combination names a button that does not exist.
    """

    def __init__(self, combinations: tuple[str, ...]) -> None:
        self._combinations = combinations
        self._table = np.zeros((len(combinations), len(BUTTONS)), np.int8)
        for row, combination in zip(self._table, combinations, strict=True):
            for button in combination.split():
                if button not in BUTTONS:
                    raise UsageError(
                        f"actions: no button {shown(button)}; there are {' '.join(BUTTONS)}"
                    )
                row[BUTTONS.index(button)] = 1

    def __call__(self, action: int) -> np.ndarray:
        return self._table[int(action)].copy()

    def __eq__(self, other: object) -> bool:  # Gymnasium compares the wrappers of a spec
        return isinstance(other, Press) and self._combinations == other._combinations

    def __hash__(self) -> int:
        return hash(self._combinations)


class Variables(gymnasium.Wrapper):
    """Leaves only some of the game's RAM variables in `info`; without names, none.

    Raises:
        UsageError: the game has no variable of that name.
    """

    def __init__(self, env: gymnasium.Env, names: Sequence[str] = ()) -> None:
        super().__init__(env)
        self._names = tuple(names)
        known = env.unwrapped.variables()  # type: ignore[attr-defined]
        for name in self._names:
            if name not in known:
                raise UsageError(f"variables: no {shown(name)}; there are {', '.join(known)}")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._chosen(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, self._chosen(info)

    def _chosen(self, info: dict[str, Any]) -> dict[str, Any]:
        return {name: info[name] for name in self._names}


class StartStates(gymnasium.Wrapper):
    """Begins each episode at a save-state that is drawn from some; for training only.

    Args:
        env: an environment of the contest.
        states: save-states of its level: the bytes of `env.unwrapped.retro.em.get_state()`, or
            `*.state` files, which hold such bytes compressed with gzip.

    Raises:
        UsageError: there is no state, or a file cannot be read.
    """

    def __init__(self, env: gymnasium.Env, states: Sequence[bytes | str | Path]) -> None:
        super().__init__(env)
        if not states:
            raise UsageError("start_states: there is no state")
        self._states = [each if isinstance(each, bytes) else _read(Path(each)) for each in states]
        self._random = np.random.default_rng()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; a `state` among the options goes before a drawn one."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        drawn = self._states[self._random.integers(len(self._states))]
        return self.env.reset(seed=seed, options={"state": drawn} | (options or {}))


def _read(file: Path) -> bytes:
    try:
        return gzip.decompress(file.read_bytes())
    except (OSError, EOFError) as error:
        raise UsageError(f"{file}: not a save-state ({error})") from None
