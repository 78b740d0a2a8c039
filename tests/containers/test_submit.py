"""`submit.sh` for real: a registry on this machine, a push, a record; and its refusals."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from container_kit import ROOT, docker, hostile

from retro_contest.board.boards import load_boards

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
# "contest:secret", by htpasswd -B
PASSWORDS = "contest:$2y$05$/h.FhSEgmuCtLVYJYCzwbOyZ3CIjg8DPRrmwmyFkHuGjmgbtQJh.q\n"


def submit(*words: str, **environment: str) -> subprocess.CompletedProcess:
    """Run submit.sh; `RETRO_BUILD_ARGS` is for machines where no image can be pulled."""
    build = os.environ.get("RETRO_BUILD_ARGS", "").split()
    return subprocess.run(
        ["./submit.sh", *words, *(["--", *build] if build else [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"PYTHON": sys.executable} | environment,
    )


@pytest.fixture
def bundle() -> str:
    """A bundle in the folders that a build may see."""
    wanted = os.environ.get("RETRO_BUNDLE_FOLDER", "bundles/pangolin")
    if not (ROOT / wanted / "config.yaml").is_file():
        pytest.fail(f"no bundle in {wanted}")
    return wanted


@pytest.fixture
def registry(tmp_path):
    """registry(passwords) -> HOST:PORT of a registry of our own."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        if os.environ.get("RETRO_REQUIRE_DOCKER") == "1":
            pytest.fail("no docker-registry on this machine")
        pytest.skip("submissions are tested with Debian's docker-registry, which is not here")
    started = []

    def start(passwords: str = "") -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"localhost:{probe.getsockname()[1]}"
        config = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
            "http": {"addr": address.replace("localhost", "127.0.0.1")},
        }
        if passwords:
            (tmp_path / "htpasswd").write_text(passwords)
            login = {"realm": "test", "path": str(tmp_path / "htpasswd")}
            config["auth"] = {"htpasswd": login}
        (tmp_path / "registry.yml").write_text(json.dumps(config))  # JSON is YAML
        log = (tmp_path / "registry.log").open("w")
        command = [program, "serve", str(tmp_path / "registry.yml")]
        started.append(subprocess.Popen(command, stdout=log, stderr=log))
        log.close()
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
                return address
            except OSError:
                time.sleep(0.1)
        raise AssertionError((tmp_path / "registry.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def test_build_check_push_and_record(client, images, bundle, registry, tmp_path):
    address = registry()
    results = tmp_path / "check"
    done = submit(
        *("--registry", f"{address}/pangolin", "--tag", "test", "--bundle", bundle),
        *("--timesteps", "1000", "--results", str(results)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((results / "submission.json").read_text())

    # The registry itself says which image it has.
    request = urllib.request.Request(
        f"http://{address}/v2/pangolin/manifests/test",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    with urllib.request.urlopen(request) as answer:
        manifest = answer.read()
    assert record["digest"] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    name = f"{address}/pangolin:test"
    assert json.loads(manifest)["config"]["digest"] == client.images.get(name).id
    assert record["image"] == name and f"submitted {address}/pangolin@sha256:" in done.stdout

    config = (ROOT / bundle / "config.yaml").read_bytes()
    assert record["bundle_sha256"] == hashlib.sha256(config).hexdigest()
    labels = client.images.get(name).labels
    assert labels["retro-contest.bundle-sha256"] == record["bundle_sha256"]
    assert labels["org.opencontainers.image.revision"] == record["commit"] != "unknown"
    assert record["config"] and record["check"]["complete"] and record["check"]["runs"] == 2

    bill = json.loads((results / "bill-of-materials.json").read_text())
    held = {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in bill["installed"]}
    assert held["gymnasium"] == "1.4.0" and "cloudpickle" in held and "pip" not in held

    (board,) = load_boards([results]).boards
    (submission,) = (row.submission for row in board.rows)
    assert submission.image == record["digest"][7:19]
    assert record["check"]["score"] == submission.score
    docker("rmi", name)


def test_an_image_that_fails_its_check_is_not_pushed(client, images, build, registry, tmp_path):
    """The same bundle, but a base image in which no agent can start."""
    address = registry()
    broken = build(f"{hostile('exit_at_once')}\n")
    client.images.get(broken).tag("retro-contest-broken")
    fake = tmp_path / "bin"
    fake.mkdir()
    # The build yields the broken image; everything else is the real docker.
    real = shutil.which("docker")
    (fake / "docker").write_text(
        f'#!/bin/sh\nif [ "$1" = build ]; then\n  case "$*" in *BUNDLE=*) shift; while [ "$1" != '
        f'--tag ]; do shift; done; exec {real} tag retro-contest-broken "$2";; esac; exit 0\nfi\n'
        f'exec {real} "$@"\n'
    )
    (fake / "docker").chmod(0o755)
    bundle_folder = tmp_path / "bundle"
    bundle_folder.mkdir()
    (bundle_folder / "config.yaml").write_text("format: 1\n")
    done = submit(
        *("--registry", f"{address}/bad", "--tag", "test", "--bundle", str(bundle_folder)),
        *("--levels", "airstriker", "--results", str(tmp_path / "check")),
        PATH=f"{fake}:{os.environ['PATH']}",
    )
    assert done.returncode == 1
    assert "failed its check and was not submitted" in done.stderr
    assert not (tmp_path / "check/submission.json").exists()
    with urllib.request.urlopen(f"http://{address}/v2/_catalog") as answer:
        assert json.load(answer) == {"repositories": []}
    docker("rmi", f"{address}/bad:test", "retro-contest-broken")


@pytest.fixture
def quick(client, images, tmp_path):
    """quick(registry) -> submit.sh with a build and a check that take no time: only the push."""
    fake = tmp_path / "bin"
    fake.mkdir()
    real = shutil.which("docker")
    (fake / "docker").write_text(
        f'#!/bin/sh\n[ "$1" = build ] || exec {real} "$@"\nwhile [ $# -gt 0 ]; do\n'
        f'  case "$1 $2" in "--tag "*/*) {real} tag {images} "$2";; esac\n  shift\ndone\n'
    )
    (fake / "docker").chmod(0o755)
    (tmp_path / "config.yaml").write_text("format: 1\n")

    def run(repository: str) -> subprocess.CompletedProcess:
        evaluate = tmp_path / "python"
        evaluate.write_text("#!/bin/sh\nexit 0\n")
        evaluate.chmod(0o755)
        return submit(
            *("--registry", repository, "--tag", "test", "--bundle", str(tmp_path)),
            PATH=f"{fake}:{os.environ['PATH']}",
            PYTHON=str(evaluate),
        )

    return run


def test_a_registry_that_wants_a_login(quick, registry):
    address = registry(PASSWORDS)
    done = quick(f"{address}/secret")
    assert done.returncode == 1
    assert f"not logged in, or not allowed to push to {address}/secret" in done.stderr
    assert f"docker login {address}" in done.stderr
    docker("rmi", f"{address}/secret:test")


def test_a_registry_that_is_not_there(quick):
    done = quick("localhost:1/nobody")
    assert done.returncode == 1 and "the push was refused: " in done.stderr
    docker("rmi", "localhost:1/nobody:test")


# --- without an engine ---


def test_no_engine_is_one_clear_line(tmp_path):
    if shutil.which("docker") is None:
        pytest.skip("no docker program here")
    done = submit(**NO_DOCKER)
    assert done.returncode == 2
    assert done.stderr.startswith("submit.sh: the Docker engine cannot be reached")
    assert len(done.stderr.splitlines()) == 1


def test_no_docker_is_one_clear_line(tmp_path):
    for name in ("bash", "dirname", "env"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = submit(PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "submit.sh: there is no program 'docker': install Docker first\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tga", "x"], "unknown argument '--tga'"),
        (["--tag"], "--tag needs a value"),
        (["--", "-t", "retro-contest-environment"], "-t after --: the image's name is made from"),
        (["--", "--network"], "--network after -- needs a value"),
    ],
)
def test_wrong_usage_is_one_clear_line(words, says):
    done = subprocess.run(["./submit.sh", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_dry_run_does_nothing(client, images, bundle, tmp_path):
    before = {image.id for image in client.images.list()}
    results = tmp_path / "check"
    done = submit(
        "--dry-run", "--registry", "localhost:1/x", "--bundle", bundle, "--results", str(results)
    )
    assert done.returncode == 0, done.stderr
    assert "would run: docker push localhost:1/x:" in done.stdout
    assert not results.exists() and {image.id for image in client.images.list()} == before


@pytest.fixture
def engine(tmp_path) -> dict[str, str]:
    """An environment with an engine that answers, and in which nothing is built."""
    docker = tmp_path / "engine/docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\n[ "$1" = version ] || echo "$@" >>{tmp_path}/calls\n')
    docker.chmod(0o755)
    path = f"{docker.parent}:{os.environ['PATH']}"
    return os.environ | {"PYTHON": sys.executable, "PATH": path}


def run(*words: str, folder=ROOT, env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["./submit.sh", *words], cwd=folder, capture_output=True, text=True, env=env
    )


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timesteps", "abc"], "--timesteps 'abc' is not a whole number"),
        (["--timesteps", "0"], "--timesteps '0' is not a whole number"),
        (["--levels", "nope"], "no level or level set 'nope'"),
        (["--tag", "-x"], "--tag '-x' cannot be a tag"),
        (["--tag", "a b"], "--tag 'a b' cannot be a tag"),
        (["--tag", "x" * 129], "cannot be a tag"),
        (["--registry", "Host/UPPER"], "is no HOST/REPO"),
        (["--registry", "host/repo:tag"], "is no HOST/REPO"),
        (["--results", "submit.sh/x"], "--results 'submit.sh/x' cannot be written"),
    ],
)
def test_impossible_values_are_found_before_anything_is_built(engine, tmp_path, words, says, more):
    done = run(*words, *more, env=engine)
    assert done.returncode == 2 and says in done.stderr, done.stdout + done.stderr
    assert not (tmp_path / "calls").exists()


def test_results_that_cannot_be_written_are_found_before_anything_is_built(engine, tmp_path):
    done = run("--results", "/proc/results", env=engine)  # not even by root
    assert done.returncode == 2 and "--results '/proc/results' cannot be written" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_a_check_that_cannot_be_played_is_wrong_usage(engine, tmp_path):
    """`retro-contest evaluate` itself says that its arguments are impossible."""
    fake = tmp_path / "python"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *evaluate*) exit 2;; esac\nexec {sys.executable} "$@"\n'
    )
    fake.chmod(0o755)
    done = run("--results", str(tmp_path / "check"), env=engine | {"PYTHON": str(fake)})
    assert done.returncode == 2 and "could not be played" in done.stderr


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        (None, False),
        ("agent/new.py", True),
        ("agent/build/lib.py", True),  # git ignores it, docker build does not
        ("retro_common/.mypy_cache/x", True),
        ("agent/__pycache__/new.cpython-311.pyc", False),
        ("notes.txt", False),
    ],
)
def test_untracked_files_are_no_commit(engine, tmp_path, file, changed):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, clone], check=True)
    shutil.copy(ROOT / "submit.sh", clone)
    subprocess.run(["git", "update-index", "--assume-unchanged", "submit.sh"], cwd=clone)
    if file is not None:
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        (clone / file).write_text("")
    done = run("--dry-run", folder=clone, env=engine)
    assert done.returncode == 0, done.stderr
    assert ("+changes" in done.stdout) == changed
    assert ("changes that are in no commit" in done.stderr) == changed


