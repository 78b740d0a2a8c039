"""The agent's configuration: typed dataclasses that YAML fills and that a bundle carries."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import pydantic

from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive, Rate

Precision = Literal["auto", "float32", "bfloat16"]
Feature = Literal["z", "h", "pixels"]


@dataclasses.dataclass
class VisionConfig:
    """V, the variational autoencoder."""

    latent: Positive = 512
    """units of the latent z: the same number for every cell of the grid, and the glimpse's"""
    grid: Literal[4, 8] = 8
    """cells per side of the grid that most of the latent is: 4 suits small latents"""
    glimpse: Annotated[int, pydantic.Field(ge=0)] = 64
    """units for the thing that is played: what it looks like, and its x and y; 0 is none"""
    channels: tuple[Positive, Positive] = (48, 96)
    """channels at a quarter of the frame's resolution, and on the grid"""
    decoder_channels: tuple[Positive, Positive] | None = None
    """the decoder's, which playing does without; like the encoder's where nothing is said"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if 0 < self.glimpse < 3:
            raise ValueError("glimpse must be 0, or 3 units at least: a look, x and y")
        cells = self.latent - self.glimpse
        if cells <= 0 or cells % self.grid**2:
            raise ValueError(
                f"latent - glimpse = {cells} must be a multiple of the {self.grid**2} cells"
            )

    @property
    def cell_units(self) -> int:
        """Units of the latent for each cell."""
        return (self.latent - self.glimpse) // self.grid**2


@dataclasses.dataclass
class MemoryConfig:
    """M, the LSTM with a mixture density head."""

    hidden: Positive = 256
    """units of the hidden state h"""
    mixtures: Positive = 3
    """components of the mixture over the next latent"""
    maps: Positive = 48
    """channels of the convolution that reads the latent's grid for that mixture"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ControllerConfig:
    """C, the policy and value heads."""

    features: tuple[Feature, ...] = ("z", "h")
    """what C sees: V's latent, M's hidden state, and `pixels`: an encoder of C's own that starts
    as a copy of V's and is trained by the policy gradient"""
    hidden: Positive = 256
    """units of the hidden layer of each head"""
    z_scale: Rate = 1.0
    """factor on z, before the heads"""
    h_scale: Rate = 1.0
    """factor on h: its units vary a third as much as z's, and there are fewer of them, so that at 1
    z drowns what M knows"""
    precision: Precision = "auto"
    """of C's own encoder; `auto` takes bfloat16 where the hardware computes it natively"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class RewardConfig:
    """How the contest's reward becomes the one that C learns from. The score is never touched."""

    scale: Rate = 0.01
    """factor on the contest's reward (a whole level is worth about 9000)"""
    free_backtracking: bool = True
    """going back costs nothing, and pays nothing until new ground is reached"""
    death_penalty: NotNegative = 0.5
    """subtracted (after scaling) when an episode ends before its time limit, but not with the
    bonus for the level's end"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class PPOConfig:
    """Proximal policy optimisation (arXiv 1707.06347)."""

    rollout: Positive = 2048
    """timesteps per update, over all environments"""
    epochs: Positive = 4
    """passes over a rollout"""
    minibatches: Positive = 4
    """gradient steps per pass"""
    learning_rate: Rate = 2.5e-4
    """Adam's step size at the start of the run"""
    anneal: bool = True
    """let the learning rate fall linearly over the budget"""
    gamma: Fraction = 0.99
    """discount per timestep"""
    gae_lambda: Fraction = 0.95
    """lambda of generalised advantage estimation (arXiv 1506.02438)"""
    clip: Rate = 0.2
    """range in which the probability ratio is not clipped"""
    entropy: NotNegative = 0.01
    """weight of the entropy bonus"""
    value: NotNegative = 0.5
    """weight of the value loss"""
    max_grad_norm: Rate = 0.5
    """gradients are scaled down to this norm"""
    encoder_learning_rate: Rate = 1e-4
    """Adam's step size for C's own encoder (feature `pixels`)"""
    least_spread: NotNegative = 0.0
    """advantages are divided by their standard deviation, but by no less than this times its mean
    over the updates so far: where nothing happened, as when the player is stuck, their differences
    are noise, and must not be blown up to the size of a lesson"""
    target_kl: NotNegative = 0.0
    """an update leaves out its other epochs once the mean KL to the policy that played exceeds
    this; 0 never does"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class LevelMemoryConfig:
    """What the agent keeps about the one level it plays. All of it is off by default."""

    novelty: NotNegative = 0.0
    """scale of the bonus for what was seen seldom: scale / sqrt(visits), in units of scaled reward
    (arXiv 1611.04717)"""
    novelty_of: Literal["latent", "frame"] = "latent"
    """what is counted: V's latent, or the coarse gray frame"""
    novelty_bits: Annotated[int, pydantic.Field(ge=4, le=62)] = 16
    """bits of the latent's hash: more of them tell more states apart"""
    novelty_bin: NotNegative = 300.0
    """contest reward per bin of progress; what looks alike in another bin is counted apart.
    0 has no bins"""
    replay: Fraction = 0.0
    """chance that an episode begins with actions that went well before, where that is expected to
    earn more than the policy alone; see `agent.learning.routes`"""
    replay_ramp: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """share of the budget over which that chance rises from 0 to its full value"""
    replay_window: Positive = 10
    """episodes that the policy played alone whose mean is compared"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class DreamConfig:
    """Training C in M's dream beside the real rollouts; see `agent.learning.imagination`."""

    horizon: Annotated[int, pydantic.Field(ge=0)] = 0
    """timesteps that C plays on in M from a state it was really in; 0 is no dream"""
    starts: Positive = 64
    """dreams after each real update"""
    temperature: Rate = 0.5
    """of M's samples: below 1 the future is less varied"""
    learning_rate: NotNegative = 1e-4
    """Adam's step size for M's heads, which adapt to each real rollout first; 0 leaves M alone"""
    reward_weight: NotNegative = 30.0
    """weight of M's reward head against the NLL per latent unit, while they adapt"""
    end_weight: NotNegative = 0.2
    """weight of its head for the end of the episode"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ImitationConfig:
    """Self-imitation: learning again from what went better than expected; see `agent.learning.imitation`."""

    steps: Annotated[int, pydantic.Field(ge=0)] = 0
    """gradient steps after each update; 0 is no self-imitation"""
    batch: Annotated[int, pydantic.Field(ge=8)] = 512
    """timesteps of each step"""
    capacity: Annotated[int, pydantic.Field(ge=2)] = 32768
    """timesteps that are kept to learn from, the newest"""
    weight: NotNegative = 1.0
    """of the policy's loss, before gradients are clipped"""
    value: NotNegative = 0.01
    """of the value's loss"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class OnlineConfig(PPOConfig):
    """Fine-tuning during the contest: PPO, its plan for the budget, and the learner's process."""

    rollout: Positive = 2048
    """timesteps per update, before the plan stretches or shrinks it (`updates`)"""
    target_kl: NotNegative = 0.05
    """an update leaves out its other epochs once the mean KL to the policy that played exceeds
    this; 0 never does"""
    updates: Positive = 50
    """updates to aim for: the plan makes rollouts as long as the timesteps that it expects to get,
    divided by this"""
    rollout_span: Annotated[float, pydantic.Field(ge=1)] = 4.0
    """a planned rollout lies between `rollout` / span and `rollout` * span; 1 keeps `rollout`"""
    final_entropy: NotNegative | None = None
    """weight of the entropy bonus at the end of the budget, reached linearly; without it the
    weight stays"""
    critic_warmup: Annotated[int, pydantic.Field(ge=0)] = 1
    """the first updates that train the value head only: advantages of a critic that does not know
    the level would spoil the policy"""
    anchor: NotNegative = 0.1
    """weight at the start of KL(pretrained policy || policy) in the loss"""
    anchor_until: Fraction = 0.25
    """share of the budget over which the anchor's weight falls linearly to 0"""
    learner: Literal["process", "inline"] = "process"
    """`process` learns beside the playing; `inline` stops playing for every update, which makes a
    run reproducible"""
    learner_device: Literal["auto", "cpu", "cuda"] = "auto"
    """where the learner's process computes; `auto` takes a GPU if there is one"""
    learner_threads: Positive = 1
    """threads of the learner's process"""
    learner_patience: Rate = 60.0
    """seconds without a sign of life after which a busy learner is killed and started again"""
    learner_restarts: Annotated[int, pydantic.Field(ge=0)] = 5
    """starts in a row without a finished update, after which the agent plays on without learning"""
    save_seconds: NotNegative = 60.0
    """least seconds between two savings of what was learnt; it is saved at the end in any case"""
    level: LevelMemoryConfig = dataclasses.field(default_factory=LevelMemoryConfig)
    """level memory"""
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)
    """training C in M's dream"""
    imitation: ImitationConfig = dataclasses.field(default_factory=ImitationConfig)
    """self-imitation"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class AgentConfig:
    """All that a bundle must know to play and to go on learning."""

    actions: tuple[str, ...] = ("", "RIGHT", "RIGHT B", "LEFT", "LEFT B", "B", "DOWN", "DOWN B")
    """button combinations the controller chooses from, for example `RIGHT B`; "" is no button"""
    vision: VisionConfig = dataclasses.field(default_factory=VisionConfig)
    memory: MemoryConfig = dataclasses.field(default_factory=MemoryConfig)
    controller: ControllerConfig = dataclasses.field(default_factory=ControllerConfig)
    reward: RewardConfig = dataclasses.field(default_factory=RewardConfig)
    online: OnlineConfig = dataclasses.field(default_factory=OnlineConfig)
    """fine-tuning during the contest"""

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        features = self.controller.features
        if self.online.dream.horizon and ("h" not in features or "pixels" in features):
            raise ValueError("online.dream needs a C that sees z and h, or h, and no pixels")
