"""``python -m analysis report|watch|dream|card``: look at a finished bundle."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, subcommand

from retro_common.errors import UsageError
from retro_common.text import shown

SHIPPED = Path("bundles/pangolin")


@dataclass(frozen=True)
class Report:
    """Measure V and M on the training and held-out levels of a run: tables and pictures."""

    config: Path
    """the run's configuration, which names the levels"""
    bundle: Path | None = None
    """the bundle; by default the run's"""
    to: Path | None = None
    """folder for tables and pictures; by default OUT/report"""
    timesteps: int | None = None
    """timesteps per level; by default the configuration's `report_timesteps`"""


@dataclass(frozen=True)
class Watch:
    """Film the agent beside V's reconstructions and M's predictions."""

    bundle: Path = SHIPPED
    source: str = ""
    """a level that the agent plays, a shard (*.safetensors) or a movie (STATE.json, *.bk2); by
    default the first level that the bundle was trained on"""
    to: Path = Path("results/watch.mp4")
    """the film, *.mp4 or *.gif"""
    timesteps: int = 600
    """length of the film"""
    seed: int = 0


@dataclass(frozen=True)
class Dream:
    """Film an episode inside M, played by C; with --keys, play it in a window."""

    bundle: Path = SHIPPED
    source: str = ""
    """a level, of which the first frame begins the dream, or a shard (*.safetensors), of which one
    of the frames does; by default the first level that the bundle was trained on"""
    to: Path = Path("results/dream.mp4")
    """the film, *.mp4 or *.gif"""
    timesteps: int = 600
    """length of the film"""
    keys: bool = False
    """play with the keyboard, as long as you like"""
    seed: int = 0


@dataclass(frozen=True)
class Card:
    """Write a bundle's model card (README.md, in Hugging Face's format) from its origin and its
    scores."""

    bundle: Path
    results: tuple[Path, ...] = ()
    """results folders of evaluations of this bundle"""
    licence: str = ""
    """identifier of the bundle's licence, for example mit"""


Command = (
    Annotated[Report, subcommand(name="report")]
    | Annotated[Watch, subcommand(name="watch")]
    | Annotated[Dream, subcommand(name="dream")]
    | Annotated[Card, subcommand(name="card")]
)


def main() -> int:
    command = tyro.cli(OmitArgPrefixes[Command], prog="python -m analysis", description=__doc__)
    try:
        _run(command)
    except UsageError as error:
        print(f"python -m analysis: {error}", file=sys.stderr)
        return 2
    return 0


def _run(command: Command) -> None:
    # Imported here: torch and the emulator take seconds to load, which --help need not wait for.
    from agent import bundle

    if isinstance(command, Card):
        from analysis.card import write_card

        print(f"wrote {write_card(command.bundle, command.results, command.licence)}")
        return
    if command.timesteps is not None and command.timesteps < 1:
        raise UsageError("--timesteps must be at least 1")
    if not isinstance(command, Report) and not 0 <= command.seed < 1 << 63:
        raise UsageError(f"--seed must be between 0 and 2^63 - 1, not {shown(command.seed)}")
    if isinstance(command, Report):
        import dataclasses

        from analysis.report import report
        from pretrain.config import PretrainConfig
        from retro_common.config import load

        config = load(PretrainConfig, command.config)
        if command.timesteps is not None:
            config = dataclasses.replace(config, report_timesteps=command.timesteps)
        models, manifest = bundle.load(command.bundle or config.out / "bundle")
        report(config, models, manifest, command.to or config.out / "report")
        return
    models, manifest = bundle.load(command.bundle)
    missing = {"vision", "memory"} - models.parts().keys()
    if missing:
        raise UsageError(f"{command.bundle}: this agent has no {' and no '.join(sorted(missing))}")
    source = command.source or next(iter(manifest.origin.get("levels", [])), "")
    if not source:
        raise UsageError("the bundle names no level: give one with --source")
    if isinstance(command, Watch):
        from analysis.watch import watch

        watch(models, source, command.to, command.timesteps, command.seed)
    else:
        from analysis.dream import dream

        dream(models, source, command.to, command.timesteps, command.seed, keys=command.keys)


if __name__ == "__main__":
    sys.exit(main())
