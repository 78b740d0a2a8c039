"""Make a data set of several bodies from a recorded one: `python -m lab embody --config FILE`.

Every body gets episodes of its own, the next part of the recorded ones, as if it had played them:
its frames, its numbers of the actions, and what the bundle's frozen V and M make of these. The
timesteps that are held back are the same for all.
"""

from __future__ import annotations

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

CHUNK = 256
"""frames that V sees at once"""


def run(config: EmbodyConfig, fresh: bool = False) -> None:
    """Write the bodies' files, and the index.

    Raises:
        UsageError: the recorded data set is missing or too small, a body is unknown, or C sees
            more than z and h.
        Stopped: asked to stop; whole files stay.
    """
    try:
        index = read_json_object(config.source / INDEX)
        acts, source = len(index["levels"]), index["sha256"]
        training, held_back = index["training"], index["held_back"][:acts]
    except (UnreadableFile, KeyError, TypeError) as error:
        raise UsageError(f"{config.source}: no data set: record it first ({error})") from None
    if unknown := set(config.bodies) - set(BODIES):
        raise UsageError(f"bodies: no {', '.join(unknown)}; there are {', '.join(BODIES)}")
    if len(training) < acts * len(config.bodies):
        raise UsageError(f"{config.source}: too small for {len(config.bodies)} bodies")
    models, manifest = bundle.load(config.bundle)
    if tuple(models.config.controller.features) != ("z", "h"):
        raise UsageError("bundle: its C sees more than z and h, which no body can be given")
    settings = {"bodies": config.bodies, "timesteps": config.timesteps, "source": source}
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
        for number, body in enumerate(BODIES[name] for name in config.bodies):
            own = training[number * acts : (number + 1) * acts]
            for kind, files in (("training", own), ("held_back", held_back)):
                for name in files:
                    names[kind].append(f"{body.name}-{name}")
                    if not (config.out / "features" / names[kind][-1]).exists():
                        embody(config, models, body, name)
                    if stop.asked:
                        raise Stopped
                    meter.update(sum(map(len, names.values())))
    sha256 = digest(config.out, names["training"] + names["held_back"])
    facts = {"levels": index["levels"], "actions": index["actions"], "sha256": sha256}
    write_json(config.out / INDEX, {**facts, **names})
    work.finish(sha256=sha256)
    print(f"embody: {total} files in {config.out}, sha256 {sha256}")


@torch.inference_mode()
def embody(config: EmbodyConfig, models: Models, body: Body, name: str) -> None:
    """Write what a body would have recorded in place of one file."""
    shard = Shard(config.source / "shards" / name)
    arrays, facts = open_arrays(config.source / "features" / name)
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
    facts = {"act": facts["act"], "body": body.number}
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
