"""The commands that are killed, and the equality that is asked of their results.

- `collect`: every array of every shard, and the shards' names.
- `pretrain`: the same; the weights of V and M, in their stages and in the bundle. Of the controller
  stage the number of timesteps, and that the bundle loads: a C that goes on from a checkpoint
  starts its environments anew, so its weights may differ.
- `evaluate`: every result and every episode, without times.
- `agent`: all weights of the fine-tuned bundle, its timesteps, updates and episodes, and the
  server's episodes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from agent import bundle
from pretrain.data.shards import Shard, open_arrays
from retro_common.errors import UsageError
from tests.chaos.harness import Fault, python, start

SECRET = "0123456789abcdef" * 2
"""of all evaluations: those with different secrets differ"""
CONFIG = """
out: {out}
levels: airstriker
agent:
  actions: ["", "LEFT", "RIGHT", "B"]
  vision: {{latent: 16, grid: 4, player_units: 0, channels: [4, 8], decoder_channels: [4, 8]}}
  memory: {{hidden: 16, mixtures: 2}}
  controller: {{features: [z, h], hidden: 16}}
  online: {{rollout_length: 64, save_seconds: 0, learner: inline}}
collect: {{timesteps: 256, shard: 64, workers: 1, behaviours: {{random: 1}}}}
vision: {{steps: {steps}, batch: 16, kl_warmup: 4}}
memory: {{steps: {steps}, batch: 4, sequence: 16}}
controller: {{timesteps: 256, envs: 2, ppo: {{rollout_length: 64, epochs: 1, minibatches: 2}}}}
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path, load: Any) -> Any:
    """What `load` makes of a file, which must be whole."""
    try:
        return load(path)
    except Exception as error:
        raise Fault(f"{path.name} is half there: {type(error).__name__}: {error}") from None


def load_json(path: Path) -> Any:
    return json.loads(path.read_text())


