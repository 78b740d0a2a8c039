"""Which of the agent's own routes through the level it follows in the next episode.

Its score counts every episode, so a route is worth what is earned by following it, not what it
earned itself: a lucky one may not be followed twice. A route that was not followed yet is expected
to earn what it did.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.models.following import Route

KEPT = 16
"""routes that are kept; the ones worth least are dropped"""
PRIOR = 2.0
"""episodes that a route's own return counts as"""


@dataclass
class Followed:
    """A route, and the episodes in which it was followed."""

    route: Route
    count: int = 0
    total: float = 0.0
    """sum of those episodes' returns"""

    def worth(self) -> float:
        """Expected return of an episode that follows it."""
        return (PRIOR * float(self.route.earned[-1]) + self.total) / (PRIOR + self.count)


class RouteChoice:
    """Records the episodes on one level, and chooses among them.

    Call `choose` at an episode's start, `record` after each timestep.
    """

    def __init__(self) -> None:
        self.routes: list[Followed] = []
        self._chosen: Followed | None = None
        self._actions: list[int] = []
        self._rewards: list[float] = []

    def choose(self) -> Route | None:
        """The route for the episode that begins; None before any episode has earned something."""
        self._chosen = max(self.routes, key=Followed.worth, default=None)
        return None if self._chosen is None else self._chosen.route

    def record(self, action: int, reward: float, ended: bool) -> None:
        """Add a timestep: its action, the contest's reward, whether the episode ended with it."""
        self._actions.append(action)
        self._rewards.append(reward)
        if not ended:
            return
        if self._chosen is not None:
            self._chosen.count += 1
            self._chosen.total += sum(self._rewards)
        route = Route.of(self._actions, self._rewards)
        if len(route.actions):
            self.routes.append(Followed(route))
            self.routes = sorted(self.routes, key=Followed.worth, reverse=True)[:KEPT]
        self._actions, self._rewards = [], []
