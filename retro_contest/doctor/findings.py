"""What the doctor finds: a line for each thing, and what each purpose needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from retro_common.errors import UsageError
from retro_common.text import clean

Purpose = Literal["demo", "pretrain", "evaluate", "submit", "host"]
State = Literal["ok", "note", "FAIL"]
LENGTH = 500
"""characters of a line"""


@dataclass(frozen=True)
class Needs:
    """What a purpose needs of a machine."""

    memory: float
    """GB of memory that are free"""
    disk: float
    """GB of disk that are free in the current folder"""
    cores: int
    """processor cores that keep it from being slow"""
    libraries: tuple[str, ...] = ()
    """modules beside those of the contest"""
    docker: bool = False
    """whether it plays in containers"""


_TRAINING = ("torch", "safetensors", "zstandard", "tensorboard", "matplotlib")
# Measured on 2 cores: the shipped agent with its server took 0.63 GB, PPO on pixels in 8 emulators
# 0.94 GB; a recorded timestep takes 7.4 kB on the disk with its latents, and configs/pangolin.yaml
# records 319,488. An agent's container may take 4 GB (`evaluate --memory`), two images and their
# layers 5 GB.
NEEDS: dict[str, Needs] = {
    "demo": Needs(memory=2, disk=1, cores=2, libraries=(*_TRAINING, "imageio_ffmpeg", "PIL")),
    "pretrain": Needs(memory=2, disk=4, cores=2, libraries=_TRAINING),
    "evaluate": Needs(memory=1, disk=1, cores=2),
    "submit": Needs(memory=5, disk=5, cores=2, docker=True),
    "host": Needs(memory=5, disk=5, cores=2, docker=True),
}


@dataclass(frozen=True)
class Line:
    """One thing that was checked."""

    state: State
    """`FAIL`: the purpose will not work; `note`: it will, but something is not as it could be"""
    subject: str
    """the thing, in a word or two"""
    text: str
    """its state"""
    mend: str = ""
    """a command, or what else a person can do"""

    @property
    def good(self) -> bool:
        return self.state != "FAIL"

    def __str__(self) -> str:
        mend = f": {self.mend}" if self.mend else ""
        return f"{self.state:<4}  {self.subject}: {clean(self.text + mend, LENGTH)}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Problem(Exception):
    """A check failed."""

    def __init__(self, text: str, mend: str = "") -> None:
        super().__init__(text)
        self.mend = mend
        """a command, or what else a person can do"""


def line(subject: str, check: Callable[[], str], *, needed: bool = True) -> Line:
    """The line of a check, which returns a text or raises.

    Args:
        needed: whether the purpose fails where the check does.
    """
    state: State = "FAIL" if needed else "note"
    try:
        return Line("ok", subject, check())
    except Problem as problem:
        return Line(state, subject, str(problem), problem.mend)
    except UsageError as error:
        return Line(state, subject, str(error))
    except Exception as error:  # whatever is broken here is what the doctor is for
        return Line(state, subject, f"{type(error).__name__}: {error}")
