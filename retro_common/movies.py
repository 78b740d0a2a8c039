"""Input movies: the buttons held in a level, from the first frame after a reset.

A movie is one JSON file, `{"frames": ..., "reward": ..., "inputs": "R24 RB8 L4 -16 ..."}`. Each
word of `inputs` is a run: the buttons held (R right, L left, D down, U up, B jump, `-` none) and
the number of emulator frames.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_json_object, write_atomically
from retro_common.text import clean, shown

LETTERS = {"R": "RIGHT", "L": "LEFT", "D": "DOWN", "U": "UP", "B": "B"}
"""the emulator's names of the buttons, by the letter in a movie; runs are written in this order"""
MAX_FRAMES = 1_000_000
"""frames that a movie may have: more than four hours; a level ends after five minutes"""
_RUN = re.compile(rf"([{''.join(LETTERS)}]+|-)([0-9]{{1,9}})")


@dataclass(frozen=True)
class Movie:
    """The inputs of one episode."""

    inputs: tuple[tuple[tuple[str, ...], int], ...]
    """runs: names of the buttons held, number of frames"""
    reward: float | None = None
    """what the inputs earn in the contest, where it is known"""

    @property
    def frames(self) -> int:
        """Length in emulator frames."""
        return sum(frames for _, frames in self.inputs)

    def save(self, path: Path) -> None:
        """Write the movie's file, and its folder where there is none.

        Raises:
            KeyError: a button has no letter.
            OSError: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        words = " ".join(f"{_letters(buttons)}{frames}" for buttons, frames in self.inputs)
        content = {"frames": self.frames, "reward": self.reward, "inputs": words}
        write_atomically(path, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Movie:
        """Read a movie's file.

        Raises:
            UsageError: the file cannot be read, or is not a movie.
        """
        try:
            content = read_json_object(path)
            movie = cls(tuple(_run(word) for word in content["inputs"].split()))
            if movie.frames > MAX_FRAMES:
                raise ValueError(f"it has more than {MAX_FRAMES:,} frames")
            reward = content.get("reward")
            return movie if reward is None else cls(movie.inputs, float(reward))
        except UnreadableFile as error:
            raise UsageError(f"{path}: not an input movie ({error.why})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path}: not an input movie ({type(error).__name__}: {clean(error)})"
            ) from None


def _letters(buttons: tuple[str, ...]) -> str:
    """`("RIGHT", "B")` -> `RB`."""
    by_name = {name: letter for letter, name in LETTERS.items()}
    held = {by_name[name] for name in buttons}
    return "".join(letter for letter in LETTERS if letter in held) or "-"


def _run(word: str) -> tuple[tuple[str, ...], int]:
    """`RB8` -> `(("RIGHT", "B"), 8)`."""
    match = _RUN.fullmatch(word)
    if match is None:
        raise ValueError(f"{shown(word)} is not a run")
    return tuple(LETTERS[letter] for letter in match[1].strip("-")), int(match[2])
