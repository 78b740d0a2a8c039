"""Files of results folders that strangers wrote: a line that names the file, never a traceback."""

import hashlib
import json
import os
import re
import time
from pathlib import Path

import pytest

from retro_common.errors import UsageError
from retro_contest.board.submissions import CHECKED, Bundle, read_record, write_record
from retro_contest.runs.results import Episode, read_monitor

WHOLE = "r,l,t\n1.5,10,0.5\n2.0,3,1.5\n"


def test_a_whole_monitor_is_read_and_a_missing_one_is_empty(tmp_path):
    path = tmp_path / "monitor.csv"
    assert read_monitor(path) == []
    path.write_text(WHOLE + "7.0,1")
    assert read_monitor(path) == [Episode(1.5, 10, 0.5), Episode(2.0, 3, 1.5)]


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n",
        "r,l,t\n1\n",
        "r,l,t\nx,1,1\n",
        "r,l,t\nnan,1,1\n",
        "r,l,t\n1e308,1,1\n",
        "r,l,t\n1,0,1\n",
        "r,l,t\n1,-5,1\n",
        "r,l,t\n1," + "9" * 5000 + ",1\n",
        "r,l,t\n1," + "9" * 400 + ",1\n",
        "r,l,t\n" + "x" * 200_000 + ",1,1\n",
        "r,l,t\n\0,1,1\n",
    ],
)
def test_a_damaged_monitor_is_one_line(tmp_path, content):
    path = tmp_path / "monitor.csv"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_monitor(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 600


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_monitor_or_record_that_never_ends_is_not_read(tmp_path, make):
    for name in ("monitor.csv", "submission.json"):
        make(tmp_path / name)
    began = time.monotonic()
    with pytest.raises(UsageError, match="not a plain file"):
        read_monitor(tmp_path / "monitor.csv")
    with pytest.raises(UsageError, match="not a plain file"):
        read_record(tmp_path)
    assert time.monotonic() - began < 5


def test_a_dangling_link_is_no_missing_record(tmp_path):
    (tmp_path / "submission.json").symlink_to("nowhere")
    with pytest.raises(UsageError, match="a link"):
        read_record(tmp_path)


@pytest.mark.parametrize("summary", ["{}", "[]", "3", "[" * 100_000])
def test_a_bad_summary_has_no_record(tmp_path: Path, summary):
    (tmp_path / "summary.json").write_text(summary)
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "summary.json"))):
        write_record(tmp_path, image="i:1", commit="c")
    assert read_record(tmp_path) is None


def test_the_record_of_a_whole_summary_is_read(tmp_path: Path):
    (tmp_path / "summary.json").write_text(json.dumps(dict.fromkeys(CHECKED, 1)))
    (tmp_path / "config.yaml").write_text("agent: {a: 1}")
    write_record(tmp_path, image="i:1", commit="c", bundle=Bundle.read(tmp_path))
    record = read_record(tmp_path)
    assert record["config"] == {"a": 1} and record["check"] == dict.fromkeys(CHECKED, 1)
    assert record["bundle_sha256"] == hashlib.sha256(b"agent: {a: 1}").hexdigest()
    write_record(tmp_path, image="i:1", commit="c")
    assert read_record(tmp_path)["bundle_sha256"] is None
