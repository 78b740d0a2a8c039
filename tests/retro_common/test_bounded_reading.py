"""Files of strangers are read within bounds; folders of any depth can be removed."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from retro_common.config import YAML_BYTES, YAML_NODES, parse_yaml, read_yaml
from retro_common.errors import UsageError
from retro_common.files import (
    JSON_DEPTH,
    UnreadableFile,
    parse_json,
    read_json,
    read_json_object,
    read_plain,
    remove_tree,
)
from retro_common.movies import MAX_FRAMES, Movie


def link(path: Path) -> None:
    path.with_name("target").write_text("{}")
    path.symlink_to("target")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "a FIFO"),
        (link, "a link"),
        (Path.mkdir, "a folder"),
        (unix_socket, "a socket"),
        (hole, "1,099,511,627,776 bytes, more than"),
        (lambda path: path.symlink_to("/dev/zero"), "a link"),
        (lambda path: None, "no such file"),
    ],
)
@pytest.mark.parametrize("read", [read_json, read_yaml, lambda path: read_plain(path, 1000)])
def test_what_is_no_plain_file_is_one_line_at_once(tmp_path, make, why, read):
    make(tmp_path / "file")
    began = time.monotonic()
    with pytest.raises(UnreadableFile) as caught:
        read(tmp_path / "file")
    assert time.monotonic() - began < 2
    message = str(caught.value)
    assert why in message and str(tmp_path / "file") in message and "\n" not in message
    assert caught.value.missing == (why == "no such file")


def test_a_person_may_name_a_link_but_no_device(tmp_path):
    link(tmp_path / "file")
    assert read_plain(tmp_path / "file", 10, follow=True) == b"{}"
    with pytest.raises(UnreadableFile, match="a device, not a plain file"):
        read_plain(Path("/dev/zero"), 10, follow=True)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "a" * 100_000])
def test_a_name_that_no_file_can_have(tmp_path, name):
    with pytest.raises(UnreadableFile) as caught:
        read_plain(tmp_path / name, 10)
    assert len(str(caught.value)) < 600
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested"),
        ("[" * (JSON_DEPTH + 2) + "]" * (JSON_DEPTH + 2), "nested"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested"),
        ('{"score": NaN}', "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "not finite"),
        (f"[{10**400}]", "beyond 64 bits"),
        ("[" + "9" * 5000 + "]", "digits"),
        (r'{"name": "\ud800"}', "surrogates"),
        (r'{"\udfff": 1}', "surrogates"),
    ],
)
def test_json_out_of_bounds_is_refused(tmp_path, text, why):
    with pytest.raises(ValueError, match=why):
        parse_json(text)
    (tmp_path / "file").write_text(text)
    with pytest.raises(UnreadableFile, match=why) as caught:
        read_json(tmp_path / "file")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_json_within_bounds_is_read(tmp_path):
    deep: list = []
    for _ in range(JSON_DEPTH - 1):
        deep = [deep]
    content = {"deep": deep, "numbers": [1.5, -(1 << 63), True, None], "text": "déjà \n"}
    (tmp_path / "file").write_text(json.dumps(content))
    assert read_json(tmp_path / "file") == read_json_object(tmp_path / "file") == content
    (tmp_path / "file").write_text("[]")
    with pytest.raises(UnreadableFile, match="not a JSON object"):
        read_json_object(tmp_path / "file")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "anchors and aliases"),
        ("a: &anchor 1", "anchors and aliases"),
        ("[" * 5000, "nested more than"),
        ("[" + "1," * (YAML_NODES + 1) + "]", "more than 20,000 values"),
        ("a: " + "9" * 5000, "more than 100 digits"),
        ("a: " + "1" + ":59" * 100_000, "more than 100 digits"),
        ("a: !!int x", "int"),
        ("a: !!timestamp x", "could not determine a constructor"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!binary aGk=", "could not determine a constructor"),
        ('a: "x\\0y"', "a character that cannot be written"),
        ('a: "\\ud800"', "a character that cannot be written"),
        ("a: \x07", "special characters"),
        ("? [a]\n: b", "unhashable"),
        ("a: {", "expected"),
    ],
)
def test_yaml_out_of_bounds_is_refused_at_once(tmp_path, text, why):
    began = time.monotonic()
    with pytest.raises(ValueError, match=why):
        parse_yaml(text)
    (tmp_path / "file").write_text(text)
    with pytest.raises(UnreadableFile, match=why) as caught:
        read_yaml(tmp_path / "file")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    assert time.monotonic() - began < 20


def test_yaml_within_bounds_is_read(tmp_path):
    text = "a: 1\nb: [2.5, true, null, text]\nc: 2020-99-99\nd: {e: 'é'}\n"
    expected = {"a": 1, "b": [2.5, True, None, "text"], "c": "2020-99-99", "d": {"e": "é"}}
    (tmp_path / "file").write_text(text)
    assert read_yaml(tmp_path / "file") == expected
    (tmp_path / "file").write_text("# " + "x" * YAML_BYTES)
    with pytest.raises(UnreadableFile, match="more than 1,048,576"):
        read_yaml(tmp_path / "file")


def deep(folder: Path, depth: int) -> None:
    """Nest folders, each with a file, a link and a FIFO."""
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 50, dir_fd=fd)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.symlink("/", "link", dir_fd=fd)
        os.mkfifo("pipe", dir_fd=fd)
    os.close(fd)


def test_a_folder_of_any_depth_is_removed(tmp_path):
    deep(tmp_path / "tree", 3000)  # names of 150 kB: beyond what the system takes at once
    (tmp_path / "tree" / "shut").mkdir()
    (tmp_path / "tree" / "shut" / "file").write_text("")
    (tmp_path / "tree" / "shut").chmod(0)
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


def test_a_link_is_removed_and_its_target_stays(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to("kept")
    for name in ("tree", "link", "missing"):
        remove_tree(tmp_path / name)
    (tmp_path / "file").write_text("")
    remove_tree(tmp_path / "file")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


@pytest.mark.parametrize(
    "content",
    ['{"inputs": "R999999999 R999999999"}', '{"inputs": "R9999999999"}', "[]", '{"inputs": 3}'],
)
def test_a_movie_without_end_is_refused(tmp_path, content):
    (tmp_path / "Level.json").write_text(content)
    with pytest.raises(UsageError, match="not an input movie"):
        Movie.load(tmp_path / "Level.json")
    (tmp_path / "Level.json").write_text(f'{{"inputs": "R{MAX_FRAMES}"}}')
    assert Movie.load(tmp_path / "Level.json").frames == MAX_FRAMES
