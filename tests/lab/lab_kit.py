"""A tiny agent, and two acts, for the tests of the laboratory."""

import dataclasses

from agent.config import AgentConfig
from tests.tiny import tiny_agent

LEVELS = "PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1"
_TINY = tiny_agent()
AGENT = dataclasses.replace(
    _TINY,
    vision=dataclasses.replace(_TINY.vision, latent=19, player_units=3),
    memory=dataclasses.replace(_TINY.memory, hidden=2),
)
"""as tiny as other tests' agent, with units for the player"""
EIGHT = dataclasses.replace(AGENT, actions=AgentConfig().actions)
"""the same with all actions, of which a body of another game needs six"""
