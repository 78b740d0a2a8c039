"""The configuration of a run: few keys, each of them used."""

import dataclasses
import re
import typing
from pathlib import Path

from pretrain.config import PretrainConfig

ROOT = Path(__file__).parents[2]


def leaves(kind: type, prefix: str = "") -> list[str]:
    """The keys of a configuration, with dots between nested ones."""
    found = []
    for name, hint in typing.get_type_hints(kind).items():
        if name.startswith("_"):
            continue
        if dataclasses.is_dataclass(hint):
            found += leaves(hint, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def test_there_are_at_most_105_keys() -> None:
    keys = leaves(PretrainConfig)
    assert 80 < len(keys) <= 105


def test_every_key_is_read_by_the_code() -> None:
    files = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "pretrain").rglob("*.py")]
    files += (ROOT / "analysis").rglob("*.py")
    code = "\n".join(path.read_text() for path in files)
    unread = [
        key for key in leaves(PretrainConfig) if not re.search(rf"\.{key.split('.')[-1]}\b", code)
    ]
    assert not unread
