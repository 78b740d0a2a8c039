"""Scalars of an experiment: event files for TensorBoard, and trackers that many teams use.

The trackers are extras of the package and imported only when they are asked for. All of them work
without a network: Weights & Biases with `WANDB_MODE=offline`, MLflow and Trackio by themselves.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from retro_common.errors import UsageError
from retro_common.text import clean

TRACKERS = ("wandb", "mlflow", "trackio")
PROJECT = "retro-contest"
"""project, or experiment, that the trackers file a run under"""


class Tracker(Protocol):
    """Takes scalars. It is used by one thread at a time."""

    def log(self, part: str, scalars: Mapping[str, float], step: int) -> None:
        """Add scalars of a part of the experiment (a level, a stage) at a step of that part."""

    def close(self) -> None:
        """Write what is not written yet."""


def open_tracker(name: str, folder: Path, run: str, settings: Mapping[str, Any]) -> Tracker:
    """Begin a run of an experiment tracker.

    Args:
        name: one of `TRACKERS`.
        folder: for what the tracker keeps on this machine, where nothing else is configured.
        run: the run's name.
        settings: shown beside the run.

    Raises:
        UsageError: there is no such tracker, it is not installed, or it does not start.
    """
    library = import_tracker(name)
    kinds: dict[str, Callable[..., Tracker]]
    kinds = {"wandb": Wandb, "mlflow": MLflow, "trackio": Trackio}
    try:
        return kinds[name](library, folder, run, settings)
    except Exception as error:  # its own: no login, no network, a folder that cannot be written
        raise UsageError(f"--track {name}: {clean(error)}") from None


def import_tracker(name: str) -> ModuleType:
    """The library of a tracker.

    Raises:
        UsageError: there is no such tracker, or it is not installed.
    """
    if name not in TRACKERS:
        raise UsageError(f"--track {clean(name, 40)}: there are {', '.join(TRACKERS)}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = f"pip install 'retro-contest-kit[{name}]'"
        raise UsageError(f"--track {name} lacks the library {error.name}: {extra}") from None


class TensorBoard:
    """Event files, in a folder for each part."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary import Writer

        self._new, self._folder = Writer, folder
        self._writers: dict[str, Writer] = {}

    @staticmethod
    def installed() -> bool:
        """Whether the library is there."""
        return importlib.util.find_spec("tensorboard") is not None

    def log(self, part: str, scalars: Mapping[str, float], step: int) -> None:
        if part not in self._writers:
            self._writers[part] = self._new(str(self._folder / part))
        for name, value in scalars.items():
            self._writers[part].add_scalar(name, value, step)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class Wandb:
    """Weights & Biases."""

    def __init__(
        self, wandb: ModuleType, folder: Path, run: str, settings: Mapping[str, Any]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project=PROJECT, name=run, dir=str(folder), config=dict(settings))
        # Parts advance side by side, so that the library's own step, which only grows, is no axis.
        self._run.define_metric("*", step_metric="timesteps")

    def log(self, part: str, scalars: Mapping[str, float], step: int) -> None:
        named = {f"{part}/{name}": value for name, value in scalars.items()}
        self._run.log({**named, "timesteps": step})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """MLflow, in a database in `folder` unless `MLFLOW_TRACKING_URI` names another place."""

    def __init__(
        self, mlflow: ModuleType, folder: Path, run: str, settings: Mapping[str, Any]
    ) -> None:
        if "MLFLOW_TRACKING_URI" not in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
        self._client = mlflow.MlflowClient()
        experiment = self._client.get_experiment_by_name(PROJECT)
        experiment_id = (
            experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
        )
        self._run = self._client.create_run(experiment_id, run_name=run).info.run_id
        for name, value in settings.items():
            self._client.log_param(self._run, name, value)

    def log(self, part: str, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._client.log_metric(self._run, f"{part}/{name}", value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackio:
    """Trackio, on this machine unless `TRACKIO_SPACE_ID` names a Space."""

    def __init__(
        self, trackio: ModuleType, folder: Path, run: str, settings: Mapping[str, Any]
    ) -> None:
        self._run = trackio.init(project=PROJECT, name=run, config=dict(settings), embed=False)

    def log(self, part: str, scalars: Mapping[str, float], step: int) -> None:
        named = {f"{part}/{name}": value for name, value in scalars.items()}
        self._run.log({**named, "timesteps": step})

    def close(self) -> None:
        self._run.finish()
