"""M: an LSTM with a mixture density head over the next latent (arXiv 1803.10122; Bishop 1994).

Timestep t reads the latent z_t and the action a_t taken on it, and predicts z_{t+1}, the reward of
the timestep and whether the episode ends with it. The controller acts on z_t and on h_t, the hidden
state *before* timestep t, which summarises everything up to (z_{t-1}, a_{t-1}).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from agent.config import MemoryConfig, VisionConfig

MIN_LOG_STD, MAX_LOG_STD = -5.0, 3.0
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
STATE_CHANNELS = 8
"""channels of the map that the hidden state contributes to the mixture's convolution"""


class State(NamedTuple):
    """The LSTM's state, each (B, H)."""

    h: torch.Tensor
    c: torch.Tensor


class Prediction(NamedTuple):
    """M's prediction for a timestep. Every latent unit has a mixture of its own.

    Attributes:
        log_weights: (..., Z, K), log of the components' weights, which sum to 1 over K.
        means: (..., Z, K).
        log_stds: (..., Z, K).
        reward: (...,), in units of scaled reward.
        end_logit: (...,), log-odds that the episode ends with this timestep.
    """

    log_weights: torch.Tensor
    means: torch.Tensor
    log_stds: torch.Tensor
    reward: torch.Tensor
    end_logit: torch.Tensor

    def mean(self) -> torch.Tensor:
        """The mixture's mean, (..., Z)."""
        return (self.log_weights.exp() * self.means).sum(dim=-1)

    def sample(
        self, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """One draw per unit, (..., Z): choose one component, then draw from that one.

        `temperature` divides the log-weights and multiplies the variance (arXiv 1803.10122,
        appendix A.2): below 1 the future is less varied.
        """
        weights = (self.log_weights / temperature).softmax(dim=-1)
        chosen = torch.multinomial(weights.flatten(0, -2), 1, generator=generator)
        chosen = chosen.view(*weights.shape[:-1], 1)
        mean = self.means.gather(-1, chosen).squeeze(-1)
        std = self.log_stds.gather(-1, chosen).squeeze(-1).exp() * math.sqrt(temperature)
        return mean + std * torch.empty_like(mean).normal_(generator=generator)

    def log_prob(self, latents: torch.Tensor) -> torch.Tensor:
        """Log-density of each latent unit, (..., Z), in nats. Equation 1 of Bishop 1994."""
        # Back to (..., K, Z), as `predict` has it in memory: sums over K then run along Z.
        log_weights, means, log_stds = self.log_weights.mT, self.means.mT, self.log_stds.mT
        distance = (latents.unsqueeze(-2) - means) * (-log_stds).exp()
        log_joint = log_weights - 0.5 * distance.square() - log_stds
        return torch.logsumexp(log_joint, dim=-2) - HALF_LOG_TWO_PI


class MixtureHead(nn.Module):
    """The mixture over the next latent, from the hidden state and the latent.

    The next content of a grid cell is nearly always the present content of the cell or of a
    neighbour, moved by the scroll that the hidden state knows. So a convolution reads the cells,
    together with a map computed from the hidden state, and the hidden state scales and shifts its
    channels (FiLM, arXiv 1709.07871). A dense layer from the hidden state alone would have to carry
    the whole latent. The player's units are few: a dense layer predicts them.
    """

    def __init__(self, config: MemoryConfig, vision: VisionConfig):
        super().__init__()
        self.units, self.grid, self.maps = vision.cell_units, vision.grid, config.maps
        self.components, self.player_units = config.mixtures, vision.player_units
        self.state_map = nn.Linear(config.hidden, STATE_CHANNELS * vision.grid**2)
        self.convolution = nn.Conv2d(self.units + STATE_CHANNELS, config.maps, 3, padding=1)
        self.modulate = nn.Linear(config.hidden, 2 * config.maps)
        self.cells = nn.Conv2d(config.maps, 3 * config.mixtures * self.units, 1)
        if self.player_units:
            self.player = nn.Linear(config.hidden, 3 * config.mixtures * self.player_units)

    def forward(self, hidden: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Logits, offsets and log standard deviations, stacked: (N, 3, K, Z).

        Args:
            hidden: (N, H), after the timestep.
            latents: (N, Z), the timestep's.
        """
        side = (self.grid, self.grid)
        cells = latents[:, : latents.shape[1] - self.player_units].unflatten(1, (self.units, *side))
        state_map = self.state_map(hidden).unflatten(1, (STATE_CHANNELS, *side))
        scale, shift = self.modulate(hidden)[:, :, None, None].chunk(2, dim=1)
        maps = torch.cat([cells, state_map], dim=1)
        maps = F.relu(self.convolution(maps) * (1 + scale) + shift)
        parts = self.cells(maps).reshape(len(hidden), 3, self.components, -1)
        if self.player_units:
            player = self.player(hidden).view(len(hidden), 3, self.components, -1)
            parts = torch.cat([parts, player], dim=3)
        return parts


class Memory(nn.Module):
    """M. `forward` for sequences, `step` for playing; both give the same hidden states."""

    def __init__(self, config: MemoryConfig, vision: VisionConfig, actions: int):
        super().__init__()
        self.config, self.latent, self.actions = config, vision.latent, actions
        self.lstm = nn.LSTM(vision.latent + actions, config.hidden, batch_first=True)
        self.mixture = MixtureHead(config, vision)
        self.reward = nn.Linear(config.hidden, 1)
        self.end = nn.Linear(config.hidden, 1)

    def initial_state(self, batch: int, device: torch.device | str | None = None) -> State:
        """The state before the first timestep of an episode: zeros."""
        device = self.reward.weight.device if device is None else device
        zeros = torch.zeros(batch, self.config.hidden, device=device)
        return State(zeros, zeros.clone())

    def forward(
        self, latents: torch.Tensor, actions: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, State]:
        """Hidden states after each timestep of latents (B, T, Z) and actions (B, T) int64.

        Returns:
            Hidden states (B, T, H), and the state after the last timestep.
        """
        inputs = torch.cat([latents, F.one_hot(actions, self.actions).to(latents.dtype)], dim=-1)
        hidden, (h, c) = self.lstm(inputs, (state.h.unsqueeze(0), state.c.unsqueeze(0)))
        return hidden, State(h.squeeze(0), c.squeeze(0))

    def step(self, latents: torch.Tensor, actions: torch.Tensor, state: State) -> State:
        """The state after one more timestep of latents (B, Z) and actions (B,) int64.

        The LSTM's cell with the same weights: for one timestep it takes half the time.
        """
        inputs = torch.cat([latents, F.one_hot(actions, self.actions).to(latents.dtype)], dim=-1)
        return State(*torch.lstm_cell(inputs, tuple(state), *self.lstm.all_weights[0]))

    def predict(self, hidden: torch.Tensor, latents: torch.Tensor) -> Prediction:
        """Predict from the hidden state (..., H) after a timestep and its latent (..., Z).

        The means are offsets from the latent itself: most of a frame does not change.
        """
        parts = self.mixture(hidden.reshape(-1, hidden.shape[-1]), latents.reshape(-1, self.latent))
        parts = parts.view(*hidden.shape[:-1], *parts.shape[1:])
        logits, offsets, log_stds = parts.unbind(dim=-3)
        return Prediction(
            log_weights=logits.log_softmax(dim=-2).mT,
            means=(latents.unsqueeze(-2) + offsets).mT,
            log_stds=log_stds.clamp(MIN_LOG_STD, MAX_LOG_STD).mT,
            reward=self.reward(hidden).squeeze(-1),
            end_logit=self.end(hidden).squeeze(-1),
        )


def memory_loss(
    prediction: Prediction,
    next_latents: torch.Tensor,
    rewards: torch.Tensor,
    ends: torch.Tensor,
    mask: torch.Tensor,
    *,
    place_weight: float = 0.0,
    reward_weight: float,
    end_weight: float,
    end_positive_weight: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """M's loss over the timesteps where `mask` is 1.

    Args:
        next_latents: (..., Z), latents of the next frames. Where the episode ended there is no next
            frame, and the latent term is left out.
        rewards: (...,), scaled.
        ends: (...,), 1 where the episode ended with the timestep.
        mask: (...,), 0 for padding.
        place_weight: weight of the NLL per unit of the last two latent units, the player's x and y
            (see `agent.models.vision.Encoder`), on top of their share in that of all units: two
            units of hundreds would hardly be learnt.
        reward_weight, end_weight: weights of the two heads against the latent's NLL per unit.
        end_positive_weight: weight of a timestep that ends an episode; they are rare.

    Returns:
        The loss (a scalar), and the scalars to log: `nll` (nats per latent unit), `place`
        (the same of the last two), `reward` (smooth L1) and `end` (weighted cross-entropy).
    """
    has_next = mask * (1 - ends)
    by_unit = -prediction.log_prob(next_latents)
    nll, place = (
        (part.mean(dim=-1) * has_next).sum() / has_next.sum().clamp_min(1)
        for part in (by_unit, by_unit[..., -2:])
    )
    reward = F.smooth_l1_loss(prediction.reward, rewards, reduction="none")
    reward = (reward * mask).sum() / mask.sum().clamp_min(1)
    end = F.binary_cross_entropy_with_logits(
        prediction.end_logit,
        ends,
        reduction="none",
        pos_weight=torch.tensor(end_positive_weight, device=ends.device),
    )
    end = (end * mask).sum() / mask.sum().clamp_min(1)
    loss = nll + place_weight * place + reward_weight * reward + end_weight * end
    scalars = {"nll": nll, "place": place, "reward": reward, "end": end}
    return loss, {name: value.detach() for name, value in scalars.items()}
