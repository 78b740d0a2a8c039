import base64
import html.parser
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from retro_common.errors import UsageError
from retro_contest.board.leaderboard import (
    bootstrap_interval,
    load_boards,
    rank_tables,
    write_page,
    write_pictures,
)
from retro_contest.runs.results import level_scores, mean_score

LEVELS = ("Zone1.Act1", "Zone2.Act2")
COLD, WARM = 200.0, 600.0


def submit(
    folder: Path,
    name: str,
    scores: list[list[float | None]],
    *,
    timesteps: int = 1000,
    complete: bool = True,
    verdict: str = "completed",
    length: int = 99,
    level_set: str = "my set",
) -> Path:
    """A results folder as an evaluation leaves it; scores by level, then by seed."""
    runs = []
    for state, of_level in zip(LEVELS, scores, strict=True):
        for seed, score in enumerate(of_level):
            run = folder / name / "Game-Genesis-v0" / state / f"seed-{seed}"
            run.mkdir(parents=True)
            rows = [] if score is None else [f"{score},{length},{i}.0" for i in range(10)]
            (run / "monitor.csv").write_text("\n".join(["r,l,t", *rows]) + "\n")
            run_verdict = "never connected" if score is None else verdict
            entry = {"game": "Game-Genesis-v0", "state": state, "seed": seed, "score": score}
            runs.append(entry | {"verdict": run_verdict})
    summary = {
        "name": name,
        "complete": complete,
        "levels": runs,
        "level_names": [f"Game-Genesis-v0/{state}" for state in LEVELS],
        "agent": f"python -m agent <{name}>",
        "level_set": level_set,
        "timesteps": timesteps,
        "wallclock": 60.0,
    }
    (folder / name / "summary.json").write_text(json.dumps(summary))
    return folder / name


@pytest.fixture
def folder(tmp_path):
    submit(tmp_path, "warm", [[WARM, WARM + 10], [WARM, WARM + 20]])
    submit(tmp_path, "cold", [[COLD], [COLD + 100]])
    submit(tmp_path, "half", [[9000.0], []], complete=False)
    return tmp_path


def test_the_best_comes_first_and_the_incomplete_last(folder):
    (board,) = load_boards([folder])
    assert [submission.name for submission in board.submissions] == ["warm", "cold", "half"]
    warm, cold, half = board.submissions
    assert warm.score == pytest.approx(WARM + 7.5)
    assert cold.score == pytest.approx(COLD + 50)
    assert cold.interval is None and half.interval is None
    low, high = warm.interval
    assert WARM <= low < warm.score < high <= WARM + 15
    assert board.levels == ("Game-Genesis-v0/Zone1.Act1", "Game-Genesis-v0/Zone2.Act2")
    assert half.level_score(board.levels[1]) is None


def test_other_budgets_are_on_another_board(folder):
    submit(folder, "more", [[1.0], [2.0]], timesteps=5000)
    titles = {board.title: len(board.submissions) for board in load_boards([folder])}
    assert titles == {"my set: 1,000 timesteps per run": 3, "my set: 5,000 timesteps per run": 1}


def test_a_folder_that_is_named_twice_counts_once(folder):
    (board,) = load_boards([folder, folder / "warm", folder / "warm"])
    assert len(board.submissions) == 3


def test_a_curve_is_the_mean_of_recent_episodes(tmp_path):
    submit(tmp_path, "one", [[100.0], [300.0]])
    (board,) = load_boards([tmp_path])
    timesteps, rewards = board.submissions[0].curve
    assert timesteps[-1] == 1000
    known = ~np.isnan(rewards)
    assert known[timesteps >= 100].all() and not known[timesteps < 100].any()
    assert rewards[known] == pytest.approx(200.0)


def test_tables_hold_ranks_and_levels(folder):
    console = Console(file=io.StringIO(), width=120)
    console.print(rank_tables(load_boards([folder])))
    text = console.file.getvalue()
    assert "607.5" in text and "half (incomplete)" in text and "Zone2.Act2" in text


