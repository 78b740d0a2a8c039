"""Begins episodes with actions that went well before, as far as that pays; the policy goes on.

The level is the same in every episode, so what was done once can be done again (JERK,
arXiv 1804.03720; "First return, then explore", arXiv 2004.12919). But actions are sticky: in a
quarter of all changes the old action stays for a frame, and sooner or later a replay leads
elsewhere. The longer it is the less likely it arrives, and it may arrive where nothing can be done
any more, in mid-air above a pit. So what is chosen at the start of an episode is a *way* and a
*station* on it up to which it is replayed. Three things are learnt from every episode:

- how likely a replay still is on track at each station of a way (it has earned what was earned
  then);
- what an episode ends up with when the policy goes on from there;
- what the policy earns on average after it has got as far as some sum of rewards.

A replay that is off track hands over to the policy at once. Only what comes over the wire is used.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from agent.config import LevelMemoryConfig

STATION = 8
"""timesteps from one station to the next"""
TRACK = 100.0
"""a replay is off track if its sum of rewards differs by more than this (a whole level is worth
about 9000, a late jump less than 50)"""
KEPT = 64
"""ways kept; those worth least make room"""
REMEMBERED = 128
"""episodes from which it is told what the policy earns; it changes as it learns"""
FOREVER = 1 << 60
"""as a number of timesteps"""
LOST_PER_CHANGE = 0.02
"""share of the replays that a change of the action throws off track, before anything is known"""
MOST = 10_000.0
"""sum of rewards of an episode at most: 9000 for the way through the level, 1000 for its end"""
TRIALS = 2.0
"""how many observations such guesses count for"""


@dataclass
class Way:
    """What was done in an episode up to its highest sum of rewards.

    Station j lies after `STATION` * (j + 1) actions, the last one at the way's end.

    Attributes:
        actions: from the start of the level on.
        earned: sum of rewards at each station, (S,).
        changes: changes of the action between a station and the one before, (S,).
        tried: episodes that set out for a station and were on track at the one before, (S,).
        arrived: those of them that were on track there, too, (S,).
        ended: sums of rewards of the episodes in which the policy took over there on track: their
            number and their total, (2, S).
        over: whether the episode was over with the last action, and there is nothing to take over.
    """

    actions: list[int]
    earned: np.ndarray
    changes: np.ndarray
    tried: np.ndarray
    arrived: np.ndarray
    ended: np.ndarray
    over: bool

    @classmethod
    def of(cls, actions: list[int], earned: list[float], over: bool) -> Way:
        """Of an episode's actions and its sums of rewards after each of them."""
        stations = station_ends(len(actions))
        changed = np.concatenate([[0], np.diff(actions) != 0]).cumsum()[stations - 1]
        ones, nothing = np.ones(len(stations)), np.zeros((2, len(stations)))
        changes, earned = np.diff(changed, prepend=0), np.array(earned)[stations - 1]
        return cls(actions, earned, changes, ones, ones.copy(), nothing, over)

    def inherit(self, parent: Way, stations: int) -> None:
        """The first stations are those of another way that was replayed so far."""
        for name in ("tried", "arrived", "ended"):
            getattr(self, name)[..., :stations] = getattr(parent, name)[..., :stations]


def station_ends(length: int) -> np.ndarray:
    """How many actions lie before each station of a way of so many actions, (S,)."""
    return np.append(np.arange(STATION, length, STATION), length)


