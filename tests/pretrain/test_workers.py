"""Workers of the collect stage end with their parent, whenever it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pretrain import __main__ as command
from retro_common.errors import UsageError

ORPHAN = """
import os, subprocess, sys
# A worker that is still starting when its parent ends.
worker = '''
import os, sys, time
from pretrain.data.recorder import start_worker
parent = int(sys.argv[1])
while os.getppid() == parent:
    time.sleep(0.01)
start_worker(parent)
print("alive", flush=True)
'''
subprocess.Popen([sys.executable, "-c", worker, str(os.getpid())])
os._exit(0)
"""


def test_a_worker_whose_parent_ended_before_it_started_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, timeout=60
    )
    # The pipe is closed when the worker has ended: it inherited it.
    assert done.stdout == ""


def processes_of(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found


CONFIG = """
out: {out}
levels: airstriker
agent: {{actions: ["", "LEFT", "RIGHT", "B"]}}
collect: {{timesteps: 100000, shard: 4096, workers: 2, behaviours: {{random: 1}}}}
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux")
@pytest.mark.parametrize("wait", [0.0, 0.5, 3.0])
def test_nothing_outlives_a_collection_that_is_killed(tmp_path: Path, wait: float) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(out=tmp_path / "run"))
    parent = subprocess.Popen(
        [sys.executable, "-m", "pretrain", "collect", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    while len(processes_of(parent.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)  # until the resource tracker and the first worker are there
    time.sleep(wait)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60  # a worker that is starting first has to load its libraries
    while (left := processes_of(parent.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_a_folder_of_movies_that_is_not_there_is_no_silence(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(out=tmp_path / "run"))
    arguments = ["collect", "--config", str(config), "--collect.movies"]
    with pytest.raises(UsageError, match=r"collect\.movies: no folder /nowhere"):
        command.main([*arguments, "/nowhere"])
    with pytest.raises(UsageError, match=r"collect\.movies: .* holds no movie"):
        command.main([*arguments, str(tmp_path)])
    assert not (tmp_path / "run").exists()
