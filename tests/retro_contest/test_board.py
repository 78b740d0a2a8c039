import csv
import html.parser
import io
import json
import os
import re
import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.board import charts, statistics
from retro_contest.board.boards import Boards, load_boards, ranks
from retro_contest.board.site import write_site
from retro_contest.board.snapshots import png, snapshot
from retro_contest.board.terminal import rank_tables
from retro_contest.levels import find
from retro_contest.runs.results import (
    level_scores,
    mean_score,
    read_monitor,
    run_checksum,
    run_score,
    runs_checksum,
)

LEVELS = ("Zone1.Act1", "Zone2.Act2")
COLD, WARM = 200.0, 600.0


def submit(
    folder: Path,
    name: str,
    scores: list[list[float | None]],
    *,
    timesteps: int = 1000,
    verdict: str = "completed",
    length: int = 99,
    level_set: str = "my set",
    game: str = "Game-Genesis-v0",
    levels: tuple[str, ...] = LEVELS,
    written: str = "2026-01-01T00:00:00+00:00",
    folder_name: str = "",
) -> Path:
    """A results folder as an evaluation leaves it; scores by level, then by seed."""
    place = folder / (folder_name or re.sub(r"[^a-z-]", "_", name) or "nameless")
    runs = []
    for state, of_level in zip(levels, scores, strict=True):
        for seed, score in enumerate(of_level):
            run = place / game / state / f"seed-{seed}"
            run.mkdir(parents=True)
            rows = [] if score is None else [f"{score},{length},{i}.0" for i in range(10)]
            (run / "monitor.csv").write_text("\n".join(["r,l,t", *rows]) + "\n")
            result = {
                "game": game,
                "state": state,
                "seed": seed,
                "score": score or 0.0,
                "timesteps": 0 if score is None else timesteps,
                "verdict": "never connected" if score is None else verdict,
            }
            (run / "result.json").write_text(json.dumps(result))
            runs.append(result | {"sha256": run_checksum(run)})
    summary = {
        "id": secrets.token_hex(8),
        "name": name,
        "levels": runs,
        "level_names": [f"{game}/{state}" for state in levels],
        "agent": f"python -m agent <{name}>",
        "level_set": level_set,
        "timesteps": timesteps,
        "wallclock": 60.0,
        "written": written,
        "seeds": max(map(len, scores)),
        "runs_sha256": runs_checksum(runs),
    }
    (place / "summary.json").write_text(json.dumps(summary))
    return place


