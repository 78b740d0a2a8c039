"""Reads results folders for the board. They may come from strangers, damaged or made up.

A folder counts only if it is named, or lies directly in a folder that is named. Nothing inside of a
run's folder is ever read as a result: there the agent writes. What a folder's files say is checked:
the summary against a schema, the runs against the summary's checksums, the scores against the
episodes. A folder that is wrong costs its own row and nothing else.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import pydantic

from retro_common.errors import UsageError
from retro_common.files import read_json
from retro_common.text import clean
from retro_contest.board.submissions import read_record
from retro_contest.runs import verdicts
from retro_contest.runs.monitor import MONITOR_FILE
from retro_contest.runs.results import (
    ENTRY_KEYS,
    LOCK_FILE,
    RESULT_FILE,
    SUMMARY_FILE,
    Episode,
    read_monitor,
    run_checksum,
    run_score,
    runs_checksum,
    unplayed_episodes,
)
from retro_contest.runs.serve import STATUS_FILE

MOST_FOLDERS = 10_000  # results folders in one folder
MOST = 1e12  # no score, reward or number of timesteps comes near

Name = Annotated[str, pydantic.Field(min_length=1, max_length=200, pattern=r"^[^/\x00]+$")]
"""a game or a state: also the name of a folder"""
Words = Annotated[str, pydantic.Field(max_length=100_000)]
Number = Annotated[float, pydantic.Field(ge=-MOST, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, pydantic.Field(ge=0, le=int(MOST))]
Positive = Annotated[int, pydantic.Field(ge=1, le=int(MOST))]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True, extra="ignore")


class Entry(_Model):
    """A run as the summary has it."""

    game: Name
    state: Name
    seed: Count
    score: Number | None
    verdict: Words
    timesteps: Count
    episodes: Count = 0
    seconds: Number = 0.0
    timesteps_per_second: Number | None = None
    reason: Words = ""
    sha256: Words = ""

    @property
    def level(self) -> str:
        return f"{self.game}/{self.state}"

    @property
    def run(self) -> str:
        """The run's place in the results folder."""
        return f"{self.level}/seed-{self.seed}"


class Summary(_Model):
    """What the board reads of a `summary.json`."""

    id: Words = ""
    name: Words
    agent: Words
    level_set: Words
    level_names: Annotated[list[Words], pydantic.Field(min_length=1, max_length=10_000)]
    levels: Annotated[list[Entry], pydantic.Field(max_length=100_000)]
    timesteps: Positive
    wallclock: Number
    seeds: Positive = 1
    mode: Words = ""
    commit: Words = ""
    written: Words = ""
    runs_sha256: Words = ""


class Record(_Model):
    """What the board reads of a `submission.json`."""

    image: Words
    digest: Words | None
    commit: Words
    submitted: Words
    config: dict[str, Any] | None = None


@dataclass(frozen=True)
class Results:
    """A results folder that could be read."""

    folder: Path
    """the folder"""
    summary: Summary
    """its summary"""
    remark: str
    """why it has no rank, in a word or two; empty if it has one"""
    detail: str = ""
    """more about that, for a person who wants to mend it"""
    record: Record | None = None
    """the record of its submission; None for an agent that was not submitted"""
    episodes: list[list[Episode]] = field(default_factory=list)
    """of each run in the summary's order; empty if they are not to be trusted"""
    benchmark: str = ""
    """name of the frozen benchmark that every run was played on; nothing if one was not"""


@dataclass(frozen=True)
class Unread:
    """A results folder that could not be read."""

    folder: Path
    """the folder"""
    why: str
    """the reason, on one line"""


