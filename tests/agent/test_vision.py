"""V against closed forms and against what training needs."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from agent.config import VisionConfig, validate
from agent.errors import UsageError
from agent.frames import shrink
from agent.vision import Vision, kl_per_unit, psnr, sample, to_input, vision_loss

SMALL = VisionConfig(latent=40, grid=4, keypoints=4, channels=(8, 16))


@pytest.mark.parametrize(
    "config",
    [
        VisionConfig(),
        VisionConfig(latent=32, grid=4, keypoints=8, channels=(4, 8)),
        VisionConfig(latent=64, keypoints=0, channels=(4, 8)),
    ],
)
def test_shapes_for_every_latent_size(config: VisionConfig) -> None:
    frames = torch.rand(3, 3, 64, 64)
    model = Vision(config)
    reconstruction, mean, logvar = model(frames)
    assert reconstruction.shape == frames.shape
    assert mean.shape == logvar.shape == (3, config.latent)
    assert model.encoder.features(frames).shape == (3, model.encoder.feature_size)
    decoded = model.decode(mean)
    assert decoded.min() >= 0 and decoded.max() <= 1


def test_a_latent_that_does_not_fill_the_grid_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of the 64 cells"):
        validate(VisionConfig, {"latent": 100}, "config.yaml")


def test_a_keypoint_says_where_a_thing_is() -> None:
    """Its units are where its heat map points: -2 is one edge of the frame, 2 the other."""
    torch.manual_seed(0)
    config = VisionConfig(latent=18, grid=4, keypoints=1, channels=(4, 8))
    encoder = Vision(config).encoder
    with torch.no_grad():  # the heat is the frame's red, summed over each patch, and sharpened
        encoder.stem[0].weight.zero_()
        encoder.stem[0].bias.zero_()
        encoder.stem[0].weight[0, 0] = 1.0
        encoder.heat = torch.nn.Conv2d(4, 1, 1, bias=False)
        encoder.heat.weight.copy_(torch.tensor([100.0, 0, 0, 0]).view(1, 4, 1, 1))
    frames = torch.zeros(1, 3, 64, 64)
    frames[0, 0, 8:12, 48:52] = 1.0
    mean, _ = encoder(frames)
    x, y = mean[0, -2:].tolist()
    assert x == pytest.approx((50 / 64 * 2 - 1) * 2, abs=1e-3)
    assert y == pytest.approx((10 / 64 * 2 - 1) * 2, abs=1e-3)


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
