"""The verdicts that test_evaluate has no real run for."""

import pytest

from gym_remote.server import Reason
from retro_contest.runs import verdicts
from retro_contest.runs.verdicts import Ending, judge

ENDING = Ending(
    stopped=None,
    server_ended=Reason.TIMESTEP_LIMIT,
    server_detail="",
    server_code=0,
    server_line="",
    connected=True,
    timesteps=1000,
    budget=1000,
    agent_code=0,
    agent_line="",
)


GONE = {"stopped": verdicts.AGENT_GONE, "timesteps": 500}


@pytest.mark.parametrize(
    ("change", "word", "says"),
    [
        ({}, "completed", "all 1,000 timesteps played"),
        ({"agent_code": None}, "completed", "did not exit and was stopped"),
        ({"agent_code": 2, "agent_line": "x"}, "completed", "then the agent exited with code 2: x"),
        ({"server_ended": Reason.CLIENT_CLOSED, "agent_code": None}, "ended early", "did not exit"),
        ({"server_ended": Reason.CLIENT_DIED, "agent_code": 1}, "crashed", "no output"),
        ({"server_ended": None, "server_code": 137}, "server failed", "exit code 137"),
        (
            {"server_ended": "failed", "server_detail": "OSError: disk full", "server_code": 1},
            "server failed",
            "disk full",
        ),
        ({"stopped": verdicts.OVERDUE}, "hung", "did not end when its time was up"),
        ({"stopped": verdicts.OVERDUE, "connected": False}, "server failed", "time was up"),
        ({"stopped": verdicts.INTERRUPT}, "interrupted", "after 1,000 of 1,000"),
        (GONE | {"agent_code": 2, "agent_line": "x"}, "crashed", "2: x"),
        (GONE | {"timesteps": 0, "connected": False}, "never connected", "code 0"),
        (GONE | {"timesteps": 1000}, "completed", "all 1,000 timesteps"),
    ],
)
def test_judge(change, word, says):
    verdict = judge(Ending(**(vars(ENDING) | change)))
    assert verdict.word == word
    assert says in verdict.reason


@pytest.mark.parametrize("error", ["TimestepTimeoutError", "WallClockTimeoutError"])
def test_the_exception_that_ends_the_budget_is_no_failure(error):
    line = f"gym_remote.exceptions.{error}: the budget is used up"
    ending = Ending(**(vars(ENDING) | {"agent_code": 1, "agent_line": line}))
    assert judge(ending).reason == "all 1,000 timesteps played"
    time_up = Ending(**(vars(ending) | {"server_ended": Reason.WALLCLOCK_LIMIT}))
    assert judge(time_up).reason == "time was up after 1,000 of 1,000 timesteps"


def test_the_agents_words_are_cleaned_and_cut():
    """Its last line goes into result, summary, terminal and page."""
    line = "\x1b[31m" + "x" * 900_000
    for change in (
        {"server_ended": Reason.CLIENT_DIED, "agent_code": 1, "agent_line": line},
        {"server_ended": Reason.PROTOCOL_ERROR, "server_detail": line},
        {"server_ended": None, "server_line": line},
    ):
        reason = judge(Ending(**(vars(ENDING) | change))).reason
        assert len(reason) < 300 and "\x1b" not in reason and "1,000 of 1,000" in reason


@pytest.mark.parametrize(
    ("word", "timesteps", "well"),
    [
        ("completed", 1000, True),
        ("wall-clock", 1, True),
        ("wall-clock", 0, False),
        ("ended early", 990, True),
        ("ended early", 989, False),
        ("crashed", 999, False),
        ("never connected", 0, False),
        ("server failed", 1000, False),
    ],
)
def test_an_agent_ends_well_when_its_budget_is_used_up(word, timesteps, well):
    assert verdicts.ended_well(word, timesteps, 1000) == well


def test_every_way_a_server_can_end_has_a_verdict():
    for reason in Reason:
        word = judge(Ending(**(vars(ENDING) | {"server_ended": reason}))).word
        assert (word == verdicts.SERVER_FAILED) == (reason == Reason.STOPPED), reason