class Page(html.parser.HTMLParser):
    """Collects the text of a page and the files it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.sources, self.stack = "", [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.stack.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_needs_no_other_file(folder, tmp_path):
    submit(folder, "<script>alert(1)</script>", [[1.0], [None]])
    path = tmp_path / "site/index.html"
    write_page(load_boards([folder]), path)
    content = path.read_text()
    page = Page()
    page.feed(content)
    assert page.stack == []
    assert "<script>" not in content and "<script>alert(1)</script>" in page.text
    for text in ("warm", "607.5", "incomplete", "Zone2.Act2", "Game-Genesis-v0"):
        assert text in page.text
    assert len(page.sources) == 2
    for source in page.sources:
        kind, data = source.split(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] > 1000


def test_pictures_are_png_files(folder, tmp_path):
    paths = write_pictures(load_boards([folder]), tmp_path / "pictures")
    assert [path.name for path in paths] == ["my-set-1000-scores.png", "my-set-1000-curves.png"]
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50, "something is drawn"


def test_too_few_episodes_for_a_curve_are_a_sentence(tmp_path):
    """No chart with axes and without a line."""
    submit(tmp_path, "short", [[5.0], [5.0]], timesteps=100)
    boards = load_boards([tmp_path])
    assert not boards[0].submissions[0].has_curve
    paths = write_pictures(boards, tmp_path / "pictures")
    assert [path.name for path in paths] == ["my-set-100-scores.png"]
    write_page(boards, tmp_path / "page.html")
    page = Page()
    page.feed((tmp_path / "page.html").read_text())
    assert "Too few episodes for a curve: short." in page.text and len(page.sources) == 1
    submit(tmp_path, "long", [[5.0], [5.0]], timesteps=100, length=9)
    (board,) = load_boards([tmp_path])
    assert board.without_curve == ["short"]
    assert len(write_pictures([board], tmp_path / "pictures")) == 2


def test_a_submission_that_crashed_says_so_in_its_row(tmp_path):
    submit(tmp_path, "crashed", [[7.0, 7.0], [7.0, None]], verdict="crashed")
    submit(tmp_path, "fine", [[1.0], [1.0]])
    boards = load_boards([tmp_path])
    crashed = "crashed in 3, never connected in 1 of 4 runs"
    console = Console(file=io.StringIO(), width=140)
    console.print(rank_tables(boards))
    (row,) = (line for line in console.file.getvalue().splitlines() if crashed in line)
    assert "│ crashed " in row
    write_page(boards, tmp_path / "page.html")
    page = Page()
    page.feed((tmp_path / "page.html").read_text())
    assert page.text.count(crashed) == 1


def test_a_list_of_levels_is_no_heading(tmp_path):
    """Nor do two lists share a file name."""
    lists = [f"Game-Genesis-v0/{LEVELS[0]},Game-Genesis-v0/{LEVELS[1]}{more}" for more in "ab"]
    for name, levels in zip("ab", lists, strict=True):
        path = submit(tmp_path, name, [[1.0], [2.0]], level_set=levels) / "summary.json"
        summary = json.loads(path.read_text())
        summary["level_names"][1] += name
        for run in summary["levels"]:
            run["state"] += name if run["state"] == LEVELS[1] else ""
        path.write_text(json.dumps(summary))
    boards = load_boards([tmp_path])
    titles = {board.title for board in boards}
    assert titles == {"2 levels of Game-Genesis-v0: 1,000 timesteps per run"}
    assert len({board.slug for board in boards}) == 2


@pytest.mark.parametrize("width", [60, 80])
def test_level_names_are_whole_in_a_narrow_terminal(folder, width):
    submit(folder, "one-more-agent-with-a-long-name", [[1.0], [1.0]])
    console = Console(file=io.StringIO(), width=width)
    console.print(rank_tables(load_boards([folder])))
    text = console.file.getvalue()
    assert "Zone1.Act1" in text and "607.5" in text and "…" not in text


def test_a_board_without_any_score_has_no_picture(tmp_path):
    submit(tmp_path, "broken", [[1.0], [1.0]], complete=False, verdict="server failed")
    boards = load_boards([tmp_path])
    assert boards[0].submissions[0].score is None
    assert write_pictures(boards, tmp_path / "pictures") == []
    write_page(boards, tmp_path / "page.html")


def test_runs_without_an_episode_count_as_nothing():
    def run(score, verdict, state="A"):
        return {"game": "G", "state": state, "score": score, "verdict": verdict}

    runs = [run(10.0, "completed"), run(None, "never connected"), run(8.0, "interrupted", "B")]
    scores = level_scores(runs)
    assert scores == {"G/A": [10.0, 0.0], "G/B": []}
    assert mean_score(scores) == 5.0
    assert mean_score({}) is None


def test_the_interval_covers_as_often_as_it_says():
    """Coverage on normal data with known mean; five runs on each of four levels."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(100, 20, size=(4, 5)).tolist())
        inside += low <= 100 <= high
    assert 0.85 <= inside / 200 <= 0.99


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "cannot read"), ('{"name": 1}', "not the summary"), ("[]", "not the summary")],
)
def test_a_damaged_summary_is_named(tmp_path, content, says):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(UsageError, match=says) as error:
        load_boards([tmp_path])
    assert "summary.json" in str(error.value) and "\n" not in str(error.value)


def test_folders_without_a_summary_are_named(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        load_boards([tmp_path / "no"])
    with pytest.raises(UsageError, match=r"no summary\.json in"):
        load_boards([tmp_path])


def test_a_page_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_page(load_boards([folder]), tmp_path / "file/page.html")
    with pytest.raises(UsageError, match="cannot write"):
        write_pictures(load_boards([folder]), tmp_path / "file")
