"""Finding the thing that is played, on films made for the purpose."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import AgentConfig, VisionConfig
from agent.models.vision import PlayerFinder, to_input
from pretrain.config import CollectConfig, FindPlayerConfig, PretrainConfig
from pretrain.data.movers import find_in_frames, movers_of
from pretrain.data.shards import Shard, ShardWriter
from pretrain.data.tracks import COST, FLOOR, REACH, likeliest_paths
from pretrain.stage import Seeds, seed_of
from pretrain.stages import collect, find_player
from retro_common.errors import UsageError

ACTIONS = ("", "RIGHT", "LEFT", "B")
SPEED = 3


def draw(x: int, y: int, lava: int, seed: int = 0) -> np.ndarray:
    """A frame: a textured ground, a white and red thing at x, y, and lava that flickers."""
    ground = np.random.default_rng(seed).integers(60, 110, size=(64, 64, 3))
    frame = ground.astype(np.uint8)
    frame[50:60, 40:52] = (255, 80 + 60 * (lava % 3), 0)
    frame[y - 4 : y + 4, x - 3 : x + 3] = (250, 250, 250)
    frame[y - 2 : y + 2, x - 1 : x + 1] = (200, 0, 0)
    return frame


def film(timesteps: int, seed: int, lava: bool) -> tuple[list[np.ndarray], list[int], np.ndarray]:
    """Frames, the actions on them, and the thing's centre in pixels, (T, 2)."""
    rng = np.random.default_rng(seed)
    x, y, action = 20, 20, 1
    frames, actions, centres = [], [], []
    for t in range(timesteps):
        if t % 5 == 0:
            action = int(rng.integers(len(ACTIONS)))
        frames.append(draw(x, y, t if lava else 0, seed))
        actions.append(action)
        centres.append((x, y))
        x = int(np.clip(x + SPEED * {1: 1, 2: -1}.get(action, 0), 5, 58))
        y = int(np.clip(y + rng.integers(-1, 2) * (action != 0), 10, 44))
    return frames, actions, np.array(centres)


LEVEL = "Airstriker-Genesis-v0/Level1"


def write_shard(
    path: Path, timesteps: int, seed: int, lava: bool, metadata: dict[str, object] | None = None
) -> np.ndarray:
    frames, actions, centres = film(timesteps, seed, lava)
    writer = ShardWriter(LEVEL, ())
    for t, (frame, action) in enumerate(zip(frames, actions, strict=True)):
        writer.add(frame, action, 0.0, t == 0, t == timesteps - 1, {})
    writer.write(path, metadata or {})
    return centres


def in_pixels(places: np.ndarray) -> np.ndarray:
    return (np.asarray(places) + 1) * 32


# ---- movers --------------------------------------------------------------------------------------


def test_one_thing_that_moves_is_found_where_it_is() -> None:
    frames = np.stack([draw(20 + SPEED * t, 30, 0) for t in range(3)])
    found, places = find_in_frames(frames)
    assert found.tolist() == [True]
    assert in_pixels(places[0]) == pytest.approx([20 + SPEED, 30], abs=1)


def test_where_two_things_move_or_all_does_nothing_is_found() -> None:
    beside_lava = np.stack([draw(20 + SPEED * t, 20, t) for t in range(3)])
    scrolling = np.stack([np.roll(draw(20, 20, 0), -2 * t, axis=1) for t in range(3)])
    still = np.stack([draw(20, 20, 0)] * 3)
    for frames in (beside_lava, scrolling, still):
        assert find_in_frames(frames)[0].tolist() == [False]


def test_it_has_to_move_while_a_direction_is_held_and_within_one_episode(tmp_path: Path) -> None:
    def found(actions: list[int], starts: list[bool]) -> list[int]:
        writer = ShardWriter("test", ())
        for t, (action, start) in enumerate(zip(actions, starts, strict=True)):
            writer.add(draw(20 + SPEED * t, 30, 0), action, 0.0, start, False, {})
        writer.write(tmp_path / "shard.safetensors", {})
        held = [np.array([1]), np.array([2])]
        return movers_of(Shard(tmp_path / "shard.safetensors"), held)[0].tolist()

    once = [True, False, False, False]
    assert found([1, 1, 1, 0], once) == [1, 2]
    assert found([0, 1, 1, 1], once) == [2]
    assert found([1, 2, 1, 2], once) == []
    assert found([3, 3, 3, 3], once) == []
    assert found([1, 1, 1, 1], [True, False, True, False]) == []


# ---- tracks --------------------------------------------------------------------------------------


