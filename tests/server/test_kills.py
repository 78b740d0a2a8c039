"""SIGKILL of web server and executor at random moments: no job is lost, none counts twice."""

import pytest
from kills import kill


def test_jobs_survive_kills_of_server_and_executor(tmp_path):
    assert kill(tmp_path, kills=3, jobs=2, seed=2).total() == 3


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_jobs_survive_twenty_kills(tmp_path):
    counts = kill(tmp_path, kills=20, jobs=8, seed=1, seconds=1200)
    assert counts.total() == 20 and set(counts) == {"server", "executor", "both"}
