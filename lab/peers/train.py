"""Train a public implementation on the laboratory's arrays; runs in an environment of its own.

    .venv-peers/bin/python lab/peers/train.py PEER --data runs/lab/data --seed 0 --out FILE

Peers: `clone` (d3rlpy's DiscreteBC), `cql` (d3rlpy's DiscreteCQL), `scaled` (the same with
quantiles), `iql` (TorchRL's DiscreteIQLLoss). Each gets the batches that `lab.data` would draw, and
networks of the same size; FILE holds the layers of the policy, or of Q, which
`python -m lab peer` plays. It imports nothing of this repository.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

GAMMA = 0.99
BATCH = 256
RATE = 3e-4
STEPS = {"clone": 4000, "cql": 4000, "scaled": 4000, "iql": 6000}
"""gradient steps, as in the configurations of ours"""


class Arrays:
    """The recorded timesteps of training, one file behind the other."""

    def __init__(self, folder: Path, rng: np.random.Generator, size: int):
        """Args: size: timesteps in a gradient step."""
        index = json.loads((folder / "data.json").read_text())
        self.rng, self.size, self.sha256 = rng, size, index["sha256"]
        self.count = len(index["actions"])
        columns: dict[str, list[np.ndarray]] = {}
        for name in index["training"]:
            for part, wanted in (
                ("features", ("features", "shaped", "cuts")),
                ("shards", ("actions", "ends")),
            ):
                with safetensors.safe_open(folder / part / name, "np") as file:
                    for key in wanted:
                        columns.setdefault(key, []).append(file.get_tensor(key))
            columns["cuts"][-1][-1] |= not columns["ends"][-1][-1]
        joined = {key: np.concatenate(parts) for key, parts in columns.items()}
        self.features, self.actions = joined["features"], joined["actions"]
        self.rewards, self.cuts = joined["shaped"], joined["cuts"]
        self.ends = joined["ends"] & ~self.cuts
        self.rows = np.flatnonzero(~self.cuts)

    def batch(self) -> dict[str, np.ndarray]:
        rows = self.rng.choice(self.rows, self.size)
        later = np.where(self.ends[rows], rows, rows + 1)
        return {
            "features": self.features[rows].astype(np.float32),
            "actions": self.actions[rows],
            "rewards": self.rewards[rows],
            "ends": self.ends[rows],
            "following": self.features[later].astype(np.float32),
            "following_actions": self.actions[later],
        }


def mlp(inputs: int, hidden: list[int], outputs: int, activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), activation()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def d3rlpy_learner(peer: str, arrays: Arrays, steps: int) -> tuple[nn.Module, dict[str, Any]]:
    import d3rlpy
    from d3rlpy.dataset import TransitionMiniBatch
    from d3rlpy.models import encoders, q_functions

    relu = encoders.VectorEncoderFactory(hidden_units=[256, 256])
    tanh = encoders.VectorEncoderFactory(hidden_units=[256], activation="tanh")
    common: dict[str, Any] = {"batch_size": arrays.size, "learning_rate": RATE}
    if peer == "clone":
        config = d3rlpy.algos.DiscreteBCConfig(encoder_factory=tanh, beta=0.0, **common)
    else:
        # A hard update every 200 steps is as old on average as Polyak's with 0.005. The peer's TD
        # error counts half (Huber's loss), so half of our weight pushes as hard.
        quantiles = q_functions.QRQFunctionFactory(n_quantiles=32)
        config = d3rlpy.algos.DiscreteCQLConfig(
            encoder_factory=relu,
            q_func_factory=quantiles if peer == "scaled" else q_functions.MeanQFunctionFactory(),
            gamma=GAMMA,
            alpha=0.05,
            target_update_interval=200,
            **common,
        )
    algo = config.create(device="cpu")
    algo.create_impl(arrays.features.shape[1:], arrays.count)
    column = (arrays.size, 1)
    for _ in range(steps):
        batch = arrays.batch()
        algo.update(
            TransitionMiniBatch(
                observations=batch["features"],
                actions=batch["actions"].astype(np.float32).reshape(column),
                rewards=batch["rewards"].reshape(column),
                next_observations=batch["following"],
                next_actions=batch["following_actions"].astype(np.float32).reshape(column),
                terminals=batch["ends"].astype(np.float32).reshape(column),
                intervals=np.ones(column, np.float32),
                transitions=[],
            )
        )
    modules = algo.impl.modules
    network = modules.imitator if peer == "clone" else modules.q_funcs[0]
    return network, {
        "activation": "tanh" if peer == "clone" else "relu",
        "temperature": 1.0 if peer == "clone" else 10.0,
        "version": f"d3rlpy {metadata.version('d3rlpy')}, {type(config).__name__[:-6]}",
    }


def torchrl_learner(arrays: Arrays, steps: int) -> tuple[nn.Module, dict[str, Any]]:
    from tensordict.nn import TensorDictModule
    from torchrl.data import Categorical as Actions
    from torchrl.modules import ProbabilisticActor
    from torchrl.objectives import SoftUpdate
    from torchrl.objectives.iql import DiscreteIQLLoss

    inputs = arrays.features.shape[1]
    policy = mlp(inputs, [256], arrays.count, nn.Tanh)
    seen = ["observation"]
    actor = ProbabilisticActor(
        TensorDictModule(policy, seen, ["logits"]),
        in_keys=["logits"],
        spec=Actions(arrays.count),
        distribution_class=torch.distributions.Categorical,
    )
    q = TensorDictModule(
        mlp(inputs, [256, 256], arrays.count, nn.ReLU), seen, ["state_action_value"]
    )
    v = TensorDictModule(mlp(inputs, [256], 1, nn.Tanh), seen, ["state_value"])
    loss = DiscreteIQLLoss(
        actor,
        q,
        v,
        action_space="categorical",
        loss_function="l2",
        temperature=10.0,
        expectile=0.9,
    )
    loss.make_value_estimator(gamma=GAMMA)
    follow = SoftUpdate(loss, eps=0.995)
    optimizer = torch.optim.Adam(loss.parameters(), lr=RATE)
    for _ in range(steps):
        batch = {key: torch.from_numpy(value) for key, value in arrays.batch().items()}
        ends = batch["ends"].unsqueeze(1)
        actor_loss, q_loss, v_loss, _ = loss(
            observation=batch["features"],
            action=batch["actions"],
            next_done=ends,
            next_terminated=ends,
            next_observation=batch["following"],
            next_reward=batch["rewards"].unsqueeze(1),
        )
        optimizer.zero_grad()
        (actor_loss + q_loss + v_loss).backward()
        optimizer.step()
        follow.step()
    with torch.no_grad():
        weights = loss.actor_network_params
        weights.to_module(loss.actor_network)
    return policy, {
        "activation": "tanh",
        "temperature": 1.0,
        "version": f"TorchRL {metadata.version('torchrl')}, DiscreteIQLLoss",
    }


def layers_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights and biases of the linear layers, from the input on."""
    linear = [each for each in network.modules() if isinstance(each, nn.Linear)]
    found = {}
    for number, layer in enumerate(linear):
        found[f"{number}.weight"] = layer.weight.detach().clone()
        found[f"{number}.bias"] = layer.bias.detach().clone()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=STEPS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    arrays = Arrays(asked.data, np.random.default_rng([asked.seed, 7]), BATCH)
    steps = asked.steps or STEPS[asked.peer]
    if asked.peer == "iql":
        network, facts = torchrl_learner(arrays, steps)
    else:
        network, facts = d3rlpy_learner(asked.peer, arrays, steps)
    facts |= {"data": arrays.sha256, "steps": steps, "processor_seconds": time.process_time()}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    metadata_ = {"facts": json.dumps(facts)}
    safetensors.torch.save_file(layers_of(network), asked.out, metadata_)
    print(asked.out, facts)


if __name__ == "__main__":
    main()
