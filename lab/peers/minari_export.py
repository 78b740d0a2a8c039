"""Export the training part of a data set as a Minari data set, for anybody's code.

    .venv-peers/bin/python lab/peers/minari_export.py --data runs/lab/data --out runs/lab/minari

Runs in the peers' environment. Observations are the features z and h, rewards the shaped ones; each
step's info has the contest's reward and the act. Minari wants an observation after the last action:
the recording has none behind an episode's end, so the last one stands there twice.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors


def episodes(folder: Path, name: str) -> list[dict[str, Any]]:
    """The episodes of a file, as the fields of Minari's `EpisodeBuffer`."""
    columns = {}
    for part in ("features", "shards"):
        with safetensors.safe_open(folder / part / name, "np") as file:
            facts = json.loads(file.metadata()["metadata"])
            for key in ("features", "shaped", "cuts", "actions", "rewards", "ends"):
                if key in file.keys():  # noqa: SIM118
                    columns[key] = file.get_tensor(key)
    found, first = [], 0
    over = columns["ends"].copy()
    over[-1] = True
    for last in np.flatnonzero(over):
        rows = slice(first, last + 1)
        seen = columns["features"][rows]
        terminated = bool(columns["ends"][last] and not columns["cuts"][last])
        steps = last + 1 - first
        found.append(
            {
                "observations": np.concatenate([seen, seen[-1:]]),
                "actions": columns["actions"][rows],
                "rewards": columns["shaped"][rows],
                "terminations": [False] * (steps - 1) + [terminated],
                "truncations": [False] * (steps - 1) + [not terminated],
                "infos": {
                    "contest_reward": np.append(columns["rewards"][rows], np.float32(0)),
                    "level": [facts["level"]] * (steps + 1),
                },
            }
        )
        first = last + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    os.environ["MINARI_DATASETS_PATH"] = str(asked.out.resolve())
    asked.out.mkdir(parents=True, exist_ok=True)
    import gymnasium
    import minari
    from minari.data_collector import EpisodeBuffer

    index = json.loads((asked.data / "data.json").read_text())
    found = [each for name in index["training"] for each in episodes(asked.data, name)]
    size = found[0]["observations"].shape[1]
    data = minari.create_dataset_from_buffers(
        dataset_id="pangolin/laboratory-v0",
        buffer=[EpisodeBuffer(id=number, **each) for number, each in enumerate(found)],
        observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float16),
        action_space=gymnasium.spaces.Discrete(len(index["actions"])),
        algorithm_name="mixture of behaviours",
        description=f"SHA-256 of the recording: {index['sha256']}",
    )
    print(data.spec.dataset_id, data.total_episodes, "episodes,", data.total_steps, "timesteps")


if __name__ == "__main__":
    main()
