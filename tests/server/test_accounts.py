"""Accounts, passwords, sessions, tokens, invitations."""

import sqlite3
import stat
import statistics
import time

import pytest

from retro_common.errors import UsageError
from retro_contest.server.accounts import Accounts
from retro_contest.server.store import Store

PASSWORD = "correct horse"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "contest.sqlite")


@pytest.fixture
def accounts(store):
    return Accounts(store)


def test_a_password_or_a_token_shows_an_account(accounts):
    alice = accounts.add("alice", PASSWORD, "alice@example.org")
    token = accounts.new_token(alice, "laptop")
    for name in ("alice", "Alice", "alice@example.org"):
        assert accounts.authenticate(name, PASSWORD) == alice
        assert accounts.authenticate(name, token) == alice
    for name, password in (("alice", "wrong"), ("alice", ""), ("bob", PASSWORD), ("", "")):
        assert accounts.authenticate(name, password) is None
    bob = accounts.add("bob", PASSWORD)
    assert accounts.authenticate("bob", token) is None, "a token is its owner's alone"
    assert accounts.authenticate("bob", PASSWORD) == bob


def test_nothing_in_the_database_can_log_in(accounts, store):
    alice = accounts.add("alice", PASSWORD)
    secrets = [PASSWORD, accounts.new_token(alice, ""), accounts.new_session(alice)]
    secrets.append(accounts.invite())
    store.read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = store.path.read_bytes()
    assert b"$argon2id$" in content
    for secret in secrets:
        assert secret.encode() not in content
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_an_unknown_name_takes_as_long_as_a_wrong_password(accounts):
    accounts.add("alice", PASSWORD)

    def seconds(name: str) -> float:
        times = []
        for _ in range(5):
            began = time.thread_time()
            assert accounts.authenticate(name, "not the password") is None
            times.append(time.thread_time() - began)
        return statistics.median(times)

    accounts.authenticate("nobody", "first")  # computes what the others are compared with
    known, unknown = seconds("alice"), seconds("nobody")
    assert unknown > 0.5 * known and known > 0.5 * unknown


def test_a_ban_ends_everything_at_once_and_can_be_lifted(accounts):
    alice = accounts.add("alice", PASSWORD)
    token, session = accounts.new_token(alice, ""), accounts.new_session(alice)
    assert accounts.of_token(token) == accounts.of_session(session) == alice
    accounts.ban(alice, "two accounts")
    assert accounts.of_token(token) is None and accounts.of_session(session) is None
    assert accounts.authenticate("alice", PASSWORD) is None
    assert accounts.find("alice").banned == "two accounts"
    accounts.unban(alice)
    assert accounts.authenticate("alice", PASSWORD) == alice


def test_another_password_ends_sessions_and_tokens(accounts):
    alice = accounts.add("alice", PASSWORD)
    token, session = accounts.new_token(alice, ""), accounts.new_session(alice)
    accounts.set_password(alice, "another password")
    assert accounts.of_token(token) is None and accounts.of_session(session) is None
    assert accounts.authenticate("alice", PASSWORD) is None
    assert accounts.authenticate("alice", "another password") == alice


def test_sessions_and_tokens_end_by_themselves(store):
    now = 1000.0
    accounts = Accounts(store, clock=lambda: now)
    alice = accounts.add("alice", PASSWORD)
    session, token = accounts.new_session(alice), accounts.new_token(alice, "", 60)
    assert accounts.of_session(session) == accounts.of_token(token) == alice
    now += 61
    assert accounts.of_token(token) is None and accounts.of_session(session) == alice
    now += 31 * 86400
    assert accounts.of_session(session) is None


def test_tokens_are_listed_without_their_secrets_and_revoked(accounts):
    alice, bob = accounts.add("alice", PASSWORD), accounts.add("bob", PASSWORD)
    token = accounts.new_token(alice, "laptop")
    accounts.new_token(alice, "short", 60)
    (listed,) = accounts.tokens(alice)
    assert listed.label == "laptop"
    assert not accounts.revoke(bob, listed.id)
    assert accounts.of_token(token) == alice
    assert accounts.revoke(alice, listed.id)
    assert accounts.of_token(token) is None
    with pytest.raises(UsageError, match="at most 50 tokens"):
        for _ in range(51):
            accounts.new_token(alice, "")


def test_an_invitation_holds_for_its_uses_and_days(store):
    now = 1000.0
    accounts = Accounts(store, clock=lambda: now)
    invitation = accounts.invite(uses=2, days=1)
    accounts.register(invitation, "alice", PASSWORD)
    with pytest.raises(UsageError, match="another account has this name"):
        accounts.register(invitation, "alice", PASSWORD)
    accounts.register(invitation, "bob", PASSWORD)  # the mistake before took no use
    for bad in (invitation, "", "x"):
        with pytest.raises(UsageError, match="invitation"):
            accounts.register(bad, "carol", PASSWORD)
    late = accounts.invite(days=1)
    assert all(accounts.invite().isalnum() for _ in range(8)), "never taken for an option"
    now += 86401
    with pytest.raises(UsageError, match="too old"):
        accounts.register(late, "carol", PASSWORD)
    assert accounts.find("carol") is None


@pytest.mark.parametrize(
    ("name", "password", "email", "says"),
    [
        ("Alice", PASSWORD, "", "lower-case"),
        ("a/b", PASSWORD, "", "lower-case"),
        ("..", PASSWORD, "", "lower-case"),
        ("a" * 41, PASSWORD, "", "lower-case"),
        ("bob", "short", "", "8 to 1000"),
        ("bob", "rct_" + "x" * 40, "", "token"),
        ("bob", PASSWORD, "bob", "e-mail"),
        ("bob", PASSWORD, "ALICE@example.org", "address"),
        ("alice", PASSWORD, "", "name"),
    ],
)
def test_impossible_and_taken_names_are_refused(accounts, name, password, email, says):
    accounts.add("alice", PASSWORD, "alice@example.org")
    with pytest.raises(UsageError, match=says):
        accounts.add(name, password, email)
    assert len(accounts.all()) == 1


def test_a_database_of_a_later_version_or_of_something_else_is_refused(tmp_path):
    path = tmp_path / "later.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="later version"):
        Store(path)
    other = tmp_path / "other.sqlite"
    other.write_text("no database, but a text that is long enough to be looked at" * 20)
    with pytest.raises(UsageError, match="cannot use the database"):
        Store(other)
