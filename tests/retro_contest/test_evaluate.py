"""Evaluations with real servers, real agents and the real emulator."""

import csv
import dataclasses
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from retro_common.errors import UsageError
from retro_contest.levels import find
from retro_contest.rules import Rules
from retro_contest.runs import processes
from retro_contest.runs.evaluate import Evaluation, clean, evaluate
from retro_contest.runs.processes import LOG_LIMIT, ProcessRunner
from retro_contest.runs.progress import Progress, failures, summary_table, unfinished
from retro_contest.runs.randomness import environment_seed
from retro_contest.runs.results import read_monitor, run_checksum

ROOT = Path(__file__).parents[2]
BAD = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('bad_agents.py')))}"
RUN = Path("Airstriker-Genesis-v0/Level1/seed-0")
LEVEL = "PangolinDash-Genesis-v0/FernHollow.Act1"


def run(tmp_path: Path, agent: str, *, timesteps: int = 120, **options) -> dict:
    """Evaluate an agent in this process, on Airstriker if nothing else is said; the summary."""
    names = {field.name for field in dataclasses.fields(Rules)}
    rules = {key: options.pop(key) for key in names & options.keys()}
    levels = options.pop("levels", "airstriker")
    evaluation = Evaluation(
        name="test",
        level_set=levels,
        levels=find(levels),
        results=tmp_path / "results",
        rules=Rules(timesteps, **{"wallclock": 60.0, "exit_timeout": 2.0, **rules}),
        **options,
    )
    with Progress(Console(file=io.StringIO())) as progress:
        return evaluate(evaluation, ProcessRunner(agent), threading.Event(), progress)


def secret_of(results: Path) -> str:
    return json.loads((results / "secret.json").read_text())["secret"]


def alive(pid: int) -> bool:
    # A killed orphan that no process collects stays as a zombie.
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def rewards(path: Path) -> list[float]:
    with path.open() as file:
        return [float(row["r"]) for row in csv.DictReader(file)]


def test_a_run_writes_its_score_episodes_and_provenance(tmp_path):
    summary = run(tmp_path, "random", timesteps=700)
    folder = tmp_path / "results" / RUN
    (level,) = summary["levels"]
    assert level["verdict"] == "completed"
    assert level["timesteps"] == 700
    assert 0 < level["seconds"] < 60

    played = rewards(folder / "monitor.csv")
    assert level["episodes"] == len(played) >= 2
    assert level["score"] == summary["score"] == pytest.approx(sum(played) / len(played))
    with (folder / "monitor.csv").open() as file:
        lengths = [int(row["l"]) for row in csv.DictReader(file)]
    assert sum(lengths) + len(lengths) == 700, "resets and steps of all episodes, the last too"

    result = json.loads((folder / "result.json").read_text())
    assert level.pop("sha256") == run_checksum(folder)
    assert {key: result[key] for key in level} == level
    level["sha256"] = run_checksum(folder)
    assert result["agent"] == "random"
    assert result["versions"]["stable-retro"] and result["emulator_timesteps_per_second"] > 0
    assert json.loads((tmp_path / "results/summary.json").read_text()) == summary
    assert clean(summary) and summary["complete"] and failures(summary) == []
    console = Console(file=io.StringIO(), width=120)
    console.print(summary_table(summary))
    assert "Level1" in console.file.getvalue() and "completed" in console.file.getvalue()


