"""A tiny agent, for tests that need one and not what it has learnt."""

from agent.config import AgentConfig, ControllerConfig, Feature, MemoryConfig, VisionConfig


def tiny_agent(*features: Feature) -> AgentConfig:
    """Its configuration: 16 units of z, 5 of h, three actions.

    Args:
        features: inputs of C; z and h by default.
    """
    return AgentConfig(
        actions=("", "RIGHT", "RIGHT B"),
        vision=VisionConfig(
            latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
        ),
        memory=MemoryConfig(hidden=5, mixtures=2),
        controller=ControllerConfig(features=features or ("z", "h"), hidden=16),
    )
