"""Two hundred clients ask for the status of a job that is played: every one gets its answer."""

import pytest

from benchmarks.server import Config, measure


@pytest.mark.slow
def test_two_hundred_clients_are_answered(tmp_path):
    # An answer that is not the running job's status is an error of `measure`. How fast they come
    # depends on what else the machine does: that is the benchmark's subject.
    figures = measure(Config(clients=200, seconds=20.0), tmp_path)
    assert figures["answers"] >= 200, "every client has asked"
    assert figures["timesteps_per_second"] > 0, "the job was played meanwhile"
