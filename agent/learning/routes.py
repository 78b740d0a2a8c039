"""Routes: an episode may begin by replaying the actions of an earlier one; then the policy goes on.

A level is the same in every episode, so actions that worked once can be repeated (JERK,
arXiv 1804.03720; "First return, then explore", arXiv 2004.12919). But actions are sticky: in a
quarter of all changes the old action stays for one frame, and sooner or later a replay diverges.
The longer the replay, the less likely it arrives, and it may arrive at a place where nothing can be
done any more, such as in mid-air above a pit. So the choice at the start of an episode is a *route*
and a *waypoint* on it up to which it is replayed. Every episode improves three estimates:

- how likely a replay is still on track at each waypoint of a route (the sum of rewards agrees with
  the route's);
- the return of an episode in which the policy takes over at that waypoint;
- the policy's mean return after it has reached some sum of rewards by itself.

A replay that is off track hands over to the policy at once. Everything is computed from actions and
rewards, which come over the wire.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from agent.config import RoutesConfig

SPACING = 8
"""timesteps between two waypoints"""
TOLERANCE = 100.0
"""a replay is off track if its sum of rewards differs by more than this from the route's (a whole
level earns about 9000, a late jump less than 50)"""
MAX_ROUTES = 64
"""routes kept; the one of least value is dropped"""
MAX_EPISODES = 128
"""recent episodes that the policy's return is estimated from; the policy changes as it learns"""
NEVER = 1 << 60
"""as a number of timesteps"""
PRIOR_LOSS_PER_CHANGE = 0.02
"""share of the replays that a change of the action throws off track, before any was tried"""
MAX_RETURN = 10_000.0
"""highest return of an episode: 9000 for the level, 1000 for its end"""
PRIOR_COUNT = 2.0
"""number of observations that a prior estimate counts as"""


@dataclass
class Route:
    """The actions of an episode up to its highest sum of rewards, and statistics per waypoint.

    Waypoint j lies after `SPACING` * (j + 1) actions, the last waypoint at the route's end. W is
    the number of waypoints.
    """

    actions: list[int]
    """from the start of the level on"""
    earned: np.ndarray
    """sum of rewards at each waypoint, (W,)"""
    changes: np.ndarray
    """changes of the action between the previous waypoint and this one, (W,)"""
    tried: np.ndarray
    """episodes that headed for a waypoint and were on track at the previous one, (W,)"""
    arrived: np.ndarray
    """those of them that were on track at this waypoint too, (W,)"""
    handed_over: np.ndarray
    """number and total return of the episodes in which the policy took over here, (2, W)"""
    ends_episode: bool
    """whether the episode ended with the last action, so that no policy can take over there"""

    @classmethod
    def of(cls, actions: list[int], earned: list[float], ends_episode: bool) -> Route:
        """The route of an episode's actions and its sums of rewards after each of them."""
        waypoints = waypoint_positions(len(actions))
        changed = np.concatenate([[0], np.diff(actions) != 0]).cumsum()[waypoints - 1]
        ones, zeros = np.ones(len(waypoints)), np.zeros((2, len(waypoints)))
        changes, earned = np.diff(changed, prepend=0), np.array(earned)[waypoints - 1]
        return cls(actions, earned, changes, ones, ones.copy(), zeros, ends_episode)

    def inherit(self, parent: Route, waypoints: int) -> None:
        """Copy the statistics of the first waypoints from the route that was replayed so far."""
        for name in ("tried", "arrived", "handed_over"):
            getattr(self, name)[..., :waypoints] = getattr(parent, name)[..., :waypoints]


def waypoint_positions(length: int) -> np.ndarray:
    """Number of actions before each waypoint of a route of `length` actions, (W,)."""
    return np.append(np.arange(SPACING, length, SPACING), length)


