"""The configuration of a pretraining run: what to collect, how to train V, M and C."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from agent.config import AgentConfig, PPOConfig, Precision
from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive, Rate

Device = Literal["auto", "cpu", "cuda"]
Behaviour = Literal["random", "hold-right", "jerk", "noisy-movie", "policy"]


@dataclasses.dataclass
class CollectConfig:
    """Which rollouts to record."""

    timesteps: Positive = 300_000
    """timesteps in all, spread evenly over the levels"""
    shard: Annotated[int, pydantic.Field(ge=64)] = 2048
    """timesteps per shard; a shard is one level played by one worker"""
    workers: Positive = 2
    """processes, each with an emulator of its own"""
    persistence: Annotated[float, pydantic.Field(ge=1)] = 6.0
    """mean number of timesteps for which random play keeps an action"""
    spread: Rate = 0.5
    """how even random play's preferences are: each episode draws them from a Dirichlet
    distribution with this concentration, so that it favours a few actions"""

    movies: Path | None = None
    """folder of input movies that finish the levels (pangolin_dash/movies); episodes then also begin
    somewhere along a movie, so that the frames come from everywhere in a level"""
    movie_share: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.8
    """share of the episodes that begin along a movie, where there is one"""
    movie_timesteps: Positive = 192
    """timesteps recorded of such an episode, if it does not end before"""
    behaviours: dict[Behaviour, NotNegative] = dataclasses.field(
        default_factory=lambda: {"random": 1.0}
    )
    """how the episodes are played, by weight: `random` (with persistence), `hold-right`, `jerk`,
    `noisy-movie` (goes on along the movie) and `policy` (the controller of `collect.policy`)"""
    movie_noise: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.2
    """at most this chance per timestep that a noisy movie plays a few random actions; each episode
    draws its own"""
    policy: Path | None = None
    """bundle that the behaviour `policy` plays"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class SearchTraining:
    """How V learns where the thing that is played is (V with a glimpse); see `pretrain.stages.find_player`."""

    steps: Positive = 800
    """gradient steps on the frames in which it is the only thing that moves"""
    rounds: Annotated[int, pydantic.Field(ge=0)] = 5
    """how often it is then followed through all rollouts, and searched for where it was found"""
    round_steps: Positive = 2000
    """gradient steps of such a round"""
    batch: Positive = 32
    """frames per step"""
    learning_rate: Rate = 1.5e-3
    """Adam's step size; falls to a tenth along a cosine, in every round anew"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class VisionTraining:
    """How V is trained."""

    steps: Positive = 20_000
    """gradient steps"""
    batch: Positive = 128
    """frames per step"""
    learning_rate: Rate = 1e-3
    """Adam's step size; falls to a tenth along a cosine"""
    kl_weight: NotNegative = 1.0
    """weight of the KL term against the summed squared error"""
    kl_warmup: Positive = 1000
    """steps over which the KL term's weight rises from 0"""
    free_nats: NotNegative = 0.1
    """KL per unit that is free of charge, in nats"""
    error_weight: NotNegative = 1.0
    """how much more badly drawn pixels count; see `agent.models.vision.vision_loss`"""
    focus: NotNegative = 3.0
    """how much more the pixels around the thing that is played count (V with a glimpse)"""
    precision: Precision = "auto"
    """of the convolutions; `auto` takes bfloat16 where the hardware computes it natively"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class MemoryTraining:
    """How M is trained."""

    steps: Positive = 10_000
    """gradient steps"""
    batch: Positive = 32
    """sequences side by side"""
    sequence: Positive = 64
    """timesteps through which gradients flow; the state is carried on beyond them"""
    learning_rate: Rate = 1e-3
    """Adam's step size; falls to a tenth along a cosine"""
    dream_every: Annotated[int, pydantic.Field(ge=0)] = 4
    """one step of so many is an open loop: M sees a few timesteps and dreams on; 0 for none"""
    place_weight: NotNegative = 0.0
    """weight of the NLL per unit of the glimpse's x and y, on top of their share in that of all"""
    reward_weight: NotNegative = 1.0
    """weight of the reward head's loss against the NLL per latent unit"""
    end_weight: NotNegative = 0.2
    """weight of the episode-end head's loss"""
    end_positive_weight: Rate = 10.0
    """weight of timesteps that end an episode within that loss"""
    max_grad_norm: Rate = 1.0
    """gradients are scaled down to this norm"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class JointTraining:
    """How V and M are trained together, after each on its own; see `pretrain.stages.joint`.

    The weights are of losses per latent unit; they should fall in the order in which the parts
    depend on each other.
    """

    steps: Annotated[int, pydantic.Field(ge=0)] = 0
    """gradient steps; 0 leaves the stage out"""
    batch: Positive = 8
    """sequences side by side"""
    sequence: Positive = 32
    """timesteps through which gradients flow; M's state is carried on beyond them"""
    learning_rate: Rate = 1e-4
    """Adam's step size; falls to a tenth along a cosine"""
    vision_weight: Rate = 1.0
    """weight of V's loss"""
    memory_weight: Rate = 0.3
    """weight of the NLL of the next latent"""
    head_weight: NotNegative = 0.1
    """weight of M's heads for reward and end, on top of `memory.reward_weight`, `.end_weight`"""
    inverse_weight: NotNegative = 0.1
    """weight of the inverse dynamics: which action lies between two latents"""
    inverse_hidden: Positive = 256
    """units of the hidden layer of that head"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ControllerTraining:
    """How C is trained: PPO on all levels at once, in the emulator."""

    timesteps: Positive = 1_000_000
    """timesteps over all environments and levels"""
    envs: Positive = 8
    """environments side by side"""
    untrained_memory: bool = False
    """take an M of random weights in place of the trained one: what is M's training worth?"""
    encoder_from_vision: bool = True
    """let C's own encoder (feature `pixels`) begin as a copy of V's, or else from random weights"""
    critic_sees_variables: bool = False
    """let advantages come from a critic that also reads RAM variables and knows the level; it is
    thrown away at the end, and C's own value head is trained beside it (arXiv 1710.06542)"""
    start_along: Fraction = 0.0
    """chance that an episode begins somewhere along the level's movie (`collect.movies`), where
    there is one, and not where the level begins"""
    patience: Annotated[int, pydantic.Field(ge=0)] = 0
    """timesteps without new ground after which an episode ends; 0 is no such end"""
    novelty: NotNegative = 0.0
    """scale of the bonus for what was seen seldom on its level: scale / sqrt(visits), in units of
    scaled reward; what is counted is `agent.play.level`'s to say"""
    entropy_floor: NotNegative = 0.0
    """nats; while the policy's entropy lies below, the weight of the entropy bonus grows by a tenth
    per update, and goes back as slowly; 0 is no floor"""
    ppo: PPOConfig = dataclasses.field(default_factory=lambda: PPOConfig(rollout=4096))

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class PretrainConfig:
    """One pretraining run."""

    out: Path
    """folder of the run: shards, checkpoints, TensorBoard logs and the finished bundle"""
    levels: str
    """training levels: a level set's name, or levels (see `python -m retro_contest levels`)"""
    heldout: str | None = None
    """held-out levels that `report` measures V and M on; nothing is ever trained on them"""
    report_timesteps: Positive = 2048
    """timesteps per level that `report` measures on"""
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    """the run's seed; every component's own seed comes from it"""
    device: Device = "auto"
    """where networks train: `auto` takes a GPU if there is one"""
    draw_all: bool = False
    """let the emulator draw the frames that nobody sees, too; slower, with the same results"""
    base: Path | None = None
    """folder of another, finished run, or of a bundle, whose V and M this one takes: it trains only
    a C of its own. What the two have in common must be configured alike"""
    agent: AgentConfig = dataclasses.field(default_factory=AgentConfig)
    """the agent that is trained"""
    collect: CollectConfig = dataclasses.field(default_factory=CollectConfig)
    search: SearchTraining = dataclasses.field(default_factory=SearchTraining)
    vision: VisionTraining = dataclasses.field(default_factory=VisionTraining)
    memory: MemoryTraining = dataclasses.field(default_factory=MemoryTraining)
    joint: JointTraining = dataclasses.field(default_factory=JointTraining)
    controller: ControllerTraining = dataclasses.field(default_factory=ControllerTraining)

    __pydantic_config__ = FORBID_UNKNOWN

    def __post_init__(self) -> None:
        if self.memory.place_weight and not self.agent.vision.glimpse:
            raise ValueError("memory.place_weight needs a V with a place: set agent.vision.glimpse")

    @property
    def needs_world_model(self) -> bool:
        """Whether C needs V or M; one that sees but pixels, and not through V's eyes, does not."""
        pixels_only = tuple(self.agent.controller.features) == ("pixels",)
        return not pixels_only or self.controller.encoder_from_vision