@dataclass
class Replays:
    """Chooses how each episode begins, and keeps what came of it; see the module's text.

    Call `start_episode`, then for each timestep `action` and `record`.
    """

    config: LevelMemoryConfig
    rng: np.random.Generator
    ways: list[Way] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Of each episode: where the policy took over, the highest and the last sum of rewards.
        self._by_policy: deque[tuple[float, float, float]] = deque(maxlen=REMEMBERED)
        self._alone: deque[float] = deque(maxlen=self.config.replay_window)
        self._lost, self._changes = LOST_PER_CHANGE * TRIALS * 50, TRIALS * 50
        self._after_loss = [1.0, 1.0]  # what lost replays ended with, against what was expected
        self._begin(None, 0)

    def _begin(self, way: Way | None, station: int) -> None:
        self._way, self._last_station, self._station = way, station, 0
        self._actions: list[int] = []
        self._earned: list[float] = []
        self._by_policy_since = 0 if way is None else FOREVER
        self._expected_after_loss: float | None = None

    def start_episode(self, progress: float) -> int:
        """Decide how the next episode begins; how many timesteps are to be replayed.

        Args:
            progress: share of the budget that is used, 0..1.
        """
        self._begin(None, 0)
        chance = self.config.replay * min(1.0, progress / self.config.replay_ramp)
        if not self.ways or not self._alone or self.rng.random() >= chance:
            return 0
        worths = [self._worth(way) for way in self.ways]
        best = max(range(len(worths)), key=lambda i: worths[i].max())
        if worths[best].max() <= np.mean(self._alone):
            return 0
        way, station = self.ways[best], int(worths[best].argmax())
        self._begin(way, station)
        return int(station_ends(len(way.actions))[station])

    def action(self) -> int | None:
        """The action to replay on this timestep, or None: the policy decides."""
        if len(self._actions) >= self._by_policy_since:
            return None
        return self._way.actions[len(self._actions)]

    def record(self, action: int, reward: float, ended: bool) -> None:
        """Take note of a timestep."""
        if self.config.replay == 0:
            return
        self._actions.append(action)
        self._earned.append((self._earned[-1] if self._earned else 0.0) + reward)
        if len(self._actions) <= self._by_policy_since:
            self._look_where_it_is(ended)
        if ended:
            self._learn()

    def _look_where_it_is(self, ended: bool) -> None:
        """At a station, or where a replay ends the episode: is it still on track?"""
        way, j, length = self._way, self._station, len(self._actions)
        end = min(STATION * (j + 1), len(way.actions))
        if length < end and not ended:
            return
        on_track = length == end and abs(self._earned[-1] - way.earned[j]) <= TRACK
        way.tried[j] += 1
        way.arrived[j] += on_track
        self._lost += not on_track
        self._changes += way.changes[j]
        if not on_track or j == self._last_station:
            self._by_policy_since = length
        if not on_track:
            self._expected_after_loss = float(self._policy_from(way.earned[j : j + 1])[0])
        self._station += on_track

    def _learn(self) -> None:
        """Of an episode that has ended."""
        total = self._earned[-1]
        peak = int(np.argmax(self._earned))
        way = self._way
        if way is None:
            self._alone.append(total)
        elif self._expected_after_loss is not None:
            self._after_loss[0] += total / max(1.0, self._expected_after_loss)
            self._after_loss[1] += 1
        elif self._station > self._last_station:
            way.ended[:, self._last_station] += 1, total
        if self._by_policy_since < len(self._actions):
            taken_over = self._earned[self._by_policy_since - 1] if self._by_policy_since else 0.0
            self._by_policy.append((taken_over, self._earned[peak], total))
        if self._earned[peak] <= 0:
            return
        over = peak + 1 == len(self._actions)
        new = Way.of(self._actions[: peak + 1], self._earned[: peak + 1], over)
        if way is not None:
            if peak + 1 <= STATION * self._station:
                return  # the policy got no further
            new.inherit(way, min(self._station, len(way.actions) // STATION))
        self.ways.append(new)
        if len(self.ways) > KEPT:
            worths = [self._worth(way).max() for way in self.ways[:-1]]
            del self.ways[int(np.argmin(worths))]

    def _policy_from(self, earned: np.ndarray) -> np.ndarray:
        """Mean sum of rewards of the episodes in which the policy itself passed these sums, (S,).

        Where it never was it may earn as much more as it does elsewhere: otherwise nobody would
        ever let it try.
        """
        taken_over, peak, total = np.array(self._by_policy or [(0.0, 0.0, 0.0)]).T[:, :, None]
        passed = (taken_over <= earned) & (earned <= peak)
        hoped = np.clip(earned + (total - taken_over).mean(), earned, np.maximum(MOST, earned))
        return (hoped + (passed * total).sum(axis=0)) / (1 + passed.sum(axis=0))

    def _worth(self, way: Way) -> np.ndarray:
        """Expected sum of rewards of an episode that begins with a way up to a station, (S,)."""
        kept = np.exp(-self._lost / self._changes * way.changes)
        kept = (way.arrived + TRIALS * kept) / (way.tried + TRIALS)
        reach = kept.cumprod()
        policy = self._policy_from(way.earned)
        count, total = way.ended
        on_track = (total + TRIALS * policy) / (count + TRIALS)
        if way.over:
            on_track[-1] = way.earned[-1]
        after_loss = self._after_loss[0] / self._after_loss[1]
        lost = np.append(1.0, reach[:-1]) * (1 - kept) * after_loss * policy
        return lost.cumsum() + reach * on_track
