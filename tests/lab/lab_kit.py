"""A tiny agent, and two acts, for the tests of the laboratory."""

from tests.tiny import tiny_agent

LEVELS = "PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1"
AGENT = tiny_agent()
