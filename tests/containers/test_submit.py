"""`retro-contest submit` for real: images that are built, checked, pushed to a registry on this
machine, and recorded; and the ways in which that fails."""

import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_kit import ROOT, docker, hostile, serve_registry

from retro_contest.board.boards import load_boards
from retro_contest.containers import engine
from retro_contest.entry.build import StepFailed
from retro_contest.entry.new import TEMPLATES, write
from retro_contest.entry.push import push

pytestmark = pytest.mark.timeout(600)  # images of 1 GB are packed and pushed

# "contest:secret", by bcrypt
PASSWORDS = "contest:$2b$05$retrocontestretrocontuCZHaAo619edzepW4JJRaa1fQN6VD6/C\n"
# For machines where no image can be pulled: a base image, and no network.
BUILD = os.environ.get("RETRO_BUILD_ARGS", "").split()
WHEELS = (
    *("numpy", "gymnasium", "cloudpickle", "typing_extensions", "farama_notifications"),
    "stable_baselines3",
)


def run(*command: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=580,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)} | environment,
    )


def submit(*words: str, **options) -> subprocess.CompletedProcess:
    return run(sys.executable, "-m", "retro_contest", "submit", *words, **options)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[str]:
    """A registry for all tests: it keeps the layers that their images share."""
    with serve_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def closed_registry(tmp_path) -> Iterator[str]:
    """A registry that wants a login."""
    with serve_registry(tmp_path, PASSWORDS) as address:
        yield address


