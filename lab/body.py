"""Bodies: other ways to see and to steer the same game, and another game.

A body shows frames of its own, has a button map of its own, or acts less often; acts, physics and
rewards are the game's. One body is a ship in another game, which only the emulator plays. An agent
knows a body's actions by their numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIDES = {"LEFT": "RIGHT", "RIGHT": "LEFT"}


@dataclass(frozen=True)
class Body:
    number: int
    name: str
    mirrored: bool = False
    """frames are flipped, LEFT and RIGHT are swapped: the same game with the way to the left"""
    moved: bool = False
    """its button map is another: the list of actions begins in its middle"""
    timesteps: int = 1
    """timesteps of the game, of 4 frames each, in one of its own"""
    level: str = ""
    """GAME/STATE of the other game that it plays, on the emulator"""
    combinations: tuple[str, ...] = ()
    """the button combinations that it chooses from in that game; no more than there are at home,
    for M reads their numbers as home's"""

    def sees(self, frames: np.ndarray) -> np.ndarray:
        """Frames (..., 64, 64, 3) as this body shows them."""
        return np.ascontiguousarray(frames[..., ::-1, :]) if self.mirrored else frames

    def order(self, actions: Sequence[str]) -> np.ndarray:
        """The number of what each of the body's actions does at home, int64 (A,); a permutation.

        Args:
            actions: the button combinations at home, such as `RIGHT B`. Those of another game are
                in an order of their own, and stay in it.
        """
        order = np.arange(len(self.combinations or actions))
        if self.moved:
            order = np.roll(order, -(len(actions) // 2))
        if self.mirrored:
            # RIGHT DOWN has no twin in the shipped list: this body has LEFT DOWN in its place.
            swapped = [" ".join(SIDES.get(each, each) for each in name.split()) for name in actions]
            twins = {name: number for number, name in enumerate(actions)}
            order = np.array([twins.get(name, own) for own, name in enumerate(swapped)])[order]
        return order


HOME = Body(0, "home")
BODIES = {
    body.name: body
    for body in (
        HOME,
        Body(1, "mirrored", mirrored=True),
        Body(2, "buttons", moved=True),
        Body(3, "both", mirrored=True, moved=True),
        Body(4, "slow", timesteps=2),
        Body(
            5,
            "airstriker",
            level="Airstriker-Genesis-v0/Level1",
            combinations=("", "LEFT", "RIGHT", "B", "LEFT B", "RIGHT B"),
        ),
    )
}
