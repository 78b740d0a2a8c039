"""Input movies: what was pressed in an act, from the first frame after a reset.

A movie is one JSON file: ``{"frames": ..., "reward": ..., "inputs": "R24 RB8 L4 ..."}``; each word
is the buttons held (R, L, D, B; ``-`` for none) and for how many frames.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from pangolin_dash.simulator import DOWN, LEFT, RIGHT, B

FOLDER = Path(__file__).parent / "movies"
_LETTERS = {"R": RIGHT, "L": LEFT, "D": DOWN, "B": B}
_WORD = re.compile(r"([RLDB]+|-)([0-9]+)")

#: Button names of the emulator, by letter.
BUTTONS = {"R": "RIGHT", "L": "LEFT", "D": "DOWN", "B": "B"}


@dataclass(frozen=True)
class Movie:
    """Inputs as (pad bits, frames) runs, and what they earn in the contest."""

    inputs: tuple[tuple[int, int], ...]
    reward: float

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum(frames for _, frames in self.inputs)

    def save(self, path: Path) -> None:
        """Write the movie's file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        words = " ".join(f"{letters(pad)}{frames}" for pad, frames in self.inputs)
        content = {"frames": self.frames, "reward": self.reward, "inputs": words}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Movie:
        """Read a movie's file.

        Raises:
            ValueError: the inputs are not what ``save`` writes.
        """
        content = json.loads(path.read_text())
        runs = []
        for word in content["inputs"].split():
            match = _WORD.fullmatch(word)
            if match is None:
                raise ValueError(f"{path}: {word!r} is not an input")
            pad = sum(_LETTERS[letter] for letter in match[1].strip("-"))
            runs.append((pad, int(match[2])))
        return cls(tuple(runs), content["reward"])


def letters(pad: int) -> str:
    """``RIGHT | B`` -> ``RB``."""
    return "".join(letter for letter, bit in _LETTERS.items() if pad & bit) or "-"