@pytest.mark.parametrize(
    ("way", "verdict", "says", "episodes"),
    [
        ("crash", "crashed", "exited with code 1: RuntimeError: the agent has a bug", 1),
        ("killed", "crashed", "exited with code 137", 1),
        ("crash_at_once", "never connected", "RuntimeError: no such bundle", 0),
        ("end_early", "ended early", "exited with code 0, after 31 of 120 timesteps", 1),
        ("nearly_all", "ended early", "exited with code 0, after 119 of 120 timesteps", 1),
        ("connect_and_exit", "ended early", "after 0 of 120 timesteps", 0),
        ("end_unasked", "completed", "all 120 timesteps played", 1),
        ("hang", "hung", "no request", 1),
        ("connect_and_sleep", "hung", "no request", 0),
        ("never_connect", "never connected", "the agent ran, but did not connect", 0),
        ("garbage", "protocol error", "after 0 of 120 timesteps", 0),
    ],
)
def test_an_agent_that_misbehaves_gets_its_verdict(tmp_path, way, verdict, says, episodes):
    before = set(psutil.Process().children(recursive=True))
    patience = 1.0 if way == "never_connect" else 30.0
    summary = run(tmp_path, f"{BAD} {way}", idle_timeout=1.5, connect_timeout=patience)
    (level,) = summary["levels"]
    assert (level["verdict"], level["episodes"]) == (verdict, episodes), level["reason"]
    assert says in level["reason"]
    assert "\n" not in level["reason"]
    # An agent may be gone before its server has made the file.
    assert len(read_monitor(tmp_path / "results" / RUN / "monitor.csv")) == episodes
    assert summary["complete"], "the agent's failure is a result"
    assert summary["score"] == (level["score"] or 0.0)
    assert clean(summary) == (verdict == "completed" or way == "nearly_all")
    # Not having played counts as an episode of 0.
    played = rewards(tmp_path / "results" / RUN / "monitor.csv") if episodes else []
    assert level["unplayed_episodes"] == (verdict != "completed")
    assert level["score"] == pytest.approx(sum(played) / (len(played) + (verdict != "completed")))
    if verdict != "completed":
        assert (failures(summary) == []) == (way == "nearly_all")
    assert set(psutil.Process().children(recursive=True)) == before


def test_time_can_be_up_first(tmp_path):
    summary = run(tmp_path, f"{BAD} forever", timesteps=1_000_000, wallclock=2.0)
    (level,) = summary["levels"]
    assert level["verdict"] == "wall-clock"
    assert 1.9 < level["seconds"] < 4
    assert level["episodes"] >= 1 and clean(summary)
    # Sleeping until the time is up gains no more than leaving.
    unplayed = -(-(1_000_000 - level["timesteps"]) // 4500)
    played = rewards(tmp_path / "results" / RUN / "monitor.csv")
    assert level["unplayed_episodes"] == unplayed
    assert level["score"] == pytest.approx(sum(played) / (len(played) + unplayed))


def test_a_stubborn_agent_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.5)
    summary = run(tmp_path, f"{BAD} stubborn", exit_timeout=0.5)
    (level,) = summary["levels"]
    assert level["verdict"] == "completed"
    assert "did not exit and was stopped" in level["reason"]
    pids = (tmp_path / "results" / RUN / "out/pids").read_text().split()
    assert len(pids) == 2 and not any(alive(int(pid)) for pid in pids)


def test_a_log_without_end_is_cut_in_the_middle(tmp_path):
    summary = run(tmp_path, f"{BAD} shout")
    log = (tmp_path / "results" / RUN / "agent.log").read_bytes()
    assert LOG_LIMIT <= len(log) <= LOG_LIMIT + 100
    assert log.startswith(b"first line\n")
    assert b"bytes left out" in log
    assert b"\nlast line\n" in log
    assert summary["levels"][0]["verdict"] == "completed"


def test_the_same_secret_gives_the_same_episodes_and_another_gives_others(tmp_path):
    # Given secrets: one pair of drawn ones in twenty gives short episodes of the same score.
    options = {"levels": LEVEL, "timesteps": 400}
    first = run(tmp_path / "a", "random", **options, replay_secret="ab" * 16)
    second = run(tmp_path / "b", "random", **options, replay_secret="AB" * 16)
    third = run(tmp_path / "c", "random", **options, replay_secret="cd" * 16)
    folders = [tmp_path / name / "results" / LEVEL / "seed-0" for name in "abc"]
    a, b, c = (
        [(episode.r, episode.l) for episode in read_monitor(folder / "monitor.csv")]
        for folder in folders
    )
    assert a == b, "the agent seeds itself with the run's number"
    assert a != c, "so only the sticky actions are others"
    assert first["secret_sha256"] == second["secret_sha256"] != third["secret_sha256"]
    assert len({summary["id"] for summary in (first, second, third)}) == 3


def test_an_evaluation_keeps_its_secret_and_tells_nobody(tmp_path):
    results = tmp_path / "results"
    run(tmp_path, "random", timesteps=20)
    path = results / "secret.json"
    secret = secret_of(results)
    assert path.stat().st_mode & 0o777 == 0o600
    identity = json.loads((results / "summary.json").read_text())["id"]
    summary = run(tmp_path, "random", timesteps=20, seeds=2)
    assert secret_of(results) == secret and summary["id"] == identity
    with pytest.raises(UsageError, match="another secret"):
        run(tmp_path, "random", timesteps=20, replay_secret="0" * 32)
    for file in results.rglob("*"):
        if file.is_file() and file != path:
            content = file.read_text()
            assert secret not in content
            for number in (0, 1):
                name = f"Airstriker-Genesis-v0/Level1/seed-{number}"
                assert str(environment_seed(secret, name)) not in content, file

    path.write_text("{")
    with pytest.raises(UsageError, match=r"secret\.json"):
        run(tmp_path, "random", timesteps=20)
    path.unlink()
    with pytest.raises(UsageError, match=r"follow from another secret.*--fresh"):
        run(tmp_path, "random", timesteps=20)
    run(tmp_path, "random", timesteps=20, fresh=True)
    assert secret_of(results) != secret


