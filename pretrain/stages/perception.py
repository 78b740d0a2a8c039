"""The perception stage: V goes on learning, to show what a teacher reads.

Trained to reconstruct alone, V spends its latent on what fills the picture. What decides the next
action, the edge of the ground or a spike, is a few pixels. So V's encoder learns two more things
from a teacher that reads the game's memory (learning by cheating, arXiv 1912.12294): a policy on z
imitates the teacher's, and a linear map of a hidden layer predicts the teacher's observation. The
policy plays, natively, in the acts of its track, and learns the labels of the states that it comes
to, as C does later (`pretrain.imitation`). V still reconstructs. The policy and the map are thrown
away. Without ``perception.timesteps`` the stage is skipped.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agent.config import AgentConfig, ControllerConfig
from agent.learning.ppo import Rollout
from agent.models.actor import Models
from agent.models.controller import Controller, Features, Proprioception
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import Vision, sample, to_input, vision_loss
from pretrain.config import PretrainConfig
from pretrain.data import acts
from pretrain.imitation import Kept
from pretrain.loop import Loop, cosine
from pretrain.native import NativeSampler
from pretrain.stage import Seeds, Stage, choose_device, seed_of
from pretrain.stages import collect, vision
from pretrain.teacher import Teacher
from retro_common.config import to_dict
from retro_common.errors import UsageError

LENGTH = 8
"""timesteps of each world in a rollout"""
REUSE = 2
"""gradient steps that use a timestep, on average"""
BATCH = 128
"""timesteps in a gradient step"""
RATE = 5e-4
"""Adam's step size at the start; falls to a tenth along a cosine"""
FIRST = 4
"""rollouts that are kept before the first gradient step"""
POLICY_WEIGHT, READING_WEIGHT = 30.0, 20.0
"""weights of KL(teacher || policy), in nats, and of the squared error of the observation, in units
of its variance, against V's own loss, a sum over pixels"""
RECONSTRUCT_EVERY = 4
"""every such gradient step reconstructs, too: the decoder costs more than all the rest"""
HIDDEN = 768
"""hidden units of the network that predicts the observation"""


class Perception(nn.Module):
    """V, and what learns from its latent in this stage."""

    def __init__(self, config: AgentConfig, observation_size: int):
        """
        Args:
            config: of the stage's policy; its features are z and proprioception.
            observation_size: numbers in a teacher's observation, O.
        """
        super().__init__()
        self.vision = Vision(config.vision)
        self.policy = Controller(config)
        inputs = config.vision.latent + Proprioception.size(len(config.actions))
        self.reading = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, observation_size)
        )


def policy_config(config: PretrainConfig) -> AgentConfig:
    """The agent whose C is this stage's policy."""
    controller = ControllerConfig(features=("z", "proprioception"), layers=2)
    return dataclasses.replace(config.agent, controller=controller)


def stage(config: PretrainConfig) -> Stage:
    if config.controller.teacher is None:
        raise UsageError("perception.timesteps: V needs a teacher too: set controller.teacher")
    settings = {
        "agent": {"actions": list(config.agent.actions)},
        "levels": config.levels,
        "perception": {**to_dict(config.perception), "envs": config.controller.envs},
        "teacher": Teacher.sha256(config.controller.teacher),
        "generated_acts": config.teacher.generated,
        "seed": config.seed,
    }
    return Stage("perception", config.out / "perception", settings, (vision.stage(config),))


def last_stage(config: PretrainConfig) -> Stage:
    """The stage whose V the memory stage takes: this one, or `vision` where it is skipped."""
    return stage(config) if config.perception.timesteps else vision.stage(config)


