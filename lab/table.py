"""The laboratory's table, rebuilt from the committed results: `python -m lab table`.

Each row of `lab.rows` whose runs exist becomes an entry of `lab/results/table.json` and a line of
docs/lab.md. A figure has a value for each seed; the interval is Student's over the seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.rows import ROWS, Result, Row
from retro_common.files import read_json, write_atomically, write_json
from retro_common.provenance import ROOT

RESULTS, PAGE = ROOT / "lab/results", ROOT / "docs/lab.md"
BEGIN, END = "<!-- table: python -m lab table -->\n", "<!-- end of the table -->"
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""97.5% point of Student's distribution for so many seeds"""
METHODS = {"clone": "clone", "qr": "qr-sac", "ppo": "ppo", "peer": "peer"}
"""the command for configurations whose name begins so; `values` for all others"""

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
    method = METHODS.get(name.split("-")[0], "values")
    return f"python -m lab {method} --config configs/lab/{name}.yaml --seed N"


def figures(row: Row, runs: Runs) -> list[float]:
    """The row's figure for each seed that both sides have."""
    (of, of_figure), (to, to_figure) = row.of, row.to
    seeds = sorted(runs.get(of, {}).keys() & runs.get(to, {}).keys())
    if row.until and seeds:
        level = statistics.fmean(to_figure(runs[to][seed]) for seed in seeds)
        return [until(runs[of][seed], level, runs[to][seed]) for seed in seeds]
    return [of_figure(runs[of][seed]) / to_figure(runs[to][seed]) for seed in seeds]


def until(result: Result, level: float, other: Result) -> float:
    """How far a run went to a score, as a share of all that another went; above what it went if it
    never got there: then the share of what it went is a lower bound."""
    reached = [entry["step"] for entry in result["curve"] if entry["score"] >= level]
    total = other["curve"][-1]["step"]
    return (reached[0] if reached else result["curve"][-1]["step"]) / total


def never(row: Row, runs: Runs) -> bool:
    """Whether a run never got to the level that `until` asks for."""
    (of, _), (to, figure) = row.of, row.to
    level = statistics.fmean(figure(result) for result in runs[to].values())
    return any(max(e["score"] for e in run["curve"]) < level for run in runs[of].values())


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of the mean by Student's distribution; None for one value."""
    if len(values) < 2:
        return None
    reach = STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return mean - reach, mean + reach


def number(results: dict[int, Result], figure: Any) -> str:
    """The mean of a figure over the seeds, for people."""
    mean = statistics.fmean(figure(result) for result in results.values())
    return f"{mean:,.0f}" if abs(mean) >= 100 else f"{mean:.3g}"


def entry(row: Row, runs: Runs) -> dict[str, Any] | None:
    """The row of table.json; None if runs are missing."""
    values = figures(row, runs)
    if not values:
        return None
    mean, ends = statistics.fmean(values), interval(values)
    met = (row.least is None or mean >= row.least) and (row.most is None or mean <= row.most)
    if row.until and never(row, runs):
        met = False
    peer = row.no_peer
    if row.peer in runs:
        known = runs[row.peer]
        version = next(iter(known.values()))["peer"]
        peer = f"{version}: {number(known, lambda r: r['curve'][-1]['score'])}"
    results = runs[row.of[0]]
    return {
        "system": row.system,
        "source": row.source,
        "baseline": f"{row.to[0]}: {number(runs[row.to[0]], row.to[1])}",
        "peer": peer,
        "target": row.target,
        "result": round(mean, 3),
        "interval": None if ends is None else [round(end, 3) for end in ends],
        "met": met,
        "cost": round(statistics.fmean(r["processor_seconds"] for r in results.values())),
        "command": command(row.of[0]),
        "figure": f"{row.of[0]}: {number(results, row.of[1])}",
        "seeds": len(values),
    }


def markdown(entries: Sequence[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [
        "| system | target | result | 95% interval | met | figure | baseline | peer | cost, s |",
        "|---|---|---:|---|---|---|---|---|---:|",
    ]
    for each in entries:
        ends = each["interval"]
        span = "" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
        cells = (
            f"{each['system']} ({each['source']})",
            each["target"],
            f"{each['result']:.2f}",
            span,
            "yes" if each["met"] else "no",
            each["figure"],
            each["baseline"],
            each["peer"],
            each["cost"],
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def with_table(page: str, entries: Sequence[dict[str, Any]]) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + markdown(entries) + "\n" + END + after


def run(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Rebuild both, and print the table."""
    runs = read_runs(results / "runs")
    entries = [found for row in ROWS if (found := entry(row, runs)) is not None]
    write_json(results / "table.json", entries)
    write_atomically(page, with_table(page.read_text(), entries))
    print(markdown(entries))
