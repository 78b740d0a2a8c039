"""Make a data set of several bodies from recorded ones: `python -m lab embody --config FILE`.

Every body gets episodes of its own, the next part of the recorded ones, as if it had played them:
its frames, its numbers of the actions, and what the bundle's frozen V and M make of these. The
timesteps that are held back are the same for all. A body whose timesteps are longer than home's,
or that plays another game, has played and recorded by itself; of these files as much is taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent import bundle
from agent.models.actor import Models
from agent.models.precision import computes_in_bfloat16
from agent.models.vision import to_input
from lab.body import BODIES, Body
from lab.config import EmbodyConfig
from lab.data import INDEX, digest
from pretrain.data.shards import Shard, ShardWriter, open_arrays, save_arrays
from pretrain.meter import Meter, StopRequest
from pretrain.stage import Stage, Stopped
from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_json_object, write_json

Index = dict[str, Any]
Source = tuple[Path, list[str], list[str]]
"""a data set's folder, and its files that a body gets: to learn from, and held back"""
CHUNK = 256
"""frames that V sees at once"""


def run(config: EmbodyConfig, fresh: bool = False) -> None:
    """Write the bodies' files, and the index.

    Raises:
        UsageError: a recorded data set is missing, too small or of other acts, a body is unknown,
            or C sees more than z and h.
        Stopped: asked to stop; whole files stay.
    """
    index, own, sources = look_up(config)
    acts = len(index["levels"])
    models, manifest = bundle.load(config.bundle)
    if tuple(models.config.controller.features) != ("z", "h"):
        raise UsageError("bundle: its C sees more than z and h, which no body can be given")
    settings = {"bodies": config.bodies, "timesteps": config.timesteps, "source": index["sha256"]}
    settings["own"] = {name: found["sha256"] for name, found in own.items()}
    settings["weights"] = {name: each.sha256 for name, each in manifest.weights.items()}
    work = Stage("embody", config.out, settings).open(fresh)
    if work.finished:
        print(f"embody: already done ({config.out})")
        return
    torch.set_num_threads(1)
    for folder in ("shards", "features"):
        (config.out / folder).mkdir(exist_ok=True)
    names: dict[str, list[str]] = {"training": [], "held_back": []}
    total = 2 * len(config.bodies) * acts
    with StopRequest() as stop, Meter("embody", total, "files") as meter:
        for body in (BODIES[name] for name in config.bodies):
            folder, training, held_back = sources[body.name]
            for kind, files in (("training", training), ("held_back", held_back)):
                for name in files:
                    names[kind].append(f"{body.name}-{name}")
                    if not (config.out / "features" / names[kind][-1]).exists():
                        embody(config, models, body, folder, name, acts)
                    if stop.asked:
                        raise Stopped
                    meter.update(sum(map(len, names.values())))
    sha256 = digest(config.out, names["training"] + names["held_back"])
    facts = {"levels": index["levels"], "actions": index["actions"], "sha256": sha256}
    write_json(config.out / INDEX, {**facts, **names})
    work.finish(sha256=sha256)
    print(f"embody: {total} files in {config.out}, sha256 {sha256}")


def look_up(config: EmbodyConfig) -> tuple[Index, dict[str, Index], dict[str, Source]]:
    """The recorded data set's index, those of bodies' own data sets, and each body's files.

    Raises:
        UsageError: see `run`.
    """
    if unknown := set(config.bodies) - set(BODIES):
        raise UsageError(f"bodies: no {', '.join(unknown)}; there are {', '.join(BODIES)}")
    alone = {name for name in config.bodies if BODIES[name].timesteps > 1 or BODIES[name].level}
    if alone != set(config.own):
        raise UsageError(
            "own: should be for the bodies with longer timesteps or another game:"
            f" {', '.join(sorted(alone)) or 'none'}"
        )
    index, own = index_of(config.source), {n: index_of(each) for n, each in config.own.items()}
    acts, sources, given = len(index["levels"]), {}, 0
    for name in config.bodies:
        folder, found = config.own.get(name, config.source), own.get(name, index)
        training = found["training"][given * acts :] if found is index else found["training"]
        given += found is index
        sources[name] = folder, training[:acts], found["held_back"][:acts]
        level = BODIES[name].level
        if found["levels"] != ([level] if level else index["levels"]):
            raise UsageError(f"{folder}: its acts are not {level or f'those of {config.source}'}")
        if any(len(files) < acts for files in sources[name][1:]):
            raise UsageError(f"{folder}: too small for {len(config.bodies)} bodies")
    return index, own, sources


def index_of(folder: Path) -> Index:
    """The index of a recorded data set.

    Raises:
        UsageError: there is none.
    """
    try:
        index = read_json_object(folder / INDEX)
        return {key: index[key] for key in ("levels", "actions", "sha256", "training", "held_back")}
    except (UnreadableFile, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: no data set: record it first ({error})") from None


@torch.inference_mode()
def embody(
    config: EmbodyConfig, models: Models, body: Body, folder: Path, name: str, acts: int
) -> None:
    """Write what a body would have recorded in place of one file of a data set's folder.

    Args:
        acts: how many there are; another game's level gets the number behind them.
    """
    shard = Shard(folder / "shards" / name)
    arrays, facts = open_arrays(folder / "features" / name)
    count = min(config.timesteps, len(shard))
    frames = body.sees(shard.frames(0, count))
    # The body's number of an action is the place of home's number in its order.
    actions = np.argsort(body.order(models.config.actions))[shard.actions[:count]]
    z = torch.from_numpy(arrays["features"][:count, : models.config.vision.latent].astype("f4"))
    if body.mirrored:
        z = latents(models, frames)
    over = shard.ends[:count] | arrays["cuts"][:count]
    features = torch.cat([z, hidden_states(models, z, torch.from_numpy(actions), over)], dim=1)
    columns = {key: arrays[key][:count] for key in ("memory", "shaped", "cuts")}
    columns["features"] = features.numpy().astype(np.float16)
    writer = ShardWriter(shard.level, shard.variable_names)
    for t in range(count):
        values = dict(zip(shard.variable_names, shard.variables[t], strict=True))
        known = (float(shard.rewards[t]), bool(shard.starts[t]), bool(shard.ends[t]), values)
        writer.add(frames[t], int(actions[t]), *known)
    file = f"{body.name}-{name}"
    writer.write(config.out / "shards" / file, {})
    facts = {"act": acts if body.level else facts["act"], "body": body.number}
    save_arrays(config.out / "features" / file, columns, facts)


def latents(models: Models, frames: np.ndarray) -> torch.Tensor:
    """V's latents (T, Z) of frames (T, 64, 64, 3)."""
    found, bfloat16 = [], computes_in_bfloat16("auto", torch.device("cpu"))
    models.vision.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for first in range(0, len(frames), CHUNK):
            found.append(models.vision.encode(to_input(frames[first : first + CHUNK]))[0].float())
    return torch.cat(found)


def hidden_states(
    models: Models, z: torch.Tensor, actions: torch.Tensor, over: np.ndarray
) -> torch.Tensor:
    """M's hidden states (T, H) before each timestep; an episode begins with an empty one."""
    found, first = [], 0
    for last in [*(np.flatnonzero(over) + 1), len(z)]:
        if last > first:
            empty = models.memory.initial_state(1)
            after, _ = models.memory(z[None, first:last], actions[None, first:last], empty)
            found.append(torch.cat([empty.h, after[0, :-1]]))
        first = last
    return torch.cat(found)
