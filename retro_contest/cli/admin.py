"""`retro-contest admin`: what the host of a contest does beside running it."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

from retro_common.errors import UsageError
from retro_common.text import shown

if TYPE_CHECKING:
    from retro_contest.server.accounts import Account
    from retro_contest.server.contest import Contest

Data = Annotated[Path, arg(metavar="DIR")]
Name = Annotated[Positional[str], arg(metavar="NAME")]


@dataclass(frozen=True)
class AddUser:
    """Make an account. Prints its password, unless that comes from standard input."""

    name: Name
    """On the board, and in the registry: lower-case letters, digits, - _ ."""
    data: Data
    """Data folder of the contest."""
    email: Annotated[str, arg(metavar="ADDRESS")] = ""
    """The client of 2018 logs in with an e-mail address; the name does as well."""
    password_stdin: FlagCreatePairsOff[bool] = False
    """Read the password from standard input."""

    def run_in(self, contest: Contest) -> None:
        password = _password(self.password_stdin)
        account = contest.accounts.add(self.name, password, self.email)
        print(f"made {account.username}" + _told(self.password_stdin, password))


@dataclass(frozen=True)
class ResetPassword:
    """Give an account another password; its sessions and tokens end."""

    name: Name
    """Name or e-mail address."""
    data: Data
    """Data folder of the contest."""
    password_stdin: FlagCreatePairsOff[bool] = False
    """Read the password from standard input."""

    def run_in(self, contest: Contest) -> None:
        account = _account(contest, self.name)
        password = _password(self.password_stdin)
        contest.accounts.set_password(account, password)
        print(f"changed {account.username}" + _told(self.password_stdin, password))


@dataclass(frozen=True)
class Ban:
    """Exclude an account: it is logged out, its jobs are cancelled, the boards leave it out."""

    name: Name
    """Name or e-mail address."""
    data: Data
    """Data folder of the contest."""
    reason: Annotated[str, arg(metavar="WORDS")] = "banned"
    """For the list of accounts."""

    def run_in(self, contest: Contest) -> None:
        account = _account(contest, self.name)
        contest.accounts.ban(account, self.reason)
        jobs = [*contest.jobs.active("open"), *contest.jobs.active("final")]
        for job in jobs:
            if job.account == account.id:
                contest.jobs.cancel(job, "its owner was banned")
        print(f"banned {account.username}")


@dataclass(frozen=True)
class Unban:
    """Take a banned account back."""

    name: Name
    """Name or e-mail address."""
    data: Data
    """Data folder of the contest."""

    def run_in(self, contest: Contest) -> None:
        account = _account(contest, self.name)
        contest.accounts.unban(account)
        print(f"{account.username} may take part again")


@dataclass(frozen=True)
class Users:
    """List the accounts."""

    data: Data
    """Data folder of the contest."""

    def run_in(self, contest: Contest) -> None:
        from retro_contest.tables import Column, FittedTable

        jobs = contest.jobs.all()
        rows = [
            [
                account.username,
                account.email or "",
                str(sum(job.account == account.id for job in jobs)),
                account.banned or "",
            ]
            for account in contest.accounts.all()
        ]
        columns = [Column("name"), Column("e-mail"), Column("jobs", right=True), Column("banned")]
        Console().print(FittedTable(f"{len(rows)} accounts", columns, rows))


@dataclass(frozen=True)
class Invite:
    """Make an invitation, with which somebody makes an account (registration: invitation)."""

    data: Data
    """Data folder of the contest."""
    uses: int = 1
    """Accounts that can be made with it."""
    days: float = 30.0
    """How long it holds."""
    note: Annotated[str, arg(metavar="WORDS")] = ""
    """For whom it is."""

    def run_in(self, contest: Contest) -> None:
        if self.uses < 1 or not 0 < self.days < 10_000:
            raise UsageError("--uses is at least 1, --days more than 0 and less than 10,000")
        print(contest.accounts.invite(self.uses, self.days, self.note))


@dataclass(frozen=True)
class Jobs:
    """List the jobs that wait or are played, or all."""

    data: Data
    """Data folder of the contest."""
    all: FlagCreatePairsOff[bool] = False
    """Those that have ended, too."""

    def run_in(self, contest: Contest) -> None:
        from retro_contest.tables import Column, FittedTable, number

        jobs = [job for job in contest.jobs.all() if self.all or job.is_active]
        rows = [
            [
                str(job.id),
                job.username,
                job.phase,
                job.tag,
                job.state,
                number(job.score),
                job.reason,
            ]
            for job in jobs
        ]
        columns = [
            Column("job", right=True),
            Column("entrant"),
            Column("phase"),
            Column("image", drop=2),
            Column("state"),
            Column("score", right=True),
            Column("reason", drop=1),
        ]
        Console().print(FittedTable(f"{len(rows)} jobs", columns, rows))


@dataclass(frozen=True)
class CancelJob:
    """Cancel a job of anybody's, of either phase."""

    job: Annotated[Positional[int], arg(metavar="ID")]
    """Its number."""
    data: Data
    """Data folder of the contest."""
    reason: Annotated[str, arg(metavar="WORDS")] = "by the host"
    """For its owner."""

    def run_in(self, contest: Contest) -> None:
        job = contest.jobs.get(self.job)
        if job is None:
            raise UsageError(f"there is no job {self.job}")
        contest.jobs.cancel(job, self.reason)
        print(f"job {job.id} is cancelled")


