"""A tiny agent, and two acts, for the tests of the laboratory."""

from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig

LEVELS = "PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1"
AGENT = AgentConfig(
    actions=("", "RIGHT", "RIGHT B"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
    ),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(hidden=16),
)
