"""HILP (arXiv 2402.15567): a metric of time and skills, learnt without rewards; U2O (2408.14785).

phi is learnt so that -|phi(s) - phi(g)| is the value of reaching g from s at -1 for a timestep. A
skill w, a direction of length 1, earns <phi(s') - phi(s), w>; the skills' policy pi(a | s, w) is
IQL's. The first rewards of an act then say which skill to play there: least squares. Fine-tuning
it is `lab.methods.u2o`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lab.critic import Critic, Critics, least, of_actions
from lab.data import Batch, Data, Seen
from lab.goals import Net, goals, pairs, spearman
from lab.method import MEASURED, Scalars, Shape
from lab.methods.values import MOST_WEIGHT
from retro_common.config import FORBID_UNKNOWN, Fraction, Positive, Rate

SAME = 0.625
"""share of goals that are later timesteps of the same episode; the others are any"""
NEAREST = 1e-6
"""least squared distance, which keeps the root's gradient finite"""
MOST_GAP = 50
"""timesteps up to which distances are measured"""


@dataclasses.dataclass
class Config:
    dimensions: Positive = 32
    """numbers of phi, D"""
    hidden: Positive = 256
    """units of each of the two hidden layers of every network"""
    expectile: Fraction = 0.95
    """of the value of reaching a goal"""
    skill_expectile: Fraction = 0.9
    temperature: Rate = 10.0
    """inverse temperature of the advantage weights"""
    gamma: Fraction = 0.99
    polyak: Fraction = 0.005
    """how far the targets follow with each step"""
    told: Positive = 1_000
    """first timesteps of an act whose rewards choose its skill"""

    __pydantic_config__ = FORBID_UNKNOWN


@dataclasses.dataclass
class Goals:
    """Timesteps, and a goal for each of them."""

    batch: Batch
    goals: torch.Tensor
    """features (B, F)"""
    reached: torch.Tensor
    """bool (B,): the timestep is its own goal"""


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """|one - other|, (B,) of (B, D)."""
    return (one - other).square().sum(1).clamp(min=NEAREST).sqrt()


def beside(skills: torch.Tensor) -> torch.Tensor:
    """Skills (B, D) as networks read them: their numbers scaled to 1."""
    return skills * skills.shape[1] ** 0.5


