"""The configuration of a pretraining run: what to collect, how to train V, M and C.

The defaults are those of the shipped agent; presets in `configs/` are differences from them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from agent.config import AgentConfig, PPOConfig, Precision
from retro_common.config import FORBID_UNKNOWN, Fraction, NotNegative, Positive, Rate

Device = Literal["auto", "cpu", "cuda"]
Behaviour = Literal["random", "hold-right", "jerk", "noisy-movie"]


@dataclasses.dataclass
class CollectConfig:
    """Which rollouts to record."""

    timesteps: Positive = 300_000
    """timesteps in all, spread evenly over the levels"""
    shard: Annotated[int, pydantic.Field(ge=64)] = 2048
    """timesteps per shard; a shard is one level played by one worker"""
    workers: Positive = 2
    """processes, each with an emulator of its own"""
    behaviours: dict[Behaviour, NotNegative] = dataclasses.field(
        default_factory=lambda: {"random": 0.3, "hold-right": 0.2, "jerk": 0.1, "noisy-movie": 0.4}
    )
    """how the episodes are played, by weight; `noisy-movie` follows a movie, and plays at random
    where there is none"""
    movies: Path | None = None
    """folder of input movies that finish the levels (pangolin_dash/movies); episodes then also
    begin at some point of a movie, so that the frames come from everywhere in a level"""
    movie_share: Fraction = 0.8
    """share of the episodes that begin along a movie, where there is one"""
    movie_timesteps: Positive = 192
    """timesteps recorded of such an episode, if it does not end before"""
    movie_noise: Fraction = 0.2
    """highest probability per timestep that a noisy movie begins a few random actions; each
    episode draws its own"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class FindPlayerConfig:
    """How the network that locates the player sprite is trained; see
    `pretrain.stages.find_player`."""

    steps: Positive = 800
    """gradient steps on the frames in which the player is the only thing that moves"""
    rounds: Annotated[int, pydantic.Field(ge=0)] = 6
    """how often the player is then tracked through all rollouts, and the network trained on the
    tracks"""
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

    steps: Positive = 16_000
    """gradient steps"""
    batch: Positive = 32
    """frames per step"""
    learning_rate: Rate = 1.5e-3
    """Adam's step size; falls to a tenth along a cosine"""
    kl_weight: NotNegative = 0.005
    """weight of the KL term against the summed squared error"""
    kl_warmup: Positive = 500
    """steps over which the KL term's weight rises from 0"""
    free_nats: NotNegative = 0.1
    """KL per unit that costs nothing, in nats"""
    error_weight: NotNegative = 1.0
    """extra weight of badly reconstructed pixels; see `agent.models.vision.vision_loss`"""
    focus: NotNegative = 3.0
    """extra weight of the pixels around the player sprite"""
    precision: Precision = "auto"
    """of the convolutions; `auto` takes bfloat16 where the hardware computes it natively"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class MemoryTraining:
    """How M is trained."""

    steps: Positive = 2_400
    """gradient steps"""
    batch: Positive = 32
    """sequences side by side"""
    sequence: Positive = 64
    """timesteps through which gradients flow; the state is carried on beyond them"""
    learning_rate: Rate = 1e-3
    """Adam's step size; falls to a tenth along a cosine"""
    dream_every: Annotated[int, pydantic.Field(ge=0)] = 4
    """every n-th step is open-loop: M sees a few timesteps and continues from its own predictions;
    0 for none"""
    place_weight: NotNegative = 0.2
    """weight of the NLL per unit of the player's x and y, on top of their share in that of all"""
    reward_weight: NotNegative = 30.0
    """weight of the reward head's loss against the NLL per latent unit"""
    end_weight: NotNegative = 0.2
    """weight of the episode-end head's loss"""
    end_positive_weight: Rate = 10.0
    """weight of timesteps that end an episode within that loss"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class JointTraining:
    """How V and M are trained together after each was trained alone; see `pretrain.stages.joint`.

    The weights are of losses per latent unit, against V's with weight 1; they should fall in the
    order in which the parts depend on each other.
    """

    steps: Annotated[int, pydantic.Field(ge=0)] = 0
    """gradient steps; 0 skips the stage"""
    batch: Positive = 8
    """sequences side by side"""
    sequence: Positive = 32
    """timesteps through which gradients flow; M's state is carried on beyond them"""
    learning_rate: Rate = 1e-4
    """Adam's step size; falls to a tenth along a cosine"""
    memory_weight: Rate = 0.3
    """weight of the NLL of the next latent"""
    head_weight: NotNegative = 0.1
    """weight of M's heads for reward and end, times `memory.reward_weight` and `.end_weight`"""
    inverse_weight: NotNegative = 0.1
    """weight of the inverse dynamics: the action, from two consecutive latents"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class PretrainPPOConfig(PPOConfig):
    """PPO on all training levels."""

    learning_rate: Rate = 5e-4
    """Adam's step size at the start of the run; it falls linearly to 0 over the run"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class ControllerTraining:
    """How C is trained: PPO on all levels at once; in the emulator, or beside a teacher without."""

    timesteps: Positive = 1_228_800
    """timesteps over all environments and levels"""
    envs: Positive = 8
    """environments side by side"""
    teacher: Path | None = None
    """file of a teacher (stage `teacher`) that C imitates first. C then plays Pangolin Dash's own
    logic and picture, without the emulator, in the acts of `levels` and `teacher.generated`"""
    untrained_memory: bool = False
    """an ablation: use an M of random weights instead of the trained one"""
    encoder_from_vision: bool = True
    """initialise C's own encoder (feature `pixels`) as a copy of V's, instead of random weights"""
    ppo: PretrainPPOConfig = dataclasses.field(default_factory=PretrainPPOConfig)

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class TeacherTraining:
    """How the teacher is trained; see `pretrain.stages.teacher`."""

    timesteps: Positive = 60_000_000
    """timesteps over all worlds; 4 frames each, as in the contest"""
    worlds: Positive = 256
    """worlds side by side, in one process"""
    generated: Annotated[int, pydantic.Field(ge=0, le=100)] = 0
    """seeds of generated acts to train in beside the levels, 18 acts each"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class PretrainConfig:
    """One pretraining run."""

    out: Path
    """folder of the run: shards, checkpoints, TensorBoard logs and the finished bundle"""
    levels: str
    """training levels: a level set's name, or levels (see `retro-contest levels`)"""
    heldout: str | None = None
    """held-out levels that the report measures V and M on; nothing is ever trained on them"""
    report_timesteps: Positive = 4096
    """timesteps per level that the report measures"""
    seed: Annotated[int, pydantic.Field(ge=0, lt=1 << 63)] = 0
    """the run's seed; every component's own seed is derived from it"""
    device: Device = "auto"
    """where networks train: `auto` takes a GPU if there is one"""
    draw_all: bool = False
    """let the emulator draw the skipped frames too; slower, with the same results"""
    track: str = ""
    """experiment tracker that gets the scalars, beside TensorBoard: wandb, mlflow or trackio"""
    base: Path | None = None
    """folder of another, finished run, or of a bundle, whose V and M this run takes: it trains only
    a C. The settings that the two have in common must be equal"""
    agent: AgentConfig = dataclasses.field(default_factory=AgentConfig)
    """the agent that is trained"""
    collect: CollectConfig = dataclasses.field(default_factory=CollectConfig)
    find_player: FindPlayerConfig = dataclasses.field(default_factory=FindPlayerConfig)
    vision: VisionTraining = dataclasses.field(default_factory=VisionTraining)
    memory: MemoryTraining = dataclasses.field(default_factory=MemoryTraining)
    joint: JointTraining = dataclasses.field(default_factory=JointTraining)
    controller: ControllerTraining = dataclasses.field(default_factory=ControllerTraining)
    teacher: TeacherTraining = dataclasses.field(default_factory=TeacherTraining)

    __pydantic_config__ = FORBID_UNKNOWN

    @property
    def needs_world_model(self) -> bool:
        """Whether C needs V or M. A C that sees only pixels, through its own encoder, does not."""
        features = self.agent.controller.features
        return "z" in features or "h" in features or self.controller.encoder_from_vision
