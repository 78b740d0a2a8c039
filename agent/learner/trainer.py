"""PPO that survives: if an update goes wrong, the weights stay those of the last good one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch

from agent.learning.imagination import Imagination
from agent.learning.imitation import SelfImitation
from agent.learning.planner import Plan
from agent.learning.ppo import PPO, Rollout, Terms
from agent.models.actor import Models
from agent.models.controller import Controller

SMALLEST_BATCH = 8
"""rows of a minibatch that is not halved any more"""


class Trainer:
    """Trains a controller by one rollout after another, for both kinds of learner."""

    def __init__(
        self,
        models: Models,
        pretrained: Controller,
        seed: int,
        device: torch.device,
        after_step: Callable[[], None] = lambda: None,
    ):
        """
        Args:
            models: the controller is trained in place, V and M stay as they are; on `device`.
            pretrained: the policy that the first updates stay near; on `device`, never changed.
            after_step: called after every gradient step, as a sign of life.
        """
        self.controller, self.pretrained = models.controller, pretrained
        self.config = models.config.online
        self.seed, self.device, self.after_step = seed, device, after_step
        self.halvings = 0
        self.imagination = None
        if self.config.dream.horizon:
            self.imagination = Imagination(models.memory, self.config, seed, device)
        self.imitation = SelfImitation(models.config, seed) if self.config.imitation.steps else None
        self._reset_optimizer()

    def _reset_optimizer(self) -> None:
        self.ppo = PPO(self.controller, self.config, self.seed, self.device)
        if self.imagination is not None:
            self.imagination.reset_optimizer()

    def update(self, rollout: Rollout, plan: Plan) -> dict[str, float]:
        """Improve the controller; a minibatch that does not fit into memory is halved from now on.

        Returns:
            The metrics of `PPO.update`, and `minibatches` per epoch; where C is trained in dreams,
            those of M's adapting (`memory_...`) and of the update in the dream (`dream_...`), too,
            and those of self-imitation (`imitation_...`).

        Raises:
            FloatingPointError: something is not finite.
            MemoryError: not even the smallest minibatch fits.
            RuntimeError: PyTorch cannot do it for another reason.
            In all cases the weights are as before and the optimiser is new.
        """
        good = [copy.deepcopy(part.state_dict()) for part in self._parts()]
        rows = rollout.actions.numel()
        if self.imitation is not None:
            self.imitation.take(rollout, plan.follows)
        while True:
            minibatches = self.config.minibatches << self.halvings
            terms = Terms(
                entropy=plan.entropy,
                anchor=self.pretrained,
                anchor_weight=plan.anchor,
                critic_only=plan.critic_only,
                minibatches=minibatches,
                after_step=self.after_step,
            )
            try:
                metrics = self.ppo.update(rollout, plan.progress, terms)
                if self.imagination is not None:
                    metrics |= self._imagine(self.imagination, rollout, plan, terms)
                if self.imitation is not None and not plan.critic_only:
                    metrics |= self.imitation.improve(self.ppo, terms, self.halvings)
                for part in self._parts():
                    _check_finite(part)
            except FloatingPointError:
                self._go_back(good)
                raise
            except (MemoryError, RuntimeError) as error:
                self._go_back(good)
                if not _is_out_of_memory(error):
                    raise
                if rows // minibatches < 2 * SMALLEST_BATCH:
                    message = f"no memory for a batch of {rows // minibatches}: {error}"
                    raise MemoryError(message) from None
                self.halvings += 1
            else:
                return {**metrics, "minibatches": minibatches}

    def _imagine(
        self, imagination: Imagination, rollout: Rollout, plan: Plan, terms: Terms
    ) -> dict[str, float]:
        """Adapt M to what was really played, then improve the controller in its dream."""
        metrics = imagination.adapt(rollout, terms)
        if plan.critic_only:
            return metrics
        dreamt = imagination.rollout(self.controller, rollout)
        once = dataclasses.replace(terms, epochs=1)
        for name, value in self.ppo.update(dreamt, plan.progress, once).items():
            metrics[f"dream_{name}"] = value
        return metrics

    def _parts(self) -> list[torch.nn.Module]:
        """What changes in an update."""
        dreams = [] if self.imagination is None else [self.imagination.memory]
        return [self.controller, *dreams]

    def _go_back(self, good: list[dict[str, torch.Tensor]]) -> None:
        for part, state in zip(self._parts(), good, strict=True):
            part.zero_grad(set_to_none=True)
            part.load_state_dict(state)
        self._reset_optimizer()


def _check_finite(part: torch.nn.Module) -> None:
    for name, value in part.state_dict().items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(f"weights {name} are not finite")


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class of its own for GPUs only; on the CPU there is but the message.

    oneDNN, which computes convolutions, says no more than that it could not create something.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    message = str(error).lower()
    signs = ("allocate memory", "bad_alloc", "out of memory", "could not create a")
    return any(words in message for words in signs)
