"""The agent's configuration: typed dataclasses that YAML fills and that a bundle carries.

The defaults are the shipped agent's (`bundles/pangolin`); presets are differences from them.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import pydantic

from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive, Rate

Precision = Literal["auto", "float32", "bfloat16"]
Feature = Literal["z", "h", "scene", "proprioception", "pixels"]
Size = Annotated[int, pydantic.Field(gt=0, le=8192)]
"""units or channels of a layer; `agent.models.actor.MAX_PARAMETERS` bounds all of them together"""


@dataclasses.dataclass
class VisionConfig:
    """V, the variational autoencoder."""

    latent: Size = 512
    """units of the latent z: those of all grid cells, and `player_units`"""
    grid: Literal[4, 8] = 8
    """cells per side of the grid of latent units; 4 suits small latents"""
    player_units: Annotated[int, pydantic.Field(ge=0, le=8192)] = 64
    """units for the player sprite: its appearance, and its x and y; 0 for none"""
    channels: tuple[Size, Size] = (48, 96)
    """channels of the encoder at a quarter of the frame's resolution, and on the grid"""
    decoder_channels: tuple[Size, Size] = (64, 128)
    """the same of the decoder, which is not used while playing"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if 0 < self.player_units < 3:
            raise ValueError("player_units must be 0, or at least 3: appearance, x and y")
        cells = self.latent - self.player_units
        if cells <= 0 or cells % self.grid**2:
            raise ValueError(
                f"latent - player_units = {cells} must be a multiple of the {self.grid**2} cells"
            )

    @property
    def cell_units(self) -> int:
        """Units of the latent for each cell."""
        return (self.latent - self.player_units) // self.grid**2


@dataclasses.dataclass
class MemoryConfig:
    """M, the LSTM with a mixture density head."""

    hidden: Size = 288
    """units of the hidden state h"""
    mixtures: Annotated[int, pydantic.Field(gt=0, le=64)] = 3
    """components of the mixture over the next latent"""
    maps: Size = 48
    """channels of the convolution over the latent's grid in the mixture's head"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ControllerConfig:
    """C, the policy and value heads."""

    features: Annotated[tuple[Feature, ...], pydantic.Field(min_length=1, max_length=5)] = (
        "z",
        "h",
    )
    """inputs of C: V's latent; M's hidden state; `scene`, what is where in the frame;
    `proprioception`, the last rewards and actions, how long ago there was new ground and how far it
    is; and `pixels`, an encoder of C's own, trained by the policy gradient"""
    hidden: Size = 256
    """units of the last hidden layer of each head"""
    layers: Literal[1, 2] = 1
    """hidden layers of the policy; the first of two has twice as many units"""
    precision: Precision = "auto"
    """of C's own encoder; `auto` takes bfloat16 where the hardware computes it natively"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class RewardConfig:
    """How the contest's reward becomes the one that C learns from. The score is never touched."""

    scale: Rate = 0.01
    """factor on the contest's reward (a whole level earns about 9000)"""
    free_backtracking: bool = True
    """moving back costs nothing, and earns nothing until new ground is reached"""
    death_penalty: NotNegative = 0.5
    """subtracted (after scaling) when an episode ends before its time limit without the bonus for
    the level's end"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class PPOConfig:
    """Proximal policy optimisation (arXiv 1707.06347)."""

    rollout_length: Positive = 2048
    """timesteps per update, over all environments"""
    epochs: Positive = 4
    """passes over a rollout"""
    minibatches: Positive = 4
    """gradient steps per pass"""
    learning_rate: Rate = 2.5e-4
    """Adam's step size at the start of the run; it falls linearly to 0 over the budget"""
    encoder_learning_rate: Rate = 1e-4
    """the same for C's own encoder (feature `pixels`)"""
    gamma: Fraction = 0.99
    """discount per timestep"""
    gae_lambda: Fraction = 0.95
    """lambda of generalised advantage estimation (arXiv 1506.02438)"""
    clip: Rate = 0.2
    """range of the probability ratio around 1 in which it is not clipped"""
    entropy: NotNegative = 0.01
    """weight of the entropy bonus"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class RoutesConfig:
    """Replaying routes: the actions of the agent's own earlier episodes; see
    `agent.learning.routes`."""

    replay: Fraction = 0.9
    """probability that an episode begins with a replay, where the replay is expected to earn more
    than the policy alone; 0 never replays"""
    ramp: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.1
    """share of the budget over which that probability rises from 0 to its full value"""
    window: Positive = 10
    """recent episodes of the policy alone whose mean reward is compared"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class OnlineConfig(PPOConfig):
    """Fine-tuning during the contest: PPO, its plan for the budget, routes, and the learner."""

    rollout_length: Positive = 1024
    """timesteps per update, before the plan stretches or shrinks it (`updates`)"""
    least_spread: NotNegative = 1.0
    """advantages are divided by their standard deviation, but by no less than this times its mean
    over the updates so far. Where nothing happens, as when the player is stuck, advantages are
    noise, and a plain normalisation would amplify it; 0 is the plain one"""
    target_kl: NotNegative = 0.05
    """an update skips its remaining epochs once the mean KL to the policy that played exceeds
    this; 0 never does"""
    updates: Positive = 50
    """number of updates to aim for: a rollout is the expected timesteps divided by this"""
    rollout_span: Annotated[float, pydantic.Field(ge=1)] = 4.0
    """a planned rollout lies between `rollout_length` / span and `rollout_length` * span"""
    critic_warmup: Annotated[int, pydantic.Field(ge=0)] = 3
    """first updates that train the value head only: advantages of a critic that does not know the
    level would spoil the policy"""
    anchor: NotNegative = 0.2
    """weight of KL(pretrained policy || policy) in the loss at the start"""
    anchor_until: Fraction = 1.0
    """share of the budget over which that weight falls linearly to 0"""
    learner: Literal["process", "inline"] = "process"
    """`process` learns in parallel with playing; `inline` pauses playing for every update, which
    makes a run reproducible"""
    learner_device: Literal["auto", "cpu", "cuda"] = "auto"
    """where the learner's process computes; `auto` takes a GPU if there is one"""
    learner_threads: Annotated[int, pydantic.Field(gt=0, le=1024)] = 1
    """threads of the learner's process"""
    learner_patience: Rate = 60.0
    """seconds without a heartbeat after which a busy learner is killed and started again"""
    learner_restarts: Annotated[int, pydantic.Field(ge=0)] = 5
    """starts in a row without a finished update after which the agent plays on without learning"""
    save_seconds: NotNegative = 60.0
    """least seconds between two saves of the fine-tuned bundle; the end of a run always saves"""
    routes: RoutesConfig = dataclasses.field(default_factory=RoutesConfig)
    """replaying routes"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class AgentConfig:
    """All that a bundle must know to play and to go on learning."""

    actions: Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=4096)] = (
        "",
        "RIGHT",
        "RIGHT B",
        "B",
        "LEFT",
        "LEFT B",
        "DOWN",
        "RIGHT DOWN",
    )
    """button combinations that the controller chooses from, such as `RIGHT B`; "" is no button"""
    vision: VisionConfig = dataclasses.field(default_factory=VisionConfig)
    memory: MemoryConfig = dataclasses.field(default_factory=MemoryConfig)
    controller: ControllerConfig = dataclasses.field(default_factory=ControllerConfig)
    reward: RewardConfig = dataclasses.field(default_factory=RewardConfig)
    online: OnlineConfig = dataclasses.field(default_factory=OnlineConfig)
    """fine-tuning during the contest"""

    __pydantic_config__ = FORBID_UNKNOWN
