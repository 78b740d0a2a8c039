"""Writes the folder of a new agent from a template.

A template is a folder of `retro_contest/agents/templates`; `common` holds what all of them share.
Every agent gets a copy of the package `gym_remote`, its connection to the contest. A copy, not a
requirement: no package index has to have the distribution, a build without a network works, and the
agent keeps the version that it was tried with.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import jinja2

from gym_remote import __version__
from retro_common.errors import UsageError
from retro_common.provenance import ROOT
from retro_common.text import shown
from retro_contest.runs.results import make_folder

FOLDER = Path(__file__).parents[1] / "agents" / "templates"
COMMON = "common"
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "*.egg-info", "build", "README.md", "pyproject.toml"
)
IMAGE_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
"""a part of an image's name, as a registry allows it"""


@dataclass(frozen=True)
class Template:
    """What a template becomes."""

    about: str
    """the agent in a sentence"""
    script: str = "agent.py"
    """what starts it"""
    copies: tuple[tuple[str, str], ...] = ()
    """what it needs besides `gym_remote`: folders of the repository, and their names in the agent's
    folder"""


TEMPLATES = {
    "random": Template("An agent that presses every button at random: a place to start from."),
    "script": Template(
        "An agent that is a function from a frame to buttons; in a second form, one that learns."
    ),
    "sb3": Template("PPO of stable-baselines3, which learns while it plays."),
    "world-model": Template(
        "The kit's world-model agent with its pretrained bundle, which goes on learning.",
        script="play.py",
        copies=(
            ("agent", "agent"),
            ("retro_common", "retro_common"),
            ("bundles/pangolin", "bundle"),
        ),
    ),
}


def write(folder: Path, template: str) -> list[Path]:
    """Write an agent's folder; returns its files and folders.

    Args:
        folder: is made; its name is the agent's.
        template: a key of `TEMPLATES`.

    Raises:
        UsageError: the folder exists and is not empty, its name cannot be part of an image's name,
            or the template needs the repository.
    """
    chosen = TEMPLATES[template]
    name = folder.resolve().name
    if not re.fullmatch(IMAGE_NAME, name) or len(name) > 100:
        raise UsageError(
            f"{shown(name)} cannot name an agent: its image is called so, too, and such a name has "
            "lower-case letters and digits, with - _ . between them"
            f" (for example {image_name(name)})"
        )
    for source, _ in chosen.copies:
        if not (ROOT / source).is_dir():
            raise UsageError(
                f"the template {template} copies {source}/ of the kit's repository, which an "
                "installed kit does not have: run retro-contest in a checkout of it"
            )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists already: choose another name")
    make_folder(folder)
    for place in (FOLDER / COMMON, FOLDER / template):
        shutil.copytree(place, folder, ignore=_no_bytecode, dirs_exist_ok=True)
    for source, target in (("gym_remote", "gym_remote"), *chosen.copies):
        shutil.copytree(ROOT / source, folder / target, ignore=LEFT_OUT)
    readme = folder / "README.md"
    text = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    readme.write_text(
        text.from_string(readme.read_text()).render(
            name=name,
            about=chosen.about,
            template=template,
            script=chosen.script,
            version=__version__,
        )
    )
    return sorted(folder.iterdir())


_no_bytecode = shutil.ignore_patterns("__pycache__", "*.pyc")


def image_name(text: str) -> str:
    """A text as a part of an image's name; `agent` if nothing of it can be in one."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words)[:100].rstrip("-") or "agent"