def played_timesteps(config: PretrainConfig) -> int:
    """Timesteps of the stage: `perception.timesteps`, rounded up to whole rollouts."""
    stride = LENGTH * config.controller.envs
    return -(-config.perception.timesteps // stride) * stride


def load(config: PretrainConfig) -> Vision:
    """The V that M is trained on."""
    if not config.perception.timesteps:
        return vision.load(config)
    assert config.controller.teacher is not None
    size = Teacher.load(config.controller.teacher).observation_size
    model = Perception(policy_config(config), size)
    stage(config).load_trained(model)
    return model.vision.eval()


def run(config: PretrainConfig, fresh: bool = False) -> None:
    """Train V further, going on from the last checkpoint.

    Raises:
        UsageError: there is no teacher, or it does not fit.
        Stopped: asked to stop; the checkpoint is written.
        Diverged: the loss is not finite; the last good checkpoint is untouched.
    """
    envs, timesteps = config.controller.envs, config.perception.timesteps
    if not timesteps:
        print("perception: off (perception.timesteps is 0)")
        return
    work = stage(config).open(fresh)
    if work.finished:
        print(f"perception: already done ({work.folder})")
        return
    assert config.controller.teacher is not None
    device, teacher = choose_device(config.device), Teacher.load(config.controller.teacher)
    agent = policy_config(config)
    torch.manual_seed(seed_of(config.seed, Seeds.PERCEPTION))
    model = Perception(agent, teacher.observation_size)
    model.vision.load_state_dict(vision.load(config).state_dict())
    model.to(device, memory_format=torch.channels_last)
    trained = [weight for name, weight in model.named_parameters() if "player_finder" not in name]
    optimizer = torch.optim.Adam(trained, lr=RATE, eps=1e-5, fused=True)
    models = Models(agent, model.vision, Models.build(agent).memory, model.policy)
    rollout = Rollout.of(agent, LENGTH, envs)
    rollout.labels = torch.zeros(LENGTH, envs, len(agent.actions))
    rollout.frames = np.zeros((LENGTH, envs, 64, 64, 3), np.uint8)
    observations = np.zeros((LENGTH, envs, teacher.observation_size), np.float32)
    known = acts.known_acts(
        config.levels, config.teacher.generated, config.controller.teacher.parent / acts.MOVIES
    )
    bfloat16 = computes_in_bfloat16("auto", device)
    stride = LENGTH * envs
    # The observations' mean squares, of the first rollouts; numbers that hardly vary count little.
    carried = {"scale": torch.zeros(teacher.observation_size)}
    scalars: dict[str, torch.Tensor] = {}
    with Loop(
        work,
        timesteps,
        stride=stride,
        unit="timesteps",
        track=config.track,
        carried=carried,
        model=model,
        optimizer=optimizer,
    ) as loop:
        seed = seed_of(config.seed, Seeds.PERCEPTION, 1, loop.first)
        sampler = loop.enter_context(
            NativeSampler(models, known, envs, teacher=teacher, seed=seed, device=device)
        )
        kept, generator = Kept(), torch.Generator().manual_seed(seed)
        noise = torch.Generator(device).manual_seed(seed)
        for before in loop:
            sampler.play(rollout, observations)
            kept.add(
                {
                    "frames": torch.from_numpy(rollout.frames),
                    "labels": rollout.labels,
                    "proprioception": rollout.proprioception,
                    "observations": torch.from_numpy(observations).half(),
                }
            )
            if kept.added < FIRST * stride:
                continue
            if not carried["scale"].any():
                seen = kept.fields["observations"][: kept.count].float()
                carried["scale"] = 1 / seen.var(dim=0).clamp_min(1e-2)
            rate = RATE * cosine(before, timesteps)
            for step in range(max(1, stride * REUSE // BATCH)):
                batch = kept.sample(BATCH, generator, device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                    loss, scalars = perception_loss(
                        model,
                        batch,
                        carried["scale"].to(device),
                        config,
                        noise,
                        reconstruct=step % RECONSTRUCT_EVERY == 0,
                    )
                loop.descend(loss, optimizer, rate)
            values = {f"perception/{name}": value for name, value in scalars.items()}
            note = f"KL {scalars['kl'].item():.2f}, reading {scalars['reading'].item():.2f}"
            loop.log(values, note, before + stride)
    quality = vision.validate(
        model.vision, vision.validation_frames(collect.open_shards(config), config.seed)
    )
    facts = {name: value.item() for name, value in scalars.items()}
    work.finish(timesteps=loop.done, validation_psnr=quality, bfloat16=bfloat16, **facts)
    print(f"perception: {quality:.1f} dB on frames of shards not trained on")


def perception_loss(
    model: Perception,
    batch: dict[str, torch.Tensor],
    scale: torch.Tensor,
    config: PretrainConfig,
    generator: torch.Generator,
    *,
    reconstruct: bool,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of a batch, and its terms to log: `kl`, of the teacher to the policy, in nats, and
    `reading`, the share of the observation's variance that is not explained.

    Args:
        batch: uint8 frames (B, 64, 64, 3), the teacher's log-probabilities `labels` (B, A),
            `proprioception` (B, P) and `observations` (B, O).
        scale: 1 / the variance of each number of an observation, (O,).
        reconstruct: add V's own loss (`agent.models.vision.vision_loss`).
    """
    frames = to_input(batch["frames"])
    mean, logvar = model.vision.encode(frames)
    z = sample(mean, logvar, generator)
    own = batch["proprioception"]
    log_probs, _ = model.policy(Features(z, z.new_zeros(len(z), 0), own), with_values=False)
    kl = F.kl_div(log_probs, batch["labels"], reduction="batchmean", log_target=True)
    errors = model.reading(torch.cat([z, own], dim=1)).float() - batch["observations"].float()
    reading = (errors.square() * scale).mean()
    loss = POLICY_WEIGHT * kl + READING_WEIGHT * reading
    if reconstruct:
        settings = config.vision
        reconstruction_loss, _ = vision_loss(
            model.vision.decoder(z),
            frames,
            mean,
            logvar,
            kl_weight=settings.kl_weight,
            free_nats=settings.free_nats,
            error_weight=settings.error_weight,
            focus=vision.focus(config, mean),
        )
        loss = loss + reconstruction_loss
    return loss, {"kl": kl.detach(), "reading": reading.detach()}
