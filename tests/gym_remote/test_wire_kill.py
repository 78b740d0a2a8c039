"""Real processes, killed with SIGKILL at random moments: the survivor ends cleanly and soon."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from wire_peers import FrameEnv, Serving, names_in

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import (
    ServerDisconnectError,
    ServerTimeoutError,
)
from gym_remote.server import Reason

ROOT = Path(__file__).parents[2]
RIGHT = np.eye(12, dtype=np.int8)[7]

SERVER = """
import sys
from wire_peers import FrameEnv
from gym_remote.server import serve
print("importing is done", flush=True)
print(serve(FrameEnv(50), sys.argv[1]))
"""
CLIENT = """
import sys
import numpy as np
from gym_remote.client import RemoteEnv
print("importing is done", flush=True)
env = RemoteEnv(sys.argv[1])
while True:
    env.reset()
    done = False
    while not done:
        _, _, done, _, _ = env.step(np.ones(12, np.int8))
"""


def start(program: str, directory) -> subprocess.Popen:
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "importing is done\n"
    return process


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_server(seed, tmp_path):
    server = start(SERVER, tmp_path)
    with server:
        # From before it listens to the middle of a frame.
        kill_at = time.monotonic() + random.Random(seed).choice([0.0, 0.002, 0.01, 0.05, 0.1, 0.2])
        killed = False
        answers = 0
        with pytest.raises((ServerDisconnectError, ServerTimeoutError)):
            if seed == 0:
                server.kill()
                killed = True
            env = RemoteEnv(tmp_path, connect_timeout=0.5, timeout=20)
            while True:
                env.reset()
                done = False
                while not done:
                    if not killed and time.monotonic() >= kill_at:
                        server.kill()
                        killed = True
                    frame, _, done, _, _ = env.step(RIGHT)
                    answers += 1
                    assert frame.min() == frame.max() == (answers - 1) % 50 + 1
    assert server.returncode == -signal.SIGKILL
    # What it left behind does not stop its successor.
    with Serving(FrameEnv(), tmp_path) as successor:
        env = RemoteEnv(tmp_path, connect_timeout=20, timeout=20)
        assert env.reset()[0].max() == 0
        env.close()
        assert successor.result().timesteps == 1
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_client(seed, tmp_path):
    with Serving(FrameEnv(50), tmp_path, connect_timeout=20) as serving:
        client = start(CLIENT, tmp_path)
        with client:
            time.sleep(0.1 + random.Random(seed).uniform(0, 0.1))
            client.kill()
            start_of_end = time.monotonic()
            served = serving.result()
        assert time.monotonic() - start_of_end < 5
    assert served.reason == Reason.CLIENT_DIED and served.timesteps > 0
    assert names_in(tmp_path) == set()


def test_a_server_in_another_process_cannot_be_robbed(tmp_path):
    from gym_remote.exceptions import SocketInUseError

    server = start(SERVER, tmp_path)
    with server:
        env = RemoteEnv(tmp_path, connect_timeout=20, timeout=20)
        env.reset()
        with pytest.raises(SocketInUseError):
            Serving(FrameEnv(), tmp_path)
        assert env.step(RIGHT)[1] == 128.0
        env.close()
        assert "client closed" in server.communicate(timeout=20)[0]
    assert server.returncode == 0 and names_in(tmp_path) == set()


def test_a_server_that_is_stopped_does_not_hang_its_client(tmp_path):
    """SIGSTOP: alive, connected, and silent."""
    server = start(SERVER, tmp_path)
    with server:
        env = RemoteEnv(tmp_path, connect_timeout=20, timeout=0.3)
        env.reset()
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(ServerTimeoutError):
            env.step(RIGHT)
        server.kill()
