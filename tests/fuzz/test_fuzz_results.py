"""Results folders of strangers: the board is made, and nobody else's row changes."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from retro_contest.board.submissions import Bundle, write_record
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs.evaluate import Evaluation, evaluate
from retro_contest.runs.processes import ProcessRunner
from retro_contest.runs.progress import Progress
from retro_contest.runs.results import run_checksum, runs_checksum
from tests.fuzz.kit import Tally, examples
from tests.fuzz.mutate import JSON_RAW, damaged, mutated, to_json
from tests.fuzz.sandbox import Sandbox
from tests.fuzz.special import SPECIAL, nest, put

RUN = "Airstriker-Genesis-v0/Level1/seed-0"
JSON_FILES = ("summary.json", "submission.json", f"{RUN}/result.json", f"{RUN}/server.json")
FILES = (*JSON_FILES, f"{RUN}/monitor.csv", f"{RUN}/log.csv", f"{RUN}/agent.log")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("tests.fuzz.targets") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluated and submitted agents, `honest` and `a-hostile`, whose folder comes first."""
    folder = tmp_path_factory.mktemp("results")
    submitted = tmp_path_factory.mktemp("bundle")
    (submitted / "config.yaml").write_text("format: 2\nagent: {}\n")
    for name in ("honest", "a-hostile"):
        evaluation = Evaluation(
            name=name,
            level_set="airstriker",
            levels=find("airstriker"),
            results=folder / name,
            rules=Rules(timesteps=60),
        )
        with Progress(Console(file=io.StringIO())) as progress:
            evaluate(evaluation, ProcessRunner("random"), threading.Event(), progress)
        held = Bundle.read(submitted)
        write_record(folder / name, image=f"me/{name}", commit="abc", bundle=held)
    return folder


def rows(sandbox: Sandbox, folder: Path, page: Path | None) -> dict[str, dict[str, Any]]:
    """The board's rows by the names of their folders."""
    outcome = sandbox.call("rank", str(folder), page and str(page), seconds=20)
    assert outcome.kind == "done", f"{outcome.kind}: {outcome.text}"
    found = {row["folder"]: row for row in outcome.value}
    assert len(found) == len(outcome.value), "a folder has two rows"
    return found


@pytest.fixture(scope="module")
def honest(sandbox: Sandbox, good: Path) -> dict[str, Any]:
    """The row that nobody else may change."""
    return rows(sandbox, good, None)["honest"]


@pytest.fixture
def attack(
    sandbox: Sandbox, good: Path, honest: dict[str, Any], tmp_path: Path, tally: Tally
) -> Callable[..., None]:
    """Copies the results, lets a function change the hostile folder, and makes the board."""

    def attack(change: Callable[[Path], object], page: bool = False) -> None:
        folder = tmp_path / "results"
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(good, folder)
        change(folder / "a-hostile")
        found = rows(sandbox, folder, tmp_path / "site" if page else None)
        assert found["honest"] == honest
        assert found.keys() <= {"honest", "a-hostile"}, f"a row of {found.keys()}"
        tally["ranked" if "a-hostile" in found else "left out"] += 1

    return attack


def test_the_good_results_are_ranked(sandbox: Sandbox, good: Path, tmp_path: Path) -> None:
    found = rows(sandbox, good, tmp_path / "site")
    assert found.keys() == {"honest", "a-hostile"}
    assert found["honest"]["score"] is not None


def changed_json(good: Path) -> st.SearchStrategy[tuple[str, str]]:
    """Name and content of a changed JSON file of a results folder."""
    documents = {
        name: json.loads((good / "a-hostile" / name).read_text())
        for name in JSON_FILES
        if (good / "a-hostile" / name).exists()
    }
    weighted = ["summary.json", "summary.json", *documents]
    return st.sampled_from(weighted).flatmap(
        lambda name: st.tuples(st.just(name), mutated(documents[name], JSON_RAW).map(to_json))
    )


def summaries(good: Path) -> list[tuple[str, str]]:
    """Summaries that ended the board, or made themselves first on it."""
    document = json.loads((good / "a-hostile/summary.json").read_text())
    (run,) = document["levels"]

    def with_run(**changes: Any) -> dict:
        return {**document, "levels": [run | changes]}

    changed = [
        document | {"name": "[/x]"},
        document | {"name": r"$\frac$"},
        document | {"name": "\ud800"},
        document | {"name": 1},
        document | {"name": "x" * 100_000},
        document | {"name": "PUTnestedtextHERE"},
        document | {"level_set": None},
        document | {"level_set": "[/x]"},
        document | {"timesteps": "PUThugeHERE"},
        document | {"timesteps": 0},
        document | {"timesteps": -5},
        document | {"level_names": "x"},
        document | {"level_names": [[]]},
        document | {"levels": None},
        with_run(score=1.7e308),
        with_run(score="PUTnanHERE"),
        with_run(state="a\0b"),
        with_run(state="../../../../honest/Airstriker-Genesis-v0/Level1"),
        with_run(seed="0/../seed-0"),
        with_run(verdict=[]),
    ]
    return [("summary.json", to_json(each)) for each in changed]


def test_changed_files(good: Path, attack: Callable[..., None]) -> None:
    def load(change: tuple[str, str]) -> None:
        attack(lambda folder: write(folder, *change))

    load = given(changed_json(good))(load)
    for change in summaries(good):
        load = example(change)(load)
    examples(60)(load)()


