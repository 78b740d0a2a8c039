"""What the sandbox runs on hostile files: the code that reads them, and checks of what it made."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from agent import bundle
from agent.config import AgentConfig, ControllerConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from pretrain.config import PretrainConfig
from pretrain.stage import Diverged
from pretrain.stages import collect, memory, vision
from retro_common.config import validate
from retro_common.errors import UsageError
from retro_contest.board.boards import load_boards
from retro_contest.board.site import write_site
from retro_contest.board.terminal import rank_tables

# The first optimiser makes torch load a large part of itself: here, not in every call.
torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)


def control_characters(text: str) -> list[str]:
    """The characters of a text that a terminal acts upon, apart from the end of a line."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]


# --- bundles ---

TINY = AgentConfig(
    actions=("", "RIGHT"),
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(2, 4), decoder_channels=(2, 4)
    ),
    memory=MemoryConfig(hidden=5, mixtures=2),
    controller=ControllerConfig(hidden=8),
)


def save_bundle(folder: str) -> None:
    """Write a small bundle."""
    torch.manual_seed(0)
    bundle.save(Models.build(TINY), Path(folder), {"commit": "abc", "levels": ["a", "b"]})


def load_bundle(folder: str) -> str:
    """Load a bundle; a hash of its weights, which must be numbers."""
    models, manifest = bundle.load(Path(folder))
    assert isinstance(manifest.agent, AgentConfig)
    weights = {}
    for part, module in models.parts().items():
        for name, value in module.state_dict().items():
            assert torch.isfinite(value).all(), f"{part}: {name} holds what is not a number"
            weights[f"{part}.{name}"] = value
    return digest(weights)


def digest(weights: dict[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    result = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].contiguous()
        result.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        result.update(value.numpy().tobytes())
    return result.hexdigest()


# --- results ---


def rank(folder: str, page: str | None) -> list[dict[str, Any]]:
    """The rows of the board of some results folders, printed and, if asked, written as a site."""
    boards = load_boards([Path(folder)])
    console = Console(file=io.StringIO(), width=120)
    console.print(rank_tables(boards))
    table = console.file.getvalue()
    assert len(table) < 200_000, "the table has no bounds"
    assert not control_characters(table), "the table has control characters"
    if page is not None:
        write_site(boards, Path(page), lambda level, path: False)
        for path in Path(page).rglob("*.html"):
            text = path.read_text()
            assert "<script>document" not in text and "\x1b" not in text, "a page is not escaped"
            assert len(text) < 2_000_000, "a page has no bounds"
    rows = []
    for board in boards.boards:
        # Ranks may change when somebody else plays; nothing else of a row may.
        for submission in [s for row in board.rows for s in (row.submission, *row.history)]:
            assert submission.score is None or math.isfinite(submission.score)
            row = {
                "folder": submission.results.folder.name,
                "name": submission.name,
                "score": submission.score,
                "interval": submission.interval,
                "scores": submission.scores,
                "remark": submission.remark,
                "image": submission.image,
                "levels": board.levels,
            }
            rows.append(json.loads(json.dumps(row)))
    return rows


# --- runs of pretraining ---


RUN = validate(
    PretrainConfig,
    {
        "out": "run",
        "levels": "airstriker",
        "agent": {
            "actions": ["", "LEFT", "RIGHT", "B"],
            "vision": {
                "latent": 16,
                "grid": 4,
                "player_units": 0,
                "channels": [2, 4],
                "decoder_channels": [2, 4],
            },
            "memory": {"hidden": 8, "mixtures": 2},
        },
        "collect": {"timesteps": 128, "shard": 64, "workers": 1, "behaviours": {"random": 1}},
        "vision": {"steps": 2, "batch": 4, "kl_warmup": 2},
        "memory": {"steps": 2, "batch": 2, "sequence": 8},
    },
    "the configuration of the tests",
)


def run_stage(stage: str, folder: str) -> str | None:
    """Run a stage of pretraining; a hash of the weights that it ended with, if it trains some."""
    config = dataclasses.replace(RUN, out=Path(folder))
    try:
        {"collect": collect, "vision": vision, "memory": memory}[stage].run(config)
    except Diverged as error:  # like a UsageError, it is printed as one line
        raise UsageError(str(error)) from None
    checkpoint = Path(folder) / stage / "checkpoint.pt"
    if not checkpoint.exists():
        return None
    return digest(torch.load(checkpoint, weights_only=True)["model"])
