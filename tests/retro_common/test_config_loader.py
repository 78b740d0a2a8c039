"""The configuration loader: files that extend files, and messages that name the key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from retro_common.config import (
    FORBID_UNKNOWN,
    Fraction,
    NotNegative,
    Positive,
    Rate,
    load,
    merge,
    to_dict,
    validate,
)
from retro_common.errors import UsageError


@dataclasses.dataclass
class Inner:
    __pydantic_config__ = FORBID_UNKNOWN
    size: Positive = 4
    rate: Rate = 0.1
    share: Fraction = 0.5
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Outer:
    __pydantic_config__ = FORBID_UNKNOWN
    inner: Inner = dataclasses.field(default_factory=Inner)
    weight: NotNegative = 0.0
    folder: Path | None = None


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_missing_keys_keep_their_defaults(tmp_path):
    assert load(Outer, write(tmp_path / "empty.yaml", "")) == Outer()
    config = load(Outer, write(tmp_path / "some.yaml", "inner: {size: 9}\nfolder: a/b"))
    assert config == Outer(inner=Inner(size=9), folder=Path("a/b"))


def test_a_configuration_survives_a_round_trip():
    config = Outer(inner=Inner(names=["a"]), folder=Path("x"))
    values = to_dict(config)
    assert values["folder"] == "x" and values["inner"]["names"] == ["a"]
    assert validate(Outer, values, "again") == config


def test_a_file_extends_another_key_by_key(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path / "base.yaml", "inner: {size: 9, names: [a, b]}\nweight: 1")
    write(tmp_path / "sub" / "middle.yaml", "extends: ../base.yaml\nweight: 2")
    path = write(tmp_path / "top.yaml", "extends: sub/middle.yaml\ninner: {names: [c], rate: 1}")
    assert load(Outer, path) == Outer(inner=Inner(size=9, rate=1, names=["c"]), weight=2)


def test_merge_replaces_all_but_mappings():
    assert merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2], "e": 0}) == {
        "a": {"b": 1, "c": 3},
        "d": [2],
        "e": 0,
    }
    assert merge({"a": 1}, {"a": None}) == {"a": None}
    assert merge({"a": {"b": 1}}, {"a": 5}) == {"a": 5}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("inner: {sise: 3}", "unknown key `inner.sise`"),
        ("colour: red", "unknown key `colour`"),
        ("inner: {size: many}", "inner.size: "),
        ("inner: {size: 0}", "inner.size: Input should be greater than 0, not 0"),
        ("inner: {rate: 0}", "inner.rate: "),
        ("inner: {share: 1.1}", "inner.share: "),
        ("inner: {names: [a, 3]}", "inner.names.1: "),
        ("weight: -1", "weight: "),
        ("inner: 3", "inner: "),
        ("- a list", "(top level): "),
        ("inner: {size: 3", "not valid YAML: "),
        ("extends: [a.yaml]", "extends: should be a file's name, not ['a.yaml']"),
        ("extends: config.yaml", "extends: config.yaml extends this file in turn"),
        ("extends: loop.yaml", "extends: config.yaml extends this file in turn"),
        ("extends: missing.yaml", "missing.yaml: no such file"),
        ("extends: .", "cannot be read: "),
    ],
)
def test_mistakes_are_one_line_that_names_the_file_and_the_key(text, complaint, tmp_path):
    write(tmp_path / "loop.yaml", "extends: config.yaml")
    with pytest.raises(UsageError) as caught:
        load(Outer, write(tmp_path / "config.yaml", text))
    message = str(caught.value)
    assert complaint in message
    assert message.startswith(str(tmp_path)) and "\n" not in message


def test_a_file_that_is_missing_or_no_text(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load(Outer, tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load(Outer, tmp_path / "binary.yaml")