def test_runs_with_seeds_that_are_known_are_refused(tmp_path):
    """Those of versions before there was a secret."""
    run(tmp_path, "random", timesteps=20)
    path = tmp_path / "results" / RUN / "result.json"
    result = json.loads(path.read_text())
    del result["settings"]["secret_sha256"]
    path.write_text(json.dumps(result))
    with pytest.raises(UsageError, match=r"from a seed that is known\): use --fresh"):
        run(tmp_path, "random", timesteps=20)


@pytest.mark.parametrize("secret", ["xyz", "0" * 31, "0" * 33, "g" * 32, "é" * 32])
def test_a_secret_that_is_none_is_refused(tmp_path, secret):
    with pytest.raises(UsageError, match="32 hexadecimal digits"):
        run(tmp_path, "random", replay_secret=secret)
    assert not (tmp_path / "results").exists()


def test_an_agent_is_not_given_the_seed_of_its_environment(tmp_path, monkeypatch):
    """Neither its environment nor any command line has it, and nobody else's is handed on."""
    monkeypatch.setenv("RETRO_CONTEST_ENVIRONMENT_SEED", "123456789")
    script = tmp_path / "agent.py"
    script.write_text(
        "import json, os, psutil\n"
        "lines = [p.info['cmdline'] for p in psutil.process_iter(['cmdline'])]\n"
        "print(json.dumps([dict(os.environ), lines]))\n"
    )
    run(tmp_path, f"python {script}")
    seed = environment_seed(secret_of(tmp_path / "results"), RUN.as_posix())
    environment, commands = json.loads((tmp_path / "results" / RUN / "agent.log").read_text())
    assert environment["RETRO_CONTEST_SEED"] == "0"
    assert "RETRO_CONTEST_ENVIRONMENT_SEED" not in environment
    assert any("serve" in command for command in commands if command)
    told = json.dumps([environment, commands])
    assert str(seed) not in told and "123456789" not in told


def test_a_seed_is_the_beginning_of_an_hmac():
    """By the definition of HMAC (RFC 2104), with SHA-256 and its blocks of 64 bytes."""
    secret = "000102030405060708090a0b0c0d0e0f"
    key = bytes(range(16)).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + RUN.as_posix().encode()).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()
    bits = "".join(f"{byte:08b}" for byte in outer)[:63]
    assert environment_seed(secret, RUN.as_posix()) == int(bits, 2)


def test_a_finished_run_is_kept_and_another_evaluation_is_refused(tmp_path):
    first = run(tmp_path, "random", timesteps=20)
    result = tmp_path / "results" / RUN / "result.json"
    before = result.stat().st_mtime_ns
    second = run(tmp_path, "random", timesteps=20, seeds=2)
    assert result.stat().st_mtime_ns == before
    assert second["levels"][0] == first["levels"][0]
    assert len(second["levels"]) == 2

    interrupted = json.loads(result.read_text()) | {"verdict": "interrupted"}
    result.write_text(json.dumps(interrupted))
    assert run(tmp_path, "random", timesteps=20, seeds=2)["complete"]
    assert result.stat().st_mtime_ns != before, "an interrupted run is played anew"

    with pytest.raises(UsageError, match=r"agent was 'random', now 'hold-right'.*--fresh"):
        run(tmp_path, "hold-right", timesteps=20)
    with pytest.raises(UsageError, match="timesteps was 20, now 21"):
        run(tmp_path, "random", timesteps=21)
    run(tmp_path, "hold-right", timesteps=20, fresh=True)
    assert json.loads(result.read_text())["agent"] == "hold-right"