def cost_of(path: tuple[int, ...], seen: np.ndarray, starts: list[bool], size: int) -> float:
    """Minus the log-likelihood of a path, by the definition."""
    total = 0.0
    for t, cell in enumerate(path):
        total -= max(seen[t, cell], FLOOR)
        if t and not starts[t]:
            (row, column), (before_row, before_column) = (
                divmod(cell, size),
                divmod(path[t - 1], size),
            )
            down, across = row - before_row, column - before_column
            if max(abs(down), abs(across)) > REACH:
                return np.inf
            total += COST * np.hypot(down, across)
    return total


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_the_path_is_the_best_of_all_paths(seed: int, length: int) -> None:
    size, rng = 3, np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 4, size=(1, length, size, size)).astype(np.float32))
    starts = [True, *(bool(rng.random() < 0.3) for _ in range(length - 1))]
    path = likeliest_paths(logits, torch.tensor([starts]))[0].tolist()
    seen = logits[0].flatten(1).log_softmax(dim=1).numpy()
    every = itertools.product(range(size**2), repeat=length)
    best = min(cost_of(other, seen, starts, size) for other in every)
    assert cost_of(tuple(path), seen, starts, size) == pytest.approx(best, abs=1e-4)


def test_what_flares_up_elsewhere_for_a_while_is_not_followed() -> None:
    logits = torch.zeros(1, 30, 16, 16)
    for t in range(30):
        logits[0, t, 5, min(15, t // 2)] = 5.0
    logits[0, 10:14, 14, 14] = 8.0
    logits[0, 20:23] = 0.0  # for three frames it is not to be seen at all
    paths = likeliest_paths(logits, torch.zeros(1, 30, dtype=torch.bool))[0]
    wanted = torch.tensor([5 * 16 + min(15, t // 2) for t in range(30)])
    seen = torch.ones(30, dtype=torch.bool)
    seen[20:23] = False
    assert torch.equal(paths[seen], wanted[seen])


# ---- the stage -----------------------------------------------------------------------------------


def settings_of(folder: Path, **changes: int) -> PretrainConfig:
    return PretrainConfig(
        out=folder / "run",
        levels="airstriker",
        agent=AgentConfig(
            actions=ACTIONS,
            vision=VisionConfig(
                latent=20, grid=4, player_units=4, channels=(4, 8), decoder_channels=(4, 8)
            ),
        ),
        collect=CollectConfig(timesteps=1000, shard=200),
        find_player=FindPlayerConfig(**{"steps": 60, "rounds": 2, "round_steps": 60, **changes}),
    )


def collected(folder: Path, lava_from: int, **changes: int) -> PretrainConfig:
    """A configuration whose rollouts are films: lava from shard `lava_from` on."""
    config = settings_of(folder, **changes)
    shards = collect.shard_folder(config)
    shards.mkdir(parents=True)
    for number, name in enumerate(collect.shard_names(config)):
        write_shard(shards / name, 200, number, number >= lava_from, origin_of(config, number))
    return config


def origin_of(config: PretrainConfig, number: int) -> dict[str, object]:
    """What shard `number` of this run says about itself."""
    return {
        "run": collect.stage(config).fingerprint,
        "seed": seed_of(config.seed, Seeds.COLLECT, number),
    }


def test_it_is_found_in_frames_in_which_other_things_move(tmp_path: Path) -> None:
    config = collected(tmp_path, lava_from=2)
    find_player.run(config)
    model = PlayerFinder()
    model.load_state_dict(find_player.stage(config).trained())
    frames, _, centres = film(100, seed=99, lava=True)
    with torch.no_grad():
        places = in_pixels(model.place(model(to_input(np.stack(frames)))))
    error = np.abs(places - centres).max(axis=1)
    assert np.median(error) < 2 and np.quantile(error, 0.9) < 6


def test_stopped_between_rounds_it_goes_on_and_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"steps": 8, "round_steps": 4}
    whole = collected(tmp_path / "whole", 2, **sizes)
    find_player.run(whole)
    broken = collected(tmp_path / "broken", 2, **sizes)
    track = find_player.track
    monkeypatch.setattr(find_player, "track", lambda *_: (_ for _ in ()).throw(KeyError("crash")))
    with pytest.raises(KeyError, match="crash"):
        find_player.run(broken)
    monkeypatch.setattr(find_player, "track", track)
    find_player.run(broken)
    once, again = find_player.stage(whole).trained(), find_player.stage(broken).trained()
    assert all(torch.equal(value, again[name]) for name, value in once.items())


def test_where_nothing_moves_it_says_so(tmp_path: Path) -> None:
    config = settings_of(tmp_path)
    shards = collect.shard_folder(config)
    shards.mkdir(parents=True)
    for number, name in enumerate(collect.shard_names(config)):
        writer = ShardWriter(LEVEL, ())
        for t in range(50):
            writer.add(draw(20, 20, 0), 1, 0.0, t == 0, False, {})
        writer.write(shards / name, origin_of(config, number))
    with pytest.raises(UsageError, match=r"set agent\.vision\.player_units to 0"):
        find_player.run(config)
