"""The committed results, and the documents that are generated from them."""

import json
from pathlib import Path

import pytest

from benchmarks.score import __main__ as score
from benchmarks.score import pages, world_model_page
from benchmarks.score import results as score_results
from benchmarks.score import summary as score_summary

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/score"
ARMS = [
    "world-model",
    "world-model-zero-shot",
    "world-model-strict",
    "world-model-open",
    "untrained-memory",
    "untrained-memory-zero-shot",
    "joint-ppo-pixels",
    "jerk",
    "ppo-scratch-sb3",
    "ppo-scratch",
    "hold-right",
    "random",
]


@pytest.fixture(scope="module")
def config():
    return score.load(score.Args(config=ROOT / "configs/score.yaml"))


@pytest.fixture(scope="module")
def summary(config):
    return score_summary.summarise(RESULTS, config)


def test_the_shipped_configuration_has_the_arms_of_the_results(config, summary):
    assert list(config.arms) == ARMS == list(summary["arms"])
    assert (config.levels, config.timesteps, config.seeds) == ("pangolin-test", 100_000, 3)
    assert summary["mixed"] == {}


def test_every_stored_run_is_whole_sorted_and_has_its_origin():
    for timesteps, arms in score_results.read_all(RESULTS).items():
        for arm, runs in arms.items():
            keys = [score_results.key_of(run) for run in runs]
            assert keys == sorted(keys) and len({level for level, _ in keys}) == 5
            assert len(runs) in (15, 20), "3 or 4 seeds"
            for run in runs:
                assert (run["arm"], run["timesteps"], run["verdict"]) == (
                    arm, timesteps, "completed"
                )  # fmt: skip
                assert run["commit"] and run["versions"]["stable-retro"] and run["started"]


def test_the_committed_summary_is_that_of_the_stored_runs(summary):
    committed = json.loads((RESULTS / "summary.json").read_text())
    assert committed["commit"] and committed["versions"]
    assert summary.keys() <= committed.keys()
    for timesteps, setting in summary["by_timesteps"].items():
        for arm, figures in setting["arms"].items():
            known = committed["by_timesteps"][timesteps]["arms"][arm]
            for key in ("mean", "ci95", "iqm", "iqm_ci95"):
                assert known[key] == pytest.approx(figures[key]), (timesteps, arm, key)
            assert known["scores"] == figures["scores"]


@pytest.mark.parametrize(
    ("timesteps", "arm", "mean", "interval"),
    [
        ("100000", "world-model", 5990, (5625, 6334)),
        ("100000", "joint-ppo-pixels", 3782, (3531, 4013)),
        ("20000", "world-model", 6067, (5571, 6472)),
        ("20000", "untrained-memory-zero-shot", 3653, (3496, 3808)),
        ("20000", "jerk", 2278, (2052, 2510)),
    ],
)
def test_figures_are_those_of_the_runs_when_they_had_a_file_each(
    summary, timesteps, arm, mean, interval
):
    figures = summary["by_timesteps"][timesteps]["arms"][arm]
    assert round(figures["mean"]) == mean
    assert tuple(round(end) for end in figures["ci95"]) == interval


def test_the_results_page_is_generated_from_the_committed_results(config, summary):
    report = json.loads((RESULTS.parent / "world-model.json").read_text())
    path = RESULTS.parent / "joint.json"
    joint = json.loads(path.read_text()) if path.exists() else None
    page = pages.results_page(summary, config, report, joint)
    assert (ROOT / "docs/results.md").read_text() == page, (
        "run: python -m benchmarks.score --report-only --results benchmarks/results/score"
    )


def test_the_table_of_the_readme_is_generated_from_the_committed_results(config, summary):
    readme = (ROOT / "README.md").read_text()
    assert readme == pages.with_table(readme, summary, config)


def test_the_world_model_section_says_which_targets_are_met():
    report = json.loads((RESULTS.parent / "world-model.json").read_text())
    text = "\n".join(world_model_page.section(report))
    assert "| V: PSNR of the reconstruction | dB | 25.9 | 25.3 | at least 28 | no |" in text
    assert "| V: latent units that vary | units | 512 | 512 | at least 256 | yes |" in text
    report["heldout"]["end_auc"] = 0.94
    report["train"]["rollout_psnr"]["5"] = report["train"]["freeze_psnr"]["5"]
    text = "\n".join(world_model_page.section(report))
    assert "| 0.985 | 0.940 | at least 0.95 | on training levels only |" in text
    assert "| 17.8 (17.8) | 19.4 (17.9) | better than ( ) | on held-out levels only |" in text
