"""What runs beside a contest's web application, and the routes that belong to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from starlette.routing import BaseRoute

from retro_contest.server.contest import Contest
from retro_contest.server.pages.publisher import Publisher
from retro_contest.server.pages.routes import page_routes
from retro_contest.server.registry.images import DockerRegistry


@contextlib.contextmanager
def running_parts(contest: Contest, address: str) -> Iterator[list[BaseRoute]]:
    """Run the registry, and keep the board's pages up to date; the routes of registry and pages.

    Args:
        contest: the contest.
        address: HOST:PORT of the server for the programs of its own machine.

    Raises:
        UsageError: the registry cannot be started.
    """
    with contextlib.ExitStack() as stack:
        routes: list[BaseRoute] = []
        if isinstance(contest.registry, DockerRegistry):
            stack.callback(contest.registry.stop)
            routes += contest.registry.start(address)
        publisher = Publisher(contest)
        publisher.start()
        stack.callback(publisher.stop)
        yield [*routes, *page_routes(contest)]
