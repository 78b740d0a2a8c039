"""The lines and tables of an evaluation, at the widths and speeds that people meet."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from retro_contest.levels import Level
from retro_contest.rules import Rules
from retro_contest.runs.match import Run
from retro_contest.runs.progress import Progress, summary_table, unfinished
from retro_contest.runs.serve import Status
from retro_contest.tables import Column, FittedTable

GAMES = ("PangolinDash-Genesis-v0", "PangolinDeluxe-Genesis-v0")
ACTS = ("FernHollow.Act3", "EmberWorks.Act2")


def runs(*games: str) -> list[Run]:
    rules = Rules(timesteps=20_000)
    return [Run(Level(game, act), 0, Path("x"), rules) for game in games for act in ACTS]


class Clock:
    """A clock that stands still until a test sets it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(renderable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def summary(*games: str, **changes) -> dict:
    levels = [
        {
            "game": run.level.game,
            "state": run.level.state,
            "seed": 0,
            "score": 1234.5,
            "episodes": 31,
            "unplayed_episodes": 0,
            "timesteps": 20_000,
            "timesteps_per_second": 1234.5,
            "verdict": "completed",
            "reason": "all 20,000 timesteps played",
        }
        for run in runs(*games)
    ]
    names = [f"{level['game']}/{level['state']}" for level in levels]
    content = {
        "name": "my-agent",
        "level_set": ",".join(names),
        "level_names": names,
        "levels": levels,
        "score": 1234.5,
        "timesteps": 20_000,
        "runs": len(levels),
        "complete": True,
    }
    return content | changes


def test_level_names_are_whole_at_80_columns():
    one_game = shown(summary_table(summary(GAMES[0])), 80)
    for act in ACTS:
        assert act in one_game
    assert f"{GAMES[0]}/{ACTS[0]}" not in one_game, "the game stands in the title"
    assert "2 levels (PangolinDash-Genesis-v0), 20,000 timesteps" in one_game
    two_games = shown(summary_table(summary(*GAMES)), 80)
    for game in GAMES:
        for act in ACTS:
            assert f"{game}/{act}" in two_games
    assert "verdict" in two_games and "1,234.5" in two_games


def test_the_speed_goes_first_then_the_seed():
    headings = [shown(summary_table(summary(*GAMES)), width) for width in (140, 100, 85)]
    assert "per second" in headings[0] and "seed" in headings[0]
    assert "per second" not in headings[1] and "seed" in headings[1]
    assert "seed" not in headings[2]
    assert "…" not in "".join(headings)


def test_a_table_that_fits_nowhere_folds_its_cells():
    table = FittedTable("t", [Column("a"), Column("b", drop=1)], [["x" * 60, "y"]])
    text = shown(table, 40)
    assert text.count("x") == 60 and "y" not in text


def test_the_live_table_keeps_level_names_whole(clock):
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    progress = Progress(console, clock=clock)
    played = runs(GAMES[0])
    with progress:
        progress.begin(played, {})
        for run in played:
            status = Status(
                timesteps=12_345,
                episodes=20,
                score=1234.5,
                seconds=9.0,
                timesteps_per_second=1234.5,
                connected=True,
            )
            progress.update(run, status)
        clock.now += 60
        progress.update(played[0], Status(timesteps=1, connected=True))
    text = console.file.getvalue()
    assert all(act in text for act in ACTS)
    assert "runs finished; now" not in text, "lines are for where there is no terminal"


def test_without_a_terminal_a_line_comes_every_ten_seconds(clock):
    console = Console(file=io.StringIO(), width=80)
    played = runs(GAMES[0])
    with Progress(console, clock=clock) as progress:
        progress.begin(played, {})
        for tenth in range(251):
            clock.now = 100 + tenth / 10
            status = Status(timesteps=tenth * 40, score=12.5, connected=True)
            progress.update(played[0], status)
        progress.update(played[1], Status())
        clock.now = 130.0
        progress.update(played[1], Status())
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        "0 of 2 runs finished; now FernHollow.Act3 seed 0: 4,000 of 20,000 timesteps, "
        "score so far 12.5"
    )
    assert lines[1].endswith("8,000 of 20,000 timesteps, score so far 12.5")
    assert "EmberWorks.Act2 seed 0: waits for the agent" in lines[2]


@pytest.mark.parametrize(("processes", "more"), [(True, False), (False, True)])
def test_an_agent_that_does_not_connect_gets_a_hint_once(clock, processes, more):
    console = Console(file=io.StringIO(), width=80)
    played = runs(GAMES[0])
    with Progress(console, clock=clock, processes=processes) as progress:
        progress.begin(played, {})
        progress.update(played[0], Status(connected=True))
        progress.update(played[1], Status())
        clock.now += 14.9
        progress.update(played[0], Status(connected=True))
        progress.update(played[1], Status())
        assert "has not connected" not in console.file.getvalue()
        for _ in range(3):
            clock.now += 0.1
            progress.update(played[0], Status(connected=True))
            progress.update(played[1], Status())
    text = console.file.getvalue()
    hint = (
        "EmberWorks.Act2 seed 0: the agent runs but has not connected; "
        "it finds the socket in $RETRO_CONTEST_SOCKET"
    )
    assert text.count("has not connected") == 1 and hint in text
    assert ("tmp/sock below its working directory" in text) == more


def test_an_incomplete_summary_counts_only_runs_with_a_score():
    levels = summary(GAMES[0])["levels"]
    failed = [level | {"verdict": "server failed"} for level in levels]
    line = unfinished(summary(GAMES[0], levels=failed, complete=False))
    assert line == (
        "incomplete: 0 of 2 runs have a score; in 2 the server failed: "
        "the same command plays them again"
    )
    stopped = [levels[0], levels[1] | {"verdict": "interrupted"}]
    line = unfinished(summary(GAMES[0], levels=stopped, complete=False))
    assert line == "incomplete: 1 of 2 runs have a score; the same command goes on from here"
    assert unfinished(summary(GAMES[0])) == ""
