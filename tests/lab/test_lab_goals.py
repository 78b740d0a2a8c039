"""Goals from hindsight, and what learns from them, in a corridor whose distances are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT, LEVELS

from lab import goals, run
from lab.config import LabConfig
from lab.critic import of_actions
from lab.data import Data, Seen
from lab.method import Method, Shape
from lab.methods import reach, ridge, skills, soar
from retro_common.errors import UsageError

SHAPE = Shape(features=21, memory=2, acts=2, agent=AGENT)
LATENT = AGENT.vision.latent
CELLS = 8
STAY, RIGHT, LEFT = range(3)


def corridor(size: int = 6000) -> Data:
    """A walk in a corridor, whose ends stop it; an episode has 30 timesteps."""
    rng = np.random.default_rng(0)
    data, cell = Data(size, 21, 2), 0
    for t in range(size):
        if t % 30 == 0:
            cell, way = int(rng.integers(CELLS)), int(rng.integers(3))
        if rng.random() < 0.2:
            way = int(rng.integers(3))
        data.features[t, cell], data.actions[t] = 1, way
        cell = min(max(cell + (0, 1, -1)[way], 0), CELLS - 1)
    data.cuts[29::30] = True
    data.acts[:] = np.arange(size) // 30 % 2
    data.count = size
    return data


def at(*cells: int) -> Seen:
    return Seen(torch.eye(21)[list(cells)], torch.zeros(len(cells), dtype=torch.int64))


def trained(method: Method, data: Data, steps: int) -> None:
    weights = [w for part in method.parts().values() for w in part.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=2e-3, fused=True)
    for step in range(steps):
        torch.manual_seed(step)
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)


def test_how_many_timesteps_follow_in_recorded_data() -> None:
    data = Data(9, 1, 1)
    data.count = 9
    data.ends[3], data.cuts[8] = True, True
    assert data.left().tolist() == [3, 2, 1, 0, 4, 3, 2, 1, 0]


def test_how_many_timesteps_follow_in_data_that_grows() -> None:
    data = Data(10, 1, 1, stride=2)
    for t in range(7):
        data.add(
            features=np.full((2, 1), t, np.float16),
            ends=np.array([t == 4, False]),
            cuts=np.array([False, t == 3]),
        )
        left = data.left()
        assert len(left) == len(data)
    # Timesteps 2 to 6 are kept, the newest two over the oldest.
    number = data.features[:, 0].reshape(5, 2)
    assert number[:, 0].tolist() == [5, 6, 2, 3, 4]
    assert left.reshape(5, 2)[:, 0].tolist() == [1, 0, 2, 1, 0]
    assert left.reshape(5, 2)[:, 1].tolist() == [1, 0, 1, 0, 2]
    rows = np.array([8, 9])  # of timestep 4
    assert data.features[data.ahead(rows, np.array([0, 2])), 0].tolist() == [4, 6]


def test_pairs_are_of_one_episode_with_even_gaps() -> None:
    data = corridor()
    drawn = goals.pairs(data, np.random.default_rng(0), 4000, 0, 20)
    assert (drawn.later - drawn.first == drawn.gaps).all()
    assert (drawn.later // 30 == drawn.first // 30).all()
    counts = np.bincount(drawn.gaps)
    assert len(counts) == 21 and counts.min() > 120 and counts.max() < 270
    # No episode is longer than 30.
    assert goals.pairs(data, np.random.default_rng(0), 500, 25, 90).gaps.max() == 29


def test_goals_are_later_timesteps_or_any() -> None:
    data, rng = corridor(), np.random.default_rng(0)
    rows = rng.integers(len(data), size=4000)
    found = goals.goals(data, rng, rows, 1.0, 0.9)
    gaps = found - rows
    assert (found // 30 == rows // 30).all() and (gaps[data.left()[rows] > 0] > 0).all()
    early = gaps[data.left()[rows] > 25]
    assert (early == 1).mean() == pytest.approx(0.1, abs=0.05)
    assert (goals.goals(data, rng, rows, 0.0, 0.9) // 30 == rows // 30).mean() < 0.05


def test_spearmans_rank_correlation_with_ties() -> None:
    assert goals.ranks(np.array([30, 10, 30, 20])).tolist() == [2.5, 0, 2.5, 1]
    # By hand: ranks (0, 1.5, 1.5, 3) and (0, 2, 1, 3): 4.5 / sqrt(4.5 * 5).
    found = goals.spearman(np.array([1, 2, 2, 9]), np.array([3, 7, 5, 8]))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert goals.spearman(np.arange(5), -(np.arange(5.0) ** 3)) == pytest.approx(-1)
    assert goals.spearman(np.zeros(3), np.arange(3)) == 0


def learner(**settings: object) -> skills.Skills:
    torch.manual_seed(0)
    config = {"dimensions": 4, "hidden": 32, "polyak": 0.05, "gamma": 0.95, **settings}
    return skills.build(skills.Config(**config), SHAPE)


def test_the_metrics_loss_is_that_of_hilps_code() -> None:
    """Its `compute_value_loss`, with numbers for everything."""
    method, data = learner(expectile=0.7), corridor()
    with torch.no_grad():  # targets that differ from what learns
        for weight in method.phis.target.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    drawn = method.draw(data, np.random.default_rng(0), 64)
    drawn.reached[:5], drawn.goals[:5] = True, drawn.batch.seen.features[:5]
    loss, _ = method.reaching(drawn)

    def values(nets: torch.nn.ModuleList, seen: torch.Tensor) -> list[np.ndarray]:
        return [
            -np.sqrt(
                np.maximum(((net(seen) - net(drawn.goals)).detach().numpy() ** 2).sum(1), 1e-6)
            )
            for net in nets
        ]

    at, later = drawn.batch.seen.features, drawn.batch.following.features
    reached = drawn.reached.numpy().astype(float)
    rewards, masks = reached - 1, 1 - reached
    next_v1, next_v2 = values(method.phis.target, later)
    v1_t, v2_t = values(method.phis.target, at)
    v1, v2 = values(method.phis.online, at)
    advantage = rewards + 0.95 * masks * np.minimum(next_v1, next_v2) - (v1_t + v2_t) / 2
    weight = np.where(advantage >= 0, 0.7, 0.3)
    expected = sum(
        (weight * (rewards + 0.95 * masks * after - now) ** 2).mean()
        for after, now in ((next_v1, v1), (next_v2, v2))
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def walker() -> skills.Skills:
    method = learner(temperature=3.0)
    trained(method, corridor(), 700)
    return method


def test_the_metric_is_the_way_through_the_corridor(walker: skills.Skills) -> None:
    cells = at(*range(CELLS)).features
    with torch.no_grad():
        phi = walker.phis.online[0](cells)
    found = torch.cdist(phi, phi).numpy().ravel()
    steps = np.abs(np.subtract.outer(np.arange(CELLS), np.arange(CELLS))).ravel()
    assert goals.spearman(found, steps) > 0.9


def test_a_skill_that_fits_the_rewards_is_played(walker: skills.Skills) -> None:
    data = corridor()
    middle = at(3, 3)
    middle.acts[1] = 1
    # In act 0 a step to the right pays, in act 1 one to the left; walls stop both.
    cell = data.features.argmax(1).astype(int)
    moved = np.diff(cell, append=cell[-1])
    data.shaped[:] = np.where(data.acts == 0, moved, -moved)
    walker.adapt(data)
    torch.testing.assert_close(walker.chosen.norm(dim=1), torch.ones(2))
    probs = walker.policy(middle).exp()
    assert probs[0, RIGHT] > 0.6 and probs[1, LEFT] > 0.6
    # The rewards of later timesteps are not looked at.
    before = walker.chosen.clone()
    for rows in data.of_acts(len(data)):
        data.shaped[rows[walker.config.told :]] = 7
    walker.adapt(data)
    torch.testing.assert_close(walker.chosen, before)


def test_skills_never_see_rewards() -> None:
    method, data = learner(), corridor()
    found = []
    for reward in (0.0, 5.0):
        data.shaped[:] = data.rewards[:] = reward
        torch.manual_seed(0)
        drawn = method.draw(data, np.random.default_rng(0), 64)
        found.append(method.loss(drawn)[0].item())
    assert found[0] == found[1]


def test_advantage_weights_prefer_what_the_skill_earns(walker: skills.Skills) -> None:
    with torch.no_grad():
        phi = walker.phis.online[0](at(3, 4, 2).features)
    ways = torch.nn.functional.normalize(phi[1:] - phi[:1], dim=1)
    seen = walker.given(at(3, 3), ways)
    with torch.no_grad():
        probs = walker.actor(seen.features).softmax(1)
    right, left = of_actions(probs, torch.tensor([RIGHT, LEFT]))
    assert right > probs[0, LEFT] + 0.3 and left > probs[1, RIGHT] + 0.3


def test_a_method_that_adapts_needs_data_of_the_acts(
    tmp_path: Path, tiny_bundle: Path, tiny_data: Path
) -> None:
    config = LabConfig(
        method="skills",
        out=tmp_path / "runs",
        results=tmp_path / "results",
        data=tiny_data,
        bundle=tiny_bundle,
        steps=1,
        batch=8,
        episodes=1,
        held_out=LEVELS.split(",")[1],
    )
    with pytest.raises(UsageError, match="other: the method adapts"):
        run.run(skills, "skills", config)


def test_what_an_episode_has_earned_before() -> None:
    data = Data(6, 1, 1)
    data.count, data.rewards[:] = 6, [1, 2, 4, 8, 16, 32]
    data.ends[2], data.cuts[5] = True, True
    assert data.earned().tolist() == [0, 1, 3, 0, 8, 24]
    grows = Data(6, 1, 1, stride=2)
    for t in range(4):
        ends, rewards = np.array([t == 1, False]), np.full(2, 2.0**t, np.float32)
        grows.add(rewards=rewards, ends=ends, cuts=np.zeros(2, bool))
    # The newest over the oldest: timesteps 3, 1, 2 of each world.
    assert grows.earned().reshape(3, 2).tolist() == [[4, 6], [0, 0], [0, 2]]


def test_others_of_the_same_act() -> None:
    data, rng = corridor(), np.random.default_rng(0)
    rows = rng.integers(len(data), size=300)
    others = goals.of_same_act(data, rng, rows)
    assert (data.acts[others] == data.acts[rows]).all() and len(np.unique(others)) > 200


@pytest.fixture(scope="module")
def reacher() -> reach.Reach:
    torch.manual_seed(0)
    method = reach.build(reach.Config(hidden=32, far=0.1), SHAPE)
    trained(method, corridor(), 400)
    return method


def test_hindsight_says_how_far_and_which_way() -> None:
    data = corridor()
    method = reach.build(reach.Config(hidden=8, far=0.5), SHAPE)
    first, later = np.array([0, 3, 0]), np.array([2, 3, 700])
    batch = method.tries(data, first, later, np.array([2, 0, reach.MOST + 1]))
    assert batch.known.sum(1).tolist() == [2, 0, 0], "actions before a goal that is near"
    assert batch.actions[0, :2].tolist() == data.actions[:2].tolist()
    torch.testing.assert_close(
        batch.inputs[0, 21:], torch.from_numpy(data.features[2, :LATENT]).float()
    )
    drawn = method.draw(data, np.random.default_rng(0), 3000)
    far = drawn.distances > reach.MOST
    assert far.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert not drawn.known[far].any()
    same = drawn.inputs[far, :21].argmax(1) == drawn.inputs[far, 21:].argmax(1)
    assert same.float().mean() < 0.25, "a goal that is too far is another timestep"


def test_a_goal_is_reached_by_the_actions_that_led_there(reacher: reach.Reach) -> None:
    seen, wanted = at(3, 3), at(5, 1)
    inputs = reacher.inputs(seen.features, wanted.features)
    with torch.no_grad():
        probs = reacher.actor(inputs)[:, : SHAPE.actions].softmax(1)
        near = reacher.mean(reacher.inputs(at(3, 3, 3).features, at(3, 4, 6).features))
    # The walk goes on behind a goal and may come back to it: both ways lead there at times.
    assert probs[0, RIGHT] > probs[1, RIGHT] + 0.2 and probs[1, LEFT] > probs[0, LEFT] + 0.2
    assert near[0] < near[1] < near[2]


class Told(reach.Reach):
    """Knows the distances; `wrong` is added to the cells that it sees."""

    wrong = 0

    def mean(self, inputs: torch.Tensor) -> torch.Tensor:
        seen, goals = inputs[:, :16].argmax(1), inputs[:, 21:].argmax(1)
        return (seen + self.wrong - goals).abs().float()


@pytest.mark.parametrize(("pace", "wrong"), [(1, 0), (2, 0), (2, 2), (2, 3)])
def test_a_pointer_follows_a_second_run(pace: int, wrong: int) -> None:
    """Two runs through the same cells, of which the second one takes its time."""
    size = 16 + 16 * pace
    data = Data(size, 21, 2)
    cells = np.concatenate([np.arange(16), np.repeat(np.arange(16), pace)])
    data.features[np.arange(size), cells] = 1
    data.rewards[:16], data.rewards[15 + pace :: pace] = 10, 10
    data.rewards[15] += 1000  # the level's end, which is no way
    data.ends[[15, size - 1]], data.count = True, size
    method = Told(reach.Config(hidden=8), SHAPE)
    method.wrong = wrong
    ((route, second),) = reach.best_two(data)
    assert route.tolist() == list(range(16)) and second.tolist() == list(range(16, size))
    np.testing.assert_array_equal(
        method.follow(data, route, second)[4:-8], (cells[16:] + wrong)[4:-8]
    )
    found = method.pointers(data)
    assert (found["pointer"] > 0.9) == (wrong <= 2)
    assert (found["clock"] == 1) == (pace == 1)


def test_the_baseline_finds_a_gap_that_is_a_line() -> None:
    shape, data = SHAPE, corridor()
    method = ridge.build(ridge.Config(least=0, most=20), shape)
    data.features[:] = 0
    data.features[:, 3] = np.arange(len(data)) % 30 * 0.1
    with torch.no_grad():
        method.line.weight.zero_()
        method.line.bias.zero_()
        method.line.weight[0, 2 * LATENT + 3] = 10  # of how far z's fourth number lies apart
    data.rewards[::2] = 1  # the way is as long as the time, within one timestep
    found = method.measure(data, np.random.default_rng(0))
    assert 0.95 < found["way"] < 0.9999
    assert found["error"] < 0.02 and found["spearman"] > 0.99
    assert found["constant"] == pytest.approx(5.2, abs=0.2)


def commanding() -> tuple[soar.SOAR, dict]:
    """Two worlds of an act whose recorded states lie in cell 5, all alike, and in cell 7, where
    each is another one; reaching cell 7 has earned 70 points."""
    data = Data(64, 21, 505)
    data.count, data.cuts[-1] = 64, True
    data.features[:32, 5], data.features[32:, 7] = 1, 1
    data.features[32:, 8:16] = np.random.default_rng(0).random((32, 8)) * 0.9
    data.rewards[31] = 70
    torch.manual_seed(0)
    method = soar.build(soar.Config(hidden=8, patience=5), SHAPE)
    method.reach = Told(reach.Config(hidden=8), SHAPE)
    facts: dict = {}
    method.begin(data, Data(4, 21, 505, stride=2), 2, facts)
    return method, facts


def command(
    method: soar.SOAR,
    seen: Seen,
    share: float,
    begins: tuple[bool, bool] = (False, False),
    earned: tuple[float, float] = (0, 0),
) -> None:
    seen.earned = np.array(earned)
    method.command(seen, np.array(begins), share, np.random.default_rng(0))


def test_the_rarest_state_in_reach_is_proposed() -> None:
    method, facts = commanding()
    command(method, at(0, 7), 0.0, begins=(True, True))
    assert facts["tried"] == [0, 0, 0, 0] and method.trying.all()
    assert method.goals[0, 7] == 1 and method.places[0] == 70
    # From cell 7 nothing is 5 to 15 timesteps away: the next best is taken, cell 5.
    assert method.goals[1, 5] == 1 and method.places[1] == 0


def test_tries_are_judged_by_distance_and_counted_by_quarters() -> None:
    method, facts = commanding()
    command(method, at(0, 0), 0.0, begins=(True, True))
    # One world comes near its goal, cell 7, by distance and by x; the other by distance alone.
    command(method, at(4, 5), 0.3, earned=(40, 500))
    assert (facts["tried"], facts["reached"], facts["truly"]) == (
        *([0, 2, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0]),
    )
    for _ in range(4):
        command(method, at(1, 1), 0.8)
    assert sum(facts["tried"]) == 2, "still trying"
    command(method, at(1, 6), 0.8, begins=(False, True))
    assert facts["tried"][3] == 2, "patience is over, or the episode"
    assert facts["reached"][3] == 0, "what the next episode shows is no success"
    assert sum(tried for tried, _ in facts["words"].values()) == sum(facts["tried"])
    assert sum(reached for _, reached in facts["words"].values()) == sum(facts["reached"])


def test_soar_learns_by_hindsight_and_leaves_its_judge_alone() -> None:
    torch.manual_seed(0)
    method, data = soar.build(soar.Config(hidden=32), SHAPE), corridor()
    before = [weight.clone() for weight in method.reach.distance.parameters()]
    nll = method.measure(data, np.random.default_rng(0))["nll"].item()
    losses = []
    for reward in (0.0, 5.0):
        data.shaped[:] = data.rewards[:] = reward
        drawn = method.draw(data, np.random.default_rng(0), 64)
        assert (drawn.distances >= 1).all() and drawn.known[:, 0].all()
        losses.append(method.loss(drawn)[0].item())
    assert losses[0] == losses[1], "rewards are not looked at"
    trained(method, data, 60)
    assert method.measure(data, np.random.default_rng(0))["nll"].item() < nll - 0.1
    for weight, old in zip(method.reach.distance.parameters(), before, strict=True):
        assert torch.equal(weight, old)
    # It plays towards the goals of its worlds.
    method.begin(data, Data(4, 21, 2, stride=2), 2, {})
    method.goals[0, 6], method.goals[1, 0] = 1, 1
    probs = method.policy(at(3, 3)).exp()
    assert probs.shape == (2, 3) and probs[0, RIGHT] > probs[1, RIGHT]
