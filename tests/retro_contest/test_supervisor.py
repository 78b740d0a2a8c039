import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retro_contest.runs import supervisor
from retro_contest.runs.supervisor import BoundedLog


def start(log: Path, *command: str, limit: int = 10_000, grace: float = 0.5) -> subprocess.Popen:
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(log), str(limit), str(grace)]
    return subprocess.Popen([*words, *command], stdin=subprocess.PIPE)


def shell(log: Path, script: str, **options) -> subprocess.Popen:
    return start(log, "bash", "-c", script, **options)


def pid_in(file: Path) -> psutil.Process:
    deadline = time.monotonic() + 10
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(int(file.read_text()))


def gone(process: psutil.Process) -> bool:
    try:
        deadline = time.monotonic() + 5
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -11 $$", 139)]
)
def test_the_exit_code_is_the_commands(tmp_path, script, code):
    assert shell(tmp_path / "log", script).wait(10) == code


def test_output_of_both_kinds_is_logged(tmp_path):
    assert shell(tmp_path / "log", "echo out; echo err >&2").wait(10) == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_program_that_cannot_start(tmp_path):
    assert start(tmp_path / "log", "/no/such/program").wait(10) == 127
    assert "cannot start /no/such/program: No such file" in (tmp_path / "log").read_text()


def test_closing_the_lifeline_asks_politely_first(tmp_path):
    script = "trap 'echo bye; exit 4' TERM; echo $$ > pid; while true; do sleep 0.05; done"
    process = shell(tmp_path / "log", f"cd {tmp_path}; {script}", grace=10)
    child = pid_in(tmp_path / "pid")
    process.stdin.close()
    assert process.wait(5) == 4
    assert gone(child) and "bye" in (tmp_path / "log").read_text()


def test_who_does_not_listen_is_killed(tmp_path):
    script = "trap '' TERM; echo $$ > pid; while true; do sleep 0.05; done"
    process = shell(tmp_path / "log", f"cd {tmp_path}; {script}", grace=0.3)
    child = pid_in(tmp_path / "pid")
    start_ = time.monotonic()
    process.stdin.close()
    assert process.wait(5) == 137
    assert time.monotonic() - start_ >= 0.3
    assert gone(child)


def test_what_the_command_leaves_behind_is_killed(tmp_path):
    process = shell(tmp_path / "log", f"cd {tmp_path}; sleep 60 & echo $! > pid; exit 5")
    assert process.wait(10) == 5
    assert gone(pid_in(tmp_path / "pid"))


def test_a_process_that_left_the_group_does_not_hold_the_log_open(tmp_path):
    process = shell(tmp_path / "log", "setsid sleep 8 & echo done")
    start_ = time.monotonic()
    assert process.wait(10) == 0
    assert time.monotonic() - start_ < 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_ends_with_its_supervisor(tmp_path, number):
    process = shell(tmp_path / "log", f"echo $$ > {tmp_path}/pid; while true; do sleep 0.05; done")
    child = pid_in(tmp_path / "pid")
    process.send_signal(number)
    process.wait(5)
    assert gone(child)


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(2, 100))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_log_keeps_its_beginning_and_its_end(tmp_path, parts, limit):
    path = tmp_path / "log"
    log = BoundedLog(str(path), limit)
    for part in parts:
        log.write(part)
    log.finish()
    written, kept = b"".join(parts), path.read_bytes()
    if len(written) <= limit:
        assert kept == written
    else:
        head, tail = limit // 2, limit - limit // 2
        note = b"\n... %d bytes left out ...\n" % (len(written) - limit)
        assert kept == written[:head] + note + written[len(written) - tail :]
