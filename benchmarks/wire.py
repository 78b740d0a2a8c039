"""How fast is the wire? Round trips of `gym_remote` with a constant Genesis frame.

The floor is measured in the same run: a bare Unix socket ping-pong between two processes, with one
copy of the frame per round trip. Both alternate, and the median is reported.

There are two regimes. On idle cores, each process has a core, and most of a round trip goes into
waking the other one up. Beside a busy core, both processes share one core, and each other core has
a process that computes without end: there the processor time of both sides counts, and nothing
else. It is measured there, and hardly depends on what else the machine does.

    python -m benchmarks.wire [--quick] [--json FILE]
"""

import contextlib
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import tyro
from gymnasium import spaces

from benchmarks.command import run
from benchmarks.report import report
from gym_remote.client import RemoteEnv
from gym_remote.server import serve

FRAME_SHAPE = (224, 320, 3)
FORK = multiprocessing.get_context("fork")
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


class Measured(NamedTuple):
    """One measurement."""

    rate: float
    """round trips per second"""
    cpu: float
    """µs of processor time per round trip, of both processes together"""


def measure(step: Callable[[], object], other: BaseProcess, round_trips: int) -> Measured:
    """Call `step`, which is one round trip with the process `other`."""
    for _ in range(round_trips // 10):  # warm up
        step()
    cpu = time.process_time() + _processor_time(other)
    start = time.perf_counter()
    for _ in range(round_trips):
        step()
    seconds = time.perf_counter() - start
    cpu = time.process_time() + _processor_time(other) - cpu
    return Measured(round_trips / seconds, 1e6 * cpu / round_trips)


def _processor_time(process: BaseProcess) -> float:
    """Seconds of a process's one thread, from the kernel's scheduler."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def echo_with_copy(ours: socket.socket, theirs: socket.socket) -> None:
    ours.close()
    frame = np.random.default_rng(0).integers(0, 256, FRAME_SHAPE, np.uint8)
    copy = np.empty_like(frame)
    while message := theirs.recv(4096):
        np.copyto(copy, frame)
        theirs.sendall(message)


def measure_floor(round_trips: int) -> Measured:
    """The bare socket."""
    ours, theirs = socket.socketpair()
    process = FORK.Process(target=echo_with_copy, args=(ours, theirs))
    process.start()
    theirs.close()

    def step() -> None:
        ours.sendall(MESSAGE)
        ours.recv(4096)

    with ours:
        measured = measure(step, process, round_trips)
    process.join()
    return measured


def serve_constant_frame(directory: str) -> None:
    serve(ConstantFrame(), directory)


def measure_wire(round_trips: int) -> Measured:
    """The client and the server of gym_remote."""
    with tempfile.TemporaryDirectory() as directory:
        process = FORK.Process(target=serve_constant_frame, args=(directory,))
        process.start()
        env = RemoteEnv(directory)
        env.reset()
        action = np.zeros(12, np.int8)
        action[7] = 1
        measured = measure(lambda: env.step(action), process, round_trips)
        env.close()
        process.join()
    return measured


@contextlib.contextmanager
def beside_busy_cores() -> Iterator[None]:
    """This process and its children share one core; the others are kept busy."""
    mine, *others = cores = sorted(os.sched_getaffinity(0))
    busy = [FORK.Process(target=compute_for_ever, args=(core,), daemon=True) for core in others]
    for process in busy:
        process.start()
    os.sched_setaffinity(0, {mine})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for process in busy:
            process.kill()
            process.join()


def compute_for_ever(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        pass


def main() -> None:
    config = tyro.cli(Config, prog="python -m benchmarks.wire", description=__doc__)
    load = os.getloadavg()[0]
    repeats, round_trips = (7, 2_000) if config.quick else (15, 20_000)
    idle, busy = [], []  # pairs of floor and wire
    for _ in range(repeats):
        idle.append((measure_floor(round_trips), measure_wire(round_trips)))
        with beside_busy_cores():
            busy.append((measure_floor(round_trips), measure_wire(round_trips)))
    figures = {}
    rows: list[tuple[str, ...]] = [("", "round trips/s", "lowest", "highest", "µs of processor")]
    for regime, suffix, pairs in (("idle cores", "", idle), ("a busy core", "_busy", busy)):
        floors, wires = zip(*pairs, strict=True)
        rows.append((f"floor beside {regime}", *_columns(floors)))
        rows.append((f"gym_remote beside {regime}", *_columns(wires)))
        ratios = [wire.rate / floor.rate for floor, wire in pairs]
        ratio, lowest, highest = statistics.median(ratios), min(ratios), max(ratios)
        rows.append(("ratio to floor", f"{ratio:.2f}", f"{lowest:.2f}", f"{highest:.2f}", ""))
        figures |= {
            f"round_trips_per_second{suffix}": round(statistics.median(w.rate for w in wires)),
            f"floor_round_trips_per_second{suffix}": round(
                statistics.median(f.rate for f in floors)
            ),
            f"ratio_to_floor{suffix}": round(ratio, 3),
            f"ratio_lowest{suffix}": round(lowest, 3),
            f"ratio_highest{suffix}": round(highest, 3),
        }
    wire_cpu = [wire.cpu for _, wire in busy]
    floor_cpu = [floor.cpu for floor, _ in busy]
    figures |= {
        "cpu_us_per_round_trip": round(statistics.median(wire_cpu), 1),
        "cpu_us_lowest": round(min(wire_cpu), 1),
        "floor_cpu_us_per_round_trip": round(statistics.median(floor_cpu), 1),
        "floor_cpu_us_lowest": round(min(floor_cpu), 1),
        "repeats": repeats,
        "round_trips": round_trips,
        "cores": os.cpu_count(),
        # About 0 on a machine of one's own; processes of others also slow each other's work down.
        "load_average_before": round(load, 2),
        "shared_machine": load > 0.5,
    }
    report(
        f"gym_remote, constant {'x'.join(map(str, FRAME_SHAPE))} frame, {os.cpu_count()} cores, "
        f"load {load:.1f} before",
        rows,
        figures,
        config.json,
    )


def _columns(measured: tuple[Measured, ...]) -> tuple[str, ...]:
    rates = [one.rate for one in measured]
    cpu = statistics.median(one.cpu for one in measured)
    return (
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{cpu:.1f}",
    )


if __name__ == "__main__":
    run(main)
