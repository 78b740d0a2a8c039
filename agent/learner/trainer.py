"""Updates that cannot do harm: if one goes wrong, the weights stay those of the last good one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from agent.learning.planner import Plan
from agent.learning.ppo import PPO, Rollout, UpdateOptions
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
            after_step: called after every gradient step, as a heartbeat.
        """
        self.controller, self.pretrained = models.controller, pretrained
        self.config = models.config.online
        self.seed, self.device, self.after_step = seed, device, after_step
        self.halvings = 0
        self._reset_optimizer()

    def _reset_optimizer(self) -> None:
        self.ppo = PPO(self.controller, self.config, self.seed, self.device)

    def update(self, rollout: Rollout, plan: Plan) -> dict[str, float]:
        """Improve the controller; a minibatch that does not fit into memory is halved from now on.

        Returns:
            The metrics of `PPO.update`, and `minibatches` per epoch.

        Raises:
            FloatingPointError: a number is not finite.
            MemoryError: not even the smallest minibatch fits.
            RuntimeError: PyTorch fails for another reason.
            In all cases the weights are as before and the optimiser is new.
        """
        good = copy.deepcopy(self.controller.state_dict())
        rows = rollout.actions.numel()
        while True:
            minibatches = self.config.minibatches << self.halvings
            options = UpdateOptions(
                anchor=self.pretrained,
                anchor_weight=plan.anchor,
                critic_only=plan.critic_only,
                minibatches=minibatches,
                after_step=self.after_step,
            )
            try:
                metrics = self.ppo.update(rollout, plan.progress, options)
                _check_finite(self.controller)
            except FloatingPointError:
                self._restore(good)
                raise
            except (MemoryError, RuntimeError) as error:
                self._restore(good)
                if not _is_out_of_memory(error):
                    raise
                if rows // minibatches < 2 * SMALLEST_BATCH:
                    message = f"no memory for a batch of {rows // minibatches}: {error}"
                    raise MemoryError(message) from None
                self.halvings += 1
            else:
                return {**metrics, "minibatches": minibatches}

    def _restore(self, good: dict[str, torch.Tensor]) -> None:
        self.controller.zero_grad(set_to_none=True)
        self.controller.load_state_dict(good)
        self._reset_optimizer()


def _check_finite(network: torch.nn.Module) -> None:
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(f"weights {name} are not finite")


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory was short. On the CPU only the message says so: PyTorch has an exception of
    its own for GPUs, and oneDNN, which computes convolutions, says that it could not create
    something."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    message = str(error).lower()
    signs = ("allocate memory", "bad_alloc", "out of memory", "could not create a")
    return any(sign in message for sign in signs)