def test_a_script_that_was_changed_is_another_agent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script, bundle = tmp_path / "agent.py", tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "weights").write_text("1")
    script.write_text("from retro_contest.agents.hold_right import *; main('', play)")
    agent = "python agent.py --timesteps={timesteps} bundle"
    run(tmp_path, "python agent.py", timesteps=20)
    run(tmp_path, "python agent.py", timesteps=20)
    script.write_text("from retro_contest.agents.random_agent import *; main('', play)")
    with pytest.raises(UsageError, match=r"'agent\.py' in the agent's command is not .*--fresh"):
        run(tmp_path, "python agent.py", timesteps=20)
    assert run(tmp_path, "python agent.py", timesteps=20, fresh=True)["complete"]

    before = ProcessRunner(f"{agent} --config={script}").agent_files
    assert set(before) == {"agent.py", "bundle", str(script)}
    (bundle / "weights").write_text("2")
    after = ProcessRunner(f"{agent} --config={script}").agent_files
    assert before["agent.py"] == after["agent.py"] and before["bundle"] != after["bundle"]
    assert ProcessRunner("jerk").agent_files == {}, "a built-in agent is named, not a file"


def test_a_module_that_was_changed_is_another_agent(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    package = tmp_path / "mine" / "part"
    package.mkdir(parents=True)
    (package / "agent.py").write_text("1")
    found = []
    for text in ("2", "3"):
        (package / "agent.py").write_text(text)
        found.append(ProcessRunner("python -m mine.part.agent").agent_files)
        found.append(ProcessRunner("python -m mine").agent_files)
    assert set(found[0]) == {"mine.part.agent"} and set(found[1]) == {"mine"}
    assert found[0] != found[2] and found[1] != found[3]


def test_an_agent_that_cannot_connect_ends_the_evaluation_early(tmp_path):
    summary = run(tmp_path, "python nosuch.py", levels="pangolin-test")
    (level,) = summary["levels"]
    assert level["verdict"] == "never connected" and not summary["complete"]
    line = unfinished(summary)
    assert "incomplete: 1 of 5 runs have a score" in line
    assert "exits without connecting, so the other 4 were not played" in line
    assert "--fresh" in line


def test_one_run_without_a_connection_does_not_end_the_others(tmp_path):
    """An agent that could connect in one run may fail in another."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import os, sys\n"
        "if os.environ['RETRO_CONTEST_SEED'] == '1': sys.exit('not with this seed')\n"
        "from retro_contest.agents.hold_right import *; main('', play)"
    )
    summary = run(tmp_path, f"python {script}", timesteps=20, seeds=3)
    words = [level["verdict"] for level in summary["levels"]]
    assert words == ["completed", "never connected", "completed"] and unfinished(summary) == ""


def test_placeholders_and_environment_say_the_same(tmp_path):
    code = (
        "import os, sys; names = ['SOCKET', 'OUT', 'SEED', 'TIMESTEPS', 'WALLCLOCK'];"
        "assert sys.argv[1:] == [os.environ['RETRO_CONTEST_' + name] for name in names], sys.argv;"
        "assert os.path.isdir(sys.argv[1]) and os.path.isdir(sys.argv[2]);"
        "print('both say', *sys.argv[3:])"
    )
    words = "{socket} {out} {seed} {timesteps} {wallclock}"
    summary = run(tmp_path, f"python -c {shlex.quote(code)} {words}")
    assert summary["levels"][0]["verdict"] == "never connected"
    assert summary["levels"][0]["reason"] == "the agent exited with code 0"
    assert (tmp_path / "results" / RUN / "agent.log").read_text() == "both say 0 120 60\n"


@pytest.mark.parametrize(
    ("agent", "says"),
    [("", "empty"), ("no-such-program --fast", "no program 'no-such-program'"), ("'", "quotation")],
)
def test_an_agent_that_cannot_be_started_is_a_usage_error(agent, says):
    with pytest.raises(UsageError, match=says):
        ProcessRunner(agent)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timesteps": 0}, "at least 1"),
        ({"wallclock": 0.0}, "--wallclock must be more than 0"),
        ({"idle_timeout": float("nan")}, "--idle-timeout must be more than 0"),
        ({"jobs": 0}, "at least 1"),
    ],
)
def test_impossible_budgets_are_refused(tmp_path, options, says):
    with pytest.raises(UsageError, match=says):
        run(tmp_path, "random", **options)


def test_a_results_folder_that_cannot_be_made_or_is_busy_is_refused(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UsageError, match=r"results: .*/results is a file"):
        run(tmp_path, "random")

    first = start(tmp_path / "busy", "random", timesteps=100_000)
    try:
        wait_for(tmp_path / "busy/summary.json")
        done = cli("evaluate", *arguments(tmp_path / "busy", "random", 100_000))
        assert done.returncode == 2
        assert "another evaluation is writing" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    finally:
        first.send_signal(signal.SIGINT)
        first.wait(30)


# --- the command in a process of its own ---


def arguments(results: Path, agent: str, timesteps: int) -> list[str]:
    words = ["--levels", "airstriker", "--agent", agent]
    return [*words, "--timesteps", str(timesteps), "--results", str(results)]


def cli(*words: str) -> subprocess.CompletedProcess:
    """Run a command in a wide terminal, where tables leave nothing out."""
    command = [sys.executable, "-m", "retro_contest", *words]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, timeout=60)


def start(results: Path, agent: str, timesteps: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "retro_contest", "evaluate"]
    command += arguments(results, agent, timesteps)
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)


def wait_until_gone(processes_: list[psutil.Process], seconds: float = 20) -> None:
    _, alive = psutil.wait_procs(processes_, timeout=seconds)
    assert alive == []


def wait_for_timesteps(folder: Path, timesteps: int) -> None:
    wait_for(folder / "server.json")
    deadline = time.monotonic() + 30
    while json.loads((folder / "server.json").read_text())["timesteps"] < timesteps:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_stops_both_sides_and_keeps_the_episodes(tmp_path):
    evaluator = start(tmp_path, f"{BAD} forever", timesteps=1_000_000)
    wait_for_timesteps(tmp_path / RUN, 500)
    started = psutil.Process(evaluator.pid).children(recursive=True)
    assert len(started) == 4, "two supervisors, a server and an agent"
    evaluator.send_signal(signal.SIGINT)
    evaluator.send_signal(signal.SIGTERM)
    out, error = evaluator.communicate(timeout=30)
    assert evaluator.returncode == 1
    assert error.count("stopping: ") == 1
    wait_until_gone(started)
    assert "incomplete: 0 of 1 runs have a score; the same command goes on from here" in error
    assert "Traceback" not in out + error

    result = json.loads((tmp_path / RUN / "result.json").read_text())
    assert result["verdict"] == "interrupted"
    played = rewards(tmp_path / RUN / "monitor.csv")
    assert result["episodes"] == len(played) >= 1
    assert result["score"] == pytest.approx(sum(played) / len(played))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert not summary["complete"] and summary["score"] is None


def test_nothing_survives_an_evaluator_that_is_killed(tmp_path):
    evaluator = start(tmp_path, f"{BAD} forever", timesteps=1_000_000)
    wait_for_timesteps(tmp_path / RUN, 100)
    started = psutil.Process(evaluator.pid).children(recursive=True)
    assert len(started) == 4
    evaluator.kill()
    evaluator.communicate()
    wait_until_gone(started)
    played = rewards(tmp_path / RUN / "monitor.csv")
    assert len(played) >= 1, "the server wrote the episodes"


def test_a_server_that_is_killed_is_not_the_agents_fault(tmp_path):
    evaluator = start(tmp_path, f"{BAD} forever", timesteps=1_000_000)
    wait_for_timesteps(tmp_path / RUN, 500)
    reported = json.loads((tmp_path / RUN / "server.json").read_text())
    for process in psutil.Process(evaluator.pid).children(recursive=True):
        if "serve" in process.cmdline() and "supervisor" not in " ".join(process.cmdline()):
            process.send_signal(signal.SIGKILL)
    out, error = evaluator.communicate(timeout=30)
    assert evaluator.returncode == 1
    result = json.loads((tmp_path / RUN / "result.json").read_text())
    assert result["verdict"] == "server failed", result
    assert "code 137" in result["reason"]
    assert result["timesteps"] >= reported["timesteps"]
    assert json.loads((tmp_path / "summary.json").read_text())["score"] is None
    assert "server failed" in out + error
    assert "incomplete: 0 of 1 runs have a score; in 1 the server failed" in error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate", *arguments(Path("x"), "random", 10), "--levels", "nope"], "'nope'"),
        (["evaluate", *arguments(Path("x"), "random", 10), "--levels", "sonic-train"], "no ROM"),
        (["levels", "airstrike"], "did you mean 'airstriker'"),
        (["board", "/nowhere/at/all"], "no folder"),
        (["board"], "at least one"),
        (["evalute"], "no command 'evalute'; did you mean 'evaluate'?"),
        (["zzz"], "no command 'zzz': it has new, levels, roms, serve, evaluate, submit, board"),
        (["evaluate", *arguments(Path("README.md"), "random", 10)], "README.md is a file"),
        (["serve", "airstriker", "--socket=x", "--results=x", "--seed=-1"], "--seed must be"),
        *(
            (["evaluate", *arguments(Path("x"), "random", 10), f"--{option}={value}"], option)
            for option, value in [
                ("memory", "1k"),
                ("memory", "5m"),
                ("memory", "0"),
                ("memory", "4 g"),
                ("memory", "lots"),
                ("cpus", "0"),
                ("cpus", "-1"),
                ("cpus", "nan"),
                ("cpus", "inf"),
                ("wallclock", "nan"),
                ("idle-timeout", "1e300"),
                ("connect-timeout", "-5"),
                ("timesteps", "9" * 30),
                ("seeds", "0"),
                ("seeds", "100001"),
                ("jobs", "-1"),
            ]
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words, says):
    done = cli(*words)
    assert done.returncode == 2
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert done.stdout == "" and not Path("x").exists()


@pytest.mark.parametrize("way", ["connect_and_exit", "end_early"])
def test_an_agent_that_leaves_fails_its_evaluation(tmp_path, way):
    """So it fails the check of a submission, which is an evaluation."""
    done = cli("evaluate", *arguments(tmp_path, f"{BAD} {way}", 120), "--name", "[/x]\x1b[31m")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "\x1b" not in done.stdout + done.stderr
    assert "ended early" in done.stderr and "of 120 timesteps" in done.stderr
    assert "counts as 1 episode of 0" in done.stderr and "[/x]" in done.stdout
    assert len(done.stderr.splitlines()) == 1
    board = cli("board", str(tmp_path))
    assert board.returncode == 0 and "ended early in 1 of 1 runs" in board.stdout
    assert "[/x]" in board.stdout and "of 120" in board.stdout


def test_a_results_folder_stands_on_the_board_until_it_is_changed(tmp_path):
    assert (
        cli("evaluate", *arguments(tmp_path / "a", "hold-right", 50), "--seeds", "2").returncode
        == 0
    )
    board = cli("board", str(tmp_path))
    assert board.returncode == 0 and "│ 1 │ a " in board.stdout
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert summary["written_by"].keys() == {"program", "version", "commit"}
    path = tmp_path / "a" / RUN / "monitor.csv"
    path.write_text(path.read_text().replace("r,l,t\n", "r,l,t\n9000.0,10,0.1\n"))
    board = cli("board", str(tmp_path))
    assert board.returncode == 0 and "a (changed)" in board.stdout


def test_a_list_with_missing_roms_says_how_to_get_them():
    done = cli("levels", "sonic-train")
    assert done.returncode == 0
    assert "no ROM for SonicTheHedgehog-Genesis-v0: it needs the ROM with SHA-1" in done.stdout
    assert done.stdout.count("no ROM for SonicTheHedgehog-Genesis-v0") == 1, "once for each game"


COMMANDS = ["", "new", "levels", "serve", "evaluate", "submit", "board", "environment", "host"]
COMMANDS += ["login", "logout", "status", "cancel", "restart", "logs", "admin", "admin add-user"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_reads_to_the_end(command):
    done = cli(*command.split(), "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "None}" not in done.stdout, "no placeholder of the library's own"


def test_the_levels_command_lists_sets_and_levels():
    assert "airstriker" in cli("levels").stdout
    assert "Level1" in cli("levels", "airstriker").stdout


def test_a_whole_number_may_have_an_exponent(tmp_path):
    words = arguments(tmp_path, "hold-right", 10)
    done = cli("evaluate", *words, "--timesteps", "2e1")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["timesteps"] == 20
    done = cli("evaluate", *words, "--timesteps", "1.5")
    assert done.returncode == 2 and "'1.5' is not a whole number" in done.stderr


def test_a_missing_library_is_one_line_that_says_what_to_do():
    """As in a shell in which the virtual environment is not activated."""
    for words in (["-m", "retro_contest"], ["-c", "import retro_contest.cli.main as m; m.main()"]):
        done = subprocess.run(
            [sys.executable, "-S", *words, "levels"], cwd=ROOT, capture_output=True, text=True
        )
        assert "lacks the library 'tyro'" in done.stderr
        assert ". .venv/bin/activate" in done.stderr and len(done.stderr.splitlines()) == 1


def test_no_socket_directory_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    run(tmp_path, "random", timesteps=5)
    assert os.listdir(tmp_path) == ["results"]