def edit(folder: Path, **changes) -> None:
    """Change a summary, as somebody may by hand."""
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shown(found: Boards, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(rank_tables(found))
    return console.file.getvalue()


@pytest.fixture
def folder(tmp_path):
    submit(tmp_path, "warm", [[WARM, WARM + 10], [WARM, WARM + 20]])
    submit(tmp_path, "cold", [[COLD, COLD], [COLD + 100, COLD + 100]])
    submit(tmp_path, "half", [[9000.0], []])
    return tmp_path


def submissions(found: Boards) -> list:
    (board,) = found.boards
    return [row.submission for row in board.rows]


def no_picture(level: str, path: Path) -> bool:
    return False


def test_the_best_comes_first_and_the_incomplete_last(folder):
    (board,) = load_boards([folder]).boards
    assert [row.submission.name for row in board.rows] == ["warm", "cold", "half"]
    assert [row.rank for row in board.rows] == [1, 2, None]
    warm, cold, half = (row.submission for row in board.rows)
    assert warm.score == pytest.approx(WARM + 7.5)
    assert cold.score == pytest.approx(COLD + 50)
    assert cold.interval == (COLD + 50, COLD + 50) and half.interval is None
    low, high = warm.interval
    assert WARM <= low < warm.score < high <= WARM + 15
    assert board.levels == ("Game-Genesis-v0/Zone1.Act1", "Game-Genesis-v0/Zone2.Act2")
    assert half.level_score(board.levels[1]) is None


def test_where_intervals_touch_ranks_are_equal():
    assert ranks([(5, 9), (4, 6), (1, 4), (0, 1)]) == [1, 1, 2, 3]
    assert ranks([(2, 3), (2, 3), (2, 3)]) == [1, 1, 1]
    assert ranks([]) == []


def test_a_single_seed_has_no_rank(tmp_path):
    submit(tmp_path, "one", [[900.0], [900.0]])
    submit(tmp_path, "two", [[100.0, 101.0], [100.0, 102.0]])
    (board,) = load_boards([tmp_path]).boards
    assert [(row.submission.name, row.rank) for row in board.rows] == [("one", None), ("two", 1)]
    assert board.rows[0].submission.remark == "one seed"


def test_the_last_evaluation_of_a_name_counts(tmp_path):
    days = ["2026-03-02", "2026-03-01", "2026-03-03"]
    for day, score in zip(days, (500.0, 400.0, 450.0), strict=True):
        submit(tmp_path, "me", [[score, score]] * 2, written=f"{day}T10:00:00", folder_name=day)
    (board,) = load_boards([tmp_path]).boards
    (row,) = board.rows
    assert [s.score for s in row.history] == [400.0, 500.0] and row.submission.score == 450.0
    assert row.change == -50.0 and row.rank == 1


def test_a_changed_folder_is_nobodys_last_evaluation(tmp_path):
    submit(tmp_path, "me", [[5.0, 6.0]] * 2, folder_name="a", written="2026-03-01")
    later = submit(tmp_path, "me", [[9.0, 9.0]] * 2, folder_name="b", written="2026-03-02")
    monitor_changed(later)
    (board,) = load_boards([tmp_path]).boards
    assert [(row.submission.score, row.rank) for row in board.rows] == [(5.5, 1), (None, None)]


def test_other_budgets_are_on_another_board(folder):
    submit(folder, "more", [[1.0], [2.0]], timesteps=5000)
    titles = {board.title: len(board.rows) for board in load_boards([folder]).boards}
    assert titles == {"my set: 1,000 timesteps per run": 3, "my set: 5,000 timesteps per run": 1}


def test_a_folder_that_is_named_twice_counts_once(folder):
    (board,) = load_boards([folder, folder / "warm", folder / "warm"]).boards
    assert len(board.rows) == 3


def test_the_levels_of_the_kit_have_references(tmp_path):
    """A first entry stands among the agents that the kit was measured with."""
    acts = [level.state for level in find("pangolin-test")]
    game = "PangolinDash-Genesis-v0"
    scores = [[3000.0, 3100.0]] * len(acts)
    submit(tmp_path, "mine", scores, timesteps=20_000, game=game, levels=tuple(acts))
    (board,) = load_boards([tmp_path]).boards
    assert len(board.references) >= 5
    scores = [line.score for line in board.lines]
    assert scores == sorted(scores, reverse=True) and len(scores) == len(board.references) + 1
    assert scores[0] > 3050 > scores[-1]
    assert all(reference.interval and reference.source for reference in board.references)


def test_references_are_compared_on_the_levels_of_the_board(tmp_path):
    game, act = "PangolinDash-Genesis-v0", "FernHollow.Act3"
    submit(tmp_path, "mine", [[1.0, 2.0]], timesteps=20_000, game=game, levels=(act,))
    (board,) = load_boards([tmp_path]).boards
    assert board.references and {*board.references[0].scores} == {f"{game}/{act}"}


def test_published_scores_stand_beside_those_of_sonic(tmp_path):
    levels = find("sonic-validation")
    (entry,) = {level.game for level in levels[:1]}
    place = submit(tmp_path, "a", [[1.0, 2.0]], timesteps=1_000_000, game=entry, levels=("X",))
    edit(
        place,
        level_names=[level.name for level in levels],
        levels=[],
        runs_sha256=runs_checksum([]),
    )
    (board,) = load_boards([tmp_path]).boards
    assert [(r.name, r.score) for r in board.references][:2] == [
        ("human", 7438.2),
        ("joint PPO", 3127.9),
    ]


def test_tables_hold_ranks_and_levels(folder):
    text = shown(load_boards([folder]), 140)
    assert "607.5" in text and "half (incomplete)" in text and "Zone2.Act2" in text


class Page(html.parser.HTMLParser):
    """Collects the text of a page and the files it names."""

    VOID = ("meta", "img", "link", "input")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.sources, self.stack = "", [], []
        self.feed(path.read_text())
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.stack.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        """As `<line/>` in SVG: it stays open for nothing."""

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def write(found: Boards, out: Path) -> list[Page]:
    """The pages of a site; every file that one names is there."""
    write_site(found, out, no_picture)
    pages = []
    for path in [out / "index.html", *out.glob("submissions/*"), *out.glob("levels/*")]:
        page = Page(path)
        for source in page.sources:
            name = source.partition("#")[0]
            assert not name or (path.parent / name).is_file(), source
        assert path.stat().st_size < 2e6
        pages.append(page)
    return pages


def test_the_site_is_whole_and_needs_nothing_else(folder, tmp_path):
    submit(folder, "<script>alert(1)</script>", [[1.0], [None]])
    index, *others = write(load_boards([folder]), tmp_path / "site")
    assert "<script>alert(1)</script>" in index.text and len(others) == 4 + len(LEVELS)
    for text in ("warm", "607.5", "incomplete", "Zone2. Act2"):
        assert text in index.text
    assert "alert(1)</script>" not in (tmp_path / "site/index.html").read_text()
    everything = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    assert "http" not in everything.replace("http-equiv", "")


def test_the_same_boards_give_the_same_pages(folder, tmp_path):
    for name in ("one", "two"):
        write(load_boards([folder]), tmp_path / name)
    names = [sorted(p.name for p in (tmp_path / n).rglob("*.html")) for n in ("one", "two")]
    assert names[0] == names[1]


def test_figures_for_programs_are_those_of_the_board(folder, tmp_path):
    submit(folder, "=cmd()", [[1.0], [2.0]])
    write(load_boards([folder]), tmp_path / "site")
    content = json.loads((tmp_path / "site/board.json").read_text())
    (board,) = content["boards"]
    rows = {row["name"]: row for row in board["rows"]}
    assert rows["warm"]["rank"] == 1 and rows["warm"]["score"] == pytest.approx(607.5)
    assert rows["half"]["remark"] == "incomplete" and rows["half"]["rank"] is None
    with (tmp_path / "site/board.csv").open() as file:
        table = list(csv.DictReader(file))
    warm = [float(row["score"]) for row in table if row["name"] == "warm"]
    assert sorted(warm) == [WARM, WARM, WARM + 10, WARM + 20]
    assert {row["name"] for row in table} >= {"'=cmd()", "warm"}


def test_history_is_on_the_page_of_a_submission(tmp_path):
    for day in (1, 2):
        written, score = f"2026-03-0{day}T10:00:00", 100.0 * day
        submit(tmp_path, "me", [[score, score]] * 2, written=written, folder_name=str(day))
    index, *others = write(load_boards([tmp_path]), tmp_path / "site")
    assert "+100.0 since the evaluation before" in index.text
    pages = [page.text for page in others if "Evaluations of this name" in page.text]
    assert len(pages) == 2 and all("2026-03-01" in text for text in pages)
    assert sum("A later evaluation of this name counts" in text for text in pages) == 1


def test_films_of_a_results_folder_are_on_its_pages(tmp_path):
    place = submit(tmp_path, "me", [[1.0, 1.0]] * 2)
    films = place / "films/Game-Genesis-v0"
    films.mkdir(parents=True)
    (films / "Zone1.Act1-best.mp4").write_bytes(b"film")
    (films / "Zone1.Act1-best.png").write_bytes(b"poster")
    (films / "other.mp4").write_bytes(b"of no level")
    (films / "Zone2.Act2-best.mp4").symlink_to("/dev/zero")
    pages = write(load_boards([tmp_path]), tmp_path / "site")
    copied = {path.suffix: path for path in (tmp_path / "site/films").iterdir()}
    assert {suffix: path.read_bytes() for suffix, path in copied.items()} == {
        ".mp4": b"film",
        ".png": b"poster",
    }
    naming = [page for page in pages if f"../films/{copied['.mp4'].name}" in page.sources]
    assert len(naming) == 2, "its submission and its level"


def test_ticks_are_round_and_inside():
    assert charts.ticks(0, 9900, 5) == [0, 2000, 4000, 6000, 8000]
    assert charts.ticks(-150, 150, 5) == [-100, 0, 100]
    assert charts.ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_picture_is_a_png(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(picture)))) == picture).all()


