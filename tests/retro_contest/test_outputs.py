"""An agent's output is unpacked within bounds, and only plain files."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from retro_common.files import remove_tree
from retro_contest.containers import outputs
from retro_contest.containers.options import AGENT, agent_user
from retro_contest.containers.outputs import unpack


def archive(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar of (name, type, content or target of a link)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
            else:
                member.linkname = content.decode()
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def chunks(data: bytes, size: int = 700) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_files_and_folders_come_out_as_they_were(tmp_path):
    packed = archive(
        ("out", tarfile.DIRTYPE, b""),
        ("out/a", tarfile.REGTYPE, b"x" * 5000),
        ("out/folder", tarfile.DIRTYPE, b""),
        ("out/folder/b", tarfile.REGTYPE, b""),
    )
    assert unpack(chunks(packed), tmp_path) == []
    assert content(tmp_path) == {"a": b"x" * 5000, "folder/b": b""}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out/link", tarfile.SYMTYPE),
        ("out/hard", tarfile.LNKTYPE),
        ("out/pipe", tarfile.FIFOTYPE),
        ("out/disk", tarfile.BLKTYPE),
        ("out/../../outside", tarfile.REGTYPE),
    ],
)
def test_what_is_no_plain_file_inside_is_left_out(tmp_path, name, kind):
    folder = tmp_path / "deep/out"
    folder.mkdir(parents=True)
    packed = archive((name, kind, b"/etc/passwd"), ("out/good", tarfile.REGTYPE, b"good"))
    (note,) = unpack(chunks(packed), folder)
    assert "is no plain file" in note
    assert content(tmp_path) == {"deep/out/good": b"good"}


def test_too_many_bytes_or_files_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_BYTES", 100)
    monkeypatch.setattr(outputs, "MAX_FILES", 3)
    big = archive(("out/a", tarfile.REGTYPE, b"a" * 60), ("out/b", tarfile.REGTYPE, b"b" * 60))
    assert "too much" in unpack(chunks(big), tmp_path / "big")[0]
    assert list(content(tmp_path / "big")) == ["a"]
    many = archive(*((f"out/{i}", tarfile.REGTYPE, b"") for i in range(9)))
    assert "too much" in unpack(chunks(many), tmp_path / "many")[0]
    assert len(content(tmp_path / "many")) == 3


def test_what_lies_too_deep_is_left_out(tmp_path):
    deepest = "/".join(["out", *["d"] * (outputs.MAX_DEPTH - 1)])
    packed = archive(
        (f"{deepest}/good", tarfile.REGTYPE, b"good"),
        (f"{deepest}/d/bad", tarfile.REGTYPE, b"bad"),
        ("/".join(["out", *["d"] * 1900]), tarfile.DIRTYPE, b""),
        ("out/last", tarfile.REGTYPE, b"last"),
    )
    notes = unpack(chunks(packed), tmp_path)
    assert len(notes) == 2 and all("lies too deep" in note for note in notes)
    assert max(map(len, notes)) < 200
    assert sorted(content(tmp_path).values()) == [b"good", b"last"]


def test_links_without_number_are_not_counted_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_FILES", 100)
    packed = archive(*((f"out/{i}", tarfile.LNKTYPE, b"out/x") for i in range(1000)))
    notes = unpack(chunks(packed), tmp_path)
    assert len(notes) <= outputs.NOTES and content(tmp_path) == {}


def test_a_walk_is_bounded_and_follows_no_link(tmp_path):
    folder = tmp_path / "run"
    (folder / "out").mkdir(parents=True)
    (folder / "out" / "file").write_text("")
    (folder / "out" / "link").symlink_to("/")
    fd = os.open(folder / "out", os.O_RDONLY)
    for _ in range(1900):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    found = list(outputs.walk(folder))
    assert {folder, folder / "out", folder / "out" / "file", folder / "out" / "link"} < set(found)
    assert len(found) == len(set(found)) < 4 + outputs.MAX_DEPTH + 2
    remove_tree(tmp_path / "run")


def test_a_huge_hole_is_not_read(tmp_path):
    """A file of a terabyte without content: its header is enough to say no."""
    member = tarfile.TarInfo("out/hole")
    member.size = 1 << 40

    def endless():
        yield member.tobuf()
        for _ in range(1000):
            yield bytes(1 << 16)
        raise AssertionError("more was read than is kept")

    assert "too much" in unpack(endless(), tmp_path)[0]
    assert content(tmp_path) == {}


def test_an_archive_that_breaks_off_keeps_what_came(tmp_path):
    packed = archive(("out/a", tarfile.REGTYPE, b"a"), ("out/b", tarfile.REGTYPE, b"b" * 4000))
    (note,) = unpack([packed[:2000]], tmp_path)
    assert "broke off" in note
    assert content(tmp_path)["a"] == b"a"


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        ("1234", f"1234:{AGENT}"),
        ("1234:5", f"1234:{AGENT}"),
        ("root", f"{AGENT}:{AGENT}"),
        ("0", f"{AGENT}:{AGENT}"),
        ("00:0", f"{AGENT}:{AGENT}"),
        ("1000", f"{AGENT}:{AGENT}"),  # the server's
        ("agent", f"{AGENT}:{AGENT}"),  # may be root in the image's own list of users
        ("1234:root", f"{AGENT}:{AGENT}"),
        ("\u0661", f"{AGENT}:{AGENT}"),
    ],
)
def test_who_an_agent_may_be(wanted, user):
    assert agent_user(wanted, server_uid=1000) == user
