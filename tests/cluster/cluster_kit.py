"""Clusters of several nodes on this machine, for tests."""

import contextlib
from collections.abc import Iterator
from typing import Any

from ray.cluster_utils import Cluster

from retro_contest.runs.nodes import connect, disconnect

STORE = 100 << 20  # bytes


@contextlib.contextmanager
def nodes(*processors: int, **head: Any) -> Iterator[Cluster]:
    """A cluster with a node for each of these numbers of processors, the head first."""
    arguments = {"include_dashboard": False, "object_store_memory": STORE, **head}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": processors[0], **arguments})
    try:
        for number in processors[1:]:
            cluster.add_node(num_cpus=number, object_store_memory=STORE)
        yield cluster
    finally:
        disconnect()
        cluster.shutdown()


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[str]:
    """Connected to a cluster; its address."""
    connect(cluster.address)
    try:
        yield cluster.address
    finally:
        disconnect()