def test_levels_that_can_be_played_have_pictures(tmp_path):
    path = tmp_path / "start.png"
    assert snapshot("Airstriker-Genesis-v0/Level1", path)
    assert len(np.unique(np.asarray(Image.open(path)).reshape(-1, 3), axis=0)) > 5
    assert not snapshot("Game-Genesis-v0/Zone1.Act1", tmp_path / "none.png")


def test_a_submission_that_crashed_says_so_in_its_row(tmp_path):
    submit(tmp_path, "crashed", [[7.0, 7.0], [7.0, None]], verdict="crashed")
    submit(tmp_path, "fine", [[1.0], [1.0]])
    boards = load_boards([tmp_path])
    crashed = "crashed in 3, never connected in 1 of 4 runs"
    (row,) = (line for line in shown(boards).splitlines() if crashed in line)
    assert "│ crashed " in row
    assert write(boards, tmp_path / "site")[0].text.count(crashed) == 1


def test_a_list_of_levels_is_no_heading(tmp_path):
    """Nor do two lists share a file name."""
    lists = [f"Game-Genesis-v0/{LEVELS[0]},Game-Genesis-v0/{LEVELS[1]}{more}" for more in "ab"]
    for name, level_set in zip("ab", lists, strict=True):
        levels = LEVELS[0], LEVELS[1] + name
        submit(tmp_path, name, [[1.0], [2.0]], level_set=level_set, levels=levels)
    boards = load_boards([tmp_path]).boards
    titles = {board.title for board in boards}
    assert titles == {"2 levels of Game-Genesis-v0: 1,000 timesteps per run"}
    assert len({board.slug for board in boards}) == 2


