"""The contest's environment: one level of one game under the contest's rules.

The rules (OpenAI's Retro Contest, 2018):

- scenario `contest` where the game has one, the game's own default where it has not;
- filtered 12-button MultiBinary actions;
- frame skip 4 with sticky actions: on the first of the 4 frames the previous action is held with
  probability 0.25, from the second frame on the new one applies, and the first action after a
  reset is never delayed. The reward is the sum over the frames; skipping stops when the episode
  ends; the last frame is the observation;
- an episode is truncated after 4500 timesteps.

An environment costs little more than its emulator: a timestep is 4 emulator frames with reward and
end, one read of the screen, and nothing else. `retro_contest.emulator.make` makes one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
import stable_retro

from retro_contest.emulator.game_files import GameFiles
from retro_contest.emulator.undrawn import Undrawn
from retro_contest.levels import Level
from retro_contest.rules import TIME_LIMIT

FRAME_SKIP = 4
STICKY = 0.25


class Speedups(Protocol):
    """Ways to emulate faster with the same results. They belong to one environment."""

    def are_known(self, level: Level) -> bool:
        """Whether `undrawn` can answer for this level while an emulator is loaded."""

    def undrawn(self, level: Level) -> Undrawn | None:
        """How the loaded emulator leaves frames of this level undrawn; None if it must draw."""

    def close(self) -> None:
        """End them. Called when the emulator is closed."""


class ContestEnv(gymnasium.Env):
    """One level under the contest's rules.

    Observations are `uint8` of shape `(224, 320, 3)` for Mega Drive games, and each is a copy of
    its own. `info` holds the game's RAM variables. `terminated`: the scenario says that the episode
    is over; `truncated`: the time limit ended it.

    Args:
        level: the level to play.
        frame_skip, sticky, time_limit: the rules; see `retro_contest.emulator.make.make`.
        speedups: ways to emulate faster, or None to do and draw everything. The environment closes
            them.

    Raises:
        UsageError: the game is unknown, or its ROM or the level's save-state is missing.
        ValueError: a rule is impossible.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012
    render_mode = "rgb_array"

    retro: stable_retro.RetroEnv
    """the stable-retro environment that it plays"""
    level: Level
    """the level that it plays"""
    observation_space: gymnasium.spaces.Box
    sticky: float
    """probability that the previous action is held for the first frame of a timestep"""
    undrawn: Undrawn | None
    """how it leaves frames undrawn, or None while it draws all of them"""
    episode_reward: float
    """sum of the rewards of this episode so far"""
    episode_length: int
    """timesteps of this episode so far"""
    from_start: bool
    """whether this episode began at the level's own save-state"""

    def __init__(
        self,
        level: Level,
        *,
        frame_skip: int = FRAME_SKIP,
        sticky: float = STICKY,
        time_limit: int = TIME_LIMIT,
        speedups: Speedups | None = None,
    ) -> None:
        if frame_skip < 1 or time_limit < 1 or not 0 <= sticky <= 1:
            raise ValueError(f"impossible rules: {frame_skip=} {sticky=} {time_limit=}")
        files = GameFiles.of(level)
        self.retro = stable_retro.RetroEnv(
            level.game,
            state=level.state,
            scenario=files.scenario,
            inttype=files,
            render_mode="rgb_array",
        )
        self.level = level
        self._speedups = speedups
        self._frame_skip = frame_skip
        self.sticky = sticky
        self._time_limit = time_limit
        self.action_space = self.retro.action_space
        # stable-retro takes the shape from the console's first frame after power-on, which may be
        # in another video mode than the level: take it from the level.
        frame, _ = self.retro.reset()
        self.observation_space = gymnasium.spaces.Box(0, 255, frame.shape, np.uint8)
        self._running = False  # whether an episode is; if not, reset() comes next
        self._held: np.ndarray | None = None  # buttons held down by the last frame
        self.episode_reward = 0.0
        self.episode_length = 0
        self.from_start = True
        self.undrawn = speedups.undrawn(level) if speedups is not None else None

    def record(self, folder: str | Path) -> None:
        """Write one bk2 movie per episode into a folder, from the next reset on."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.retro.auto_record(str(folder))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode at the level's save-state. Returns `(observation, info)`.

        Args:
            options: `{"state": bytes}` starts it at another save-state of the level, as
                `retro.em.get_state()` gives it: for training, never in a contest. The reward
                counts from there.
        """
        super().reset(seed=seed)
        state = (options or {}).get("state")
        self.from_start = state is None
        levels_own = self.retro.initial_state
        try:
            if state is not None:
                self.retro.initial_state = state
            self.retro.reset()
        finally:
            self.retro.initial_state = levels_own
        self._held = None
        self._running = True
        self.episode_reward = 0.0
        self.episode_length = 0
        return self._screen(), self.variables()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one timestep.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, and after an episode's end.
        """
        if not self._running:
            raise gymnasium.error.ResetNeeded("call reset() first: no episode is running")
        retro = self.retro
        em, data, movie = retro.em, retro.data, retro.movie
        (buttons,) = retro.action_to_array(action)
        first = buttons
        if self._held is not None and self.np_random.random() < self.sticky:
            first = self._held
        self._held = first if self._frame_skip == 1 else buttons

        skip = self.undrawn
        last = self._frame_skip - 1
        before = em.get_state() if skip is not None else b""

        total = 0.0
        for i in range(self._frame_skip):
            if i == 0:
                em.set_button_mask(first, 0)
            elif i == 1 and first is not buttons:
                em.set_button_mask(buttons, 0)
            if movie is not None:
                for key, down in enumerate(buttons if i else first):
                    movie.set_key(key, down, 0)
                movie.step()
            if skip is not None and i < last:
                skip.step()
            else:
                em.step()
            data.update_ram()
            total += data.current_reward()
            terminated = data.is_done()
            if terminated:
                break

        if skip is not None and i < last:
            self._redraw(before, first, buttons, i)
        self.episode_reward += total
        self.episode_length += 1
        truncated = not terminated and self.episode_length >= self._time_limit
        if terminated or truncated:
            self._running = False
            self._finish_movie()
        return self._screen(), total, terminated, truncated, self.variables()

    def variables(self) -> dict[str, int]:
        """The game's RAM variables as they are now, by name."""
        return dict(self.retro.data.lookup_all())

    def can_play(self, level: Level) -> bool:
        """Whether `change_level` can go there: to another state of the same game.

        With speedups, only to a level for which they are known: a proof needs an emulator of its
        own.
        """
        same = (level.game, level.integrations) == (self.level.game, self.level.integrations)
        return same and (self._speedups is None or self._speedups.are_known(level))

    def change_level(self, level: Level) -> None:
        """Go to another state of the same game without making the emulator anew; reset() is next.

        Raises:
            UsageError: the game has no such state.
            ValueError: `can_play` is false.
        """
        if not self.can_play(level):
            raise ValueError(f"cannot go from {self.level.name} to {level.name}")
        self.retro.load_state(level.state, GameFiles.of(level))
        self.level = level
        if self._speedups is not None:
            self.undrawn = self._speedups.undrawn(level)
        self._running = False
        self._finish_movie()

    def render(self) -> np.ndarray:
        """The last frame again, as `step` returned it."""
        return self._screen()

    def close(self) -> None:
        """Free the emulator, so that this process can make another, and finish the movie."""
        self._finish_movie()
        self.undrawn = None  # it belongs to the emulator that is closed here
        self.retro.close()
        if self._speedups is not None:
            self._speedups.close()
        self._running = False

    def _redraw(self, before: bytes, first: np.ndarray, buttons: np.ndarray, frames: int) -> None:
        """The episode ended on an undrawn frame: play this timestep's frames again and draw it."""
        em = self.retro.em
        em.set_state(before)
        for i in range(frames + 1):
            em.set_button_mask(buttons if i else first, 0)
            em.step()

    def _screen(self) -> np.ndarray:
        """The emulator's screen, cut or padded with black to the observation's shape.

        A game can change the video mode (320 or 256 pixels wide) while it runs.
        """
        frame = self.retro.get_screen(apply_rotation=True)
        shape = self.observation_space.shape
        if frame.shape == shape:
            return frame
        fitted = np.zeros(shape, np.uint8)
        height, width = min(frame.shape[0], shape[0]), min(frame.shape[1], shape[1])
        fitted[:height, :width] = frame[:height, :width]
        return fitted

    def _finish_movie(self) -> None:
        """Complete this episode's movie file now rather than at the next reset."""
        if self.retro.movie is not None:
            self.retro.movie.close()
            self.retro.movie = None
