"""Limits of containers, which are checked before anything is played."""

import pytest

from retro_common.errors import UsageError
from retro_contest.containers.limits import check, memory_bytes


@pytest.mark.parametrize(
    ("size", "number"),
    [("6m", 6 << 20), ("4g", 4 << 30), ("512M", 512 << 20), ("8388608", 8 << 20)],
)
def test_sizes(size, number):
    assert memory_bytes(size) == number


@pytest.mark.parametrize("size", ["", "0", "1k", "5m", "-4g", "4 g", "4gb", "nan", "4.5g", "٤g"])
def test_sizes_that_cannot_be(size):
    with pytest.raises(UsageError, match="--memory"):
        memory_bytes(size)


@pytest.mark.parametrize("cpus", [0.0, -1.0, 0.001, float("nan"), float("inf")])
def test_processors_that_cannot_be(cpus):
    with pytest.raises(UsageError, match="--cpus must be"):
        check(cpus, "4g")


def test_more_than_the_machine_has():
    check(2.0, "4g", machine_cpus=2, machine_memory=4 << 30)
    check(None, "4g")
    with pytest.raises(UsageError, match="--cpus 1000: the engine's machine has 2"):
        check(1000.0, "4g", machine_cpus=2)
    with pytest.raises(UsageError, match="--memory 999999999999g: the engine's machine has 4096m"):
        check(None, "999999999999g", machine_memory=4 << 30)