class Skills:
    def __init__(self, config: Config, shape: Shape):
        self.config = config
        sizes = shape.features, config.hidden, config.dimensions
        self.phis = Critics([Net(*sizes, exact=True) for _ in range(2)], config.polyak)
        with_skill = dataclasses.replace(shape, features=shape.features + config.dimensions)
        critics = [Critic(with_skill, "scalar", hidden=config.hidden) for _ in range(2)]
        self.critics = Critics(critics, config.polyak)
        self.value = Net(with_skill.features, config.hidden, 1)
        self.actor = Net(with_skill.features, config.hidden, shape.actions)
        self.chosen = torch.zeros(shape.acts, config.dimensions)
        """the skill of each act that is played"""

    def parts(self) -> dict[str, nn.Module]:
        nets = {"value": self.value, "actor": self.actor}
        return {"phis": self.phis, "critics": self.critics, **nets}

    def draw(self, data: Data, rng: np.random.Generator, size: int) -> Goals:
        batch = data.batch(rng, size, gamma=self.config.gamma)
        rows = goals(data, rng, batch.rows, SAME, self.config.gamma)
        return Goals(batch, data.seen(rows).features, torch.from_numpy(rows == batch.rows))

    def loss(self, batch: Goals) -> tuple[torch.Tensor, Scalars]:
        reach, scalars = self.reaching(batch)
        skill, more = self.skilled(batch)
        return reach + skill, {**scalars, **more}

    def reaching(self, drawn: Goals) -> tuple[torch.Tensor, Scalars]:
        """The loss of phi: expectile TD of the value of reaching the goals."""
        config, batch, targets = self.config, drawn.batch, self.phis.target
        # Nothing is known behind an episode's end; timesteps there are left out.
        known = (batch.discounts > 0) | drawn.reached
        at, later = batch.seen.features, batch.following.features
        with torch.no_grad():
            there = [phi(drawn.goals) for phi in targets]
            zipped = list(zip(targets, there, strict=True))
            now = sum(-distance(phi(at), goal) for phi, goal in zipped) / 2
            after = [-distance(phi(later), goal) for phi, goal in zipped]
            cost, goes_on = -(~drawn.reached).float(), config.gamma * ~drawn.reached
            advantages = cost + goes_on * torch.minimum(*after) - now
            tilt = torch.where(advantages >= 0, config.expectile, 1 - config.expectile) * known
        both = torch.cat([at, drawn.goals])
        loss = torch.zeros(())
        for phi, value in zip(self.phis.online, after, strict=True):
            gap = cost + goes_on * value + distance(*phi(both).chunk(2))
            loss = loss + (tilt * gap.square()).mean()
        return loss, {"reach": loss, "distance": -now.mean()}

    def skilled(self, drawn: Goals) -> tuple[torch.Tensor, Scalars]:
        """The loss of the skills: IQL on what a skill earns."""
        config, batch, phi = self.config, drawn.batch, self.phis.online[0]
        with torch.no_grad():
            at, later = phi(batch.seen.features), phi(batch.following.features)
            # Half of the skills lead to the goals, the others anywhere.
            skills = torch.randn_like(at)
            half = len(skills) // 2
            skills[:half] = phi(drawn.goals[:half]) - at[:half] + 1e-6 * skills[:half]
            skills = F.normalize(skills, dim=1)
            earned = ((later - at) * skills).sum(1)
            seen, following = (self.given(each, skills) for each in (batch.seen, batch.following))
            after = self.value(following.features).squeeze(1)
            target = (earned + batch.discounts * after).unsqueeze(1)
            critic, outputs = self.critics.target[0], [each(seen) for each in self.critics.target]
            q = of_actions(critic.means(least(critic, outputs)), batch.actions)
        td = torch.zeros(())
        for critic in self.critics.online:
            taken = of_actions(critic(seen), batch.actions)
            td = td + critic.distribution.loss(taken, target, torch.ones_like(target)).mean()
        advantages = q - self.value(seen.features).squeeze(1)
        tilt = torch.where(advantages >= 0, config.skill_expectile, 1 - config.skill_expectile)
        value = (tilt * advantages.square()).mean()
        weights = (config.temperature * advantages.detach()).exp().clamp(max=MOST_WEIGHT)
        log_probs = self.actor(seen.features).log_softmax(1)
        nll = -(weights * of_actions(log_probs, batch.actions)).mean()
        return td + value + nll, {"td": td, "value": value, "nll": nll, "earned": earned.mean()}

    def given(self, seen: Seen, skills: torch.Tensor) -> Seen:
        """What is seen, and the skill beside it."""
        return Seen(torch.cat([seen.features, beside(skills)], dim=1), seen.acts)

    def after_step(self, step: int) -> None:
        self.phis.follow()
        self.critics.follow()

    @torch.no_grad()
    def adapt(self, data: Data) -> None:
        """The skill that fits the rewards: least squares on phi(s') - phi(s) in each act."""
        phi = self.phis.online[0]
        for act, rows in enumerate(data.of_acts(self.config.told)):
            rows = rows[data.left()[rows] > 0]
            at, later = (phi(data.seen(each).features) for each in (rows, data.ahead(rows, 1)))
            rewards = torch.from_numpy(data.shaped[rows]).unsqueeze(1)
            skill = torch.linalg.lstsq(later - at, rewards).solution.squeeze(1)
            self.chosen[act] = F.normalize(skill, dim=0)

    @torch.no_grad()
    def measure(self, data: Data, rng: np.random.Generator) -> Scalars:
        """Rank correlation of distance and gap."""
        drawn = pairs(data, rng, MEASURED, 1, MOST_GAP)
        at, later = (data.seen(rows).features for rows in (drawn.first, drawn.later))
        found = sum(distance(phi(at), phi(later)) for phi in self.phis.online)
        return {"spearman": spearman(found.numpy(), drawn.gaps)}

    @torch.no_grad()
    def policy(self, seen: Seen) -> torch.Tensor:
        skilled = self.given(seen, self.chosen[seen.acts])
        return self.actor(skilled.features).log_softmax(1)


def build(config: Config, shape: Shape) -> Skills:
    return Skills(config, shape)
