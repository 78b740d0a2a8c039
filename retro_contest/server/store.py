"""The database of a contest: SQLite in one file, used by several threads and processes.

WAL: readers never wait for a writer. A connection belongs to one thread. Whoever writes takes the
write lock first (`BEGIN IMMEDIATE`), so that no transaction fails half-way because another one came
between; for the lock it waits.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retro_common.errors import UsageError

BUSY = 30.0  # seconds to wait for another writer
ENDED = ("finished", "failed", "cancelled")

MIGRATIONS = (
    # 1: the beginning
    """
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE COLLATE NOCASE,
        email TEXT UNIQUE COLLATE NOCASE,
        password TEXT NOT NULL,            -- argon2id
        created REAL NOT NULL,             -- all times: seconds since 1970
        banned TEXT                        -- the reason; NULL for everybody else
    ) STRICT;
    CREATE TABLE sessions (                -- of browsers and of the client of 2018
        hash BLOB PRIMARY KEY,             -- SHA-256 of the cookie
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        expires REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_account ON sessions (account);
    CREATE TABLE tokens (                  -- of programs
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,         -- SHA-256 of the token
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        label TEXT NOT NULL,
        created REAL NOT NULL,
        expires REAL                       -- NULL: never
    ) STRICT;
    CREATE INDEX tokens_account ON tokens (account);
    CREATE TABLE invitations (
        hash BLOB PRIMARY KEY,             -- SHA-256 of the invitation
        note TEXT NOT NULL,
        uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
        expires REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts,
        phase TEXT NOT NULL CHECK (phase IN ('open', 'final')),
        tag TEXT NOT NULL,                 -- as it was submitted
        digest TEXT NOT NULL,              -- of the image, pinned when the job was submitted
        state TEXT NOT NULL DEFAULT 'queued'
            CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
        reason TEXT NOT NULL DEFAULT '',   -- of a job that failed or was cancelled
        score REAL,
        created REAL NOT NULL,
        started REAL,
        ended REAL,
        cancel INTEGER NOT NULL DEFAULT 0, -- whether the running job is asked to end
        charged INTEGER NOT NULL DEFAULT 1,-- whether it counts against the entrant's limit
        restart_of INTEGER REFERENCES jobs,
        executor TEXT,                     -- token of the process that plays it
        heartbeat REAL,                    -- its last sign of life
        attempts INTEGER NOT NULL DEFAULT 0, -- starts since a run of it last ended
        active REAL NOT NULL DEFAULT 0     -- seconds in which it was played
    ) STRICT;
    CREATE INDEX jobs_account ON jobs (account, id);
    CREATE INDEX jobs_state ON jobs (state, id);
    CREATE TABLE runs (                    -- live state of a job's runs
        job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        position INTEGER NOT NULL,
        level TEXT NOT NULL,               -- GAME/STATE
        seed INTEGER NOT NULL,
        budget INTEGER NOT NULL,           -- timesteps
        state TEXT NOT NULL DEFAULT 'queued'
            CHECK (state IN ('queued', 'running', 'finished', 'error')),
        timesteps INTEGER NOT NULL DEFAULT 0,
        episodes INTEGER NOT NULL DEFAULT 0,
        rate REAL,                         -- timesteps per second
        eta REAL,                          -- seconds
        score REAL,                        -- so far, or in the end
        verdict TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (job, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE transitions (             -- every state that a job was ever in
        job INTEGER NOT NULL,
        state TEXT NOT NULL,
        at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0)
    ) STRICT;
    CREATE INDEX transitions_job ON transitions (job);
    CREATE TRIGGER jobs_begin AFTER INSERT ON jobs BEGIN
        INSERT INTO transitions (job, state) VALUES (new.id, new.state);
    END;
    CREATE TRIGGER jobs_change AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
        INSERT INTO transitions (job, state) VALUES (new.id, new.state);
    END;
    CREATE TRIGGER jobs_end_once BEFORE UPDATE OF state ON jobs
        WHEN old.state IN ('finished', 'failed', 'cancelled') BEGIN
        SELECT RAISE(ABORT, 'a job ends once');
    END;
    CREATE TABLE facts (                   -- few words about the whole contest
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)
"""each brings the database from the version of its number to the next; `user_version` counts"""


class Store:
    """The database. All threads may use it."""

    def __init__(self, path: Path) -> None:
        """Open the database, make it where it is missing, and bring it to this version.

        Raises:
            UsageError: it cannot be opened, is no database, or is of a later version.
        """
        self.path = path
        self._local = threading.local()
        try:
            # Its owner's alone, also the files that SQLite makes beside it, which inherit the mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"cannot use the database {path}: {error}") from error

    def read(self) -> sqlite3.Connection:
        """This thread's connection, for statements that only read."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None)
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")
            self._local.connection = connection
        return connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write: all of it happens, or nothing."""
        connection = self.read()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query; None without any."""
        return self.read().execute(statement, values).fetchone()

    def all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        return self.read().execute(statement, values).fetchall()

    def fact(self, name: str) -> str | None:
        """A word about the whole contest; None if it was never set."""
        row = self.one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else row["value"]

    def close(self) -> None:
        """Close this thread's connection. The others close with their threads."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def _migrate(self) -> None:
        with self.write() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise UsageError(
                    f"{self.path} is of a later version of the kit: use that one to open it"
                )
            for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in _statements(migration):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
