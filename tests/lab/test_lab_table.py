"""The table: computed from the runs' results, and the committed one is that."""

import json
from pathlib import Path

import pytest

from lab import table
from lab.rows import ROWS, Row, last, lowest_until

ROOT = Path(__file__).parents[2]
SYSTEMS = {
    *("QR-SAC", "ILQL", "ICRT", "CrossFormer", "U2O-HILP", "drifting", "LDR", "DR3", "SOAR"),
    *("Scaled-QL", "GNM", "LDM", "RCAD"),
}


def result(name: str, seed: int, *scores: float) -> dict:
    return {
        "name": name,
        "seed": seed,
        "curve": [{"step": 100 * i, "score": score} for i, score in enumerate(scores)],
        "data": {"mean": 50},
        "processor_seconds": 10,
    }


def runs_of(**scores: list[tuple[float, ...]]) -> table.Runs:
    return {
        name: {seed: result(name, seed, *each) for seed, each in enumerate(all_seeds)}
        for name, all_seeds in scores.items()
    }


def row(**settings: object) -> Row:
    return Row("DR3", "a paper", "mine ÷ theirs", of=("a", last()), to=("b", last()), **settings)


def test_a_row_is_a_ratio_for_each_seed_with_students_interval() -> None:
    runs = runs_of(a=[(2,), (4,), (6,)], b=[(2,), (2,), (2,)])
    found = table.entry(row(least=2.5), runs)
    assert found is not None and (found["result"], found["met"], found["seeds"]) == (2, False, 3)
    # Ratios 1, 2, 3: standard deviation 1, three seeds.
    reach = 4.303 / 3**0.5
    assert found["interval"] == pytest.approx([2 - reach, 2 + reach], abs=1e-3)
    assert found["baseline"] == "b: 2" and found["cost"] == 10
    assert table.entry(row(least=2), runs)["met"]
    assert not table.entry(row(least=1, most=1.5), runs)["met"]
    assert table.entry(row(least=1), {"a": runs["a"]}) is None, "a side is missing"


def test_timesteps_until_a_score_is_reached() -> None:
    runs = runs_of(a=[(0, 5, 9, 9)], b=[(0, 0, 0, 0, 8)])
    found = table.entry(row(most=0.5, until=True), runs)
    assert (found["result"], found["met"], found["interval"]) == (0.5, True, None)
    never = table.entry(row(most=0.9, until=True), runs_of(a=[(0, 5, 7)], b=[(0, 0, 0, 0, 8)]))
    assert (never["result"], never["met"]) == (0.5, False)


def test_the_dip_is_the_lowest_score_soon_after_the_start() -> None:
    assert lowest_until(150)(result("a", 0, 9, 7, 8, 1)) == 7
    assert lowest_until(201)(result("a", 0, 9, 7, 8, 1)) == 1


def test_the_page_keeps_what_stands_around_its_table() -> None:
    page = f"before\n{table.BEGIN}old{table.END}\nafter\n"
    entries = [table.entry(row(least=1), runs_of(a=[(2,), (4,)], b=[(2,), (2,)]))]
    found = table.with_table(page, entries)
    assert found.startswith("before\n") and found.endswith("\nafter\n") and "old" not in found
    assert "| DR3 (a paper) | mine ÷ theirs: at least 1 | 1.50 |" in found
    assert table.with_table(found, entries) == found


def test_the_committed_table_is_that_of_the_committed_results() -> None:
    runs = table.read_runs(ROOT / "lab/results/runs")
    entries = [found for each in ROWS if (found := table.entry(each, runs)) is not None]
    assert entries == json.loads((ROOT / "lab/results/table.json").read_text()), (
        "run: python -m lab table"
    )
    page = (ROOT / "docs/lab.md").read_text()
    assert table.with_table(page, entries) == page
    assert entries and {each["system"] for each in entries} <= SYSTEMS
    for each in entries:
        assert each["command"].startswith("python -m lab ") and each["seeds"] >= 3
        assert (ROOT / each["command"].split()[5]).exists()


def test_committed_runs_share_their_data_and_have_a_commit() -> None:
    runs = table.read_runs(ROOT / "lab/results/runs")
    hashes = {
        result["data"]["sha256"]
        for name, seeds in runs.items()
        for result in seeds.values()
        if name != "scaled-new"
    }
    assert len(hashes) == 1
    for seeds in runs.values():
        for found in seeds.values():
            assert len(found["commit"]) == 12 and found["versions"]["torch"]
