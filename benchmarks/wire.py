"""How fast is the wire? Round trips per second of `gym_remote` with a constant Genesis frame.

The floor is measured in the same run: a bare Unix socket ping-pong between two processes, with one
copy of the frame per round trip. Both alternate, and the median is reported.

    python -m benchmarks.wire [--quick] [--json FILE]
"""

import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import tyro
from gymnasium import spaces

from benchmarks.command import run
from benchmarks.report import report
from gym_remote.client import RemoteEnv
from gym_remote.server import serve

FRAME_SHAPE = (224, 320, 3)
MESSAGE = b'{"type": "update", "content": {"ac": 128}}\f'


@dataclass
class Config:
    quick: bool = False
    """fewer and shorter measurements"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""


class ConstantFrame(gymnasium.Env):
    """An environment that costs no time, so that only the wire is measured."""

    action_space = spaces.MultiBinary(12)
    observation_space = spaces.Box(0, 255, FRAME_SHAPE, np.uint8)

    def __init__(self):
        self._frame = np.random.default_rng(0).integers(0, 256, FRAME_SHAPE, np.uint8)

    def reset(self, *, seed=None, options=None):
        return self._frame, {}

    def step(self, action):
        return self._frame, 0.0, False, False, {}


def echo_with_copy(sock: socket.socket) -> None:
    frame = np.random.default_rng(0).integers(0, 256, FRAME_SHAPE, np.uint8)
    copy = np.empty_like(frame)
    while message := sock.recv(4096):
        np.copyto(copy, frame)
        sock.sendall(message)


def measure_floor(round_trips: int) -> float:
    """Round trips per second of the bare socket."""
    ours, theirs = socket.socketpair()
    process = multiprocessing.get_context("fork").Process(
        target=_close_and_echo, args=(ours, theirs)
    )
    process.start()
    theirs.close()
    with ours:
        for _ in range(round_trips // 10):  # warm up
            ours.sendall(MESSAGE)
            ours.recv(4096)
        start = time.perf_counter()
        for _ in range(round_trips):
            ours.sendall(MESSAGE)
            ours.recv(4096)
        seconds = time.perf_counter() - start
    process.join()
    return round_trips / seconds


def _close_and_echo(ours: socket.socket, theirs: socket.socket) -> None:
    ours.close()
    echo_with_copy(theirs)


def serve_constant_frame(directory: str) -> None:
    serve(ConstantFrame(), directory)


def measure_wire(round_trips: int) -> float:
    """Round trips per second of gym_remote."""
    with tempfile.TemporaryDirectory() as directory:
        process = multiprocessing.get_context("fork").Process(
            target=serve_constant_frame, args=(directory,)
        )
        process.start()
        env = RemoteEnv(directory)
        env.reset()
        action = np.zeros(12, np.int8)
        action[7] = 1
        for _ in range(round_trips // 10):  # warm up
            env.step(action)
        start = time.perf_counter()
        for _ in range(round_trips):
            env.step(action)
        seconds = time.perf_counter() - start
        env.close()
        process.join()
    return round_trips / seconds


def main() -> None:
    config = tyro.cli(Config, prog="python -m benchmarks.wire", description=__doc__)
    repeats, round_trips = (7, 4_000) if config.quick else (15, 20_000)
    floors, wires = [], []
    for _ in range(repeats):
        floors.append(measure_floor(round_trips))
        wires.append(measure_wire(round_trips))
    floor, wire = statistics.median(floors), statistics.median(wires)
    ratios = [wire / floor for wire, floor in zip(wires, floors, strict=True)]
    ratio = statistics.median(ratios)
    report(
        f"gym_remote, constant {'x'.join(map(str, FRAME_SHAPE))} frame, {os.cpu_count()} cores",
        [
            ("", "round trips/s", "µs", "lowest", "highest"),
            ("floor: bare socket + one copy", *_columns(floors)),
            ("gym_remote", *_columns(wires)),
            ("ratio to floor", f"{ratio:.2f}", "", f"{min(ratios):.2f}", f"{max(ratios):.2f}"),
        ],
        {
            "round_trips_per_second": round(wire),
            "floor_round_trips_per_second": round(floor),
            "ratio_to_floor": round(ratio, 3),
            "ratio_lowest": round(min(ratios), 3),
            "ratio_highest": round(max(ratios), 3),
            "repeats": repeats,
            "round_trips": round_trips,
        },
        config.json,
    )


def _columns(rates: list[float]) -> tuple[str, ...]:
    median = statistics.median(rates)
    return f"{median:,.0f}", f"{1e6 / median:.1f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}"


if __name__ == "__main__":
    run(main)
