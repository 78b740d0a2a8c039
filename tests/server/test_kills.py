"""SIGKILL of web server and executor at random moments: no job is lost, none counts twice."""

import pytest
from kills import kill


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jobs_survive_twenty_kills(tmp_path):
    counts = kill(tmp_path, kills=20, jobs=8, seed=1, seconds=1500)
    assert counts.total() == 20 and set(counts) == {"server", "executor", "both"}
