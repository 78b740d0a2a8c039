"""What does learning cost the playing? Timesteps/s of `python -m agent` with learning on, against
acting alone, on the contest's server over its socket.

Both alternate, and the median of the ratios is reported. The server's own count of timesteps and
seconds is taken, from the first reset on.

    python -m benchmarks.online [--quick] [--untrained] [--json FILE]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from agent import bundle
from agent.config import AgentConfig, ControllerConfig
from agent.models.actor import Models
from benchmarks.command import one_level, run
from benchmarks.report import report
from retro_contest.runs.serve import Status


@dataclass
class Config:
    bundle: Path = Path("bundles/pangolin")
    """the agent"""
    untrained: bool = False
    """in place of the bundle an untrained agent of the default size that trains an encoder of its
    own: the most work for the learner"""
    level: str = "PangolinDash-Genesis-v0/FernHollow.Act3"
    """the level that is played"""
    timesteps: int = 8000
    """budget of each contest"""
    repeats: int = 7
    """contests of each kind"""
    json: Path | None = None
    """file that the figures are written to, with commit and versions"""
    quick: bool = False
    """fewer and shorter contests: 3 of 3000 timesteps"""


@dataclass(frozen=True)
class Contest:
    """One measurement."""

    rate: float
    """timesteps per second"""
    updates: int
    overwritten: float
    """share of the timesteps that the learner was too busy for"""


def play(config: Config, agent_bundle: Path, learn: bool) -> Contest:
    """Play one contest to its end.

    Raises:
        RuntimeError: the agent or the server failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        socket, results, out = folder / "sock", folder / "results", folder / "out"
        server = _start(
            *("retro_contest", "serve", config.level, "--socket", str(socket)),
            *("--results", str(results), "--timesteps", str(config.timesteps), "--seed", "0"),
        )
        agent = _start(
            *("agent", "--bundle", str(agent_bundle), "--socket", str(socket)),
            *("--out", str(out), "--timesteps", str(config.timesteps)),
            "--learn" if learn else "--no-learn",
        )
        for process, who in ((agent, "agent"), (server, "server")):
            output, _ = process.communicate()
            if process.returncode != 0:
                server.kill()
                raise RuntimeError(f"the {who} failed:\n{output}")
        rate = Status.read(results).timesteps_per_second
        assert rate is not None
        if not learn:
            return Contest(rate, 0, 0.0)
        tuned = bundle.read_manifest(out).origin["fine_tuned"]
        return Contest(rate, tuned["updates"], tuned["overwritten"] / tuned["timesteps"])


def _start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> None:
    config = tyro.cli(Config, prog="python -m benchmarks.online", description=__doc__)
    one_level(config.level)
    if not config.untrained:
        bundle.read_manifest(config.bundle)  # a missing one is an error before anything is played
    if config.quick:
        config.timesteps, config.repeats = 3000, 3
    acting: list[Contest] = []
    learning: list[Contest] = []
    with tempfile.TemporaryDirectory() as folder:
        agent_bundle = config.bundle
        if config.untrained:
            agent_bundle = Path(folder)
            torch.manual_seed(0)
            controller = ControllerConfig(features=("z", "h", "pixels"))
            bundle.save(Models.build(AgentConfig(controller=controller)), agent_bundle, {})
        for _ in range(config.repeats):
            acting.append(play(config, agent_bundle, learn=False))
            learning.append(play(config, agent_bundle, learn=True))
    ratios = [two.rate / one.rate for one, two in zip(acting, learning, strict=True)]
    ratio = statistics.median(ratios)
    overwritten = statistics.median(contest.overwritten for contest in learning)
    updates = statistics.median(contest.updates for contest in learning)
    agent = "untrained, own encoder" if config.untrained else str(config.bundle)
    report(
        f"python -m agent ({agent}), {config.level}, {os.cpu_count()} cores",
        [
            ("", "timesteps/s", "lowest", "highest"),
            ("acting alone", *_columns([contest.rate for contest in acting])),
            ("learning, too", *_columns([contest.rate for contest in learning])),
            ("ratio", f"{ratio:.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"),
            ("updates", f"{updates:.0f}", "", ""),
            ("not learnt from", f"{overwritten:.0%}", "", ""),
        ],
        {
            "ratio_learning_to_acting": round(ratio, 3),
            "ratio_lowest": round(min(ratios), 3),
            "ratio_highest": round(max(ratios), 3),
            "acting_timesteps_per_second": round(statistics.median(c.rate for c in acting)),
            "learning_timesteps_per_second": round(statistics.median(c.rate for c in learning)),
            "updates": updates,
            "overwritten": round(overwritten, 3),
            "agent": agent,
            "timesteps": config.timesteps,
            "repeats": config.repeats,
        },
        config.json,
    )


def _columns(rates: list[float]) -> tuple[str, ...]:
    return f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}"


if __name__ == "__main__":
    run(main)