def load_checkpoint(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def weights(state: dict[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    result = hashlib.sha256()
    for name, value in sorted(state.items()):
        result.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        result.update(value.contiguous().numpy().tobytes())
    return result.hexdigest()[:16]


def shards(run: Path) -> dict[str, str]:
    """A hash of everything that a shard holds, by its name."""
    found = {}
    for path in sorted((run / "collect" / "shards").glob("*.safetensors")):
        shard = read(path, Shard)
        content = hashlib.sha256(shard.frames(0, len(shard)).tobytes())
        arrays, _ = open_arrays(path)
        for name in ("actions", "rewards", "starts", "ends", "variables"):
            content.update(arrays[name].tobytes())
        found[f"shard {path.name}"] = content.hexdigest()[:16]
    return found


class Collect:
    """`python -m pretrain collect`."""

    name, stage = "collect", "collect"

    def __init__(self, steps: int = 12) -> None:
        self._steps = steps

    def start(self, folder: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen:
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(out=folder / "run", steps=self._steps))
        return start(python("pretrain", self.stage, "--config", config), log, environment)

    def ended(self, folder: Path) -> None:
        pass

    def saved(self, folder: Path) -> dict[str, Any]:
        run, found = folder / "run", {}
        for path in sorted(run.rglob("*.json")):
            found[str(path.relative_to(run))] = read(path, load_json)
        for path in sorted(run.rglob("*.safetensors")):
            if "bundle" not in path.parts:
                read(path, open_arrays)
            found[str(path.relative_to(run))] = sha256(path)
        for path in sorted(run.rglob("checkpoint.pt")):
            checkpoint = read(path, load_checkpoint)
            found[f"{path.parent.name}: steps in the checkpoint"] = checkpoint["done"]
        return found

    def lost(self, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        """Files stay as they are; checkpoints only go forward."""
        lost = []
        for name, value in before.items():
            now = after.get(name)
            good = now is not None and now >= value if isinstance(value, int) else now == value
            if not good:
                lost.append(name)
        return lost

    def result(self, folder: Path) -> dict[str, Any]:
        return shards(folder / "run")


class Pretrain(Collect):
    """`python -m pretrain all`."""

    name, stage = "pretrain", "all"

    def result(self, folder: Path) -> dict[str, Any]:
        run = folder / "run"
        result: dict[str, Any] = shards(run)
        for stage in ("vision", "memory"):
            checkpoint = load_checkpoint(run / stage / "checkpoint.pt")
            result[stage] = checkpoint["done"], weights(checkpoint["model"])
        models, manifest = bundle.load(run / "bundle")
        for part in ("vision", "memory"):
            result[f"{part} of the bundle"] = weights(models.parts()[part].state_dict())
        result["controller's timesteps"] = manifest.origin["pretraining_timesteps"]["controller"]
        return result


class Evaluate:
    """`retro-contest evaluate` with JERK as a process."""

    name = "evaluate"

    def __init__(self, timesteps: int = 400, seeds: int = 2) -> None:
        self._timesteps, self._seeds = timesteps, seeds

    def start(self, folder: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen:
        words = ["--levels", "airstriker", "--agent", "jerk", "--name", "jerk"]
        words += ["--timesteps", str(self._timesteps), "--seeds", str(self._seeds)]
        words += ["--results", str(folder / "results"), "--replay-secret", SECRET]
        return start(python("retro_contest", "evaluate", *words), log, environment)

    def ended(self, folder: Path) -> None:
        pass

    def saved(self, folder: Path) -> dict[str, Any]:
        found = {}
        for path in sorted((folder / "results").rglob("*.json")):
            content = read(path, load_json)
            if path.name == "result.json":
                found[str(path.relative_to(folder))] = content
                found[str(path.with_name("monitor.csv").relative_to(folder))] = sha256(
                    path.with_name("monitor.csv")
                )
        return found

    def lost(self, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        return [name for name, value in before.items() if after.get(name) != value]

    def result(self, folder: Path) -> dict[str, Any]:
        results = folder / "results"
        found: dict[str, Any] = {}
        for path in sorted(results.rglob("result.json")):
            run, name = load_json(path), path.parent.name
            for key in ("game", "state", "seed", "score", "episodes", "timesteps", "verdict"):
                found[f"{name}: {key}"] = run[key]
            with path.with_name("monitor.csv").open() as file:
                found[f"{name}: rows"] = [(row["r"], row["l"]) for row in csv.DictReader(file)]
        summary = load_json(results / "summary.json")
        for key in ("name", "score", "complete", "level_scores", "runs", "agent", "level_set"):
            found[f"summary: {key}"] = summary[key]
        return found


class Agent:
    """`python -m agent` in a contest of its own, served anew for every run.

    A contest is served once: who is killed in it has lost its score, and only that. The agent's
    output folder always holds a whole bundle, or none yet.
    """

    name = "agent"

    def __init__(self, bundle_folder: Path, timesteps: int = 400) -> None:
        self._bundle, self._timesteps = bundle_folder, timesteps
        self._server: subprocess.Popen | None = None
        self._socket = ""

    def start(self, folder: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen:
        self._socket = tempfile.mkdtemp(prefix="chaos-")  # a socket's path must be short
        shutil.rmtree(folder / "served", ignore_errors=True)
        words = ["airstriker", "--socket", self._socket, "--results", str(folder / "served")]
        words += ["--seed", "0", "--timesteps", str(self._timesteps)]
        self._server = start(
            python("retro_contest", "serve", *words), folder / "server.log", environment
        )
        words = ["--bundle", str(self._bundle), "--socket", self._socket]
        words += ["--out", str(folder / "out"), "--timesteps", str(self._timesteps)]
        words += ["--learner", "inline"]  # an update beside the playing depends on the machine
        return start(python("agent", *words), log, environment)

    def ended(self, folder: Path) -> None:
        """The server notices by itself that its agent is gone, if it had one."""
        assert self._server is not None
        status = folder / "served" / "server.json"
        connected = status.exists() and load_json(status).get("connected")
        if not connected:
            self._server.terminate()
        self._server.wait(60)
        shutil.rmtree(self._socket, ignore_errors=True)

    def saved(self, folder: Path) -> dict[str, Any]:
        if not (folder / "out" / "config.yaml").exists():
            return {}
        try:
            models, manifest = bundle.load(folder / "out")
        except UsageError as error:
            raise Fault(f"the saved bundle is half there: {error}") from None
        parts = {name: weights(m.state_dict()) for name, m in models.parts().items()}
        return {"a bundle": {**parts, **manifest.origin["fine_tuned"]}}

    def lost(self, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        return [name for name in before if name not in after]

    def result(self, folder: Path) -> dict[str, Any]:
        found = self.saved(folder)["a bundle"]
        served = folder / "served"
        with (served / "monitor.csv").open() as file:
            found["episodes of the server"] = [(r["r"], r["l"]) for r in csv.DictReader(file)]
        return found
