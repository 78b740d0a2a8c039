"""A neural ODE of the player's motion (torchdiffeq), in the environment of the peers.

    .venv-peers/bin/python lab/peers/ode.py --data runs/lab/data-own --seed 0 --out FILE

It learns what `lab.methods.motion` learns from, for each act by itself: two places in V's latents
and the actions that follow, in pixels of the game's screen. FILE holds the places that it expects
in the data that was held back, which `python -m lab peer-ode` judges. It imports nothing of this
repository.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

STEPS, BATCH, RATE = 500, 256, 3e-3
AHEAD, EVERY = 5, 3
"""timesteps ahead that are learnt; one of so many is judged"""
SCREEN, REST, UNIT, BETA = (320.0, 224.0), (160.0, 120.0), 10.0, 2.0
"""as in `lab.methods.motion`"""
HIDDEN = 32


class Arrays:
    """V's places (N, 2) in pixels, actions and acts (N,) of some shards, one behind the other."""

    def __init__(self, folder: Path, which: str, latent: int):
        """Args: which: `training` or `held_back`; latent: units of z."""
        index = json.loads((folder / "data.json").read_text())
        self.sha256, self.count = index["sha256"], len(index["actions"])
        places, actions, acts, last = [], [], [], []
        for name in index[which]:
            with safetensors.safe_open(folder / "features" / name, "np") as file:
                seen = file.get_tensor("features")[:, latent - 2 : latent].astype(np.float32)
                cuts = file.get_tensor("cuts")
                facts = json.loads(file.metadata()["metadata"])
            with safetensors.safe_open(folder / "shards" / name, "np") as file:
                ends = file.get_tensor("ends") | cuts
                actions.append(file.get_tensor("actions"))
            ends[-1] = True
            places.append((seen / 2 + 1) / 2 * np.array(SCREEN, np.float32))
            last.append(ends)
            acts.append(np.full(len(ends), facts["act"]))
        self.places, self.actions = np.concatenate(places), np.concatenate(actions)
        self.acts, self.last = np.concatenate(acts), np.concatenate(last)

    def rows(self, act: int) -> np.ndarray:
        """The timesteps of an act that have one of the episode before, and `AHEAD` behind."""
        ended = np.append(0, np.cumsum(self.last))
        first = np.arange(len(self.last) - AHEAD - 1)
        rows = first[ended[first + AHEAD + 1] == ended[first]] + 1
        return rows[self.acts[rows] == act]

    def paths(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Places (AHEAD + 2, ...) from one timestep before these rows on, actions (AHEAD, ...)."""
        steps = np.arange(-1, AHEAD + 1).reshape(-1, *(1,) * rows.ndim) + rows
        return torch.from_numpy(self.places[steps]), torch.from_numpy(self.actions[steps[1:-1]])


class Field(nn.Module):
    """d(place, speed)/dt = (speed, a network's), a network for each act: states (acts, B, 4)."""

    def __init__(self, acts: int, actions: int):
        super().__init__()
        self.count = actions
        sizes = [4 + actions, HIDDEN, HIDDEN, 2]
        self.weights = nn.ParameterList(
            torch.randn(acts, size, other) / size**0.5 for size, other in itertools.pairwise(sizes)
        )
        self.weights[-1].data.zero_()  # without forces to begin with
        self.biases = nn.ParameterList(torch.zeros(acts, 1, size) for size in sizes[1:])
        self.actions = torch.empty(0)

    def forward(self, t: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        x = torch.cat([state, self.actions], dim=-1)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = x.tanh() if number < len(self.weights) - 1 else x
        return torch.cat([state[..., 2:], x], dim=-1)

    def predict(self, places: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """The places of 1, 2, ... timesteps later, (AHEAD, acts, B, 2)."""
        from torchdiffeq import odeint

        rest, found = torch.tensor(REST), []
        state = torch.cat([places[1] - rest, places[1] - places[0]], dim=-1) / UNIT
        for action in actions:
            self.actions = F.one_hot(action, self.count).float()
            state = odeint(self, state, torch.tensor([0.0, 1.0]), method="rk4")[-1]
            found.append(state[..., :2] * UNIT + rest)
        return torch.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latent", type=int, default=512, help="units of z")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    rng = np.random.default_rng([asked.seed, 7])
    data, judged = (Arrays(asked.data, each, asked.latent) for each in ("training", "held_back"))
    starts = [data.rows(act) for act in range(int(data.acts.max()) + 1)]
    field = Field(len(starts), data.count)
    optimizer = torch.optim.Adam(field.parameters(), lr=RATE)
    began = time.process_time()
    for _ in range(STEPS):
        places, actions = data.paths(np.stack([rng.choice(rows, BATCH) for rows in starts]))
        found = field.predict(places, actions)
        loss = F.smooth_l1_loss(found, places[2:], beta=BETA) * len(starts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spent = time.process_time() - began
    rows = [judged.rows(act)[::EVERY] for act in range(len(starts))]
    # All acts at once, those with fewer timesteps filled up with their last one.
    longest = max(map(len, rows))
    with torch.no_grad():
        filled = np.stack([np.pad(each, (0, longest - len(each)), "edge") for each in rows])
        found = field.predict(*judged.paths(filled))
    places = torch.cat([found[:, act, : len(each)] for act, each in enumerate(rows)], dim=1)
    facts = {
        "version": f"torchdiffeq {metadata.version('torchdiffeq')}, odeint, rk4",
        "data": data.sha256,
        "steps": STEPS,
        "weights": sum(weight[0].numel() for weight in field.parameters()),
        "fitting_seconds": round(spent, 3),
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"rows": torch.from_numpy(np.concatenate(rows)), "places": places.contiguous()}
    safetensors.torch.save_file(arrays, asked.out, {"facts": json.dumps(facts)})
    print(asked.out, facts)


if __name__ == "__main__":
    main()