def test_without_a_base_both_images_are_built_from_one_digest(engine, tmp_path):
    digest = f"python@sha256:{'a' * 64}"
    docker = tmp_path / "engine/docker"
    docker.write_text(f'{docker.read_text()}[ "$1 $2" != "image inspect" ] || echo {digest}\n')
    done = run("--results", str(tmp_path / "check"), env=engine)
    assert done.returncode == 2, "the engine is none, so the check cannot be played"
    builds = [line for line in (tmp_path / "calls").read_text().splitlines() if "build" in line]
    assert len(builds) == 2 and all(f"--build-arg BASE={digest}" in line for line in builds)


def test_a_foreign_dockerfile_never_builds_the_environment_image(tmp_path):
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 0\n")  # an engine that answers; nothing is built
    docker.chmod(0o755)
    more = ["-f", "Dockerfile.mine", "--target", "x", "--build-arg", "BASE=y", "--network=none"]
    more += ["--pull", "--file=Dockerfile.mine"]
    done = subprocess.run(
        ["./submit.sh", "--dry-run", "--", *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    builds = [line for line in done.stdout.splitlines() if "docker build" in line]
    environment, agent = builds
    assert environment.split(" --build-arg COMMIT=")[1].split()[1:] == [
        *("--build-arg", "BASE=y", "--network=none", "--pull", ".")
    ]
    assert agent.endswith(" ".join([*more, "."]))
    evaluation = next(line for line in done.stdout.splitlines() if " evaluate " in line)
    assert "-m retro_contest evaluate" in evaluation


def test_the_script_is_clean_for_shellcheck():
    if shutil.which("shellcheck") is None:
        if os.environ.get("RETRO_REQUIRE_DOCKER") == "1":
            pytest.fail("no shellcheck on this machine")
        pytest.skip("no shellcheck here")
    scripts = ["submit.sh", ".ci/containers"]
    done = subprocess.run(["shellcheck", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
