"""The table: computed from the runs' results, and the committed one is that."""

import json
from pathlib import Path

import pytest

from lab import figures, rows, run, table
from lab.config import LabConfig
from lab.figures import Row, at, at_best, at_end, at_start, data_mean
from retro_common.config import load

ROOT = Path(__file__).parents[2]
SYSTEMS = {
    *("QR-SAC", "ILQL", "ICRT", "CrossFormer", "U2O-HILP", "drifting", "LDR", "DR3", "SOAR"),
    *("Scaled-QL", "GNM", "LDM", "RCAD"),
}
FIELDS = {
    *("system", "source", "baseline", "peer", "target", "result", "interval", "met", "cost"),
    "command",
}


def result(name: str, seed: int, *scores: float) -> dict:
    return {
        "name": name,
        "seed": seed,
        "curve": [{"step": 100 * i, "score": score} for i, score in enumerate(scores)],
        "data": {"mean": 50},
        "processor_seconds": 10,
    }


def runs_of(iql: list[tuple[float, ...]], clone: list[tuple[float, ...]]) -> table.Runs:
    return {
        name: {seed: result(name, seed, *each) for seed, each in enumerate(seeds)}
        for name, seeds in {"iql": iql, "clone": clone}.items()
        if seeds
    }


def row(**settings: object) -> Row:
    return Row("DR3", "a paper", "mine ÷ theirs", at_end("iql"), at_end("clone"), **settings)


def test_a_row_is_a_ratio_for_each_seed_with_students_interval() -> None:
    runs = runs_of([(2,), (4,), (6,)], [(2,), (2,), (2,)])
    found = table.entry(row(least=2.5), runs)
    assert (found["result"], found["met"], found["seeds"]) == (2, False, 3)
    # Ratios 1, 2, 3: standard deviation 1, three seeds.
    reach = 4.303 / 3**0.5
    assert found["interval"] == pytest.approx([2 - reach, 2 + reach], abs=1e-3)
    assert (found["figure"], found["baseline"], found["cost"]) == ("iql: 4", "clone: 2", 10)
    assert table.entry(row(least=2), runs)["met"]
    assert not table.entry(row(least=1, most=1.5), runs)["met"]


def test_a_figure_may_stand_alone_beside_its_baseline() -> None:
    found = table.entry(row(most=3, alone=True), runs_of([(2,), (3,), (4,)], [(100,)]))
    assert (found["result"], found["met"], found["seeds"]) == (3, True, 3)
    assert (found["figure"], found["baseline"]) == ("iql: 3", "clone: 100")
    assert table.entry(row(most=3, alone=True), runs_of([(2,)] * 3, []))["result"] == 2


def test_what_was_not_run_has_no_number_and_too_few_seeds_no_verdict() -> None:
    none = table.entry(row(least=1), runs_of([(2,)], []))
    assert none["result"] is none["interval"] is none["met"] is None
    assert none["baseline"] == "clone: not run" and none["figure"] == "iql: 2"
    assert "| not run |" in table.markdown([none])
    one = table.entry(row(least=1), runs_of([(2,), (4,)], [(2,)]))
    assert (one["result"], one["interval"], one["met"], one["seeds"]) == (1, None, None, 1)


def test_the_means_of_data_and_the_places_of_a_curve() -> None:
    one = result("clone", 0, 9, 7, 8, 1)
    figures = (at_start("clone"), at_best("clone"), at("clone", 150), data_mean("clone"))
    assert [figure.read(one) for figure in figures] == [9, 9, 8, 50]
    assert figures[2].label == "clone, at 150" and figures[3].label == "clone, mean of its data"


def test_figures_of_what_has_no_score() -> None:
    one = {
        "curve": [{"nll": -0.30, "px5": 9.0}, {"nll": -0.42, "px5": 8.0}],
        "other": {"nll_before": -0.60, "nll": -0.65, "far": 0.03},
        "fitting_seconds": 60,
    }
    found = [figures.gain("a"), figures.harm("a"), figures.own_gain("a"), figures.seconds("a")]
    assert [figure.read(one) for figure in found] == pytest.approx([0.12, -0.05, 0.07, 12])
    assert figures.in_others("a", "far").read(one) == 0.03
    assert at_start("a", "px5").read(one) == 9 and at_start("a", "px5").label == "a, px5 before"
    bound = figures.constant("a", 0.05, "nats")
    assert (bound.read(one), bound.label) == (0.05, "a, 0.05 nats")


def test_timesteps_until_a_score_is_reached() -> None:
    other = [(0, 0, 0, 0, 8)] * 3
    found = table.entry(row(most=0.5, until=True), runs_of([(0, 5, 9, 9)] * 3, other))
    assert (found["result"], found["met"]) == (0.5, True)
    never = table.entry(row(most=0.9, until=True), runs_of([(0, 5, 7)] * 3, other))
    assert (never["result"], never["met"], never["reached"]) == (None, False, False)
    assert "| never reached |" in table.markdown([never])


def test_the_page_keeps_what_stands_around_its_table() -> None:
    page = f"before\n{table.BEGIN}old{table.END}\nafter\n"
    entries = [table.entry(row(least=1), runs_of([(2,), (4,)], [(2,), (2,)]))]
    found = table.with_table(page, entries)
    assert found.startswith("before\n") and found.endswith("\nafter\n") and "old" not in found
    assert "| DR3 | 1 | 0 | 0 | 1 |" in found, "two seeds give no verdict"
    assert "### DR3\n" in found and "| mine ÷ theirs: at least 1 | 1.50 |" in found
    assert "Source: a paper. Peer: none." in found
    assert table.with_table(found, entries) == found


def test_the_committed_table_is_that_of_the_committed_results() -> None:
    runs = table.read_runs(ROOT / "lab/results/runs")
    entries = [table.entry(each, runs) for each in rows.ROWS]
    assert entries == json.loads((ROOT / "lab/results/table.json").read_text()), (
        "run: python -m lab table"
    )
    page = (ROOT / "docs/lab.md").read_text()
    assert table.with_table(page, entries) == page
    assert {each["system"] for each in entries} == SYSTEMS
    for each in entries:
        assert each.keys() >= FIELDS and each["command"].startswith("python -m lab ")


def test_every_configuration_has_a_row_and_every_row_a_configuration() -> None:
    committed = {path.stem for path in table.CONFIGS.glob("*.yaml")}
    recorded = {name for name in committed if name == "data" or name.startswith("data-")}
    assert committed - recorded == set(rows.names())


def test_committed_runs_are_those_of_the_committed_configurations() -> None:
    hashes: dict[str, set[str]] = {}
    for name, seeds in table.read_runs(ROOT / "lab/results/runs").items():
        config = load(LabConfig, table.CONFIGS / f"{name}.yaml")
        for found in seeds.values():
            settings = run.settings_of(run.module_of(config), config)
            assert found["settings"] == json.loads(json.dumps(settings)), f"{name}: run it anew"
            assert len(found["commit"]) == 12 and found["versions"]["torch"]
            hashes.setdefault(config.data.name, set()).add(found["data"]["sha256"])
    assert all(len(each) == 1 for each in hashes.values()), hashes
