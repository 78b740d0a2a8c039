"""What the value learners compute, on a small chain whose values are known."""

import numpy as np
import pytest
import torch
from lab_kit import AGENT
from torch.nn import functional as F

from lab.critic import Critic
from lab.data import Data, Seen
from lab.distributions import KINDS, Categorical, Quantile, mean
from lab.method import Method, Shape
from lab.methods import clone, qr_sac, values
from retro_common.config import validate
from retro_common.errors import UsageError

SHAPE = Shape(features=21, memory=2, acts=2, agent=AGENT)
GAMMA = 0.5


def chain() -> Data:
    """Two states. In state 0 action 1 leads to state 1 and action 0 stays; in state 1 every action
    earns 1 and ends the episode. Action 2 is never taken, action 1 in a fifth of the timesteps."""
    rng = np.random.default_rng(0)
    data = Data(4000, 21, 2)
    state = 0
    for t in range(4000):
        action = int(rng.random() < 0.2)
        data.features[t, state] = 1
        data.memory[t, state] = 1
        data.actions[t], data.acts[t] = action, t % 2
        data.shaped[t], data.ends[t] = (1, True) if state == 1 else (0, False)
        state = 1 if state == 0 and action == 1 else 0
    data.rewards[:] = data.shaped
    data.cuts[-1], data.count = True, 4000
    return data


STATES = Seen(torch.eye(21)[:2], torch.zeros(2, dtype=torch.int64))


