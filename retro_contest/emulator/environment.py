"""The contest's environment: one level of one game under the contest's rules.

The rules (OpenAI's Retro Contest, 2018):

- scenario ``contest`` where the game has one, the game's own default where it has not;
- filtered 12-button MultiBinary actions;
- frame skip 4 with sticky actions: on the first of the 4 frames the previous action stays with
  probability 0.25, from the second frame on the new one applies, and the first action after a
  reset is never delayed. The reward is the sum over the frames; skipping stops when the episode
  ends; the last frame is the observation;
- an episode is cut off after 4500 timesteps.

An environment costs little more than its emulator: a timestep is 4 emulator frames with reward and
end, one read of the screen, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_retro
from gymnasium.utils import seeding

from retro_common.errors import UsageError
from retro_contest import levels
from retro_contest.emulator import recycled, undrawn
from retro_contest.levels import Level

TIME_LIMIT = 4500
FRAME_SKIP = 4
STICKY = 0.25


def make(
    level: Level,
    *,
    seed: int | None = None,
    frame_skip: int = FRAME_SKIP,
    sticky: float = STICKY,
    time_limit: int = TIME_LIMIT,
    draw_all: bool = False,
    record: str | Path | None = None,
) -> ContestEnv:
    """Make the contest's environment for one level.

    Only one emulator can exist per process: close an environment before making the next.

    Args:
        level: game and state.
        seed: seed of the sticky actions; ``reset(seed=...)`` sets it anew.
        frame_skip: emulator frames per timestep.
        sticky: probability that the previous action stays for the first frame of a timestep.
        time_limit: timesteps after which an episode is truncated.
        draw_all: draw the frames that nobody sees, too (slower; the results are the same).
        record: folder for one bk2 movie per episode, or None. A movie is complete once its episode
            has ended; it plays back in plain stable-retro.

    Raises:
        UsageError: unknown game or state, or the game's ROM is not there.
    """
    if draw_all:
        env = ContestEnv(level, frame_skip=frame_skip, sticky=sticky, time_limit=time_limit)
    else:
        skip = undrawn.may_skip(level)  # first, for a proof needs an emulator of its own
        recycled.install()
        env = ContestEnv(level, frame_skip=frame_skip, sticky=sticky, time_limit=time_limit)
        env.undrawn = undrawn.attach(level) if skip else None
        env.draw_all = False
    env.np_random, _ = seeding.np_random(seed)
    if record is not None:
        env.record(record)
    return env


class ContestEnv(gymnasium.Env):
    """One level under the contest's rules; see :func:`make`.

    Observations are ``uint8`` of shape ``(224, 320, 3)`` for Mega Drive games, and each is a copy
    of its own. ``info`` holds the game's RAM variables. ``terminated``: the scenario says that the
    episode is over; ``truncated``: the time limit cut it off.

    Attributes:
        retro: the stable-retro environment underneath.
        level: the level it plays.
        sticky: probability that the previous action stays for the first frame of a timestep.
        undrawn: how it emulates frames that nobody sees, or None if it draws them.
        draw_all: whether it must draw them.
        episode_reward: sum of the rewards of this episode so far.
        episode_length: timesteps of this episode so far.
        from_start: whether this episode began at the level's own save-state.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(
        self,
        level: Level,
        *,
        frame_skip: int = FRAME_SKIP,
        sticky: float = STICKY,
        time_limit: int = TIME_LIMIT,
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
        self.undrawn: undrawn.Undrawn | None = None
        self.draw_all = True
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

    def record(self, folder: str | Path) -> None:
        """Write one bk2 movie per episode into a folder, from the next reset on."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.retro.auto_record(str(folder))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode at the level's save-state. Returns ``(observation, info)``.

        Args:
            options: ``{"state": bytes}`` starts it at another save-state of the level, as
                ``retro.em.get_state()`` gives it: for training, never in a contest. The reward
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
        """Whether :meth:`change_level` can go there: another state of the same game.

        Also, if frames go undrawn, one that has been proved: a proof needs an emulator of its own.
        """
        same = (level.game, level.integrations) == (self.level.game, self.level.integrations)
        return same and (self.draw_all or undrawn.is_known(level))

    def change_level(self, level: Level) -> None:
        """Go to another state of the same game without making the emulator anew; reset() is next.

        Raises:
            UsageError: the game has no such state.
        """
        if not self.can_play(level):
            raise ValueError(f"cannot go from {self.level.name} to {level.name}")
        self.retro.load_state(level.state, GameFiles.of(level))
        self.level = level
        if not self.draw_all:
            self.undrawn = undrawn.attach(level) if undrawn.may_skip(level) else None
        self._running = False
        self._finish_movie()

    def render(self) -> np.ndarray:
        """The last frame again, as :meth:`step` returned it."""
        return self._screen()

    def close(self) -> None:
        """Free the emulator, so that this process can make another, and finish the movie."""
        self._finish_movie()
        self.undrawn = None  # it belongs to the emulator that goes now
        self.retro.close()
        if not self.draw_all:
            recycled.uninstall()
        self._running = False

    def _redraw(self, before: bytes, first: np.ndarray, buttons: np.ndarray, frames: int) -> None:
        """The episode ended on an undrawn frame: play this timestep's frames again and draw it."""
        em = self.retro.em
        em.set_state(before)
        for i in range(frames + 1):
            em.set_button_mask(buttons if i else first, 0)
            em.step()

    def _screen(self) -> np.ndarray:
        """What the emulator shows, cut or padded with black to the observation's shape.

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


@dataclass(frozen=True)
class GameFiles:
    """Where stable-retro finds one level's files.

    Stands in for a value of ``stable_retro.data.Integrations``, of which stable-retro reads only
    ``paths``: the folders to search. Unlike ``Integrations.add_custom_path`` it leaves no trace in
    the process, so games of the same name in several folders do not shadow each other.

    Attributes:
        folder: the game's integration folder.
    """

    folder: Path

    @classmethod
    def of(cls, level: Level) -> GameFiles:
        """The level's files; raises UsageError when ROM or state is missing."""
        if not (level.folder / "data.json").is_file():
            raise UsageError(f"unknown game '{level.game}': there is no {level.folder}/data.json")
        levels.check_playable([level])
        return cls(level.folder.resolve())

    @property
    def paths(self) -> list[str]:
        """The folders to search."""
        return [str(self.folder.parent)]

    @property
    def scenario(self) -> str:
        """The scenario that holds the contest's reward and end."""
        return "contest" if (self.folder / "contest.json").is_file() else "scenario"