@pytest.mark.parametrize("width", [60, 80])
def test_level_names_are_whole_in_a_narrow_terminal(folder, width):
    submit(folder, "one-more-agent-with-a-long-name", [[1.0], [1.0]])
    text = shown(load_boards([folder]), width)
    assert "Zone1.Act1" in text and "607.5" in text and "…" not in text


def test_a_board_without_any_score_has_no_chart(tmp_path):
    submit(tmp_path, "broken", [[1.0], [1.0]], verdict="server failed")
    found = load_boards([tmp_path])
    assert submissions(found)[0].score is None and submissions(found)[0].remark == "incomplete"
    write(found, tmp_path / "site")
    assert "<svg" not in (tmp_path / "site/index.html").read_text()


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
        low, high = statistics.interval(list(rng.normal(100, 20, size=(4, 5))))
        inside += low <= 100 <= high
    assert 0.85 <= inside / 200 <= 0.99


DAMAGED = {
    "not JSON": "{",
    "another type": "[]",
    "no field": '{"name": 1}',
    "a name of another type": {"name": ["x"]},
    "a budget of 400 digits": {"timesteps": 10**400},
    "a budget below 1": {"timesteps": 0},
    "a score that is not a number": {"levels": [{"score": float("nan")}]},
    "a huge score": {"levels": [{"score": 1.7e308}]},
    "a path in a state": {"levels": [{"state": "../../x"}]},
    "a NUL in a state": {"levels": [{"state": "a\0b"}]},
    "a verdict that is none": {"levels": [{"verdict": "[link=x]won"}]},
    "deep": "[" * 200_000,
}


