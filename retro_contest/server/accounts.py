"""Who takes part: accounts, passwords, sessions of browsers, tokens of programs, invitations.

Of a secret the database holds what is needed to recognise it: argon2id of a password, SHA-256 of
sessions, tokens and invitations, which are long and random.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from retro_common.errors import UsageError
from retro_common.text import clean, shown
from retro_contest.server.store import Store

USERNAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""a part of an image's name, too: the entrant's own name space in the registry"""
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
TOKEN_PREFIX = "rct_"
SESSION_SECONDS = 30 * 86400.0
PASSWORD_LENGTHS = 8, 1000
# The least that OWASP's Password Storage Cheat Sheet takes for argon2id: 19 MiB, 2 passes, 1 lane.
# More would disturb the runs that are played beside: they have a budget of seconds.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
MOST_TOKENS = 50  # of one account


@dataclass(frozen=True)
class Account:
    """An entrant."""

    id: int
    """its number"""
    username: str
    """its name: on the board, and in the registry"""
    email: str | None
    """its address; None without one"""
    created: float
    """when it was made, in seconds since 1970"""
    banned: str | None
    """why it may not take part; None if it may"""


@dataclass(frozen=True)
class Token:
    """A program's token, without its secret."""

    id: int
    """its number"""
    label: str
    """its owner's words about it"""
    created: float
    """when it was made, in seconds since 1970"""


