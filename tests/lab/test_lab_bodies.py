"""Bodies: the same game seen and steered otherwise; and one C for several."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import EIGHT, LEVELS

from agent import bundle
from agent.config import AgentConfig
from lab import embody, record
from lab.arena import Arena
from lab.body import BODIES, HOME
from lab.config import EmbodyConfig, RecordConfig
from lab.data import DataSet
from lab.method import Shape
from lab.methods.bodies import Bodies, Config, rows_of
from lab.run import Run
from pretrain.data.acts import acts_of_levels
from retro_common.errors import UsageError

ACTIONS = AgentConfig().actions


def test_a_bodys_order_is_a_permutation_of_the_actions() -> None:
    for body in BODIES.values():
        count = len(body.combinations) or 8
        assert sorted(body.order(ACTIONS)) == list(range(count))
    by_name = {name: [ACTIONS[i] for i in BODIES[name].order(ACTIONS)] for name in BODIES}
    assert by_name["home"] == list(ACTIONS)
    pairs = dict(zip(ACTIONS, by_name["mirrored"], strict=True))
    assert (pairs["RIGHT B"], pairs["LEFT"], pairs["DOWN"]) == ("LEFT B", "RIGHT", "DOWN")
    assert by_name["buttons"] == [*ACTIONS[4:], *ACTIONS[:4]]
    mixed = [pairs[name] for name in by_name["buttons"]]
    assert by_name["both"] == mixed


@pytest.mark.parametrize("name", ["mirrored", "buttons", "both"])
def test_a_body_plays_the_same_game(name: str, body_bundle: Path) -> None:
    models, _ = bundle.load(body_bundle)
    known, body = acts_of_levels("pangolin-train")[:2], BODIES[name]
    home, other = (Arena(models, known, 2, seed=0, body=each) for each in (HOME, body))
    order, rng = body.order(models.config.actions), np.random.default_rng(0)
    assert not body.moved or (order != np.arange(len(order))).any()
    for _ in range(40):
        actions = rng.integers(len(order), size=2)
        theirs, mine = other.step(actions), home.step(order[actions])
        np.testing.assert_array_equal(theirs.rewards, mine.rewards)
        flipped = home.frames[:, :, ::-1] if body.mirrored else home.frames
        np.testing.assert_array_equal(other.frames, flipped)
    assert other.seen.bodies is not None and set(other.seen.bodies.tolist()) == {body.number}


def test_left_and_right_are_swapped_in_the_mirrored_body(body_bundle: Path) -> None:
    models, _ = bundle.load(body_bundle)
    models.config.actions = ("", "LEFT", "RIGHT")
    earned = {}
    for name in ("home", "mirrored"):
        arena = Arena(models, acts_of_levels("pangolin-train")[:1], 1, seed=0, body=BODIES[name])
        earned[name] = [float(arena.step(np.array([1])).rewards[0]) for _ in range(20)]
    assert sum(earned["mirrored"]) > 50 > 0 >= sum(earned["home"])


def test_the_slow_body_acts_in_every_second_timestep(body_bundle: Path) -> None:
    models, _ = bundle.load(body_bundle)
    known = acts_of_levels("pangolin-train")[:2]
    slow, home = (
        Arena(models, known, 6, seed=0, restart=False, body=BODIES[name])
        for name in ("slow", "home")
    )
    rng, over = np.random.default_rng(0), np.zeros(6, bool)
    while not over.all():
        actions = rng.integers(len(models.config.actions), size=6)
        mine, theirs = slow.step(actions), [home.step(actions), home.step(actions)]
        np.testing.assert_array_equal(mine.rewards, sum(each.rewards for each in theirs))
        np.testing.assert_array_equal(mine.ends, theirs[0].ends | theirs[1].ends)
        np.testing.assert_array_equal(mine.cuts, theirs[0].cuts | theirs[1].cuts)
        over |= mine.ends | mine.cuts
        np.testing.assert_array_equal(slow.frames[~over], home.frames[~over])
    assert home.worlds.lengths.max() >= 150, "without new ground as long as at home"


def test_a_slow_episode_that_ends_halfway_begins_again_at_its_start(
    body_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.arena.PATIENCE", 3)
    models, _ = bundle.load(body_bundle)
    arena = Arena(models, acts_of_levels("pangolin-train")[:1], 1, seed=0, body=BODIES["slow"])
    start, cuts, lengths = arena.frames.copy(), [], []
    for step in range(4):
        cuts += arena.step(np.zeros(1, np.int64)).cuts.tolist()
        lengths += arena.worlds.lengths.tolist()
        assert np.array_equal(arena.frames, start) == (step in (1, 3))
    assert (cuts, lengths) == ([False, True, False, True], [2, 3, 2, 3])


def test_a_slow_body_is_recorded_by_itself(body_bundle: Path, tiny_bodies: Path) -> None:
    mine, several = (DataSet.open(each) for each in (body_bundle.parent / "slow", tiny_bodies))
    data = several.training
    rows = np.flatnonzero(data.bodies == BODIES["slow"].number)
    assert (mine.training.bodies == BODIES["slow"].number).all()
    np.testing.assert_array_equal(data.actions[rows], mine.training.actions)
    np.testing.assert_array_equal(data.rewards[rows], mine.training.rewards)
    np.testing.assert_allclose(data.features[rows], mine.training.features, atol=2e-3)
    assert (several.held_back.bodies == BODIES["slow"].number).sum() == 2 * 64


def test_a_body_of_another_game_plays_on_the_emulator(body_bundle: Path) -> None:
    models, _ = bundle.load(body_bundle)
    ship = BODIES["airstriker"]
    fires = ship.combinations.index("B")
    with contextlib.closing(Arena(models, [], 2, seed=0, body=ship)) as arena:
        assert arena.levels == ["Airstriker-Genesis-v0/Level1"]
        assert arena.acts.tolist() == [0, 0]
        rewards, ended, changed = np.zeros(2), np.zeros(2, bool), 0
        for step in range(900):  # fire and let go, without a move: soon shot down
            before = arena.frames.copy()
            outcome = arena.step(np.full(2, fires * (step % 2)))
            changed += bool((arena.frames != before).any())
            rewards += outcome.rewards
            ended |= outcome.ends
            if ended.all():
                break
        assert ended.all() and rewards.sum() > 0 and changed > step / 2
        assert (arena.actor.state.h[outcome.ends] == 0).all(), "M begins anew"
    models.config.actions = models.config.actions[:5]
    with pytest.raises(UsageError, match="M knows fewer than 6 actions"):
        Arena(models, [], 1, seed=0, body=ship)


def test_a_ships_data_stands_beside_the_games(tiny_bodies: Path) -> None:
    several = DataSet.open(tiny_bodies)
    for data in (several.training, several.held_back):
        rows = np.flatnonzero(data.bodies == BODIES["airstriker"].number)
        assert len(rows) == 2 * 64 and set(data.acts[rows]) == {2}, "behind the two acts"
        assert data.actions[rows].max() < 6
        assert not data.memory[rows].any() and np.isnan(data.places[rows]).all()
        assert data.memory[data.bodies == 0].any()
        assert data.frames is not None
        frames = data.frames(rows)
        assert len(np.unique(frames.reshape(len(rows), -1), axis=0)) > 100


def test_a_ship_is_recorded_without_c(tmp_path: Path, body_bundle: Path) -> None:
    config = RecordConfig(tmp_path, "airstriker", body_bundle, body="airstriker")
    with pytest.raises(UsageError, match="C does not know the body's game"):
        record.run(config)
    config.out, config.levels, config.behaviours = tmp_path / "other", LEVELS, {"firing": 1}
    with pytest.raises(UsageError, match="the body airstriker plays Airstriker"):
        record.run(config)


def test_actions_that_a_body_lacks_are_never_chosen(tiny_bodies: Path) -> None:
    data = DataSet.open(tiny_bodies)
    method = bodies(Config(["home", "airstriker"]), data)
    batch = method.draw(data.training, np.random.default_rng(0), 64)
    assert batch.seen.bodies is not None
    probabilities = method.policy(batch.seen).exp()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(probabilities)))
    ship = batch.seen.bodies == BODIES["airstriker"].number
    assert (probabilities[ship][:, 6:] == 0).all() and (probabilities[~ship] > 0).all()
    method.loss(batch)[0].backward()
    gradients = [weight.grad for weight in method.net.parameters()]
    assert all(each is None or torch.isfinite(each).all() for each in gradients)


def test_bodies_have_their_own_episodes_and_share_what_is_held_back(
    body_data: Path, tiny_bodies: Path
) -> None:
    home, several = DataSet.open(body_data), DataSet.open(tiny_bodies)
    data = several.training
    assert np.unique(data.bodies, return_counts=True)[1].tolist() == [2 * 64] * 6
    held_back = several.held_back
    order = {name: BODIES[name].order(EIGHT.actions) for name in BODIES}
    own = [np.flatnonzero(held_back.bodies == number) for number in range(4)]
    for rows, name in zip(own, BODIES, strict=False):
        np.testing.assert_array_equal(held_back.rewards[rows], held_back.rewards[own[0]])
        at_home = order[name][held_back.actions[rows]]
        np.testing.assert_array_equal(at_home, held_back.actions[own[0]])
    assert held_back.frames is not None
    frames, flipped = held_back.frames(own[0][:50]), held_back.frames(own[1][:50])
    np.testing.assert_array_equal(flipped, frames[:, :, ::-1])
    latent = EIGHT.vision.latent
    assert (held_back.features[own[1], :latent] != held_back.features[own[0], :latent]).any()
    np.testing.assert_array_equal(
        held_back.features[own[2], :latent], held_back.features[own[0], :latent]
    )
    assert (held_back.features[own[2], latent:] != held_back.features[own[0], latent:]).any()
    # At home nothing changes: M's states are computed again, and are those that were recorded.
    recorded = np.concatenate([home.training.features[96 * i : 96 * i + 64] for i in range(2)])
    np.testing.assert_allclose(data.features[data.bodies == 0], recorded, atol=2e-3)
    first = data.rewards[data.bodies == 0]
    assert (first != data.rewards[data.bodies == 1]).any(), "every body has its own episodes"


def test_v_sees_the_flipped_frames_of_a_mirrored_body(body_bundle: Path, tiny_bodies: Path) -> None:
    models, _ = bundle.load(body_bundle)
    data = DataSet.open(tiny_bodies).training
    rows = np.flatnonzero(data.bodies == 3)[:64]
    assert data.frames is not None
    with torch.inference_mode():
        z = embody.latents(models, data.frames(rows)).numpy()
    np.testing.assert_allclose(data.features[rows, : EIGHT.vision.latent], z, atol=2e-3)


def bodies(config: Config, data: DataSet) -> Bodies:
    torch.manual_seed(0)
    shape = data.training.features.shape[1], data.training.memory.shape[1]
    return Bodies(config, Shape(*shape, 2, EIGHT))


def test_a_c_learns_its_bodies_and_leaves_the_other_heads(tiny_bodies: Path) -> None:
    data = DataSet.open(tiny_bodies)
    method = bodies(Config(["home", "buttons"]), data)
    before = [head.weight.detach().clone() for head in method.net.heads]
    optimizer = torch.optim.Adam(method.net.parameters(), lr=1e-2)
    losses = []
    for step in range(150):
        batch = method.draw(data.training, np.random.default_rng(step), 64)
        assert set(batch.seen.bodies.tolist()) == {0, 2}
        loss, _ = method.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.98 * np.mean(losses[:10])
    changed = [
        not torch.equal(head.weight, old)
        for head, old in zip(method.net.heads, before, strict=True)
    ]
    assert changed == [True, False, True, False, False, False]
    found = method.measure(data.held_back, np.random.default_rng(0))
    assert found.keys() == {"nll home", "nll buttons"}


def test_a_share_is_the_first_timesteps_of_every_act(tiny_bodies: Path) -> None:
    data = DataSet.open(tiny_bodies).training
    rows = rows_of(data, BODIES["mirrored"], 0.25)
    assert len(rows) == 2 * 16 and set(data.acts[rows]) == {0, 1}
    assert (data.bodies[rows] == 1).all()
    assert rows[0] == np.flatnonzero(data.bodies == 1)[0]


def test_wrong_bodies_are_refused(tmp_path: Path, body_bundle: Path, body_data: Path) -> None:
    with pytest.raises(ValueError, match="no such body: crab"):
        Config(["crab"])
    config = EmbodyConfig(tmp_path / "out", ["crab"], source=body_data, bundle=body_bundle)
    with pytest.raises(UsageError, match="bodies: no crab"):
        embody.run(config)
    config.bodies, config.source = ["home"] * 5, body_data
    with pytest.raises(UsageError, match="too small for 5 bodies"):
        embody.run(config)
    config.source = tmp_path
    with pytest.raises(UsageError, match="no data set: record it first"):
        embody.run(config)
    config.bodies = ["home", "slow"]
    with pytest.raises(UsageError, match="own: should be for the bodies"):
        embody.run(config)
    with pytest.raises(ValueError, match="no such body: crab"):
        RecordConfig(tmp_path / "out", body="crab")


def test_a_score_says_how_each_body_was_played(
    tmp_path: Path, body_bundle: Path, tiny_bodies: Path
) -> None:
    from lab.config import LabConfig
    from lab.methods import bodies as module

    config = LabConfig(
        method="bodies",
        settings={"bodies": ["home", "mirrored", "airstriker"]},
        out=tmp_path,
        data=tiny_bodies,
        bundle=body_bundle,
        episodes=1,
    )
    job = Run(module, "bodies", config, False)
    found = job.score(job.known, job.data)
    assert found["bodies"].keys() == {"home", "mirrored", "airstriker"}
    assert len(found["acts"]) == 2
    own = [found["bodies"][name] for name in ("home", "mirrored")]
    assert found["score"] == pytest.approx(np.mean(own), abs=0.1)