def read_results(folders: Iterable[Path]) -> tuple[list[Results], list[Unread]]:
    """All evaluations in some folders, each once.

    Args:
        folders: results folders, or folders that hold some directly.

    Raises:
        UsageError: a folder does not exist, holds no evaluation, or lies in a run's folder.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        found |= dict.fromkeys(_find(folder))
    if not found:
        raise UsageError("name at least one results folder")
    read: list[Results] = []
    unread: list[Unread] = []
    for folder in found:
        try:
            read.append(_read(folder))
        except (UsageError, OSError, RuntimeError) as error:  # a loop of links, deep JSON
            unread.append(Unread(folder, clean(error)))
    return _without_copies(read), unread


def _find(folder: Path) -> list[Path]:
    """The results folders that a path means: itself, or folders directly in it."""
    try:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}")
        folder = folder.resolve()
        if _is_written_by_agent(folder):
            raise UsageError(f"{folder} lies in the folder of a run: an agent may have written it")
        if os.path.lexists(folder / SUMMARY_FILE):
            return [folder]
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, MOST_FOLDERS))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {folder}: {error}") from None
    inside = [folder / name for name in names if os.path.lexists(folder / name / SUMMARY_FILE)]
    found = [path.resolve() for path in inside if not _is_written_by_agent(path.resolve())]
    if not found:
        raise UsageError(
            f"no {SUMMARY_FILE} in {folder} or directly in a folder in it: "
            "retro-contest evaluate writes them"
        )
    return found


def _is_written_by_agent(folder: Path) -> bool:
    """Whether a folder lies in the folder of a run, or is one."""
    for place in (folder, *folder.parents):
        if re.fullmatch(r"seed-\d+", place.name) is None:
            continue
        of_run = [place / name for name in (RESULT_FILE, STATUS_FILE)]
        if len(place.parents) > 2:  # GAME/STATE/seed-N in a results folder
            of_run += [place.parents[2] / name for name in (LOCK_FILE, SUMMARY_FILE)]
        if any(os.path.lexists(path) for path in of_run):
            return True
    return False


def _read(folder: Path) -> Results:
    path = folder / SUMMARY_FILE
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{SUMMARY_FILE} is not a plain file")
    summary = _checked(Summary, read_json(path), SUMMARY_FILE)
    names = set(summary.level_names)
    runs = [entry.run for entry in summary.levels]
    if len(set(runs)) < len(runs) or not {entry.level for entry in summary.levels} <= names:
        raise UsageError(f"{SUMMARY_FILE} has a run twice, or one of a level that it does not list")
    if not {entry.verdict for entry in summary.levels} <= verdicts.WORDS:
        raise UsageError(f"{SUMMARY_FILE} has a verdict that does not exist")
    content = read_record(folder)
    record = None if content is None else _checked(Record, content, "submission.json")
    if not summary.runs_sha256:
        detail = "it was written before results had checksums: evaluate the agent again"
        return Results(folder, summary, "no checksum", detail, record)
    try:
        runs_read = [_run(folder, summary, entry) for entry in summary.levels]
        if runs_checksum([entry.model_dump() for entry in summary.levels]) != summary.runs_sha256:
            raise UsageError("its list of runs is not the one that was written")
    except UsageError as error:
        return Results(folder, summary, "changed", clean(error), record)
    measured = [e for e in summary.levels if e.verdict not in verdicts.NOT_THE_AGENT]
    complete = len(measured) == len(names) * summary.seeds
    remark = "" if complete else "incomplete"
    benchmarks = {benchmark for _, benchmark in runs_read}
    benchmark = clean(benchmarks.pop(), 80) if len(benchmarks) == 1 else ""
    episodes = [episodes for episodes, _ in runs_read]
    return Results(folder, summary, remark, "", record, episodes, benchmark)


def _run(folder: Path, summary: Summary, entry: Entry) -> tuple[list[Episode], str]:
    """The episodes of a run and its frozen benchmark.

    Its files must be those that the summary was written from.
    """
    place = folder / entry.run
    if not place.resolve().is_relative_to(folder):
        raise UsageError(f"{entry.run} lies elsewhere")
    for path in (place / RESULT_FILE, place / MONITOR_FILE):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UsageError(f"{entry.run}/{path.name} is not a plain file")
    if run_checksum(place) != entry.sha256:
        raise UsageError(f"the files of {entry.run} are not those that were written")
    result = read_json(place / RESULT_FILE)
    written = entry.model_dump(exclude_unset=True)
    episodes = read_monitor(place / MONITOR_FILE)
    unplayed = unplayed_episodes(entry.verdict, entry.timesteps, summary.timesteps)
    score = run_score(episodes, unplayed)
    same = entry.score == score or (
        None not in (entry.score, score) and math.isclose(entry.score or 0.0, score or 0.0)
    )
    keys = [key for key in ENTRY_KEYS if key in written]
    if not same or not isinstance(result, dict) or any(result.get(k) != written[k] for k in keys):
        raise UsageError(f"{SUMMARY_FILE} does not say what the files of {entry.run} say")
    benchmark = result.get("benchmark", "")
    return episodes, benchmark if type(benchmark) is str else ""


def _checked(model: type[Any], content: Any, name: str) -> Any:
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise UsageError(f"{name} is damaged ({clean(what)})") from None


def _without_copies(read: list[Results]) -> list[Results]:
    """Of folders with the same evaluation under the same name only the first has a rank.

    The identity alone does not make a copy: everybody can read and write it, and who claims that
    of somebody else must not take his rank away.
    """
    seen: dict[tuple[str, str, str], Results] = {}
    kept = []
    for results in read:
        summary = results.summary
        same = (summary.id, summary.runs_sha256, summary.name)
        known = seen.setdefault(same, results) if summary.id and not results.remark else results
        if known is not results:
            detail = f"it has the identity of {known.folder}"
            results = Results(results.folder, results.summary, "a copy", detail, results.record)
        kept.append(results)
    return kept