@pytest.mark.parametrize("way", DAMAGED)
def test_a_damaged_folder_costs_its_own_row(folder, tmp_path, way):
    broken = submit(folder, "broken", [[1.0], [2.0]])
    content = DAMAGED[way]
    if isinstance(content, dict):
        summary = json.loads((broken / "summary.json").read_text())
        if "levels" in content:
            content = {"levels": [summary["levels"][0] | content["levels"][0]]}
        content = json.dumps(summary | content)
    (broken / "summary.json").write_text(content)
    found = load_boards([folder])
    names = [submission.name for submission in submissions(found)]
    assert names == ["warm", "cold", "half"]
    (note,) = found.notes
    assert note.startswith(f"{broken}: left out: ") and len(note) <= 500
    assert note in shown(found, 1000)
    assert note in write(found, tmp_path / "site")[0].text


def test_a_summary_that_is_no_plain_file_costs_its_own_row(folder):
    for name, make in (("fifo", os.mkfifo), ("folder", os.mkdir)):
        (folder / name).mkdir()
        make(folder / name / "summary.json")
    (folder / "link").mkdir()
    (folder / "link" / "summary.json").symlink_to("/dev/zero")
    found = load_boards([folder])
    assert len(submissions(found)) == 3 and len(found.unread) == 3


def test_an_agent_cannot_write_an_entry(folder):
    """The attack: a summary of its own in the output folder, with any name and score."""
    run = folder / "cold" / "Game-Genesis-v0" / LEVELS[0] / "seed-0"
    forged = submit(run / "out", "forged", [[9999.0], [9999.0]])
    (run / "out/summary.json").write_bytes((forged / "summary.json").read_bytes())
    (run / "out/broken").mkdir()
    (run / "out/broken/summary.json").write_text("{")
    found = load_boards([folder, folder / "cold"])
    names = [submission.name for submission in submissions(found)]
    assert names == ["warm", "cold", "half"] and found.notes == []
    for place in (run, run / "out", forged, run / "out/broken"):
        with pytest.raises(UsageError, match="an agent may have written it"):
            load_boards([place])


def test_a_run_without_a_result_yet_is_no_place_for_an_entry(tmp_path):
    run = tmp_path / "mine/Game-Genesis-v0/Zone1.Act1/seed-0"
    submit(run / "out", "forged", [[9999.0], [9999.0]])
    (tmp_path / "mine/.lock").touch()
    with pytest.raises(UsageError, match="an agent may have written it"):
        load_boards([run / "out"])


def test_only_direct_children_are_looked_at(folder):
    submit(folder / "deeper" / "still", "far", [[1.0], [1.0]])
    assert "far" not in [submission.name for submission in submissions(load_boards([folder]))]
    assert submissions(load_boards([folder / "deeper/still"]))[0].name == "far"


RUN = Path("Game-Genesis-v0/Zone1.Act1/seed-0")


def monitor_changed(place: Path) -> None:
    (place / RUN / "monitor.csv").write_text("r,l,t\n9000.0,99,1.0\n")


def result_changed(place: Path) -> None:
    path = place / RUN / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"score": 9000.0}))


def score_changed(place: Path) -> None:
    runs = json.loads((place / "summary.json").read_text())["levels"]
    edit(place, levels=[runs[0] | {"score": 9000.0}, *runs[1:]])


def run_left_out(place: Path) -> None:
    edit(place, levels=json.loads((place / "summary.json").read_text())["levels"][:1])


def run_lost(place: Path) -> None:
    (place / RUN / "result.json").unlink()


def score_is_not_that_of_the_episodes(place: Path) -> None:
    """Result, summary and checksums agree with each other; the episodes say otherwise."""
    result_changed(place)
    runs = json.loads((place / "summary.json").read_text())["levels"]
    runs[0] |= {"score": 9000.0, "sha256": run_checksum(place / RUN)}
    edit(place, levels=runs, runs_sha256=runs_checksum(runs))


