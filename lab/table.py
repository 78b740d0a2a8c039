"""The laboratory's table, rebuilt from the committed results: `python -m lab table`.

Each row of `lab.rows` becomes an entry of `lab/results/table.json` and a line of docs/lab.md. A
result has a value for each seed; the interval is Student's over the seeds. Whether a target is met
is said with all seeds only. What was not measured is null, `not run` on the page.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.config import LabConfig
from lab.figures import Figure, Result, Row
from lab.rows import ROWS, SEEDS
from retro_common.config import load
from retro_common.files import read_json, write_atomically, write_json
from retro_common.provenance import ROOT

RESULTS, PAGE, CONFIGS = ROOT / "lab/results", ROOT / "docs/lab.md", ROOT / "configs/lab"
BEGIN, END = "<!-- table: python -m lab table -->\n", "<!-- end of the table -->"
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5% point of Student's distribution for so many seeds"""
NOT_RUN = "not run"

Runs = dict[str, dict[int, Result]]


def read_runs(folder: Path) -> Runs:
    """The results by configuration and seed."""
    runs: Runs = {}
    for path in sorted(folder.glob("*.json")):
        result = read_json(path)
        runs.setdefault(result["name"], {})[result["seed"]] = result
    return runs


def command(name: str) -> str:
    """The command that a configuration is run by."""
    method = load(LabConfig, CONFIGS / f"{name}.yaml").method
    return f"python -m lab {method} --config configs/lab/{name}.yaml --seed N"


def values(row: Row, runs: Runs) -> list[float]:
    """The row's result for each seed that it needs and has."""
    of, to = runs.get(row.of.name, {}), runs.get(row.to.name, {})
    if row.alone:
        return [row.of.read(of[seed]) for seed in sorted(of)]
    seeds = sorted(of.keys() & to.keys())
    if row.until and seeds:
        level = statistics.fmean(row.to.read(to[seed]) for seed in seeds)
        return [until(of[seed], level) / to[seed]["curve"][-1]["step"] for seed in seeds]
    return [row.of.read(of[seed]) / row.to.read(to[seed]) for seed in seeds]


def until(result: Result, level: float) -> float:
    """How far a run went to a score; infinitely far if it never came to it."""
    return next((e["step"] for e in result["curve"] if e["score"] >= level), float("inf"))


def interval(found: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of the mean by Student's distribution; None for one value."""
    if len(found) < 2:
        return None
    reach = STUDENT[len(found)] * statistics.stdev(found) / len(found) ** 0.5
    mean = statistics.fmean(found)
    return mean - reach, mean + reach


def shown(figure: Figure, runs: Runs) -> str:
    """A figure's label, and its mean over the seeds."""
    if figure.name not in runs:
        return f"{figure.label}: {NOT_RUN}"
    mean = statistics.fmean(figure.read(result) for result in runs[figure.name].values())
    return f"{figure.label}: {mean:,.0f}" if abs(mean) >= 100 else f"{figure.label}: {mean:.3g}"


def entry(row: Row, runs: Runs) -> dict[str, Any]:
    """The row of table.json."""
    found = values(row, runs)
    never = float("inf") in found
    mean = ends = met = cost = None
    if found and not never:
        mean, ends = statistics.fmean(found), interval(found)
    if len(found) >= len(SEEDS):
        low, high = row.least or float("-inf"), row.most or float("inf")
        met = mean is not None and low <= mean <= high
    if row.of.name in runs:
        seconds = [result["processor_seconds"] for result in runs[row.of.name].values()]
        cost = round(statistics.fmean(seconds))
    peer = row.no_peer
    if row.peer:
        known = runs.get(row.peer, {})
        version = next(iter(known.values()))["peer"] + ", " if known else ""
        peer = version + shown(Figure(row.peer, lambda r: r["curve"][-1]["score"]), runs)
    return {
        "system": row.system,
        "source": row.source,
        "baseline": shown(row.to, runs),
        "peer": peer,
        "target": row.target,
        "result": None if mean is None else round(mean, 3),
        "interval": None if ends is None else [round(end, 3) for end in ends],
        "met": met,
        "cost": cost,
        "command": command(row.of.name),
        "figure": shown(row.of, runs),
        "seeds": len(found),
        "reached": not never,
    }


def markdown(entries: Sequence[dict[str, Any]]) -> str:
    """What people read: how many targets each system meets, then a table of each."""
    systems = {each["system"]: [] for each in entries}
    for each in entries:
        systems[each["system"]].append(each)
    lines = ["| system | rows | met | missed | no verdict |", "|---|---:|---:|---:|---:|"]
    for system, rows in systems.items():
        counts = [sum(row["met"] is verdict for row in rows) for verdict in (True, False, None)]
        lines.append(f"| {system} | {len(rows)} | " + " | ".join(map(str, counts)) + " |")
    for system, rows in systems.items():
        lines += ["", f"### {system}", ""]
        lines += ["| target | result | 95% interval | seeds | met | figure | baseline | cost, s |"]
        lines += ["|---|---:|---|---:|---|---|---|---:|", *map(_line, rows), ""]
        peers = list(dict.fromkeys(row["peer"] for row in rows))
        sources = dict.fromkeys(r["source"] for r in rows if r["source"] != "the peer")
        lines.append(f"Source: {', '.join(sources)}. Peer: {'; '.join(peers)}.")
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    ends, result = row["interval"], NOT_RUN
    if not row["reached"]:
        result = "never reached"
    elif row["result"] is not None:
        result = f"{row['result']:.2f}"
    cells = (
        row["target"],
        result,
        "" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}",
        row["seeds"],
        {True: "yes", False: "no", None: ""}[row["met"]],
        row["figure"],
        row["baseline"],
        "" if row["cost"] is None else row["cost"],
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def with_table(page: str, entries: Sequence[dict[str, Any]]) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + markdown(entries) + "\n" + END + after


def run(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Rebuild both, and print the table."""
    runs = read_runs(results / "runs")
    entries = [entry(row, runs) for row in ROWS]
    write_json(results / "table.json", entries)
    write_atomically(page, with_table(page.read_text(), entries))
    print(markdown(entries))