@dataclass(frozen=True)
class SecretLevels:
    """Build acts that nobody has seen, for the final, from the contest's secret.

    The seed follows from the secret, whose SHA-256 everybody can read from the beginning; with
    both, published at the end, everybody can build the same acts. Needs the compiler that builds
    Pangolin Dash.
    """

    data: Data
    """Data folder of the contest."""
    zones: Annotated[tuple[str, ...], arg(metavar="ZONE")] = ("FrostPeak", "EmberWorks")
    """Zones of the acts."""
    acts: int = 2
    """Acts per zone."""
    hard: float = 0.6
    """How hard they are, from 0 to 1."""

    def run_in(self, contest: Contest) -> None:
        from retro_contest.server.secret_levels import build

        print(f"built {build(contest, self.zones, self.acts, self.hard)}")


@dataclass(frozen=True)
class Final:
    """Queue the final: everybody's latest finished submission, on the secret levels.

    Nobody sees its levels, scores and logs before it is revealed. Given again, it queues those
    that failed meanwhile.
    """

    data: Data
    """Data folder of the contest."""

    def run_in(self, contest: Contest) -> None:
        queued = contest.phases.start_final()
        print(f"{len(queued)} jobs of the final are queued")


@dataclass(frozen=True)
class Reveal:
    """Publish the final: its levels, scores and logs, the secret, and the seed of its acts."""

    data: Data
    """Data folder of the contest."""

    def run_in(self, contest: Contest) -> None:
        contest.phases.reveal()
        disclosed = contest.phases.disclosed()
        assert disclosed is not None
        print("the final is revealed")
        print(f"secret of the final: {disclosed['secret']}")
        print(f"seed of its acts: {disclosed['level_seed']}")


Action = (
    Annotated[AddUser, subcommand(name="add-user")]
    | Annotated[ResetPassword, subcommand(name="reset-password")]
    | Annotated[Ban, subcommand(name="ban")]
    | Annotated[Unban, subcommand(name="unban")]
    | Annotated[Users, subcommand(name="users")]
    | Annotated[Invite, subcommand(name="invite")]
    | Annotated[Jobs, subcommand(name="jobs")]
    | Annotated[CancelJob, subcommand(name="cancel")]
    | Annotated[SecretLevels, subcommand(name="secret-levels")]
    | Annotated[Final, subcommand(name="final")]
    | Annotated[Reveal, subcommand(name="reveal")]
)


@dataclass(frozen=True)
class Admin:
    """Accounts, invitations, jobs and the final of a contest, also while its server runs."""

    action: Action

    def run(self) -> int:
        # Not at the top: only hosts have its libraries.
        from retro_contest.server.contest import open_contest

        self.action.run_in(open_contest(self.action.data))
        return 0


def _account(contest: Contest, name: str) -> Account:
    account = contest.accounts.find(name)
    if account is None:
        raise UsageError(f"there is no account {shown(name)}")
    return account


def _password(from_input: bool) -> str:
    """A password from standard input, or a new one."""
    return sys.stdin.readline().rstrip("\r\n") if from_input else secrets.token_hex(12)


def _told(from_input: bool, password: str) -> str:
    return "" if from_input else f"; password: {password}"
