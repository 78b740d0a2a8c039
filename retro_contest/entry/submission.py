"""A submission: its names, its image, the outcome of its check, and its record."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from docker.utils import parse_repository_tag

from gym_remote import __version__
from retro_common.errors import UsageError
from retro_common.files import read_json_object, write_json
from retro_common.provenance import INSTALLED, ROOT
from retro_common.text import clean, shown
from retro_contest.board.submissions import NO_BUNDLE, RECORD_FILE, Bundle, write_record
from retro_contest.containers import engine
from retro_contest.entry import sources
from retro_contest.entry.build import (
    ENVIRONMENT_IMAGE,
    KIT_HASHED,
    Build,
    Options,
    StepFailed,
    environment_build,
)
from retro_contest.entry.new import IMAGE_NAME, image_name
from retro_contest.entry.push import bill_of_materials
from retro_contest.runs import verdicts
from retro_contest.runs.results import SUMMARY_FILE, make_folder

if TYPE_CHECKING:
    from docker import DockerClient

LOCAL = "retro-contest-agent"  # the repository of an image that is not pushed
BILL_FILE = "bill-of-materials.json"
REVISION_LABEL = "org.opencontainers.image.revision"
REGISTRY = rf"([A-Za-z0-9.-]+(:[0-9]+)?/)?{IMAGE_NAME}(/{IMAGE_NAME})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
CHANGES_SHOWN = 5
LOG_LINES = 12  # of an agent that failed its check
LOG_LINE = 300  # characters


@dataclass(frozen=True)
class Submission:
    """What is submitted, and under which names."""

    source: str
    """the image that is checked: the one that is built, or taken"""
    repository: str
    """of the image that is pushed"""
    tag: str
    """of that image; also the name on the board"""
    commit: str
    """the commit that it was built from, or `unknown`"""
    bundle: Bundle = NO_BUNDLE
    """the bundle that it holds"""
    changes: tuple[str, ...] = ()
    """files that differ from the commit"""
    build: Build | None = None
    """how it is built; None for an image that is taken"""
    of_kit: bool = False
    """whether it is the kit's own agent, built from its checkout"""

    @property
    def image(self) -> str:
        """Name and tag under which it is pushed and recorded."""
        return f"{self.repository}:{self.tag}"

    def warnings(self) -> Iterator[str]:
        """Lines that a person should see first."""
        if self.changes:
            names = ", ".join(clean(name) for name in self.changes[:CHANGES_SHOWN])
            more = len(self.changes) - CHANGES_SHOWN
            yield (
                f"the work tree has changes that are in no commit: {names}"
                + (f" and {more} more" if more > 0 else "")
            )

    def steps(self) -> Iterator[str]:
        """The builds, as lines for a dry run."""
        if self.build is None:
            return
        builds = [self.build]
        if self.of_kit:
            with environment_build(self.build.options) as environment:
                builds.insert(0, environment)
        for build in builds:
            yield f"would run: {shlex.join(build.command())}"


def of_folder(
    folder: Path, registry: str, tag: str, bundle: Path | None, options: Options
) -> Submission:
    """The submission of an agent that is built from a folder.

    Raises:
        UsageError: there is no Dockerfile, a name is impossible, or the build cannot see the
            bundle.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: retro-contest new NAME writes one")
    sources.check_dockerfile(options.dockerfile(folder))
    of_kit = not INSTALLED and folder.resolve() == ROOT
    revision = sources.revision(folder, KIT_HASHED if of_kit else ())
    label = revision.commit
    if label == sources.UNKNOWN:
        label = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    name = __version__ if of_kit else image_name(folder.resolve().name)
    tag = tag or f"{name}-{label.replace('+', '-')}"  # a tag cannot hold a plus sign
    _check_names(registry, tag)

    arguments = {"VERSION": __version__, "COMMIT": revision.commit}
    default = sources.arguments(options.dockerfile(folder)).get("BUNDLE", "")
    if bundle is None and default:
        bundle = folder / default
    held = NO_BUNDLE
    if bundle is not None:
        held = _read_bundle(bundle)
        arguments["BUNDLE_SHA256"] = held.sha256 or ""
        if default:
            arguments["BUNDLE"] = _inside(bundle, folder)
    repository = registry or LOCAL
    image = f"{repository}:{tag}"
    build = Build(image, folder, arguments, options)
    return Submission(
        image, repository, tag, revision.commit, held, revision.changes, build, of_kit
    )


def of_image(image: str, registry: str, tag: str, bundle: Path | None) -> Submission:
    """The submission of an image that is built already.

    Raises:
        UsageError: no engine answers, it has no such image, or a name is impossible.
    """
    found = engine.find_image(engine.connect(), image, "build or pull it first")
    own, _ = parse_repository_tag(image)
    short = found.short_id.removeprefix("sha256:")
    tag = tag or f"{image_name(own.split('/')[-1].split('@')[0])}-{short}"
    _check_names(registry, tag)
    commit = clean(found.labels.get(REVISION_LABEL) or sources.UNKNOWN, 100)
    held = NO_BUNDLE if bundle is None else _read_bundle(bundle)
    return Submission(image, registry or LOCAL, tag, commit, held)


def _check_names(registry: str, tag: str) -> None:
    if registry and (len(registry) > 200 or re.fullmatch(REGISTRY, registry, re.ASCII) is None):
        raise UsageError(
            f"--registry {shown(registry)} is no HOST/REPO: a repository's name is in lower case, "
            "without a tag"
        )
    if re.fullmatch(TAG, tag, re.ASCII) is None:
        raise UsageError(
            f"--tag {shown(tag)} cannot be a tag: up to 128 letters, digits and _ . - and first "
            "no . or -"
        )


def _read_bundle(bundle: Path) -> Bundle:
    if not (bundle / "config.yaml").is_file():
        raise UsageError(f"no bundle in {bundle}: --bundle names another folder")
    return Bundle.read(bundle)


def _inside(bundle: Path, folder: Path) -> str:
    """The bundle's place in the folder, which must be one that the build sees."""
    place = os.path.relpath(bundle.resolve(), folder.resolve())
    if f"{place}/config.yaml" not in sources.build_files(folder):
        raise UsageError(
            f"--bundle {bundle}: the build does not see it; in {folder} it sees what .dockerignore "
            "leaves"
        )
    return place