def trained(method: Method, data: Data, steps: int = 500) -> Method:
    weights = [w for part in method.parts().values() for w in part.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=3e-3, fused=True)
    for step in range(steps):
        loss, _ = method.loss(method.draw(data, np.random.default_rng(step), 64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
    return method


def learner(**settings: object) -> values.Values:
    torch.manual_seed(0)
    config = {"gamma": GAMMA, "hidden": 32, "polyak": 0.05, **settings}
    return values.build(validate(values.Config, config, "method"), SHAPE)


def q_of(method: values.Values) -> torch.Tensor:
    critic = method.critics.online[0]
    return critic.means(critic(STATES)).detach()


@pytest.mark.parametrize(
    ("backup", "stays", "distribution"),
    # Q of staying: half of the next state's value, which is that of leaving (0.5) at best; of the
    # recorded actions s = 0.8 s / 2 + 0.2 * 0.5 / 2, those of other timesteps being as often the
    # better one; V of the recorded play is between the two.
    [
        *[("max", 0.25, each) for each in KINDS],
        *[(each, 0.05 / 0.6, "scalar") for each in ("sarsa", "resampled")],
        ("expectile", None, "quantile"),
    ],
)
def test_each_backup_gives_its_value_with_each_distribution(
    backup: str, stays: float | None, distribution: str
) -> None:
    policy = "advantage-weighted" if backup == "expectile" else "softmax"
    method = learner(backup=backup, distribution=distribution, policy=policy)
    data = chain()
    # Action 2 is taken, too, and stays like action 0: nothing corrects what nobody does.
    stay = (data.actions == 0) & (np.random.default_rng(1).random(4000) < 0.4)
    data.actions[stay] = 2
    # The histogram's range is wide for values of this size.
    tolerance = 0.04 if distribution == "scalar" else 0.08
    q = q_of(trained(method, data, 1000 if distribution == "categorical" else 500))
    assert q[0, 1] == pytest.approx(0.5, abs=tolerance)
    assert q[1, :2].tolist() == pytest.approx([1, 1], abs=2 * tolerance)
    if stays is not None:
        assert q[0, 0] == pytest.approx(stays, abs=tolerance)
    else:
        assert 0.05 / 0.6 < q[0, 0] < 0.25


def test_iql_learns_the_better_action_and_the_clone_does_not() -> None:
    data = chain()
    iql = trained(learner(temperature=10, expectile=0.9), data)
    torch.manual_seed(0)
    copy = trained(clone.build(clone.Config(), SHAPE), data)
    better = [method.policy(STATES).exp()[0, 1].item() for method in (iql, copy)]
    assert better[1] == pytest.approx(0.2, abs=0.05) and better[0] > 0.6
    # ILQL leaves the clone as it is and reweights it when it plays.
    ilql = trained(learner(policy="reweighted", temperature=10, expectile=0.9), data)
    assert ilql.heads.both(STATES.features)[0].exp()[0, 1].item() == pytest.approx(0.2, abs=0.05)
    assert ilql.policy(STATES).exp()[0, 1] > 0.6


def test_conservatism_pushes_down_the_action_that_nobody_took() -> None:
    data = chain()
    plain = q_of(trained(learner(backup="max", policy="softmax"), data, 300))
    wary = q_of(trained(learner(backup="max", policy="softmax", conservatism=0.5), data, 300))
    assert (wary[0, 2] - wary[0, :2].max()) < (plain[0, 2] - plain[0, :2].max()) - 0.2


def test_dr3_is_dopamines_formula_and_shrinks_the_dot_products() -> None:
    data = chain()
    method = learner(backup="max", policy="softmax", dr3=0.1)
    batch = method.draw(data, np.random.default_rng(0), 64)
    loss, scalars = method.loss(batch)
    phi = method.critics.online[0].hidden(batch.seen)
    later = method.critics.online[0].hidden(batch.following)
    expected = torch.einsum("bh,bh->b", phi, later).abs().mean()
    torch.testing.assert_close(scalars["dots"], expected)
    torch.testing.assert_close(loss, scalars["td"] + 0.1 * expected)
    rng = np.random.default_rng(1)
    free = trained(learner(backup="max", policy="softmax"), data, 300)
    held = trained(method, data, 300)
    assert held.measure(data, rng)["dots"] < 0.5 * free.measure(data, rng)["dots"]


def test_a_projection_keeps_the_mean_and_the_weight() -> None:
    categorical, generator = Categorical(), torch.Generator().manual_seed(0)
    targets = torch.rand(6, 9, generator=generator) * 20
    weights = torch.rand(6, 9, generator=generator).softmax(1)
    projected = categorical.project(targets, weights)
    torch.testing.assert_close(projected.sum(1), torch.ones(6))
    torch.testing.assert_close((projected * categorical.support).sum(1), (targets * weights).sum(1))
    beyond = categorical.project(torch.tensor([[99.0, -99.0]]), torch.tensor([[0.5, 0.5]]))
    assert beyond[0, [0, -1]].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_critic_begins_near_zero(kind: str) -> None:
    torch.manual_seed(0)
    critic = Critic(SHAPE, kind, hidden=32)
    assert critic.means(critic(STATES)).abs().max() < 1.5


def test_quantiles_fit_a_distribution() -> None:
    torch.manual_seed(0)
    quantile, outputs = Quantile(), torch.zeros(1, 32, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(800):
        targets = torch.rand(1, 64) * 4
        loss = quantile.loss(outputs, targets, torch.full_like(targets, 1 / 64)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The Huber loss pulls the outer quantiles inwards.
    assert mean(quantile, outputs).item() == pytest.approx(2, abs=0.1)
    assert (outputs.diff() > -0.1).all() and outputs[0, -4] - outputs[0, 3] > 2


@pytest.mark.parametrize("asymmetric", [True, False])
def test_qr_sac_prefers_the_better_action(asymmetric: bool) -> None:
    torch.manual_seed(0)
    config = qr_sac.Config(
        asymmetric=asymmetric, hidden=32, n=1, gamma=GAMMA, polyak=0.05, entropy=0.3
    )
    method = qr_sac.build(config, SHAPE)
    # Off policy, from data in which action 2 stays like action 0.
    data = chain()
    stays = np.random.default_rng(1).random(4000) < 0.4
    data.actions[stays & (data.actions == 0)] = 2
    policy = trained(method, data).policy(STATES).exp()
    assert policy[0].argmax() == 1 and policy[0, 1] > 0.5
    loss, scalars = method.loss(method.draw(data, np.random.default_rng(0), 64))
    assert torch.isfinite(loss) and scalars["alpha"] > 0
    assert method.critics.online[0].trunk[0].in_features == (23 if asymmetric else 21)


def test_a_policy_of_advantages_needs_v() -> None:
    with pytest.raises(UsageError, match="needs V, and so the backup expectile"):
        learner(backup="max", policy="reweighted")


def test_heads_of_acts_are_apart() -> None:
    method = learner(backup="max", policy="softmax", heads="act")
    critic = method.critics.online[0]
    with torch.no_grad():
        critic.head.bias.zero_()
        critic.head.bias[3:] = 1.0
    both = critic(Seen(torch.eye(21)[[0, 0]], torch.tensor([0, 1])))
    assert F.l1_loss(both[0], both[1]) > 0.5
    both[1].sum().backward()
    assert critic.head.weight.grad[:3].abs().max() == 0 < critic.head.weight.grad[3:].abs().max()
