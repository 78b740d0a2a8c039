"""How a run ended, in a word and a line that says why.

The words are the same whether the two sides ran as processes or in containers: they follow only
from the server's status, the exit codes, and whether the run had to be stopped. The reason may
quote the agent, whose words are cleaned and cut here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from gym_remote.exceptions import TimestepTimeoutError, WallClockTimeoutError
from gym_remote.server import Reason
from retro_common.text import clean

COMPLETED = "completed"  # all timesteps of the budget were played
WALL_CLOCK = "wall-clock"  # the seconds of the budget were used up first
ENDED_EARLY = "ended early"  # the agent stopped by itself, without an error
CRASHED = "crashed"  # the agent exited with an error
NEVER_CONNECTED = "never connected"
HUNG = "hung"  # connected, then made no request for longer than allowed
PROTOCOL_ERROR = "protocol error"  # the agent sent something that is not a request
INTERRUPTED = "interrupted"  # the evaluation was stopped
SERVER_FAILED = "server failed"

WORDS = frozenset(
    {
        COMPLETED,
        WALL_CLOCK,
        ENDED_EARLY,
        CRASHED,
        NEVER_CONNECTED,
        HUNG,
        PROTOCOL_ERROR,
        INTERRUPTED,
        SERVER_FAILED,
    }
)
NOT_THE_AGENT = frozenset({INTERRUPTED, SERVER_FAILED})
NEARLY_ALL = 0.99  # an agent that leaves after this share of the budget has ended well, too

# Why the evaluation stopped a run: the values of `Ending.stopped`.
INTERRUPT = "interrupt"  # Ctrl-C
AGENT_GONE = "agent gone"  # the agent exited, the server still waited
OVERDUE = "overdue"  # the server did not end when its time was up


BUDGET_ERROR = re.compile(
    rf"\b({TimestepTimeoutError.__name__}|{WallClockTimeoutError.__name__})\b"
)


def ended_well(verdict: str, timesteps: int, budget: int) -> bool:
    """Whether an agent did its part in a run: it played, and until its budget was used up.

    Args:
        verdict: a word of this module.
        timesteps: timesteps that it played.
        budget: timesteps of the budget.
    """
    if timesteps == 0:
        return False
    nearly = verdict == ENDED_EARLY and timesteps >= NEARLY_ALL * budget
    return nearly or verdict in (COMPLETED, WALL_CLOCK)


class Verdict(NamedTuple):
    """A word from this module, and one line for a person."""

    word: str
    reason: str


@dataclass(frozen=True)
class Ending:
    """Everything known about how a run ended."""

    stopped: str | None
    """why the evaluation ended it (a constant above), or None if it ended by itself"""
    server_ended: str | None
    """why the server stopped serving (a value of Reason); None if it did not say"""
    server_detail: str
    """the server's own words about it"""
    server_code: int | None
    """exit code of the server"""
    server_line: str
    """last line of the server's log"""
    connected: bool
    """whether the agent has connected"""
    timesteps: int
    """timesteps that the server answered"""
    budget: int
    """timesteps of the budget"""
    agent_code: int | None
    """exit code of the agent; None if it had to be stopped"""
    agent_line: str
    """last line of the agent's log"""


def judge(ending: Ending) -> Verdict:
    """The verdict on a run."""
    played = f"after {ending.timesteps:,} of {ending.budget:,} timesteps"
    if ending.stopped == INTERRUPT:
        return Verdict(INTERRUPTED, f"the evaluation was stopped {played}")
    if ending.stopped == OVERDUE and ending.connected:
        # The server's own limits hold whatever the agent does. If they did not, then the agent
        # that played must not gain a second try by it.
        return Verdict(HUNG, f"the run did not end when its time was up, {played}")
    if ending.stopped == OVERDUE:
        # With an agent connected this is the agent's, whatever it did: not a try that is repeated.
        word = HUNG if ending.connected else SERVER_FAILED
        return Verdict(word, f"the server did not end when its time was up, {played}")
    if ending.stopped == AGENT_GONE and ending.timesteps >= ending.budget:
        # On a busy machine the server may take longer to end than the agent did.
        return Verdict(COMPLETED, f"all {ending.budget:,} timesteps played{_then(ending)}")
    if ending.stopped == AGENT_GONE:
        return _agent_gone(ending, played)
    match ending.server_ended:
        case Reason.TIMESTEP_LIMIT:
            return Verdict(COMPLETED, f"all {ending.budget:,} timesteps played{_then(ending)}")
        case Reason.WALLCLOCK_LIMIT:
            return Verdict(WALL_CLOCK, f"time was up {played}{_then(ending)}")
        case Reason.NO_CLIENT:
            return Verdict(NEVER_CONNECTED, _agent_end(ending))
        case Reason.NO_REQUEST:
            return Verdict(HUNG, f"{clean(ending.server_detail) or 'no request'} {played}")
        case Reason.PROTOCOL_ERROR:
            return Verdict(PROTOCOL_ERROR, f"{clean(ending.server_detail)}, {played}")
        case Reason.CLIENT_CLOSED | Reason.CLIENT_DIED:
            return _agent_gone(ending, played)
    why = clean(ending.server_detail or ending.server_line) or "no message"
    return Verdict(SERVER_FAILED, f"exit code {ending.server_code}, {played}: {why}")


def _agent_gone(ending: Ending, played: str) -> Verdict:
    how = _agent_end(ending)
    if not ending.connected:
        return Verdict(NEVER_CONNECTED, how)
    # An agent that closes the connection and lives on has ended, too: it cannot come back.
    word = ENDED_EARLY if ending.agent_code in (0, None) else CRASHED
    return Verdict(word, f"{how}, {played}")


def _agent_end(ending: Ending) -> str:
    if ending.agent_code is None:
        return (
            "the agent closed the connection but did not exit"
            if ending.connected
            else "the agent ran, but did not connect"
        )
    if ending.agent_code == 0:
        return "the agent exited with code 0"
    line = clean(ending.agent_line) or "no output"
    return f"the agent exited with code {ending.agent_code}: {line}"


def _then(ending: Ending) -> str:
    """A remark on the agent's exit after its budget was used up. It does not change the verdict."""
    # The end of the budget reaches an agent as an exception. One that lets it pass ends with a
    # traceback, whose last line names the exception, and with code 1: it did nothing wrong.
    by_the_budget = ending.agent_code == 1 and BUDGET_ERROR.search(ending.agent_line)
    if ending.agent_code == 0 or by_the_budget:
        return ""
    if ending.agent_code is None:
        return "; the agent did not exit and was stopped"
    return f"; then {_agent_end(ending)}"
