"""The model card of a bundle, in the format of Hugging Face, from its origin and its scores.

Every figure in it is read: the sizes from the bundle's configuration, its making from the origin
that pretraining wrote into it, the scores from results folders that this very bundle earned.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml

from agent import bundle
from agent.bundle import Manifest
from retro_common.errors import UsageError
from retro_common.files import read_json_object, write_atomically
from retro_common.text import clean
from retro_contest.board.reading import Results, read_results
from retro_contest.board.statistics import interval
from retro_contest.runs.agent_files import digest
from retro_contest.runs.results import RESULT_FILE, level_scores

CARD = "README.md"
TAGS = ["reinforcement-learning", "world-model", "retro-contest", "stable-retro"]


def write_card(folder: Path, results: Sequence[Path], licence: str = "") -> Path:
    """Write the card of a bundle into its folder.

    Args:
        folder: the bundle.
        results: results folders of evaluations of it, or folders that hold some directly.
        licence: identifier of its licence, for example `mit`.

    Raises:
        UsageError: the folder holds no bundle, or results are damaged, unfinished, or of another
            agent.
    """
    models, manifest = bundle.load(folder)
    scored = [_checked(each, folder) for each in _read(results)]
    sizes = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in models.parts().items()
    }
    name = folder.resolve().name
    head = yaml.safe_dump(_head(name, scored, licence), sort_keys=False, allow_unicode=True)
    body = "\n\n".join(_body(name, manifest, sizes, scored))
    write_atomically(folder / CARD, f"---\n{head}---\n\n{body}\n")
    return folder / CARD


def _read(folders: Sequence[Path]) -> list[Results]:
    if not folders:
        return []
    found, unread = read_results(folders)
    if unread:
        raise UsageError(f"{unread[0].folder}: {unread[0].why}")
    return found


def _checked(results: Results, folder: Path) -> Results:
    """Refuse results that are incomplete or that another agent earned."""
    if results.remark:
        raise UsageError(
            f"{results.folder}: {results.remark}: {results.detail or 'evaluate again'}"
        )
    ours = {digest(folder), _digest_without_card(folder)}
    for run in results.summary.levels:
        settings = read_json_object(results.folder / run.run / RESULT_FILE).get("settings", {})
        if not ours & {*map(str, settings.get("agent_files", {}).values())}:
            raise UsageError(
                f"{results.folder}: {run.run} was not earned by the bundle {folder} as it is now"
            )
    return results


def _digest_without_card(folder: Path) -> str:
    """What the bundle's hash was before it had a card."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "bundle"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(CARD, ".git"))
        return digest(copy)


def _mean(results: Results) -> tuple[float, str]:
    """Score, and its 95% interval in words."""
    scores = level_scores(run.model_dump() for run in results.summary.levels)
    found = interval([np.array(runs) for runs in scores.values()])
    words = "one run per level" if found is None else "95% interval {:,.0f} to {:,.0f}"
    score = fmean(fmean(runs) for runs in scores.values())
    return score, words.format(*(found or ()))


def _contest(results: Results) -> str:
    summary = results.summary
    learns = "without learning" if "--no-learn" in summary.agent.split() else "fine-tuning"
    return f"{summary.timesteps:,} timesteps, {learns}"


def _head(name: str, scored: Sequence[Results], licence: str) -> dict[str, Any]:
    """The YAML head that the Hub reads."""
    head: dict[str, Any] = {"license": licence} if licence else {}
    head |= {
        "library_name": "retro-contest-kit",
        "pipeline_tag": "reinforcement-learning",
        "tags": TAGS,
    }
    found = []
    for results in scored:
        score, spread = _mean(results)
        levels = clean(results.summary.level_set)
        found.append(
            {
                "task": {
                    "type": "reinforcement-learning",
                    "name": f"Retro Contest, {_contest(results)}",
                },
                "dataset": {"type": levels, "name": levels},
                "metrics": [
                    {
                        "type": "mean_reward",
                        "name": f"mean reward per episode ({spread})",
                        "value": round(score, 1),
                    }
                ],
            }
        )
    if found:
        head["model-index"] = [{"name": name, "results": found}]
    return head


def _body(
    name: str, manifest: Manifest, sizes: dict[str, int], scored: Sequence[Results]
) -> list[str]:
    origin, agent = manifest.origin, manifest.agent
    trained = [str(level) for level in origin.get("levels", [])]
    parts = ", ".join(f"{part} {count:,}" for part, count in sizes.items())
    return [
        f"# Model card: {name}",
        "An agent for the OpenAI Retro Contest: it plays levels that it does not know, and goes on "
        "learning while it plays. It consists of a world model (V sees, M remembers and predicts) "
        "and a controller C, as configuration and safetensors; there is no pickle in it.",
        "## Use",
        f"With the Retro Contest Kit, from a clone of this repository in the folder `{name}`:",
        "```sh\nretro-contest evaluate --levels pangolin-test --timesteps 20000 "
        f'--agent "python -m agent --bundle {name}" --results results/{name}\n```',
        "## Networks",
        _table(
            ("", ""),
            [
                ("parameters", parts),
                ("latent z", f"{agent.vision.latent} units"),
                ("hidden state h", f"{agent.memory.hidden} units"),
                ("actions", ", ".join(action or "no button" for action in agent.actions)),
            ],
        ),
        "## Training",
        _table(("", ""), _training(origin, trained)),
        "## Scores",
        *_scores(scored, trained),
    ]


def _training(origin: dict[str, Any], trained: Sequence[str]) -> list[tuple[str, str]]:
    """Rows about how the bundle was made; what its origin does not say is left out."""
    rows = [("levels", f"{len(trained)}: {', '.join(trained)}")] if trained else []
    timesteps = origin.get("pretraining_timesteps", {})
    names = {"collect": "recorded for V and M", "controller": "played by C"}
    rows += [
        (f"timesteps {names[key]}", f"{timesteps[key]:,}")
        for key in names
        if isinstance(timesteps.get(key), int)
    ]
    rows += [(key, clean(origin[key])) for key in ("seed", "commit", "created") if key in origin]
    versions = origin.get("versions", {})
    if versions:
        rows.append(("versions", clean(", ".join(f"{k} {v}" for k, v in versions.items()))))
    return rows


def _scores(scored: Sequence[Results], trained: Sequence[str]) -> list[str]:
    if not scored:
        return ["Not measured."]
    parts = [
        "Mean reward per episode over the whole budget, as the contest counts it. Finishing an act "
        "of Pangolin Dash earns about 9,900."
    ]
    for results in scored:
        score, spread = _mean(results)
        scores = level_scores(run.model_dump() for run in results.summary.levels)
        rows = [
            (
                clean(level),
                "trained on" if level in trained else "held out",
                f"{fmean(runs):,.0f}",
                str(len(runs)),
            )
            for level, runs in scores.items()
        ]
        rows.append(("**mean over levels**", "", f"**{score:,.0f}**", spread))
        parts.append(f"### {clean(results.summary.level_set)}, {_contest(results)}")
        parts.append(_table(("level", "split", "score", "runs"), rows))
    return parts


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
