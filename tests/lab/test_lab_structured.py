"""Matrices of fewer numbers, against their definition and a public implementation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lab_kit import AGENT

from agent import bundle
from agent.models.actor import Models
from lab.data import Data, DataSet
from lab.method import Shape
from lab.methods.compress import Compress, Config
from lab.structured import LowDisplacement, LowRank, eight_bits, low_displacement

PEER = Path(__file__).with_name("ldr-peer.json")


def below(numbers: torch.Tensor) -> torch.Tensor:
    """The operator with these numbers below its diagonal."""
    return torch.diag_embed(numbers, offset=-1)


def krylov(operator: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    columns = [start]
    for _ in range(len(start) - 1):
        columns.append(operator @ columns[-1])
    return torch.stack(columns, dim=1)


@pytest.fixture
def parts() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 11), (2, 11), (2, 12, 3), (2, 12, 3))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def test_a_matrix_is_a_sum_of_krylov_products(parts: tuple[torch.Tensor, ...]) -> None:
    for a, b, g, h, found in zip(*parts, low_displacement(*parts), strict=True):
        products = [krylov(below(a), g[:, i]) @ krylov(below(b), h[:, i]).T for i in range(3)]
        torch.testing.assert_close(found, torch.stack(products).sum(0))


def test_its_displacement_has_the_rank(parts: tuple[torch.Tensor, ...]) -> None:
    a, b, g, h = parts
    found = low_displacement(*parts)
    moved = found - below(a) @ found @ below(b).mT
    torch.testing.assert_close(moved, g @ h.mT)
    assert torch.linalg.matrix_rank(moved).tolist() == [3, 3]
    assert torch.linalg.matrix_rank(found).tolist() == [12, 12], "the matrix itself has a full one"


def test_outputs_are_those_of_torch_structured() -> None:
    peer = json.loads(PEER.read_text())
    assert peer["version"] == "torch-structured 1.3.0"
    arrays = {
        name: torch.tensor(values).view(peer["shapes"][name])
        for name, values in peer["arrays"].items()
    }
    a, b = arrays["subd_A"][None], arrays["subd_B"][None]
    matrix = low_displacement(a, b, arrays["G"].T[None], arrays["H"].T[None])[0]
    torch.testing.assert_close(arrays["inputs"] @ matrix.T, arrays["outputs"], atol=1e-5, rtol=1e-4)


def inputs_of_two_kinds() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(500, 20, generator=generator) * torch.tensor([3.0] * 5 + [0.1] * 15)
    return torch.randn(16, 20, generator=generator), inputs


def test_low_rank_is_the_best_for_these_inputs() -> None:
    weight, inputs = inputs_of_two_kinds()
    moments = inputs.T @ inputs / len(inputs)
    mine = LowRank(weight, moments, 5)
    u, s, v = torch.linalg.svd(weight)
    plain = (u[:, :5] * s[:5]) @ v[:5]
    errors = [(inputs @ (weight - other).T).square().mean() for other in (mine(), plain)]
    assert errors[0] < 0.1 * errors[1], "columns whose inputs are small count less"
    assert torch.linalg.matrix_rank(mine()) == 5
    torch.testing.assert_close(LowRank(weight, moments, 16)(), weight, atol=1e-3, rtol=1e-3)


def test_blocks_cover_the_weight_and_hold_it_at_full_rank() -> None:
    weight, inputs = inputs_of_two_kinds()
    moments = inputs.T @ inputs / len(inputs)
    mine = LowDisplacement(weight, moments, 8, 8)
    assert mine.g.shape == (2 * 3, 8, 8), "20 columns are three blocks of 8"
    torch.testing.assert_close(mine(), weight, atol=1e-3, rtol=1e-3)
    mine().square().sum().backward()
    assert mine.below_a.grad is not None and mine.below_a.grad.abs().sum() > 0


def test_eight_bits_are_off_by_half_a_step_at_most() -> None:
    weight, _ = inputs_of_two_kinds()
    step = weight.abs().amax(1, keepdim=True) / 127
    found = eight_bits(weight)
    assert ((found - weight).abs() <= step / 2 + 1e-6).all() and (found != weight).any()
    assert (found / step).round().abs().max() == 127


def compress(layer: str, tiny_bundle: Path, data: DataSet) -> tuple[Compress, Models]:
    models, _ = bundle.load(tiny_bundle)
    features, memory = data.training.features.shape[1], data.training.memory.shape[1]
    method = Compress(
        Config(layer=layer, rank=2, length=8), Shape(features, memory, 2, models.config)
    )
    method.memory.load_state_dict(models.memory.state_dict())
    method.heads.load_state_dict(models.controller.state_dict())
    method.fit(data.training, np.random.default_rng(0))
    return method, models


def test_dense_is_the_bundle_itself(tiny_bundle: Path, tiny_data: Path) -> None:
    data = DataSet.open(tiny_data)
    method, models = compress("dense", tiny_bundle, data)
    found = method.measure(data.held_back, np.random.default_rng(0))
    assert float(found["kl"]) == pytest.approx(0, abs=1e-6)
    numbers = sum(x.numel() for part in models.parts().values() for x in part.parameters())
    assert found["megabytes"] == pytest.approx(4e-6 * numbers)
    batch = method.draw(data.training, np.random.default_rng(1), 64)
    assert batch.features.shape[:2] == (8, 9) and batch.actions.shape == (8, 8)
    _, scalars = method.loss(batch)
    assert all(float(each) == pytest.approx(0, abs=1e-6) for each in scalars.values())


@pytest.mark.parametrize("layer", ["ldr-sd", "low-rank"])
def test_the_smaller_agent_learns_to_play_like_the_bundle(
    layer: str, tiny_bundle: Path, tiny_data: Path
) -> None:
    data = DataSet.open(tiny_data)
    method, models = compress(layer, tiny_bundle, data)
    weights = [x for x in torch.nn.ModuleDict(method.parts()).parameters() if x.requires_grad]
    assert weights and all(any(x is y for y in method.layers.parameters()) for x in weights)
    optimizer = torch.optim.Adam(weights, lr=1e-2)
    losses = []
    for step in range(40):
        loss, _ = method.loss(method.draw(data.training, np.random.default_rng(step), 128))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    mine = method.models(models).memory
    weight = method.layers["lstm-weight_ih_l0"]()
    torch.testing.assert_close(mine.lstm.weight_ih_l0, weight)
    assert not torch.equal(mine.lstm.weight_ih_l0, models.memory.lstm.weight_ih_l0)


def test_low_rank_gets_no_fewer_numbers_than_low_displacement_rank() -> None:
    agent = dataclasses.replace(AGENT, memory=dataclasses.replace(AGENT.memory, hidden=16))
    features, rng, sizes = AGENT.vision.latent + 16, np.random.default_rng(0), {}
    data = Data(400, features, 2)
    data.count, data.features[:] = 400, rng.normal(size=(400, features))
    for layer in ("ldr-sd", "low-rank"):
        method = Compress(Config(layer=layer, rank=2), Shape(features, 2, 2, agent))
        method.fit(data, rng)
        sizes[layer] = sum(x.numel() for x in method.layers.parameters())
    assert sizes["ldr-sd"] <= sizes["low-rank"] <= 1.5 * sizes["ldr-sd"]


def test_eight_bits_change_all_matrices_and_take_fewer_bytes(
    tiny_bundle: Path, tiny_data: Path
) -> None:
    data = DataSet.open(tiny_data)
    method, models = compress("int8", tiny_bundle, data)
    dense, _ = compress("dense", tiny_bundle, data)
    assert method.megabytes() < dense.megabytes()
    mine = dict(method.models(models).memory.named_parameters())
    for name, weight in models.memory.named_parameters():
        assert torch.equal(weight, mine[name]) == (weight.ndim == 1 or not weight.any()), name