def pushed(address: str, repository: str, tag: str) -> tuple[str, str]:
    """The registry's own word on an image: its digest, and its ID."""
    request = urllib.request.Request(
        f"http://{address}/v2/{repository}/manifests/{tag}",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    with urllib.request.urlopen(request) as answer:
        manifest = answer.read()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return digest, json.loads(manifest)["config"]["digest"]


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# --- what works ---


def test_the_kit_s_own_agent_is_built_checked_pushed_and_recorded(
    client, images, registry, tmp_path
):
    results = tmp_path / "check"
    done = run(
        *("./submit.sh", "--registry", f"{registry}/pangolin", "--tag", "test"),
        *("--timesteps", "1000", "--results", str(results), *(["--", *BUILD] if BUILD else [])),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = read(results / "submission.json")
    name = f"{registry}/pangolin:test"
    assert pushed(registry, "pangolin", "test") == (record["digest"], client.images.get(name).id)
    assert record["image"] == name
    assert f"submitted {registry}/pangolin@{record['digest']}" in done.stdout

    config = (ROOT / "bundles/pangolin/config.yaml").read_bytes()
    assert record["bundle_sha256"] == hashlib.sha256(config).hexdigest()
    labels = client.images.get(name).labels
    assert labels["retro-contest.bundle-sha256"] == record["bundle_sha256"]
    assert labels["org.opencontainers.image.revision"] == record["commit"] != "unknown"
    assert record["config"] and record["check"]["complete"] and record["check"]["runs"] == 2

    bill = read(results / "bill-of-materials.json")
    held = {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in bill["installed"]}
    assert held["gymnasium"] == "1.4.0" and "cloudpickle" in held and "pip" not in held

    (board,) = load_boards([results]).boards
    (submission,) = (row.submission for row in board.rows)
    assert submission.image == record["digest"][7:19]
    assert record["check"]["score"] == submission.score
    docker("rmi", name)


@pytest.fixture(scope="module")
def torch_base(client, images) -> Iterator[str]:
    """A base image with PyTorch, that of the agent image: its wheel is installed only once."""
    base = next((word[5:] for word in BUILD if word.startswith("BASE=")), "python:3.11-slim")
    done = docker(
        *("build", "--quiet", "--tag", "retro-contest-torch", "-"),
        input=f"FROM {base}\nCOPY --from={images} /opt/venv /opt/venv\n",
    )
    assert done.returncode == 0, done.stderr
    yield "retro-contest-torch"
    docker("rmi", "retro-contest-torch")


@pytest.fixture(scope="module")
def made() -> Iterator[list[str]]:
    """Names of images that are removed after all tests: until then they are each other's cache."""
    names: list[str] = []
    yield names
    docker("rmi", *names)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_becomes_a_submission(
    template, client, images, torch_base, registry, made, tmp_path
):
    folder = tmp_path / "my-agent"
    write(folder, template)
    options = []
    if (ROOT / "wheels").is_dir():
        options += ["--network", "none", "--build-arg", "PIP_NO_INDEX=1"]
        copy_wheels(folder / "wheels")
    if template in ("sb3", "world-model"):
        options += ["--build-arg", f"BASE={torch_base}"]
    elif BUILD:
        options += ["--build-arg", next(word for word in BUILD if word.startswith("BASE="))]
    done = submit(
        *("my-agent", "--registry", f"{registry}/team/agents", "--tag", template),
        *("--levels", "airstriker", "--timesteps", "300", "--", *options),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = read(tmp_path / "results/submissions" / template / "submission.json")
    name = f"{registry}/team/agents:{template}"
    made.append(name)
    known = record["digest"], client.images.get(name).id
    assert pushed(registry, "team/agents", template) == known
    assert record["commit"] == "unknown"
    assert (record["bundle_sha256"] is not None) == (template == "world-model")
    bill = read(tmp_path / "results/submissions" / template / "bill-of-materials.json")
    held = {entry["metadata"]["name"] for entry in bill["installed"]}
    assert {"gymnasium", "numpy"} <= held
    assert ("stable_baselines3" in held) == (template == "sb3")

    (board,) = load_boards([tmp_path / "results/submissions"]).boards
    (submission,) = (row.submission for row in board.rows)
    assert submission.name == template and submission.image == record["digest"][7:19]
    (summary,) = (tmp_path / "results").rglob("summary.json")
    (level,) = read(summary)["levels"]
    assert (level["verdict"], level["timesteps"]) == ("completed", 300)


def copy_wheels(folder: Path) -> None:
    """The wheels that templates need and that are not in `torch_base`."""
    folder.mkdir()
    for wheel in (ROOT / "wheels").rglob("*.whl"):
        name = wheel.name.split("-")[0].lower()
        if name in WHEELS:
            shutil.copy(wheel, folder)


def test_an_image_built_by_hand_is_submitted_as_it_is(client, build, registry, tmp_path):
    image = build(f"{hostile('honest')}\nLABEL org.opencontainers.image.revision=abc123\n")
    client.images.get(image).tag("my-own", "v7")
    done = submit(
        *("--image", "my-own:v7", "--registry", f"{registry}/me", "--levels", "airstriker"),
        *("--timesteps", "200"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (record_file,) = tmp_path.rglob("submission.json")
    record = read(record_file)
    tag = f"my-own-{image.removeprefix('sha256:')[:12]}"
    assert record_file.parent.name == tag and record["image"] == f"{registry}/me:{tag}"
    assert record["commit"] == "abc123"
    assert pushed(registry, "me", tag) == (record["digest"], image)
    docker("rmi", record["image"], "my-own:v7")


def test_without_a_registry_the_image_stays_here(client, build, tmp_path):
    image = build(hostile("honest"))
    client.images.get(image).tag("my-own", "v8")
    words = ("--image", "my-own:v8", "--levels", "airstriker", "--timesteps", "200")
    done = submit(*words, "--results", "mine", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked my-own:v8; --registry HOST/REPO pushes it\n" in done.stdout
    record = read(tmp_path / "mine/submission.json")
    assert (record["image"], record["digest"]) == ("my-own:v8", None)
    assert load_boards([tmp_path / "mine"]).boards
    docker("rmi", "my-own:v8")


def test_a_missing_bill_of_materials_is_said(client, build, tmp_path):
    image = build(f"USER root\nRUN rm /opt/venv/pip-inspect.json\n{hostile('honest')}")
    words = ("--image", image, "--levels", "airstriker", "--timesteps", "200")
    done = submit(*words, "--results", "mine", folder=tmp_path)
    assert done.returncode == 0 and "the image holds no bill of materials" in done.stdout
    assert not (tmp_path / "mine/bill-of-materials.json").exists()
    # What it holds at that place may be anything.
    link = "RUN ln -sf /etc/passwd /opt/venv/pip-inspect.json"
    image = build(f"USER root\n{link}\n{hostile('honest')}")
    done = submit("--image", image, *words[2:], "--results", "mine", folder=tmp_path)
    assert done.returncode == 0 and "the image holds no bill of materials" in done.stdout


# --- an agent that fails ---


def test_an_image_that_fails_its_check_is_not_pushed(client, build, registry, tmp_path):
    words = ("--tag", "bad", "--levels", "airstriker", "--timesteps", "200")
    good = build(hostile("honest"))
    assert submit("--image", good, *words, folder=tmp_path).returncode == 0
    folder = tmp_path / "results/submissions/bad"
    assert (folder / "submission.json").is_file()

    broken = build('CMD ["python", "-c", "def act():\\n    return 1 / 0\\nact()"]')
    done = submit("--image", broken, "--registry", f"{registry}/bad", *words, folder=tmp_path)
    assert done.returncode == 1
    assert "the end of the agent's output (results/submissions/bad/Airstriker" in done.stderr
    assert re.search(r"(?m)^    File .*in act$", done.stderr), "its traceback, indented"
    assert "  ZeroDivisionError: division by zero\n" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the image failed its check and was not submitted")
    assert not (folder / "submission.json").exists(), "the record was of another image"
    assert not (folder / "bill-of-materials.json").exists()
    with urllib.request.urlopen(f"http://{registry}/v2/_catalog") as answer:
        assert "bad" not in json.load(answer)["repositories"]


def test_what_an_agent_prints_cannot_command_the_terminal(client, build, tmp_path):
    broken = build(r'CMD ["python", "-c", "print(chr(27) + \"[2Jevil\"); raise SystemExit(3)"]')
    done = submit("--image", broken, "--levels", "airstriker", folder=tmp_path)
    assert done.returncode == 1 and "[2Jevil" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_a_build_that_fails_is_said_after_its_own_words(client, images, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {images}\nRUN echo the reason >&2; exit 3\n")
    done = submit(".", folder=tmp_path)
    assert done.returncode == 1 and "the reason" in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"error: the image retro-contest-agent:.* could not be built", last)


# --- a registry that does not take it ---


@pytest.fixture
def tagged(client) -> Iterator[Callable[[str], str]]:
    """tagged(repository) -> a small image with that name and the tag `test`."""
    dockerfile = io.BytesIO(b"FROM scratch\nCOPY Dockerfile /\n")
    image, _ = client.images.build(fileobj=dockerfile, rm=True)
    names = []

    def tag(repository: str) -> str:
        image.tag(repository, "test")
        names.append(f"{repository}:test")
        return repository

    yield tag
    docker("rmi", "--force", *names, image.id)


def test_a_registry_that_wants_a_login(client, build, closed_registry, tmp_path):
    words = ("--levels", "airstriker", "--timesteps", "200", "--tag", "test")
    image = build(hostile("honest"))
    repository = f"{closed_registry}/secret"
    done = submit("--image", image, "--registry", repository, *words, folder=tmp_path)
    assert done.returncode == 1
    says = f"not logged in, or not allowed to push to {repository}: docker login {closed_registry}"
    assert done.stderr.splitlines()[-1] == f"error: {says}"
    assert list(tmp_path.rglob("submission.json")) == []
    docker("rmi", f"{repository}:test")


def test_after_a_login_the_same_push_works(client, tagged, closed_registry, tmp_path, monkeypatch):
    repository = tagged(f"{closed_registry}/secret")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    done = docker("login", "-u", "contest", "--password-stdin", closed_registry, input="secret")
    assert done.returncode == 0, done.stderr
    assert push(engine.connect(), repository, "test").startswith("sha256:")


def test_a_registry_that_is_not_there(client, tagged):
    with pytest.raises(StepFailed, match=r"the push was refused: .*connection refused"):
        push(client, tagged("localhost:1/nobody"), "test")


def test_a_registry_that_never_answers(client, tagged):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        repository = tagged(f"localhost:{silent.getsockname()[1]}/nobody")
        began = time.monotonic()
        with pytest.raises(StepFailed, match="the registry did not answer for 2 s"):
            push(client, repository, "test", silence=2.0)
        assert time.monotonic() - began < 20
    assert client.ping(), "the client goes on"


# --- without docker ---


def test_no_docker_program_is_one_clear_line(client, images, tmp_path):
    write(tmp_path / "my-agent", "random")
    (tmp_path / "bin").mkdir()
    done = submit("my-agent", folder=tmp_path, PATH=str(tmp_path / "bin"))
    assert done.returncode == 2
    said = "error: there is no program 'docker', which builds images: install Docker\n"
    assert done.stderr == said


def test_an_image_that_is_not_here_is_one_clear_line(client, tmp_path):
    done = submit("--image", "no-such:image", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no image 'no-such:image' here: build or pull it first\n"


# --- the contest's side ---


def test_the_environment_image_is_built_by_its_own_command(client, images):
    done = run(
        *(sys.executable, "-m", "retro_contest", "environment", *(["--", *BUILD] if BUILD else []))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "built retro-contest-environment"
    labels = client.images.get("retro-contest-environment").labels
    assert re.match("[0-9a-f]{12}", labels["org.opencontainers.image.revision"])


def test_the_scripts_are_clean_for_shellcheck():
    if shutil.which("shellcheck") is None:
        if os.environ.get("RETRO_REQUIRE_DOCKER") == "1":
            pytest.fail("no shellcheck on this machine")
        pytest.skip("no shellcheck here")
    scripts = ["submit.sh", ".ci/containers"]
    done = subprocess.run(["shellcheck", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
