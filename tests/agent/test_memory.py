"""M against torch.distributions, and playing against training."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from agent.config import MemoryConfig, VisionConfig
from agent.models.memory import Memory, Prediction, State, memory_loss

VISION = VisionConfig(latent=20, grid=4, player_units=4)
LATENT, ACTIONS = VISION.latent, 4


@pytest.fixture
def model() -> Memory:
    torch.manual_seed(0)
    return Memory(MemoryConfig(hidden=16, mixtures=3, maps=12), VISION, ACTIONS)


def sequence(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(batch, length, LATENT, generator=generator)
    return latents, torch.randint(ACTIONS, (batch, length), generator=generator)


def reference(prediction: Prediction) -> MixtureSameFamily:
    return MixtureSameFamily(
        Categorical(logits=prediction.log_weights),
        Normal(prediction.means, prediction.log_stds.exp()),
    )


def test_log_likelihood_and_mean_are_those_of_torch(model: Memory) -> None:
    latents, actions = sequence(2, 9)
    hidden, _ = model(latents, actions, model.initial_state(2))
    prediction = model.predict(hidden, latents)
    expected = reference(prediction)
    values = torch.randn(2, 9, LATENT) * 3
    torch.testing.assert_close(prediction.log_prob(values), expected.log_prob(values))
    torch.testing.assert_close(prediction.mean(), expected.mean)


@pytest.mark.parametrize("shape", [(), (5,), (2, 9)])
def test_the_head_is_the_textbook_one(model: Memory, shape: tuple[int, ...]) -> None:
    """`predict` orders its sums for speed: values and gradients are those of the plain formula."""
    generator = torch.Generator().manual_seed(2)
    hidden, latents, following = (
        torch.randn(*shape, size, generator=generator) for size in (16, LATENT, LATENT)
    )
    with torch.no_grad():
        model.mixture.cells.bias.mul_(100)  # some log-stds beyond their bounds
    results = []
    for plain in (False, True):
        hidden = hidden.detach().requires_grad_()
        if plain:
            parts = model.mixture(hidden.reshape(-1, 16), latents.reshape(-1, LATENT))
            parts = parts.view(*shape, 3, 3, LATENT).transpose(-1, -2)
            logits, offsets, log_stds = parts.unbind(dim=-3)
            means, log_stds = latents.unsqueeze(-1) + offsets, log_stds.clamp(-5, 3)
            normal = Normal(means, log_stds.exp())
            density = normal.log_prob(following.unsqueeze(-1)) + logits.log_softmax(dim=-1)
            fields = (logits.log_softmax(dim=-1), means, log_stds, density.logsumexp(dim=-1))
        else:
            prediction = model.predict(hidden, latents)
            fields = (*prediction[:3], prediction.log_prob(following))
        model.zero_grad()
        fields[-1].mean().backward()
        results.append(
            (*fields, hidden.grad, *(p.grad.clone() for p in model.mixture.parameters()))
        )
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


def test_a_cell_is_foretold_from_its_neighbours_and_the_hidden_state(model: Memory) -> None:
    latents, hidden = torch.zeros(1, LATENT, requires_grad=True), torch.zeros(1, 16)
    hidden.requires_grad_()
    cell = 4 * 1 + 1  # row 1, column 1 of the only unit's 4 x 4 cells
    model.predict(hidden, latents).means[0, cell].sum().backward()
    reached = latents.grad[0, :16].view(4, 4) != 0
    assert reached[:3, :3].all() and not reached[3].any() and not reached[:, 3].any()
    assert (hidden.grad != 0).all()


def test_samples_come_from_one_component_each() -> None:
    # Two far components of equal weight: a sum of weighted samples would land between them.
    shape = (20_000, 1, 2)
    prediction = Prediction(
        log_weights=torch.full(shape, 0.5).log(),
        means=torch.tensor([-5.0, 5.0]).expand(shape),
        log_stds=torch.full(shape, -2.0),
        reward=torch.zeros(shape[:1]),
        end_logit=torch.zeros(shape[:1]),
    )
    drawn = prediction.sample(generator=torch.Generator().manual_seed(0))
    assert ((drawn.abs() - 5).abs() < 1).all()
    assert abs((drawn > 0).float().mean().item() - 0.5) < 0.02
    side = drawn[drawn > 0]
    assert side.std().item() == pytest.approx(torch.tensor(-2.0).exp().item(), rel=0.05)
    cold = prediction.sample(0.25, torch.Generator().manual_seed(0))
    assert cold[cold > 0].std().item() == pytest.approx(side.std().item() / 2, rel=0.05)


def test_step_by_step_equals_the_sequence(model: Memory) -> None:
    latents, actions = sequence(3, 40)
    hidden, last = model(latents, actions, model.initial_state(3))
    state = model.initial_state(3)
    for t in range(40):
        state = model.step(latents[:, t], actions[:, t], state)
        torch.testing.assert_close(state.h, hidden[:, t], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state.c, last.c, rtol=1e-5, atol=1e-6)


def test_carrying_the_state_equals_one_long_sequence(model: Memory) -> None:
    latents, actions = sequence(2, 32)
    whole, _ = model(latents, actions, model.initial_state(2))
    first, state = model(latents[:, :20], actions[:, :20], model.initial_state(2))
    second, _ = model(latents[:, 20:], actions[:, 20:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-5, atol=1e-6)


def test_actions_change_what_is_expected(model: Memory) -> None:
    latents, actions = sequence(1, 5)
    other = (actions + 1) % ACTIONS
    one, _ = model(latents, actions, model.initial_state(1))
    two, _ = model(latents, other, model.initial_state(1))
    assert (one - two).abs().max() > 1e-3


def test_loss_leaves_out_padding_and_what_lies_beyond_an_end(model: Memory) -> None:
    latents, actions = sequence(2, 8)
    hidden, _ = model(latents, actions, model.initial_state(2))
    prediction = model.predict(hidden, latents)
    rewards, ends, mask = torch.zeros(2, 8), torch.zeros(2, 8), torch.ones(2, 8)
    ends[0, 3] = 1
    mask[1, 5:] = 0
    weights = {"reward_weight": 1.0, "end_weight": 1.0, "end_positive_weight": 10.0}

    def loss(target: torch.Tensor, reward: torch.Tensor) -> float:
        return memory_loss(prediction, target, reward, ends, mask, **weights)[0].item()

    following = torch.randn(2, 8, LATENT)
    plain = loss(following, rewards)
    changed = following.clone()
    changed[0, 3] += 100  # after the end there is no next latent
    changed[1, 5:] += 100
    padded = rewards.clone()
    padded[1, 5:] = 100
    assert loss(changed, padded) == plain
    changed[0, 4] += 100
    assert loss(changed, rewards) > plain

    place = memory_loss(prediction, following, rewards, ends, mask, **weights, place_weight=0.5)
    assert place[0].item() == pytest.approx(plain + 0.5 * place[1]["place"].item())


def test_it_learns_what_the_action_does(model: Memory) -> None:
    """Latent 0 moves by the action; the reward is 1 for action 2; action 3 ends the episode."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(300):
        actions = torch.randint(ACTIONS, (16, 12), generator=generator)
        latents = torch.randn(16, 12, LATENT, generator=generator) * 0.1
        following = latents.clone()
        following[..., 0] += actions - 1.5
        state = model.initial_state(16)
        hidden, state = model(latents, actions, State(*state))
        prediction = model.predict(hidden, latents)
        loss, _ = memory_loss(
            prediction,
            following,
            (actions == 2).float(),
            (actions == 3).float(),
            torch.ones(16, 12),
            reward_weight=1.0,
            end_weight=1.0,
            end_positive_weight=3.0,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    goes_on = actions != 3
    error = (prediction.mean() - following)[..., 0].abs()[goes_on]
    assert error.mean() < 0.3
    assert ((prediction.reward > 0.5) == (actions == 2)).float().mean() > 0.95
    assert ((prediction.end_logit > 0) == (actions == 3)).float().mean() > 0.95
