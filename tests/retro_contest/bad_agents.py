"""Agents that misbehave, each in its own way: `python bad_agents.py WAY` under an evaluation."""

import os
import socket
import subprocess
import sys
import time

from gym_remote.client import RemoteEnv

DIRECTORY = os.environ["RETRO_CONTEST_SOCKET"]


def play(steps: int) -> RemoteEnv:
    """Hold right for some timesteps."""
    env = RemoteEnv(DIRECTORY)
    action = env.action_space.sample() * 0
    action[7] = 1
    env.reset()
    for _ in range(steps):
        if env.step(action)[2]:
            env.reset()
    return env


def crash() -> None:
    play(30)
    raise RuntimeError("the agent has a bug")


def crash_at_once() -> None:
    raise RuntimeError("no such bundle")


def killed() -> None:
    play(30)
    os.kill(os.getpid(), 9)


def end_early() -> None:
    play(30).close()


def nearly_all() -> None:
    play(118).close()  # and a reset: 119 timesteps


def connect_and_exit() -> None:
    RemoteEnv(DIRECTORY).close()


def end_unasked() -> None:
    play(10_000)  # the end of the budget comes as an exception that is not caught


def hang() -> None:
    env = play(30)
    time.sleep(600)
    env.close()


def never_connect() -> None:
    time.sleep(600)


def connect_and_sleep() -> None:
    env = RemoteEnv(DIRECTORY)
    time.sleep(600)
    env.close()


def garbage() -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.path.join(DIRECTORY, "sock"))
            break
        except OSError:
            time.sleep(0.05)
    connection.sendall(b"\x00\xffGET / HTTP/1.1\r\n\x0c")
    time.sleep(600)


def stubborn() -> None:
    """Ignores SIGTERM, leaves a child behind, and does not leave when the budget is used up."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    with open(os.path.join(os.environ["RETRO_CONTEST_OUT"], "pids"), "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    try:
        play(10_000)
    finally:
        time.sleep(600)


def shout() -> None:
    """Writes more log than is kept."""
    print("first line")
    for number in range(60_000):
        print(f"line {number} of a log that goes on and on and on")
    print("last line", flush=True)
    play(10_000)


def forever() -> None:
    """Plays, never exits, says where it is."""
    with open(os.path.join(os.environ["RETRO_CONTEST_OUT"], "pids"), "w") as file:
        file.write(str(os.getpid()))
    play(10_000_000)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
