"""The controller's actions: a few sensible combinations of the Mega Drive's 12 buttons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gym_remote.spaces import BUTTONS
from retro_common.errors import UsageError
from retro_common.text import shown


def action_table(combinations: Sequence[str]) -> np.ndarray:
    """Turn combinations such as ``RIGHT B`` into rows of the MultiBinary(12) action space.

    Returns:
        int8 array (A, 12); row i is the button array of action i.

    Raises:
        UsageError: a combination names a button that does not exist, or the list is empty or
            holds a combination twice.
    """
    if not combinations:
        raise UsageError("actions: the list is empty")
    table = np.zeros((len(combinations), len(BUTTONS)), dtype=np.int8)
    for row, combination in zip(table, combinations, strict=True):
        for button in combination.split():
            if button not in BUTTONS:
                raise UsageError(
                    f"actions: no button {shown(button)}; there are {' '.join(BUTTONS)}"
                )
            row[BUTTONS.index(button)] = 1
    if len(np.unique(table, axis=0)) < len(table):
        raise UsageError("actions: a combination is there twice")
    return table
