"""The rules of a run, which go unchanged from the command line to the server."""

import dataclasses

import pytest

from retro_common.errors import UsageError
from retro_contest.cli.parse import parse
from retro_contest.rules import Rules

OTHER = Rules(1234, 5.5, 6.5, 7.5, 8.5, record=True, draw_all=True)


@pytest.mark.parametrize("rules", [Rules(), OTHER])
def test_the_server_gets_the_same_rules(rules):
    words = ["serve", "airstriker", "--socket", "s", "--results", "r", *rules.words()]
    assert parse(words, "retro-contest").rules == rules


def test_every_rule_has_another_value_in_this_test():
    for field in dataclasses.fields(Rules):
        assert getattr(OTHER, field.name) != field.default, field.name


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["wallclock", "connect_timeout", "idle_timeout", "exit_timeout"])
def test_times_that_cannot_be_are_refused(name, value):
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be more than 0"):
        Rules(**{name: value})


def test_limits_beyond_all_use_are_refused():
    with pytest.raises(UsageError, match=r"--wallclock must be at most 31,536,000 seconds"):
        Rules(wallclock=1e300)
    with pytest.raises(UsageError, match="--timesteps must be at most"):
        Rules(timesteps=10**400)


def test_a_budget_without_timesteps_is_refused():
    with pytest.raises(UsageError, match="--timesteps must be at least 1, not 0"):
        Rules(timesteps=0)
