"""The queue: order, limits, and that every job ends once."""

import sqlite3

import pytest

from retro_contest.server.accounts import Accounts
from retro_contest.server.jobs import Conflict, Jobs, LimitReached, RunState
from retro_contest.server.settings import Limits
from retro_contest.server.store import Store

DIGEST = "sha256:" + "0" * 64


class Queue:
    """Jobs with a clock of their own."""

    def __init__(self, path, per_day=3, active=1):
        self.now = 1000.0
        self.store = Store(path)
        self.accounts = Accounts(self.store)
        self.jobs = Jobs(self.store, Limits(per_day, active), clock=lambda: self.now)

    def account(self, name):
        return self.accounts.add(name, "correct horse")

    def states(self, job):
        rows = self.store.all("SELECT state FROM transitions WHERE job = ?", job.id)
        return [row["state"] for row in rows]


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path / "contest.sqlite")


def test_jobs_are_taken_in_their_order_and_end_once(queue):
    alice, bob = queue.account("alice"), queue.account("bob")
    first = queue.jobs.submit(alice, "a:1", DIGEST)
    second = queue.jobs.submit(bob, "b:1", DIGEST)
    assert [queue.jobs.position(job) for job in (first, second)] == [0, 1]
    taken = queue.jobs.claim("E1")
    assert (taken.id, taken.state, taken.attempts) == (first.id, "running", 1)
    assert queue.jobs.claim("E1").id == second.id
    assert queue.jobs.claim("E1") is None
    assert queue.jobs.end(taken, "E1", "finished", score=12.5)
    assert not queue.jobs.end(taken, "E1", "failed"), "it has ended"
    assert not queue.jobs.end(second, "E2", "failed"), "it is not that executor's"
    done = queue.jobs.get(first.id)
    assert (done.state, done.score, done.ended) == ("finished", 12.5, queue.now)
    assert queue.states(first) == ["queued", "running", "finished"]


def test_the_database_itself_refuses_a_second_end(queue):
    job = queue.jobs.submit(queue.account("alice"), "a:1", DIGEST)
    queue.jobs.cancel(job)
    with pytest.raises(sqlite3.IntegrityError, match="ends once"), queue.store.write() as change:
        change.execute("UPDATE jobs SET state = 'queued' WHERE id = ?", (job.id,))


def test_another_executor_goes_on_with_the_jobs_of_one_that_is_gone(queue):
    first = queue.jobs.submit(queue.account("alice"), "a:1", DIGEST)
    second = queue.jobs.submit(queue.account("bob"), "b:1", DIGEST)
    third = queue.jobs.submit(queue.account("carol"), "c:1", DIGEST)
    queue.jobs.claim("E1")
    queue.jobs.claim("E1")
    queue.jobs.cancel(second)
    assert queue.jobs.take_over("E2") == 2
    assert queue.jobs.beat(first, "E1", 1.0) is None, "no longer its own"
    assert not queue.jobs.end(first, "E1", "finished", score=1.0)
    assert queue.jobs.get(second.id).state == "cancelled"
    assert [queue.jobs.claim("E2").id for _ in range(2)] == [first.id, third.id]
    assert queue.jobs.get(first.id).attempts == 2
    assert queue.states(first) == ["queued", "running", "queued", "running"]


def test_a_sign_of_life_brings_the_state_of_runs_and_hears_of_a_cancellation(queue):
    alice = queue.account("alice")
    job = queue.jobs.submit(alice, "a:1", DIGEST)
    queue.jobs.claim("E1")
    runs = [RunState("G/One", 0, 100), RunState("G/Two", 0, 100)]
    assert not queue.jobs.beat(job, "E1", 0.5, enumerate(runs)).cancel
    running = RunState("G/Two", 0, 100, "running", 50, 2, 25.0, 2.0, -3.5)
    queue.now += 1
    assert queue.jobs.beat(job, "E1", 1.0, [(1, running)]).active == 1.5
    assert queue.jobs.runs(job) == [runs[0], running]
    assert queue.jobs.beat(job, "E1", 0.0, ended=True).attempts == 0
    assert queue.jobs.cancel(job).state == "running"
    assert queue.jobs.beat(job, "E1", 0.0).cancel
    assert queue.jobs.end(job, "E1", "cancelled")
    with pytest.raises(Conflict, match="ended already"):
        queue.jobs.cancel(job)


def test_an_entrant_has_few_active_jobs_and_few_a_day(queue):
    alice, bob = queue.account("alice"), queue.account("bob")
    job = queue.jobs.submit(alice, "a:1", DIGEST)
    with pytest.raises(LimitReached, match="cancel one"):
        queue.jobs.submit(alice, "a:2", DIGEST)
    queue.jobs.submit(bob, "b:1", DIGEST)  # another one's limit
    queue.jobs.cancel(job)
    assert queue.jobs.left_today(alice) == 3, "it was cancelled before it began"
    for number in range(3):
        queue.now += 10
        job = queue.jobs.submit(alice, f"a:{number}", DIGEST)
        queue.jobs.claim("E1")
        queue.jobs.claim("E1")
        queue.jobs.end(job, "E1", "finished")
    with pytest.raises(LimitReached, match="3 jobs within 24 hours"):
        queue.jobs.submit(alice, "a:4", DIGEST)
    queue.now += 86400 - 15
    queue.jobs.submit(alice, "a:5", DIGEST)  # the first is a day old


def test_a_failure_of_the_contest_is_not_charged(queue):
    alice = queue.account("alice")
    job = queue.jobs.submit(alice, "a:1", DIGEST)
    queue.jobs.claim("E1")
    queue.jobs.end(job, "E1", "failed", reason="the host's", charged=False)
    assert queue.jobs.left_today(alice) == 3
    assert queue.jobs.get(job.id).reason == "the host's"


def test_a_restart_is_another_job_and_ends_the_one_that_is_active(queue):
    alice = queue.account("alice")
    job = queue.jobs.submit(alice, "a:1", DIGEST)
    again = queue.jobs.restart(alice, job)
    assert (again.restart_of, again.tag, again.digest) == (job.id, "a:1", DIGEST)
    assert queue.jobs.get(job.id).state == "cancelled"
    queue.jobs.claim("E1")
    once_more = queue.jobs.restart(alice, again)
    assert queue.jobs.get(again.id).cancel, "its executor ends it"
    assert queue.jobs.current(alice).id == again.id
    queue.jobs.end(again, "E1", "cancelled")
    assert queue.jobs.current(alice).id == once_more.id


def test_several_threads_and_processes_take_each_job_once(tmp_path):
    import threading

    path = tmp_path / "contest.sqlite"
    queue = Queue(path, per_day=1000, active=1000)
    alice = queue.account("alice")
    for number in range(40):
        queue.jobs.submit(alice, f"a:{number}", DIGEST)
    taken = []

    def take(name):
        own = Jobs(Store(path), Limits(), clock=lambda: 0.0)
        while job := own.claim(name):
            taken.append(job.id)

    threads = [threading.Thread(target=take, args=(f"E{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 41))
