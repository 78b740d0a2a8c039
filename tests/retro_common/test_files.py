"""Files that are whole at every moment, and memory that two processes share."""

import mmap
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from retro_common.errors import UsageError
from retro_common.files import anonymous_memory, read_json, write_atomically, write_json


def python(code: str, *arguments: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def test_content_comes_back(tmp_path):
    path = tmp_path / "file"
    for content in (b"\x00\xff", b"", "déjà vu\n"):
        write_atomically(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    write_atomically(path, "unsynced", sync=False)
    assert path.read_text() == "unsynced"
    assert os.listdir(tmp_path) == ["file"]


# Stops for ever when all is written and the old file is not yet replaced.
HANGS = """
import os, pathlib, sys, time
from retro_common.files import write_atomically
def hang(fd):
    print(os.fstat(fd).st_size, flush=True)
    time.sleep(100)
os.fsync = hang
write_atomically(pathlib.Path(sys.argv[1]), b"new" * 1000)
"""


def test_a_kill_before_the_end_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with python(HANGS, path) as writer:
        assert writer.stdout.readline() == "3000\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_atomically(path, "newer")  # what the killed process left is not in the way
    assert path.read_text() == "newer"


REWRITES = """
import pathlib, sys
from retro_common.files import write_atomically
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_atomically(pathlib.Path(sys.argv[1]), letter * (1 << 20), sync=False)
"""


def test_a_kill_and_a_reader_at_any_moment_find_a_whole_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * (1 << 20))
    for _ in range(5):
        with python(REWRITES, path) as writer:
            writer.stdout.readline()
            end = time.monotonic() + random.uniform(0, 0.1)
            while time.monotonic() < end:
                assert path.read_bytes() in (b"a" * (1 << 20), b"b" * (1 << 20))
            writer.kill()
        assert path.read_bytes() in (b"a" * (1 << 20), b"b" * (1 << 20))


FULL = """
import os, pathlib, resource, signal, sys
from retro_common.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(pathlib.Path(sys.argv[1]), b"new" * 1000)
except OSError as error:
    print(error.strerror)
"""


def test_a_file_that_does_not_fit_keeps_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with python(FULL, path) as writer:
        assert writer.stdout.read() == "File too large\n"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "")


def test_json_there_and_back(tmp_path):
    content = {"score": 1.5, "names": ["a", None], "empty": {}}
    write_json(tmp_path / "file.json", content)
    assert read_json(tmp_path / "file.json") == content


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe{}", b"[1, 2"])
def test_json_that_cannot_be_read_is_a_usage_error(content, tmp_path):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read") as caught:
        read_json(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


INCREMENTS = """
import mmap, sys
memory = mmap.mmap(int(sys.argv[1]), 0)
assert memory[:] == bytes(100_000)
memory[99_999] = 7
print("written", flush=True)
sys.stdin.readline()
print(memory[0])
"""


def test_two_processes_share_anonymous_memory():
    fd = anonymous_memory("shared", 100_000)
    memory = mmap.mmap(fd, 0)
    with python(INCREMENTS, fd, pass_fds=[fd], stdin=subprocess.PIPE) as other:
        assert other.stdout.readline() == "written\n"
        assert memory[99_999] == 7
        memory[0] = 42
        assert other.communicate("\n")[0] == "42\n"
    assert other.returncode == 0
    memory.close()
    os.close(fd)


def test_anonymous_memory_without_memfd(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fd = anonymous_memory("shared", 5000)
    assert os.fstat(fd).st_size == 5000 and os.pread(fd, 5000, 0) == bytes(5000)
    assert os.listdir(tmp_path) == []
    os.close(fd)
