"""The score benchmark with real agents over the real socket, on acts of Pangolin Dash."""

import dataclasses
import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from benchmarks.score import __main__ as score
from benchmarks.score import pages, schedule
from benchmarks.score import results as score_results
from benchmarks.score import summary as score_summary
from benchmarks.score.arms import Arm, ScoreConfig, contestant
from retro_common.errors import UsageError

ROOT = Path(__file__).parents[2]
LEVEL = "FernHollow.Act3"
AGENT = "python -m agent --bundle {bundle}"
TINY = AgentConfig(
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
    ),
    memory=MemoryConfig(4, 2),
    controller=ControllerConfig(hidden=4),
)
UNTRAINED = {
    "vision": {
        "latent": 16,
        "grid": 4,
        "player_units": 0,
        "channels": [2, 4],
        "decoder_channels": [2, 4],
    },
    "memory": {"hidden": 4},
    "controller": {"features": ["pixels"], "hidden": 4},
}


def make_bundle(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    bundle.save(Models.build(TINY), folder, {"pretraining_timesteps": {"collect": 7, "more": 5}})


def write_config(folder: Path, arms: dict, more: dict | None = None) -> Path:
    path = folder / "score.yaml"
    arms = {name: {"description": f"This is {name}.", **arm} for name, arm in arms.items()}
    content = {"arms": arms, "seeds": 1, "timesteps": 130, **(more or {})}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def arguments(folder: Path, of: dict, more: dict | None = None, **options) -> score.Args:
    places = {"results": folder / "results", "work": folder / "work"}
    return score.Args(config=write_config(folder, of, more), levels=LEVEL, **places, **options)


def run(args: score.Args) -> int:
    return score.benchmark(args, threading.Event())


def stored(folder: Path) -> dict[str, dict]:
    """All runs in the folder's results, by "arm/level-seed"."""
    budgets = score_results.read_all(folder / "results").values()
    runs = [run for arms in budgets for runs in arms.values() for run in runs]
    return {f"{run['arm']}/{run['level']}-{run['seed']}": run for run in runs}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A benchmark of three arms, one of them without its bundle, that has been played."""
    folder = tmp_path_factory.mktemp("score")
    make_bundle(folder / "tiny", seed=1)
    arms = {
        "world-model": {"agent": AGENT, "bundle": str(folder / "tiny")},
        "hold-right": {"agent": "hold-right"},
        "zero-shot": {"agent": f"{AGENT} --no-learn", "bundle": str(folder / "gone")},
    }
    (folder / "README.md").write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    docs = {"docs": folder / "docs"}
    args = arguments(folder, arms, {"pretrained": "hold-right"}, jobs=2, seeds=2, **docs)
    assert run(args) == 0
    return folder, args


def test_every_run_is_one_line_with_settings_score_and_origin(played):
    folder, _ = played
    names = ("world-model", "hold-right")
    assert set(stored(folder)) == {f"{name}/{LEVEL}-{seed}" for name in names for seed in (0, 1)}
    for name in names:
        file = folder / f"results/130/{name}.jsonl"
        first, second = file.read_text().splitlines()
        assert json.loads(first)["seed"] == 0, "sorted, though two jobs played side by side"
        result = json.loads(second)
        episodes = result["episodes"]
        assert result["score"] == pytest.approx(
            sum(episodes["reward"]) / len(episodes["reward"]), abs=1e-3
        )
        assert result["timesteps"] == episodes["end"][-1] == 130
        assert sum(episodes["length"]) + len(episodes["length"]) == 130
        assert (result["verdict"], result["seed"], result["config"]["seed"]) == ("completed", 1, 1)
        assert result["commit"] and result["code"] and result["seconds"] > 0
        assert (result["bundle"] is None) == (name == "hold-right")
        assert (result["fine_tuned"] is None) == (name == "hold-right")
        assert len(second) < 10_000


def test_the_summary_has_the_figures_of_every_arm(played):
    folder, _ = played
    summary = json.loads((folder / "results/summary.json").read_text())
    assert list(summary["arms"]) == ["world-model", "hold-right"]
    arm = summary["arms"]["world-model"]
    assert arm["pretraining_timesteps"] == 12
    assert summary["arms"]["hold-right"]["pretraining_timesteps"] == 0
    assert arm["runs"] == 2 and arm["timesteps"] == 130 and arm["hours"] >= 0
    assert arm["ci95"][0] <= arm["mean"] <= arm["ci95"][1]
    assert arm["per_level"] == {LEVEL: pytest.approx(arm["mean"])}
    assert [of["against"] for of in summary["comparisons"]] == ["hold-right"]
    comparison = summary["comparisons"][0]
    assert comparison["ratio"] == pytest.approx(arm["mean"] / summary["arms"]["hold-right"]["mean"])
    learning = summary["by_timesteps"]["130"]["while_learning"]
    assert learning["against"] == "hold-right" and learning["until_timestep"][-1] == 130
    assert learning["lowest"] == min(learning["ratio"]) and len(learning["ratio_ci95"]) == 4
    assert summary["commit"] and summary["versions"]["numpy"]


def test_the_pages_have_the_figures_of_every_arm(played):
    folder, _ = played
    page = (folder / "docs/results.md").read_text()
    assert "|  | to timestep 32 |" in page
    assert f"| agent | {LEVEL} |" in page and "| `hold-right` | This is hold-right. | 0 |" in page
    for picture in ("score.png", "learning-curves.png"):
        assert (folder / "docs" / picture).read_bytes().startswith(b"\x89PNG")
        assert f"({picture})" in page
    assert (folder / "README.md").read_text() == (
        f"before\n{pages.BEGIN}\n| agent | 130 timesteps |\n| --- | --- |\n{pages.END}\nafter\n"
    ), "no arm has a label"


def test_pages_are_written_on_request_only(played, tmp_path):
    folder, args = played
    shutil.copytree(folder / "results", tmp_path / "results")
    report_only = dataclasses.replace(args, results=tmp_path / "results", report_only=True)
    before = (ROOT / "docs/results.md").read_bytes()
    assert run(dataclasses.replace(report_only, docs=None)) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert not list((tmp_path / "results").glob("*.png"))
    assert (ROOT / "docs/results.md").read_bytes() == before
    assert run(dataclasses.replace(report_only, docs=tmp_path / "docs")) == 0
    assert (tmp_path / "docs/results.md").exists()


def test_finished_runs_are_kept_and_an_arm_without_bundle_is_skipped(played, capsys):
    folder, args = played
    before = stored(folder)
    assert run(args) == 0
    out = capsys.readouterr().out
    assert stored(folder) == before
    assert "0 runs to play, 4 finished before" in out
    assert f"skipped: zero-shot: no bundle in {folder / 'gone'}" in out


@pytest.mark.slow
def test_a_changed_bundle_is_refused_or_replayed_but_never_mixed(played, tmp_path):
    folder, args = played
    shutil.copytree(folder / "results", tmp_path / "results")
    make_bundle(tmp_path / "tiny", seed=2)
    arms = {
        "world-model": {"agent": AGENT, "bundle": str(tmp_path / "tiny")},
        "hold-right": {"agent": "hold-right"},
    }
    args = arguments(tmp_path, arms)  # one seed of the two
    before = stored(tmp_path)
    with pytest.raises(UsageError, match=r"bundle was .*, now .*--redo"):
        run(args)
    assert stored(tmp_path) == before

    # The other seed's run is of the old bundle still: the arm is a mixture.
    assert run(dataclasses.replace(args, redo=True)) == 1
    after = stored(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"world-model/{LEVEL}-0"}, "what had not changed was kept"
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert "bundle was" in summary["mixed"]["130/world-model"]
    assert list(summary["arms"]) == ["hold-right"]


def test_several_pretrainings_are_one_arm_and_a_row_of_its_track(tmp_path):
    for number in (0, 1):
        make_bundle(tmp_path / f"tiny-{number}", seed=number)
    arms = {
        "world-model-open": {
            "agent": AGENT,
            "bundle": str(tmp_path / "tiny-{pretraining}"),
            "pretrainings": 2,
            "track": "open",
        },
    }
    args = arguments(tmp_path, arms)
    assert run(dataclasses.replace(args, seeds=2)) == 0
    lines = list(stored(tmp_path).values())
    assert [line["seed"] for line in lines] == [0, 1]
    paths = [Path(line["bundle"]["path"]).name for line in lines]
    assert paths == ["tiny-0", "tiny-1"]
    tracks = json.loads((tmp_path / "results/summary.json").read_text())["tracks"]
    assert tracks["strict"] == {}
    row = tracks["open"]["130"]["world-model"]
    assert (row["runs"], row["pretrainings"]) == (2, 2)
    assert 0 <= row["finish_share"] <= 1 and row["per_level"].keys() == {LEVEL}
    # Another bundle in place of one of the two makes the arm a mixture, and is refused.
    make_bundle(tmp_path / "tiny-1", seed=5)
    with pytest.raises(UsageError, match="bundle was"):
        run(dataclasses.replace(args, seeds=2))


def test_pretrainings_without_a_number_are_refused(tmp_path):
    arms = {"a": {"agent": AGENT, "bundle": str(tmp_path), "pretrainings": 2}}
    with pytest.raises(UsageError, match=r"\{pretraining\} in `bundle` and `pretrainings`"):
        run(arguments(tmp_path, arms))


def test_an_untrained_bundle_is_drawn_from_the_seed_of_each_run(tmp_path):
    config = score.load(arguments(tmp_path, {"scratch": {"agent": AGENT, "untrained": UNTRAINED}}))
    arm = config.arms["scratch"]
    assert arm.untrained.controller.features == ("pixels",)
    first, again, other = (contestant("scratch", arm, seed, tmp_path) for seed in (0, 0, 1))
    assert first == again
    assert first.bundle["weights"] != other.bundle["weights"]
    weights = bundle.load(tmp_path / "scratch/untrained-1")[1].weights
    assert other.bundle["weights"] == {part: weight.sha256 for part, weight in weights.items()}


def test_a_retrained_bundle_does_not_reach_a_benchmark_that_runs(tmp_path):
    make_bundle(tmp_path / "tiny", seed=1)
    arm = Arm("", AGENT, bundle=tmp_path / "tiny")
    ready = contestant("a", arm, 0, tmp_path / "work")
    make_bundle(tmp_path / "tiny", seed=2)
    assert contestant("a", arm, 0, tmp_path / "work").settings != ready.settings
    played = Path(shlex.split(ready.command)[-1])
    weights = bundle.load(played)[1].weights
    assert ready.bundle["weights"] == {part: weight.sha256 for part, weight in weights.items()}


def test_an_agent_that_fails_is_named_and_can_be_replayed(tmp_path, capsys):
    arms = {"hold-right": {"agent": "python -c 'raise SystemExit(\"no luck\")'"}}
    args = arguments(tmp_path, arms)
    assert run(args) == 1
    assert "never connected: the agent exited with code 1: no luck" in capsys.readouterr().err
    summary = json.loads((tmp_path / "results/summary.json").read_text())
    assert summary["arms"]["hold-right"]["mean"] == 0
    assert run(args) == 1, "kept, and still not sound"
    assert "0 runs to play" in capsys.readouterr().out
    config = score.load(args)
    played_on = schedule.chosen_levels(args.levels, config)
    places = {"results": args.results, "work": args.work}
    (task,) = schedule.plan(config, ["hold-right"], played_on, redo=True, **places)
    assert "to be replayed: hold-right" in capsys.readouterr().out
    assert stored(tmp_path) == {} and not task.file.exists()


@pytest.mark.slow
def test_stable_baselines_learns_until_the_budget_ends(tmp_path):
    arms = {"ppo-scratch-sb3": {"agent": "python -m benchmarks.agents.sb3 --rollout 64"}}
    assert run(arguments(tmp_path, arms)) == 0
    log = next((tmp_path / "work").rglob("agent.log")).read_text()
    assert "n_updates" in log, "it has trained"


# --- without playing: budgets, and mistakes ---


def fake(results: Path, arm: str, timesteps: int, scores: dict[str, list[float]]) -> None:
    """Runs as the benchmark stores them, which nobody played."""
    path = score_results.path_of(results, timesteps, arm)
    for level, of in scores.items():
        for seed, value in enumerate(of):
            score_results.add(path, fake_run(arm, timesteps, level, seed, value))


def fake_run(arm: str, timesteps: int, level: str, seed: int, value: float) -> dict:
    config = {"agent": arm, "untrained": None, "bundle": None, "game": "G"}
    config |= {"rom_sha1": "", "state": level, "state_sha1": "", "seed": seed}
    episodes = {"reward": [value], "length": [timesteps - 1], "end": [timesteps]}
    run = {"arm": arm, "level": level, "seed": seed, "score": value}
    run |= {"timesteps": timesteps, "seconds": 1.0, "timesteps_per_second": timesteps}
    run |= {"verdict": "completed", "reason": "", "episodes": episodes, "config": config}
    return run | {"bundle": None, "commit": "c", "code": "d", "started": "2026-01-02T03:04"}


def test_runs_that_threads_and_processes_add_at_once_are_all_there(tmp_path):
    path = score_results.path_of(tmp_path, 100, "a")
    runs = [fake_run("a", 100, level, seed, 1.0) for level in "BA" for seed in range(8)]
    script = (
        "import json, sys, pathlib\nfrom benchmarks.score import results\n"
        "for run in json.load(sys.stdin): results.add(pathlib.Path(sys.argv[1]), run)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, stdin=subprocess.PIPE, text=True
    )
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(score_results.add, path, run) for run in runs[:8]]
        other.communicate(json.dumps(runs[8:]))
        for future in futures:
            future.result()
    assert other.returncode == 0
    assert score_results.read(path) == sorted(runs, key=score_results.key_of)
    assert len(path.read_text().splitlines()) == 16


def test_a_file_is_read_written_and_thinned_out(tmp_path):
    path = score_results.path_of(tmp_path, 100, "a")
    assert score_results.read(path) == []
    runs = [fake_run("a", 100, "A", seed, 1.0) for seed in range(3)]
    score_results.write(path, reversed(runs))
    assert score_results.read(path) == runs
    better = runs[1] | {"score": 2.0}
    score_results.add(path, better)
    assert score_results.read(path) == [runs[0], better, runs[2]]
    score_results.discard(path, {("A", 0), ("A", 2)})
    assert score_results.read(path) == [better]
    score_results.discard(path, {("A", 1)})
    assert not path.exists()


def test_a_damaged_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "100/a.jsonl"
    run_ = fake_run("a", 100, "A", 0, 1.0)
    score_results.write(path, [run_])
    whole = path.read_text()
    for second, why in (("{", "cannot be read"), ("{}", "not a run"), (whole, "seed 0 twice")):
        path.write_text(whole + second)
        with pytest.raises(UsageError, match=f"a.jsonl, line 2: .*{why}"):
            score_results.read_all(tmp_path)


def test_the_readme_table_has_the_arms_with_a_label(tmp_path):
    fake(tmp_path, "world-model", 100, {"A": [4.0, 5.0]})
    fake(tmp_path, "world-model", 50, {"A": [3.0, 3.0]})
    fake(tmp_path, "jerk", 50, {"A": [1.0, 1.0]})
    fake(tmp_path, "other", 50, {"A": [1.0, 1.0]})
    arms = {"world-model": Arm("", "a", label="ours"), "jerk": Arm("", "b", label="JERK")}
    config = ScoreConfig(arms | {"other": Arm("", "c"), "unplayed": Arm("", "d", label="x")})
    table = pages.short_table(score_summary.summarise(tmp_path, config), config)
    assert table.splitlines() == [
        "| agent | 100 timesteps | 50 timesteps |",
        "| --- | --- | --- |",
        "| **ours** | **4** (4 to 5) | **3** (3 to 3) |",
        "| JERK | – | 1 (1 to 1) |",
    ]
    assert pages.with_table("no markers", {"by_timesteps": {}}, config) is None


def test_a_failed_run_and_a_mixed_arm_are_named_on_the_page(tmp_path):
    fake(tmp_path, "world-model", 100, {"A": [4.0, 5.0]})
    crashed = fake_run("world-model", 100, "B", 0, 0.0)
    crashed |= {"verdict": "crashed", "reason": "no luck"}
    score_results.add(score_results.path_of(tmp_path, 100, "world-model"), crashed)
    other = fake_run("jerk", 100, "B", 0, 1.0)
    other["config"]["agent"] = "older"
    fake(tmp_path, "jerk", 100, {"A": [1.0]})
    score_results.add(score_results.path_of(tmp_path, 100, "jerk"), other)
    config = ScoreConfig({"world-model": Arm("", "a"), "jerk": Arm("", "b")})
    page = pages.results_page(score_summary.summarise(tmp_path, config), config, None)
    assert "| 3 (1 failed) |" in page
    assert "world-model, 100 timesteps: B seed 0: crashed: no luck" in page
    assert "100/jerk is left out" in page and "`jerk`" not in page


def test_budgets_are_kept_apart(tmp_path):
    fake(tmp_path, "world-model", 100, {"A": [4.0, 5.0], "B": [6.0, 7.0]})
    fake(tmp_path, "world-model", 50, {"A": [1.0, 1.0]})
    fake(tmp_path, "jerk", 100, {"A": [1.0, 2.0], "B": [3.0, 3.0]})
    fake(tmp_path, "no-memory", 50, {"A": [2.0, 2.0], "B": [9.0, 9.0]})
    config = ScoreConfig({name: Arm("", name) for name in ("world-model", "jerk", "no-memory")})
    summary = score_summary.summarise(tmp_path, config)
    assert {name: arm["timesteps"] for name, arm in summary["arms"].items()} == {
        "world-model": 100,
        "jerk": 100,
        "no-memory": 50,
    }
    assert summary["arms"]["world-model"]["mean"] == 5.5
    jerk, latent = summary["comparisons"]
    assert jerk["ratio"] == pytest.approx(5.5 / 2.25) and jerk["intervals_apart"] is True
    # At 50 timesteps, and on the one level that both have played.
    assert (latent["timesteps"], latent["levels"], latent["ratio"]) == (50, ["A"], 0.5)
    page = pages.results_page(summary, config, None)
    assert "## 100 timesteps per run" in page and "## 50 timesteps per run" in page
    assert "| 0.50 (0.50 to 0.50) on 1 of 2 levels |" in page


def test_a_variant_is_compared_with_its_arm(tmp_path):
    for arm, value in (("world-model", 8.0), ("small", 4.0), ("small-blind", 2.0)):
        fake(tmp_path, arm, 100, {"A": [value, value]})
    arms = {"world-model": Arm("", "a"), "small": Arm("", "b")}
    config = ScoreConfig(arms | {"small-blind": Arm("", "c", variant_of="small")})
    summary = score_summary.summarise(tmp_path, config)
    ratios = {(of["arm"], of["against"]): of["ratio"] for of in summary["comparisons"]}
    assert ratios == {("world-model", "small"): 2.0, ("small", "small-blind"): 2.0}
    assert "| `small`: 2.00 (2.00 to 2.00) |" in pages.results_page(summary, config, None)


@pytest.mark.parametrize(
    ("arms", "options", "says"),
    [
        ({"a": {"agent": "jerk", "variant_of": "b"}}, {}, "arms.a: .* no arm 'b'"),
        ({"a": {"agent": AGENT}}, {}, r"arms.a: \{bundle\}"),
        ({"a": {"agent": "jerk", "bundle": "x"}}, {}, r"arms.a: \{bundle\}"),
        ({"a": {"agent": AGENT, "bundle": "x", "untrained": {}}}, {}, "exclude each other"),
        ({"a": {"agent": "jerk", "online": {"epochs": 1}}}, {}, "changes a `bundle`"),
        ({"a": {"agent": "jerk", "colour": "red"}}, {}, "unknown key `arms.a.colour`"),
        ({"../a": {"agent": "jerk"}}, {}, "should match pattern"),
        ({"a": {"agent": "jerk"}}, {"arms": "b"}, r"no arm 'b' .*it has: a"),
        ({"a": {"agent": "jerk"}}, {"jobs": 0}, "must be > 0"),
        ({"a": {"agent": "jerk"}}, {"timesteps": -1}, "must be > 0"),
    ],
)
def test_mistakes_are_named_before_anything_is_played(tmp_path, arms, options, says):
    with pytest.raises(UsageError, match=says):
        run(arguments(tmp_path, arms, **options))
    assert not (tmp_path / "results").exists()


def test_an_arm_may_learn_with_other_settings(tmp_path):
    make_bundle(tmp_path / "tiny", seed=1)
    one = contestant("one", Arm("", AGENT, bundle=tmp_path / "tiny"), 0, tmp_path)
    changed = Arm(
        "", AGENT, bundle=tmp_path / "tiny", online={"routes": {"replay": 0.5}, "epochs": 2}
    )
    two = contestant("two", changed, 0, tmp_path)
    assert two.settings["bundle"] != one.settings["bundle"]
    assert two.bundle["weights"] == one.bundle["weights"]
    assert two.bundle["agent"]["online"]["routes"]["replay"] == 0.5
    played = bundle.load(next((tmp_path / "two").iterdir()))[1].agent
    assert played.online.routes.replay == 0.5 and played.online.epochs == 2
    assert played.online.rollout_length == TINY.online.rollout_length
    wrong = Arm("", AGENT, bundle=tmp_path / "tiny", online={"epoch": 2})
    with pytest.raises(UsageError, match=r"unknown key `.*epoch`"):
        contestant("wrong", wrong, 0, tmp_path)


def test_a_damaged_bundle_is_named(tmp_path):
    make_bundle(tmp_path / "tiny", seed=1)
    weights = next((tmp_path / "tiny").glob("controller-*"))
    weights.write_bytes(weights.read_bytes()[:-1])
    arms = {"a": {"agent": AGENT, "bundle": str(tmp_path / "tiny")}}
    with pytest.raises(UsageError, match="truncated or changed"):
        run(arguments(tmp_path, arms))


# --- the command in a process of its own ---


def start(folder: Path, timesteps: int = 1500) -> subprocess.Popen:
    config = write_config(folder, {"random": {"agent": "random"}})
    command = [sys.executable, "-m", "benchmarks.score", "--config", str(config)]
    command += ["--levels", LEVEL, "--timesteps", str(timesteps), "--seeds", "2"]
    command += ["--results", str(folder / "results"), "--work", str(folder / "work")]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


@pytest.mark.slow
def test_it_goes_on_where_it_was_killed(tmp_path):
    first = start(tmp_path)
    wait_for(tmp_path / f"work/1500/random/{LEVEL}-1/monitor.csv")
    first.kill()
    first.communicate()
    kept = stored(tmp_path)
    assert set(kept) == {f"random/{LEVEL}-0"}, "only whole runs are stored"

    second = start(tmp_path)
    out, error = second.communicate(timeout=60)
    assert second.returncode == 0, error
    assert "1 runs to play, 1 finished before" in out
    after = stored(tmp_path)
    assert len(after) == 2 and after | kept == after
    assert json.loads(out.splitlines()[-1])["means"].keys() == {"random"}


@pytest.mark.slow
def test_one_benchmark_at_a_time_plays_an_arm_and_ends_when_asked(tmp_path):
    first = start(tmp_path, 100_000)
    wait_for(tmp_path / f"work/100000/random/{LEVEL}-0/monitor.csv")
    args = arguments(tmp_path, {"random": {"agent": "random"}}, timesteps=100_000)
    with pytest.raises(UsageError, match="is playing 'random'"):
        run(args)
    first.send_signal(signal.SIGTERM)
    _, error = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "goes on from here" in error and "Traceback" not in error
    assert stored(tmp_path) == {}
