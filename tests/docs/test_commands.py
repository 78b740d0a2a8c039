"""The commands and sample agents of README.md and docs/compete.md work; those of the server exist.

A comment above each fenced `sh` and `python` block of these pages says how it is tested:

- `check: run`: its commands run here, in an empty folder, with small budgets;
- `check: file NAME`: the block is saved there under this name, and the page's commands use it;
- `check: help`: its commands run with --help, for what takes hours (tests/pretrain runs stages);
- `check: make`: its targets are in the Makefile;
- `check: tests/containers`: it needs Docker; COVERED says which test does the same.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, Block, blocks

PAGES = [ROOT / "README.md", ROOT / "docs/compete.md"]
IDS = [page.name for page in PAGES]
HOST = ROOT / "docs/host.md"  # most of its commands need a machine of their own

SHORTER = {"pangolin-test": "airstriker"}
TIMESTEPS = "150"

COVERED = {
    "docker build -t my-agent my-agent": "tests/containers/test_submit.py",
    "retro-contest environment": "tests/containers/test_submit.py",
    "retro-contest evaluate --image ": "tests/containers/test_containers.py",
    "retro-contest submit ": "tests/containers/test_submit.py",
    "retro-contest board results/submissions": "tests/containers/test_submit.py",
    "./submit.sh --registry ": "tests/containers/test_submit.py",
}


def marked(page: Path, check: str) -> list[Block]:
    return [block for block in blocks(page) if block.check == check]


def environment() -> dict[str, str]:
    """What a person's shell has, and this repository's packages."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("RETRO_CONTEST_")}
    return own | {"PYTHONPATH": str(ROOT)}


def words(line: str) -> list[str]:
    """A line of a shell block as a command that takes seconds."""
    split = [SHORTER.get(word, word) for word in shlex.split(line, comments=True)]
    if split[0] == "retro-contest":
        split[:1] = ["python", "-m", "retro_contest"]
    assert split[0] == "python", f"not a command of the kit: {line}"
    if "--timesteps" in split:
        split[split.index("--timesteps") + 1] = TIMESTEPS
    return [sys.executable, *split[1:]]


def start(line: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        words(line),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(lines: list[str], folder: Path) -> None:
    """Run commands one after the other; one `in another terminal` runs beside the one before."""
    running: list[tuple[str, subprocess.Popen]] = []
    for number, line in enumerate(lines):
        running.append((line, start(line, folder)))
        if "# in another terminal" in "".join(lines[number + 1 : number + 2]):
            continue
        for command, process in running:
            output, _ = process.communicate(timeout=200)
            assert process.returncode == 0, f"{command}\n{output}"
        running.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, beside the repository's bundles."""
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    return tmp_path


def save_samples(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.check.startswith("file "):
            (folder / block.check.removeprefix("file ")).write_text(block.text)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_block_says_how_it_is_tested(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            assert block.check.startswith("file "), block.text
        elif block.language == "sh":
            assert block.check in ("run", "help", "make", "tests/containers"), block.text
        else:
            assert block.language in ("text", "dockerfile"), block.text


@pytest.mark.parametrize(
    "page", [PAGES[0], *(pytest.param(page, marks=pytest.mark.slow) for page in PAGES[1:])], ids=IDS
)
def test_the_commands_run_in_the_order_of_the_page(page: Path, folder: Path) -> None:
    save_samples(page, folder)
    shell = marked(page, "run")
    for block in shell:
        run(block.commands(), folder)

    summaries = [json.loads(file.read_text()) for file in folder.glob("results/*/summary.json")]
    assert len(summaries) == sum(block.text.count("retro-contest evaluate") for block in shell)
    for summary in summaries:
        assert summary["complete"]
        for level in summary["levels"]:
            assert level["verdict"] == "completed", level["reason"]
            assert level["timesteps"] == int(TIMESTEPS) and level["episodes"] >= 1
    assert (folder / "results/site/index.html").stat().st_size > 0


def test_the_front_pages_agent_runs_unchanged_under_serve(folder: Path) -> None:
    save_samples(ROOT / "README.md", folder)
    run(
        [
            "retro-contest serve Airstriker-Genesis-v0/Level1 --socket tmp/sock --results served "
            "--timesteps 100",
            "python my_agent.py  # in another terminal",
        ],
        folder,
    )
    status = json.loads((folder / "served/server.json").read_text())
    assert status["timesteps"] == int(TIMESTEPS) and status["episodes"] >= 1


@pytest.mark.parametrize("page", [*PAGES, HOST], ids=[*IDS, HOST.name])
def test_what_takes_hours_is_a_command_with_a_help(page: Path) -> None:
    for block in marked(page, "help"):
        for line in block.commands():
            result = subprocess.run(
                [*words(line), "--help"],
                cwd=ROOT,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_has_the_targets(page: Path) -> None:
    for block in marked(page, "make"):
        for line in block.commands():
            command = shlex.split(line, comments=True)
            if command == [".", ".venv/bin/activate"]:
                assert "VENV   := .venv\n" in (ROOT / "Makefile").read_text()
                continue
            assert command[0] == "make"
            result = subprocess.run(
                [*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=30
            )
            assert result.returncode == 0, f"{line}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_needs_docker_is_covered_elsewhere(page: Path) -> None:
    for block in marked(page, "tests/containers"):
        for line in block.commands():
            test = next((test for start, test in COVERED.items() if line.startswith(start)), None)
            assert test is not None and (ROOT / test).is_file(), line