def check_writable(results: Path) -> None:
    """Raise UsageError if a results folder cannot be made or written; nothing is made."""
    existing = results.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UsageError(f"--results {shown(str(results))} cannot be written")


def prepare(submission: Submission, results: Path) -> DockerClient:
    """Make the results folder and the images; returns the engine's client.

    Raises:
        UsageError: the folder cannot be made, no engine answers, or there is no program `docker`.
        StepFailed: a build failed.
    """
    make_folder(results)
    for name in (RECORD_FILE, BILL_FILE):  # of an earlier submission: they say nothing about this
        (results / name).unlink(missing_ok=True)
    client = engine.connect()
    if submission.of_kit or not client.images.list(ENVIRONMENT_IMAGE):
        options = submission.build.options if submission.build and submission.of_kit else Options()
        with environment_build(options) as environment:
            print(f"building {environment.image}", flush=True)
            environment.run(client)
    if submission.build is not None:
        print(f"building {submission.image}", flush=True)
        submission.build.run(client)
    return client


def image_id(client: DockerClient, submission: Submission) -> str:
    """The ID of the image that is checked."""
    return engine.find_image(client, submission.source, "it is gone").id


def failed(results: Path) -> StepFailed:
    """Why a check that did not succeed means that nothing is submitted."""
    runs = read_json_object(results / SUMMARY_FILE)["levels"]
    for run in runs:
        if run["verdict"] in verdicts.NOT_THE_AGENT:
            return StepFailed(
                f"the check could not be finished and the image was not submitted: "
                f"{run['verdict']}, {clean(run['reason'])}"
            )
    if not runs:
        return StepFailed("the check was stopped and the image was not submitted")
    return StepFailed(
        f"the image failed its check and was not submitted; the logs are in {results}"
    )


def agents_last_lines(results: Path) -> list[str]:
    """The end of the log of the first run that the agent failed, made fit for a terminal."""
    summary = read_json_object(results / SUMMARY_FILE)
    for run in summary["levels"]:
        fault = run["verdict"] not in verdicts.NOT_THE_AGENT
        if fault and not verdicts.ended_well(
            run["verdict"], run["timesteps"], summary["timesteps"]
        ):
            log = results / run["game"] / run["state"] / f"seed-{run['seed']}" / "agent.log"
            text = log.read_text(errors="replace") if log.is_file() else ""
            lines = [line for line in text.splitlines() if line.strip()][-LOG_LINES:]
            if not lines:
                return [f"the agent printed nothing ({log})"]
            # Not through clean() alone: it takes away the indentation of a traceback.
            return [
                f"the end of the agent's output ({log}):",
                *(f"  {_indentation(line)}{clean(line, LOG_LINE)}" for line in lines),
            ]
    return []


def _indentation(line: str) -> str:
    return " " * min(40, len(line) - len(line.lstrip(" ")))


def write(
    client: DockerClient, submission: Submission, results: Path, digest: str
) -> Iterator[str]:
    """Write the record and the bill of materials; yields a line about each."""
    bill = bill_of_materials(client, submission.source)
    if bill is None:
        yield "the image holds no bill of materials (pip inspect, in /opt/venv/pip-inspect.json)"
    else:
        write_json(results / BILL_FILE, bill)
        yield f"wrote {results / BILL_FILE}"
    write_record(
        results,
        image=submission.image if digest else submission.source,
        commit=submission.commit,
        bundle=submission.bundle,
        digest=digest,
    )
    yield f"wrote {results / RECORD_FILE}"