@dataclass
class RouteMemory:
    """Chooses how each episode begins, and learns from its outcome; see the module's text.

    Call `start_episode`, then for each timestep `action` and `record`.
    """

    config: RoutesConfig
    rng: np.random.Generator
    routes: list[Route] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Per episode: sum of rewards when the policy took over, the highest one, and the last one.
        self._by_policy: deque[tuple[float, float, float]] = deque(maxlen=MAX_EPISODES)
        self._policy_alone: deque[float] = deque(maxlen=self.config.window)
        # Losses per change of the action, with a prior of 50 changes per prior observation.
        self._losses, self._changes = PRIOR_LOSS_PER_CHANGE * PRIOR_COUNT * 50, PRIOR_COUNT * 50
        # Sum and number of (return of a lost replay / the return predicted when it was lost).
        self._lost_ratio = [1.0, 1.0]
        self._begin(None, 0)

    def _begin(self, route: Route | None, waypoint: int) -> None:
        self._route, self._last_waypoint, self._waypoint = route, waypoint, 0
        self._actions: list[int] = []
        self._earned: list[float] = []
        self._policy_since = 0 if route is None else NEVER
        self._predicted_when_lost: float | None = None

    def start_episode(self, progress: float) -> int:
        """Choose how the next episode begins; returns the number of timesteps to replay.

        Args:
            progress: used share of the budget, 0..1.
        """
        self._begin(None, 0)
        probability = self.config.replay * min(1.0, progress / self.config.ramp)
        if not self.routes or not self._policy_alone or self.rng.random() >= probability:
            return 0
        values = [self.values(route) for route in self.routes]
        best = max(range(len(values)), key=lambda i: values[i].max())
        if values[best].max() <= np.mean(self._policy_alone):
            return 0
        route, waypoint = self.routes[best], int(values[best].argmax())
        self._begin(route, waypoint)
        return int(waypoint_positions(len(route.actions))[waypoint])

    def action(self) -> int | None:
        """The action to replay at this timestep, or None where the policy acts."""
        if len(self._actions) >= self._policy_since:
            return None
        return self._route.actions[len(self._actions)]

    def record(self, action: int, reward: float, ended: bool) -> None:
        """Record a timestep: its action, its contest reward, and whether the episode ended."""
        if self.config.replay == 0:
            return
        self._actions.append(action)
        self._earned.append((self._earned[-1] if self._earned else 0.0) + reward)
        if len(self._actions) <= self._policy_since:
            self._check_track(ended)
        if ended:
            self._learn()

    def _check_track(self, ended: bool) -> None:
        """At a waypoint, or where the episode ends during a replay: is it still on track?"""
        route, j, length = self._route, self._waypoint, len(self._actions)
        end = min(SPACING * (j + 1), len(route.actions))
        if length < end and not ended:
            return
        on_track = length == end and abs(self._earned[-1] - route.earned[j]) <= TOLERANCE
        route.tried[j] += 1
        route.arrived[j] += on_track
        self._losses += not on_track
        self._changes += route.changes[j]
        if not on_track or j == self._last_waypoint:
            self._policy_since = length
        if not on_track:
            self._predicted_when_lost = float(self._policy_return(route.earned[j : j + 1])[0])
        self._waypoint += on_track

    def _learn(self) -> None:
        """Update the estimates from the episode that has ended, and keep its route."""
        total = self._earned[-1]
        peak = int(np.argmax(self._earned))
        route = self._route
        if route is None:
            self._policy_alone.append(total)
        elif self._predicted_when_lost is not None:
            self._lost_ratio[0] += total / max(1.0, self._predicted_when_lost)
            self._lost_ratio[1] += 1
        elif self._waypoint > self._last_waypoint:
            route.handed_over[:, self._last_waypoint] += 1, total
        if self._policy_since < len(self._actions):
            before = self._earned[self._policy_since - 1] if self._policy_since else 0.0
            self._by_policy.append((before, self._earned[peak], total))
        if self._earned[peak] <= 0:
            return
        ends_episode = peak + 1 == len(self._actions)
        new = Route.of(self._actions[: peak + 1], self._earned[: peak + 1], ends_episode)
        if route is not None:
            if peak + 1 <= SPACING * self._waypoint:
                return  # the policy added nothing
            new.inherit(route, min(self._waypoint, len(route.actions) // SPACING))
        self.routes.append(new)
        if len(self.routes) > MAX_ROUTES:
            values = [self.values(route).max() for route in self.routes[:-1]]
            del self.routes[int(np.argmin(values))]

    def _policy_return(self, earned: np.ndarray) -> np.ndarray:
        """Mean return of the episodes in which the policy itself passed these sums, (W,).

        One optimistic observation is added: where the policy has never been it may earn as much
        more as it does elsewhere. Otherwise it would never get to try.
        """
        before, peak, total = np.array(self._by_policy or [(0.0, 0.0, 0.0)]).T[:, :, None]
        passed = (before <= earned) & (earned <= peak)
        optimistic = np.clip(
            earned + (total - before).mean(), earned, np.maximum(MAX_RETURN, earned)
        )
        return (optimistic + (passed * total).sum(axis=0)) / (1 + passed.sum(axis=0))

    def values(self, route: Route) -> np.ndarray:
        """Expected return of an episode that replays a route up to each of its waypoints, (W,)."""
        prior = np.exp(-self._losses / self._changes * route.changes)
        stays = (route.arrived + PRIOR_COUNT * prior) / (route.tried + PRIOR_COUNT)
        reaches = stays.cumprod()
        policy = self._policy_return(route.earned)
        count, total = route.handed_over
        on_track = (total + PRIOR_COUNT * policy) / (count + PRIOR_COUNT)
        if route.ends_episode:
            on_track[-1] = route.earned[-1]
        lost_ratio = self._lost_ratio[0] / self._lost_ratio[1]
        lost = np.append(1.0, reaches[:-1]) * (1 - stays) * lost_ratio * policy
        return lost.cumsum() + reaches * on_track