def test_changed_files_on_the_page(good: Path, attack: Callable[..., None]) -> None:
    """Fewer examples: to draw the page's pictures takes a second."""

    def load(change: tuple[str, str]) -> None:
        attack(lambda folder: write(folder, *change), page=True)

    load = given(changed_json(good).filter(lambda change: change[0] == "summary.json"))(load)
    for change in summaries(good)[:3]:
        load = example(change)(load)
    examples(3)(load)()


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_bytes(text.encode(errors="surrogatepass"))


def seal(folder: Path) -> None:
    """Write the checksums that fit the files, as whoever makes them up would."""
    with contextlib.suppress(Exception):  # some changes leave nothing that could be sealed
        summary = json.loads((folder / "summary.json").read_text())
        for run in summary["levels"]:
            place = folder / run["game"] / run["state"] / f"seed-{run['seed']}"
            run["sha256"] = run_checksum(place)
        summary["runs_sha256"] = runs_checksum(summary["levels"])
        (folder / "summary.json").write_text(json.dumps(summary))


def test_changed_files_with_their_checksums(good: Path, attack: Callable[..., None]) -> None:
    """Checksums tell damage from an original, not a liar: whoever makes files up can seal them."""

    def load(change: tuple[str, str]) -> None:
        def apply(folder: Path) -> None:
            write(folder, *change)
            seal(folder)

        attack(apply)

    load = given(changed_json(good))(load)
    for change in summaries(good):
        load = example(change)(load)
    examples(30)(load)()


def steal_identity(folder: Path) -> None:
    """Another evaluation that claims to be the honest one."""
    theirs = json.loads((folder.parent / "honest/summary.json").read_text())
    ours = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(ours | {"id": theirs["id"]}))


def copy_all(folder: Path) -> None:
    """The honest evaluation under another name, whose folder comes first."""
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "honest", folder)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"name": "mine"}))


@pytest.mark.parametrize("change", [steal_identity, copy_all], ids=lambda c: c.__name__)
def test_a_stolen_identity_takes_nothing_away(
    attack: Callable[..., None], change: Callable[[Path], None]
) -> None:
    attack(change)


CELLS = st.sampled_from(
    ["", "nan", "inf", "-1", "1e308", "9" * 5_000, "x", "0x10", '"', "1\0", "1.5", "\x1b[31m", ","]
)


@st.composite
def changed_monitor(draw: st.DrawFn, content: bytes) -> bytes:
    """A `monitor.csv` with other cells, or with damage."""
    if draw(st.booleans()):
        return draw(damaged(content))
    table = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.sampled_from(table))
        row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
    repeat = draw(st.sampled_from([1, 1, 1, 20_000]))
    return "\n".join([",".join(table[0]), *[",".join(row) for row in table[1:]] * repeat]).encode()


def test_changed_measurements(good: Path, attack: Callable[..., None]) -> None:
    @examples(30)
    @given(changed_monitor((good / "a-hostile" / RUN / "monitor.csv").read_bytes()))
    @example(b"r,l,t\n")
    @example(b"")
    @example(b"r,l,t\n1,x,1\n")
    @example(b"r,l,t\n1\n")
    @example(b"r,l,t\n1,1e400,1\n")
    @example(b"\xff\xfe\n\n")
    @example(b"r,l,t\n" + b"1.0,5,1.0\n" * 300_000)
    def load(content: bytes) -> None:
        attack(lambda folder: (folder / RUN / "monitor.csv").write_bytes(content))

    load()


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file(attack: Callable[..., None], kind: str) -> None:
    for name in (*FILES, RUN):
        attack(lambda folder, name=name: put(kind, folder / name))


def forge(folder: Path, place: Path) -> None:
    """An agent's own summary, better than all others."""
    place.mkdir(parents=True, exist_ok=True)
    summary = json.loads((folder / "summary.json").read_text())
    for run in summary["levels"]:
        run["score"] = 9_999.0
    (place / "summary.json").write_text(json.dumps(summary | {"name": "forged"}))
    (place / "submission.json").write_text((folder / "submission.json").read_text())


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: forge(folder, folder / RUN / "out"),
        lambda folder: forge(folder, folder / RUN / "out/results/more"),
        lambda folder: (folder / RUN / "out/summary.json").write_text("{"),
        lambda folder: put("fifo", folder / RUN / "out/summary.json"),
        lambda folder: nest(folder / RUN / "out", 1_700),
        lambda folder: nest(folder, 1_700),
        lambda folder: (folder / "loop").symlink_to("."),
        lambda folder: (folder / "again").symlink_to("../honest"),
    ],
    ids=["forged", "forged deeper", "damaged", "fifo", "deep out", "deep", "loop", "link"],
)
def test_what_an_agent_leaves_is_no_result(
    attack: Callable[..., None], change: Callable[[Path], object], tmp_path: Path
) -> None:
    def apply(folder: Path) -> None:
        (folder / RUN / "out").mkdir(exist_ok=True)
        change(folder)

    try:
        attack(apply)
    finally:
        remove(tmp_path / "results")


def remove(folder: Path) -> None:
    """Remove folders that are nested deeper than `shutil.rmtree` can go."""
    while (deep := folder / "a-hostile").exists():
        for inner in (deep, deep / RUN / "out"):
            for _ in range(2_000):
                flat(inner)
                if not (inner / "d").is_dir():
                    break
        shutil.rmtree(folder)


def flat(folder: Path) -> None:
    """Replace the folder `d` by the one inside of it."""
    below = folder / "d" / "d"
    if below.is_dir():
        below.rename(folder / "e")
        (folder / "d").rmdir()
        (folder / "e").rename(folder / "d")
    elif (folder / "d").is_dir():
        (folder / "d").rmdir()