def run_lies_elsewhere(place: Path) -> None:
    shutil.move(place / RUN, place.parent / "elsewhere")
    (place / RUN).symlink_to(place.parent / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        monitor_changed,
        result_changed,
        score_changed,
        run_left_out,
        run_lost,
        score_is_not_that_of_the_episodes,
        run_lies_elsewhere,
    ],
)
def test_a_folder_that_was_changed_has_no_rank(folder, change):
    place = submit(folder, "other", [[100.0], [100.0]])
    assert load_boards([folder]).notes == []
    change(place)
    found = load_boards([folder])
    (other,) = (s for s in submissions(found) if s.name == "other")
    assert other.remark == "changed" and other.score is None
    (note,) = found.notes
    assert f"{place}: changed: " in note
    (row,) = (line for line in shown(found).splitlines() if "other (changed)" in line)
    assert row.startswith("│  ")


def test_spaces_in_a_file_are_no_change(folder):
    path = folder / "warm" / RUN / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    path = path.with_name("monitor.csv")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_boards([folder]).notes == []


def test_a_folder_without_checksums_has_no_rank(folder):
    edit(folder / "warm", runs_sha256="")
    found = load_boards([folder])
    remarks = [(s.name, s.remark) for s in submissions(found)]
    assert remarks == [("cold", ""), ("half", "incomplete"), ("warm", "no checksum")]
    assert "evaluate the agent again" in found.notes[0]


def test_a_copy_of_a_folder_has_no_rank(folder):
    shutil.copytree(folder / "warm", folder / "zzz")
    found = load_boards([folder])
    assert [s.remark for s in submissions(found)] == ["", "", "incomplete", "a copy"]
    assert f"identity of {folder / 'warm'}" in found.notes[0]


NAMES = [
    "[/x]",
    "[link=http://x]y[/link]",
    "$\\frac$",
    "_hidden",
    "a\x1b]0;title\x07b\nc",
    "\u202egnp.exe",
    "x" * 100_000,
    ":smile:",
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_are_text_wherever_they_are_shown(tmp_path, name):
    scores = [[5.0, 6.0], [5.0, 6.0]]
    levels = "[link=x]$\\g$", "Zone2.Act2"
    place = submit(tmp_path, "a", scores, level_set=name, levels=levels)
    edit(place, name=name, agent=name)
    record = {"image": name, "digest": None, "commit": name, "submitted": name}
    (place / "submission.json").write_text(json.dumps(record))
    found = load_boards([tmp_path])
    assert found.notes == []
    text = shown(found, 1000)
    assert clean(name, 80) in text and "[link=x]$" in text
    for page in write(found, tmp_path / "site"):
        assert len(page.text) < 20_000
        assert not {"\x1b", "\u202e"} & set(text + page.text)
    assert clean(name, 80) in Page(tmp_path / "site/index.html").text


def test_the_board_says_how_much_was_played(tmp_path):
    place = submit(tmp_path, "left", [[900.0], [900.0]], verdict="ended early")
    runs = json.loads((place / "summary.json").read_text())["levels"]
    for entry in runs:
        run = place / entry["game"] / entry["state"] / "seed-0"
        result = json.loads((run / "result.json").read_text())
        result |= {"timesteps": 400, "score": run_score(read_monitor(run / "monitor.csv"), 1)}
        (run / "result.json").write_text(json.dumps(result))
        entry |= result | {"sha256": run_checksum(run)}
    edit(place, levels=runs, runs_sha256=runs_checksum(runs))
    found = load_boards([tmp_path])
    assert found.notes == []
    (row,) = (line for line in shown(found).splitlines() if "800 of 2,000" in line)
    assert "ended early in 2 of 2 runs" in row and "818.2" in row, "10 episodes, and one of 0"
    assert any("800 of 2,000" in page.text for page in write(found, tmp_path / "site"))


def test_folders_without_a_summary_are_named(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        load_boards([tmp_path / "no"])
    with pytest.raises(UsageError, match=r"no summary\.json in"):
        load_boards([tmp_path])


def test_a_site_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_site(load_boards([folder]), tmp_path / "file/site", no_picture)