class Accounts:
    """The accounts in a database."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)

    # --- accounts ---

    def add(self, username: str, password: str, email: str = "") -> Account:
        """Make an account.

        Raises:
            UsageError: a name, a password or an address is impossible or taken.
        """
        values = self._new(username, password, email)
        with self._store.write() as connection:
            return self._insert(connection, *values)

    def find(self, name: str) -> Account | None:
        """The account with this name or e-mail address."""
        if not isinstance(name, str) or len(name) > 300:
            return None
        row = self._store.one("SELECT * FROM accounts WHERE username = ?1 OR email = ?1", name)
        return None if row is None else _account(row)

    def get(self, number: int) -> Account:
        """The account with this number, which must exist."""
        row = self._store.one("SELECT * FROM accounts WHERE id = ?", number)
        assert row is not None
        return _account(row)

    def all(self) -> list[Account]:
        """Every account, by name."""
        return [
            _account(row) for row in self._store.all("SELECT * FROM accounts ORDER BY username")
        ]

    def ban(self, account: Account, reason: str) -> None:
        """Exclude an account: it cannot log in, and the board leaves it out."""
        with self._store.write() as connection:
            connection.execute(
                "UPDATE accounts SET banned = ? WHERE id = ?",
                (clean(reason) or "banned", account.id),
            )
            _end_all(connection, account)

    def unban(self, account: Account) -> None:
        """Take an account back."""
        with self._store.write() as connection:
            connection.execute("UPDATE accounts SET banned = NULL WHERE id = ?", (account.id,))

    # --- passwords ---

    def authenticate(self, name: str, password: str) -> Account | None:
        """The account that a name (or e-mail address) and a password, or one of its tokens, show.

        A password takes tens of milliseconds and 19 MiB, also for a name that does not exist:
        nobody learns from the time which names do. A token takes neither.
        """
        account = self.find(name)
        if isinstance(password, str) and password.startswith(TOKEN_PREFIX):
            owner = self.of_token(password)
            return owner if owner is not None and owner == account else None
        row = None
        if account is not None:
            row = self._store.one("SELECT password FROM accounts WHERE id = ?", account.id)
        right = self._verify(row["password"] if row else self._nobody, password)
        if account is None or row is None or not right or account.banned is not None:
            return None
        if self._hasher.check_needs_rehash(row["password"]):
            self._store_password(account, password)
        return account

    def set_password(self, account: Account, password: str) -> None:
        """Give an account another password; its sessions and tokens end.

        Raises:
            UsageError: the password is impossible.
        """
        _check_password(password)
        hashed = self._hasher.hash(password)
        with self._store.write() as connection:
            connection.execute(
                "UPDATE accounts SET password = ? WHERE id = ?", (hashed, account.id)
            )
            _end_all(connection, account)

    def _store_password(self, account: Account, password: str) -> None:
        hashed = self._hasher.hash(password)
        with self._store.write() as connection:
            connection.execute(
                "UPDATE accounts SET password = ? WHERE id = ?", (hashed, account.id)
            )

    def _verify(self, hashed: str, password: object) -> bool:
        if not isinstance(password, str) or len(password) > PASSWORD_LENGTHS[1]:
            password = ""  # is nobody's, and takes the same time
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    @cached_property
    def _nobody(self) -> str:
        """The hash of a password that nobody has."""
        return self._hasher.hash(secrets.token_urlsafe())

    # --- sessions: cookies of browsers, and of the client of 2018 ---

    def new_session(self, account: Account) -> str:
        """A new session; the cookie's value."""
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        with self._store.write() as connection:
            connection.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)",
                (_hash(secret), account.id, now + SESSION_SECONDS),
            )
        return secret

    def of_session(self, cookie: str) -> Account | None:
        """The account that a session's cookie shows."""
        return self._owner("sessions", cookie)

    def end_session(self, cookie: str) -> None:
        """End a session."""
        with self._store.write() as connection:
            connection.execute("DELETE FROM sessions WHERE hash = ?", (_hash(cookie),))

    # --- tokens of programs ---

    def new_token(self, account: Account, label: str, seconds: float | None = None) -> str:
        """A new token; it is shown this once.

        Args:
            label: the owner's words about it.
            seconds: that it holds; None for ever.

        Raises:
            UsageError: the account has too many.
        """
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        with self._store.write() as connection:
            connection.execute("DELETE FROM tokens WHERE expires <= ?", (now,))
            held = connection.execute(
                "SELECT count(*) FROM tokens WHERE account = ? AND expires IS NULL", (account.id,)
            ).fetchone()[0]
            if seconds is None and held >= MOST_TOKENS:
                raise UsageError(f"an account has at most {MOST_TOKENS} tokens: revoke one")
            connection.execute(
                "INSERT INTO tokens (hash, account, label, created, expires)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    _hash(secret),
                    account.id,
                    clean(label, 80),
                    now,
                    None if seconds is None else now + seconds,
                ),
            )
        return secret

    def of_token(self, token: str) -> Account | None:
        """The account that a token shows."""
        return self._owner("tokens", token)

    def tokens(self, account: Account) -> list[Token]:
        """The tokens of an account that do not end by themselves."""
        rows = self._store.all(
            "SELECT id, label, created FROM tokens"
            " WHERE account = ? AND expires IS NULL ORDER BY id",
            account.id,
        )
        return [Token(*row) for row in rows]

    def revoke(self, account: Account, number: int) -> bool:
        """End a token of an account; whether it has one with this number."""
        with self._store.write() as connection:
            done = connection.execute(
                "DELETE FROM tokens WHERE account = ? AND id = ?", (account.id, number)
            )
            return done.rowcount > 0

    def end_token(self, token: str) -> None:
        """End a token."""
        with self._store.write() as connection:
            connection.execute("DELETE FROM tokens WHERE hash = ?", (_hash(token),))

    # --- invitations ---

    def invite(self, uses: int = 1, days: float = 30.0, note: str = "") -> str:
        """A new invitation, with which `uses` accounts can be made within some days.

        Letters and digits only: a dash in front would be an option's on the command line.
        """
        secret = secrets.token_hex(24)
        with self._store.write() as connection:
            connection.execute(
                "INSERT INTO invitations VALUES (?, ?, ?, ?)",
                (_hash(secret), clean(note), uses, self._clock() + days * 86400),
            )
        return secret

    def register(self, invitation: str, username: str, password: str, email: str = "") -> Account:
        """Make an account with an invitation, which has one use less then.

        Raises:
            UsageError: the invitation does not hold, or as in `add`; then it keeps its uses.
        """
        if not self._holds(invitation):  # before a hash is computed for whoever asks
            raise UsageError("the invitation is unknown, used up, or too old")
        values = self._new(username, password, email)
        with self._store.write() as connection:
            used = connection.execute(
                "UPDATE invitations SET uses_left = uses_left - 1"
                " WHERE hash = ? AND uses_left > 0 AND expires > ?",
                (_hash(invitation), self._clock()),
            )
            if used.rowcount == 0:
                raise UsageError("the invitation is unknown, used up, or too old")
            return self._insert(connection, *values)

    def _holds(self, invitation: str) -> bool:
        return (
            self._store.one(
                "SELECT 1 FROM invitations WHERE hash = ? AND uses_left > 0 AND expires > ?",
                _hash(invitation),
                self._clock(),
            )
            is not None
        )

    # --- what they share ---

    def _new(self, username: str, password: str, email: str) -> tuple[str, str, str | None]:
        if not USERNAME.fullmatch(username) or len(username) > 40:
            raise UsageError(
                f"{shown(username)} cannot be an account's name: it has up to 40 lower-case letters"
                " and digits, with - _ . between them"
            )
        if email and (not EMAIL.fullmatch(email) or len(email) > 254 or not email.isprintable()):
            raise UsageError(f"{shown(email)} is no e-mail address")
        _check_password(password)
        return username, self._hasher.hash(password), email or None

    def _insert(
        self, connection: sqlite3.Connection, username: str, hashed: str, email: str | None
    ) -> Account:
        try:
            row = connection.execute(
                "INSERT INTO accounts (username, password, email, created) VALUES (?, ?, ?, ?)"
                " RETURNING *",
                (username, hashed, email, self._clock()),
            ).fetchone()
        except sqlite3.IntegrityError as error:
            what = "address" if "email" in str(error) else "name"
            raise UsageError(f"another account has this {what}") from None
        return _account(row)

    def _owner(self, table: str, secret: str) -> Account | None:
        row = self._store.one(
            f"SELECT accounts.* FROM {table} JOIN accounts ON accounts.id = {table}.account"
            f" WHERE {table}.hash = ? AND coalesce({table}.expires, 9e99) > ?"
            " AND accounts.banned IS NULL",
            _hash(secret),
            self._clock(),
        )
        return None if row is None else _account(row)


def _account(row: sqlite3.Row) -> Account:
    return Account(row["id"], row["username"], row["email"], row["created"], row["banned"])


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _end_all(connection: sqlite3.Connection, account: Account) -> None:
    for table in ("sessions", "tokens"):
        connection.execute(f"DELETE FROM {table} WHERE account = ?", (account.id,))


def _check_password(password: str) -> None:
    least, most = PASSWORD_LENGTHS
    if not least <= len(password) <= most or password.startswith(TOKEN_PREFIX):
        raise UsageError(
            f"a password has {least} to {most} characters, and does not begin as a token"
        )
