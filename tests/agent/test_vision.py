"""V against closed forms and against what training needs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from agent.config import VisionConfig
from agent.models.frames import shrink
from agent.models.vision import (
    MAP_SIZE,
    MIN_LOGVAR,
    Vision,
    crop,
    kl_per_unit,
    paste,
    place_loss,
    player_focus,
    psnr,
    sample,
    to_input,
    vision_loss,
)
from retro_common.config import validate
from retro_common.errors import UsageError

SMALL = VisionConfig(latent=40, grid=4, player_units=8, channels=(8, 16), decoder_channels=(8, 16))


@pytest.mark.parametrize(
    "config",
    [
        VisionConfig(),
        VisionConfig(latent=32, grid=4, player_units=16, channels=(4, 8), decoder_channels=(4, 8)),
        VisionConfig(latent=64, grid=8, player_units=0, channels=(4, 8), decoder_channels=(4, 8)),
        VisionConfig(latent=20, grid=4, player_units=4, channels=(4, 8), decoder_channels=(6, 12)),
    ],
)
def test_shapes_for_every_latent_size(config: VisionConfig) -> None:
    frames = torch.rand(3, 3, 64, 64)
    model = Vision(config)
    reconstruction, mean, logvar = model(frames)
    assert reconstruction.shape == frames.shape
    assert mean.shape == logvar.shape == (3, config.latent)
    assert model.encoder.trunk(frames).shape == (3, config.channels[1], config.grid, config.grid)
    decoded = model.decode(mean)
    assert decoded.min() >= 0 and decoded.max() <= 1


def test_a_latent_that_does_not_fill_the_grid_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of the 64 cells"):
        validate(VisionConfig, {"latent": 100}, "config.yaml")


def test_the_player_units_hold_its_place_and_the_sprite_is_drawn_there() -> None:
    """The last two units are the player finder's place: -2 and 2 are the frame's edges."""
    torch.manual_seed(0)
    model = Vision(
        VisionConfig(latent=20, grid=4, player_units=4, channels=(4, 8), decoder_channels=(4, 8))
    )
    with torch.no_grad():
        model.encoder.player_finder.prior[4, 12] = 50.0
    mean, logvar = model.encode(torch.rand(1, 3, 64, 64))
    x, y = mean[0, -2:].tolist()
    assert x == pytest.approx((50 / 64 * 2 - 1) * 2, abs=1e-3)
    assert y == pytest.approx((18 / 64 * 2 - 1) * 2, abs=1e-3)
    assert logvar[0, -1].item() == MIN_LOGVAR

    other_look = mean.clone()
    other_look[0, -4:-2] += 3.0
    with torch.no_grad():
        changed = (model.decode(other_look) != model.decode(mean)).any(dim=1)[0]
    rows, columns = changed.nonzero(as_tuple=True)
    assert rows.min() >= 18 - 8 and rows.max() < 18 + 8
    assert columns.min() >= 50 - 8 and columns.max() < 50 + 8


def test_only_its_own_loss_trains_the_player_finder() -> None:
    model = Vision(SMALL)
    frames = torch.rand(2, 3, 64, 64)
    reconstruction, mean, logvar = model(frames)
    settings = {"kl_weight": 1.0, "free_nats": 0.0, "error_weight": 1.0}
    vision_loss(reconstruction, frames, mean, logvar, **settings)[0].backward()
    assert all(p.grad is None for p in model.encoder.player_finder.parameters())
    assert all(p.grad is not None for p in model.encoder.appearance.parameters())
    assert all(p.grad is not None for p in model.decoder.sprite.parameters())
    place_loss(model.encoder.player_finder(frames), torch.zeros(2, 2)).backward()
    assert all(p.grad is not None for p in model.encoder.player_finder.parameters())


@settings(deadline=None)
@given(st.floats(-0.7, 0.7), st.floats(-0.7, 0.7))
def test_a_window_is_pasted_where_it_was_cropped(x: float, y: float) -> None:
    axis = torch.linspace(0, 1, 64)
    frames = (axis[:, None] + axis).expand(1, 3, 64, 64)  # a ramp: nothing is lost between pixels
    places = torch.tensor([[x, y]])
    pasted = paste(crop(frames, places), places, 64)
    inside = paste(torch.ones(1, 1, 16, 16), places, 64) > 0.999
    inner = torch.nn.functional.avg_pool2d(inside.float(), 5, 1, 2) > 0.999
    assert inner.sum() > 100
    torch.testing.assert_close(pasted[:, :1][inner], frames[:, :1][inner], atol=1e-3, rtol=0)


def test_the_search_is_best_where_its_expectation_is_the_place() -> None:
    places = torch.tensor([[0.31, -0.52]])
    finder = Vision(SMALL).encoder.player_finder
    logits = torch.zeros(1, MAP_SIZE, MAP_SIZE, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        place_loss(logits, places).backward()
        optimizer.step()
    torch.testing.assert_close(finder.place(logits.detach()), places, atol=5e-3, rtol=0)


def test_pixels_near_the_thing_count_more() -> None:
    mean = torch.zeros(1, 8)
    mean[0, -2:] = torch.tensor([1.0, -1.0])  # a quarter from the right, a quarter from the top
    focus = player_focus(mean, 3.0)
    assert focus.shape == (1, 1, 64, 64)
    assert focus[0, 0, 16, 48] == 3.0 and focus[0, 0, 48, 16] == 0.0
    assert focus.sum() == pytest.approx(3 * 16 * 16, rel=0.15)


def test_kl_is_the_closed_form_of_torch() -> None:
    mean, logvar = torch.randn(5, 8, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    posterior, prior = Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)
    torch.testing.assert_close(kl_per_unit(mean, logvar), kl_divergence(posterior, prior))


def test_samples_have_the_posteriors_standard_deviation() -> None:
    logvar = torch.tensor([[-2.0, 0.0, 1.0]]).repeat(20_000, 1)
    drawn = sample(torch.zeros_like(logvar), logvar, torch.Generator().manual_seed(1))
    expected = (0.5 * logvar[0]).exp()  # with the half: the bug of the 2018 entry left it out
    torch.testing.assert_close(drawn.std(dim=0), expected, rtol=0.03, atol=0)


def test_badly_drawn_pixels_count_more() -> None:
    frames = torch.zeros(1, 3, 64, 64)
    small_thing, haze = frames.clone(), frames.clone()
    small_thing[:, :, :4, :4] = 0.8
    haze[:] = (small_thing.square().mean()).sqrt()  # the same squared error, spread evenly
    mean = logvar = torch.zeros(1, 8)

    def loss(drawn: torch.Tensor, weight: float) -> float:
        settings = {"kl_weight": 0.0, "free_nats": 0.0, "error_weight": weight}
        return vision_loss(drawn, frames, mean, logvar, **settings)[0].item()

    assert loss(small_thing, 0) == pytest.approx(loss(haze, 0), rel=1e-4)
    assert loss(small_thing, 1) > 5 * loss(haze, 1)


def test_free_nats_are_free() -> None:
    frames = torch.zeros(4, 3, 64, 64)
    logvar = torch.zeros(4, 8)
    mean = torch.full((4, 8), 0.1, requires_grad=True)  # KL of 0.005 nats per unit
    settings = {"kl_weight": 1.0, "error_weight": 0.0}
    vision_loss(frames, frames, mean, logvar, free_nats=0.1, **settings)[0].backward()
    assert mean.grad.abs().max() == 0
    vision_loss(frames, frames, mean, logvar, free_nats=0.0, **settings)[0].backward()
    assert mean.grad.abs().min() > 0


def test_it_learns_to_draw() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = np.full((64, 64, 64, 3), 90, np.uint8)
    for image in images:  # a bright square somewhere
        y, x = rng.integers(48, size=2)
        image[y : y + 16, x : x + 16] = (255, 200, 0)
    frames = to_input(images)
    model = Vision(SMALL)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    quality = []
    for step in range(60):
        reconstruction, mean, logvar = model(frames, torch.Generator().manual_seed(step))
        settings = {"kl_weight": 0.1, "free_nats": 0.1, "error_weight": 1.0}
        loss, scalars = vision_loss(reconstruction, frames, mean, logvar, **settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        quality.append(psnr(scalars["mse"]).item())
    assert quality[-1] > quality[0] + 2


def test_shrinking_takes_the_mean_of_an_area() -> None:
    frame = np.zeros((224, 320, 3), np.uint8)
    frame[:, 160:] = (255, 0, 100)
    small = shrink(frame)
    assert small.shape == (64, 64, 3) and small.dtype == np.uint8
    assert (small[:, :32] == 0).all() and (small[:, 32:] == (255, 0, 100)).all()
    assert to_input(small[None]).shape == (1, 3, 64, 64)
    assert to_input(small[None])[0, 2, 5, 50].item() == pytest.approx(100 / 255)
