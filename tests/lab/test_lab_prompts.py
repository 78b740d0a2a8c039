"""Imitation in context: which timesteps are a prompt, and that the policy reads it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent import bundle
from lab import episodes
from lab.arena import Arena
from lab.data import Data, DataSet, Seen
from lab.method import Shape
from lab.methods import prompts
from pretrain.data.acts import acts_of_levels

SHAPE = Shape(features=21, memory=2, acts=12, agent=AGENT)
PLACES, PACE = 12, 200.0
"""an episode of the test's acts has a timestep at each of these places, so many points apart"""


def right(acts: int) -> np.ndarray:
    """The right action of each act at each place: not to be known from what is seen."""
    return np.random.default_rng(acts).integers(SHAPE.actions, size=(acts, PLACES))


def played(acts: int, each: int = 10, mistakes: float = 0.15) -> Data:
    """Episodes of acts that look alike; features tell the place, and nothing of the act."""
    rng, table = np.random.default_rng([acts, each]), right(acts)
    number = np.arange(acts * each)
    data = Data(len(number) * PLACES, 21, 2)
    place = np.tile(np.arange(PLACES), len(number))
    data.acts[:] = np.repeat(number % acts, PLACES)
    data.count = len(data.acts)
    data.features[np.arange(len(data)), place] = 1
    wrong = rng.random(len(data)) < mistakes
    chosen = rng.integers(SHAPE.actions, size=len(data))
    data.actions[:] = np.where(wrong, chosen, table[data.acts, place])
    data.rewards[:] = PACE
    data.cuts[place == PLACES - 1] = True
    return data


@pytest.fixture(scope="module")
def reader() -> prompts.ICRT:
    torch.manual_seed(0)
    method, data = prompts.build(prompts.Config(), SHAPE), played(acts=60)
    optimizer = torch.optim.Adam(method.net.parameters(), lr=3e-3)
    for step in range(350):
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 128))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return method


def test_prompts_tell_actions_in_acts_that_nothing_was_learnt_in(reader: prompts.ICRT) -> None:
    found = reader.measure(played(acts=7), np.random.default_rng(0))
    assert found["nll 0"] > 1.0, "without a prompt nothing can be known: three actions"
    assert found["nll 1"] < found["nll 0"] - 0.1
    assert found["nll 4"] < found["nll 1"] - 0.05, "four episodes correct each other's mistakes"
    assert found["nll wrong"] > found["nll 4"] + 0.5
    assert found["prompts"] == 4


def test_it_plays_by_the_prompt(reader: prompts.ICRT) -> None:
    reader.adapt(played(acts=5, mistakes=0.0))
    place, acts = np.arange(PLACES), np.repeat(np.arange(5), PLACES)
    seen = Seen(
        torch.eye(21)[np.tile(place, 5)],
        torch.from_numpy(acts),
        earned=np.tile(place * PACE, 5) + 20,
    )
    chosen = reader.policy(seen).argmax(1).numpy()
    assert (chosen == right(5).ravel()).mean() > 0.9
    blind = prompts.build(prompts.Config(prompts=0), SHAPE)
    blind.net.load_state_dict(reader.net.state_dict())
    blind.adapt(played(acts=5, mistakes=0.0))
    same = blind.policy(seen).view(5, PLACES, -1)
    torch.testing.assert_close(same, same[:1].expand_as(same)), "acts look alike to it"


def uneven() -> Data:
    """Three episodes of act 0 and one of act 1; they earn 10, 30, 20 and 40 points a timestep."""
    data = Data(40, 21, 2)
    data.count = 40
    data.rewards[:] = np.repeat([10, 30, 20, 40], 10)
    data.acts[30:] = 1
    data.cuts[9::10] = True
    data.features[:, 0] = np.arange(40)
    data.actions[:] = np.arange(40) % 3
    return data


def test_the_best_episodes_that_pass_a_place_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "NEAR", 5.0)
    known = episodes.Episodes(uneven())
    acts, own, places = (
        np.array([0, 0, 0, 0, 1]),
        np.array([-1, 1, -1, 1, 3]),
        [50, 50, 180, 250, 9],
    )
    found = known.best(acts, np.array(places, float), own)
    assert found.tolist() == [[1, 2, 0, -1], [2, 0, -1, -1], [1, 2, -1, -1], [-1] * 4, [-1] * 4]
    rng, asked = np.random.default_rng(0), (np.zeros(300, int), np.full(300, 50.0))
    drawn = known.best(*asked, np.full(300, -1), rng)
    assert (np.sort(drawn, axis=1) == [-1, 0, 1, 2]).all()
    assert 60 < (drawn[:, 0] == 0).sum() < 140, "in any order"
    monkeypatch.setattr(episodes, "POOL", 2)
    drawn = known.best(*asked, np.full(300, -1), rng)
    assert set(drawn.ravel()) == {-1, 1, 2}, "of the best two"


def test_a_prompt_is_what_was_done_around_the_place() -> None:
    known = episodes.Episodes(uneven())
    found = known.prompts(np.array([[1, 2], [0, -1]]), np.array([100.0, 88.0]), 19)
    assert found.known.tolist() == [[True] * 16, [True] * 4 + [False] * 12]
    # Episode 1 has 90 points at timestep 13, episode 2 has 100 at 25, and episode 0 90 at 9.
    assert found.z[0, :, 0].tolist() == [*range(10, 18), *range(22, 30)]
    assert found.z[1, :4, 0].tolist() == [6, 7, 8, 9]
    torch.testing.assert_close(found.gaps[0, 3], torch.tensor(-0.1))
    torch.testing.assert_close(found.gaps[1, :4], torch.tensor([-0.28, -0.18, -0.08, 0.02]))
    assert found.actions[0].tolist() == [i % 3 for i in (*range(10, 18), *range(22, 30))]


def test_no_timestep_is_prompted_by_its_own_episode(tiny_data: Path) -> None:
    data = DataSet.open(tiny_data).training
    method = prompts.build(prompts.Config(), Shape(21, 2, 2, AGENT))
    # Each episode is marked in its features: a prompt that holds the mark would be its own.
    known = episodes.Episodes(data)
    data.features[:, 0] = known.of
    batch = method.draw(data, np.random.default_rng(0), 2000)
    own = batch.features[:, :1] == batch.prompts.z[:, :, 0]
    assert batch.prompts.known.any() and not (own & batch.prompts.known).any()
    counts = batch.prompts.known.view(2000, 4, -1).any(2).sum(1)
    assert (counts == 0).float().mean() > 0.15, "sometimes without a prompt"
    acts = torch.from_numpy(data.acts[known.starts])
    theirs, mine = acts[batch.prompts.z[:, :, 0].long()], acts[batch.features[:, 0].long()]
    assert (theirs == mine[:, None])[batch.prompts.known].all(), "of the same act"


def test_worlds_tell_what_was_earned(tiny_bundle: Path) -> None:
    models, _ = bundle.load(tiny_bundle)
    known = acts_of_levels("pangolin-train")[:2]
    arena, total, most = Arena(models, known, 2, seed=0), np.zeros(2), 0.0
    action = np.full(2, list(models.config.actions).index("RIGHT"))
    for _ in range(250):
        outcome = arena.step(action)
        total = np.where(outcome.ends | outcome.cuts, 0, total + outcome.rewards)
        np.testing.assert_allclose(arena.seen.earned, total)
        most = max(most, total.max())
    assert most > 100
