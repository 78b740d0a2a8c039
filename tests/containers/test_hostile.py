"""Hostile images in real containers: each gets its verdict, beside an honest run that notices
nothing, and leaves nothing behind."""

import time

import pytest
from container_kit import hostile

from retro_contest.runs.processes import LOG_LIMIT

SEEDS = "Airstriker-Genesis-v0/Level1/seed-"


def log_of(tmp_path, seed: int = 0) -> str:
    return (tmp_path / f"results/{SEEDS}{seed}/agent.log").read_text(errors="replace")


@pytest.fixture
def attack(build, play, tmp_path):
    """attack(way) -> (verdict, reason, log) of the hostile run; the honest one is checked."""

    def run(way: str, more: str = "", memory: str = "256m", **options) -> tuple[str, str, str]:
        start = time.monotonic()
        limits = {"cpus": 1.0, "memory": memory}
        summary = play(build(hostile(way, more)), limits, seeds=2, jobs=2, **options)
        assert time.monotonic() - start < 75, "within the time limits"
        bad, good = summary["levels"]
        assert good["verdict"] == "completed", good["reason"]
        assert good["timesteps"] == 120 and good["episodes"] >= 1
        assert summary["complete"], "a hostile image has a result, too"
        assert "\n" not in bad["reason"]
        return bad["verdict"], bad["reason"], log_of(tmp_path)

    return run


def test_there_is_no_network(attack):
    verdict, _, log = attack("network")
    assert verdict == "completed"
    assert "interfaces: lo\n" in log
    assert log.count("refused") == 3 and "DONE" not in log


def test_system_calls_that_no_agent_needs_are_refused(attack):
    verdict, reason, log = attack("system_calls", memory="1g")
    tried = [line for line in log.splitlines() if line.startswith("try ")]
    assert len(tried) == 20
    assert [line for line in tried if "refused (Operation not permitted)" not in line] == []
    assert "works: (8, 3, 3, 3)" in log and verdict == "completed", reason + log


def test_last_words_are_cut_and_cannot_command_a_terminal(attack):
    verdict, reason, log = attack("escape_text")
    assert verdict == "never connected" and len(log) > 500_000
    assert "owned" in reason and len(reason) < 400
    assert reason.isprintable()


def test_nothing_outside_can_be_written_or_seen(attack):
    verdict, _, log = attack("escape")
    assert verdict == "completed"
    assert log.count("refused") == 18 and "DONE" not in log, log
    assert "user: 10001" in log
    assert "('CapBnd', '0000000000000000')" in log and "('NoNewPrivs', '1')" in log
    assert log.count("knows") == log.count("False") == 4


def test_an_image_that_asks_for_root_does_not_get_it(attack):
    verdict, _, log = attack("escape", "USER root")
    assert verdict == "completed" and "user: 10001" in log and "DONE" not in log


@pytest.mark.parametrize("user", ["12345", "12345:0", "12345:10000"])
def test_the_group_is_not_the_images_choice(attack, user):
    verdict, _, log = attack("escape", f"USER {user}")
    assert verdict == "completed" and "user: 12345 group: 10001 of" in log, log
    assert "10000" not in log.split("user: ")[1].splitlines()[0]


def test_forks_without_end(attack):
    verdict, reason, log = attack("fork", memory="2g", connect_timeout=6.0)
    assert verdict == "never connected", reason
    assert "fork: Resource temporarily unavailable" in log


def test_eats_memory(attack):
    verdict, reason, _ = attack("memory")
    assert verdict == "crashed"
    assert "out of memory" in reason


def test_fills_the_disk(attack, tmp_path):
    verdict, reason, log = attack("disk")
    out = tmp_path / f"results/{SEEDS}0/out"
    assert verdict in ("completed", "crashed", "never connected"), reason
    assert "filled /tmp/junk: No space left" in log and "/tmp/junk: 64 MiB" in log
    assert "/dev/shm/junk: 64 MiB" in log
    kept = [path for path in out.rglob("*") if path.is_symlink() or not path.is_file()]
    assert kept == []
    assert sum(path.stat().st_size for path in out.rglob("*")) <= 256 << 20


def test_declares_a_volume_to_get_at_the_disk(attack):
    verdict, _, log = attack("volume", "USER root\nVOLUME /data")
    assert verdict == "completed"
    assert "filled /data/junk: 64 MiB" in log


def test_fills_the_log(attack, tmp_path):
    verdict, _, log = attack("log")
    assert verdict == "completed"
    assert LOG_LIMIT <= len(log) <= LOG_LIMIT + 100
    assert log.startswith("first line\n") and "bytes left out" in log
    assert "\nlast line\n" in log


def test_never_connects(attack):
    verdict, reason, _ = attack("never_connect", connect_timeout=5.0)
    assert (verdict, reason) == ("never connected", "the agent ran, but did not connect")


def test_connects_and_sleeps(attack):
    verdict, reason, _ = attack("connect_and_sleep", idle_timeout=3.0)
    assert verdict == "hung" and "no request" in reason


@pytest.mark.parametrize("way", ["garbage", "gigabyte"])
def test_sends_what_is_no_message(attack, way):
    verdict, reason, _ = attack(way)
    assert verdict == "protocol error" and "after 0 of 120 timesteps" in reason


def test_cannot_replace_the_socket_or_the_frame_file(attack):
    verdict, _, log = attack("links")
    assert verdict == "completed"
    assert log.count("refused") == 10 and "DONE" not in log, log
    assert "in the directory: ob sock\n" in log


def test_takes_the_frame_files_space(attack):
    verdict, reason, log = attack("frame")
    assert "frame file: No space left on device" in log
    assert verdict == "protocol error" and "channel file" in reason


def test_exits_at_once(attack):
    verdict, reason, _ = attack("exit_at_once")
    assert verdict == "never connected" and "exited with code 3" in reason


def test_leaves_without_a_word(attack):
    verdict, reason, _ = attack("leave_quietly")
    assert (verdict, reason) == ("never connected", "the agent exited with code 0")


def test_ignores_sigterm(attack, monkeypatch):
    monkeypatch.setattr("retro_contest.containers.side.STOP_SECONDS", 2.0)
    verdict, reason, _ = attack("stubborn", exit_timeout=1.0)
    assert verdict == "completed" and "did not exit and was stopped" in reason


def test_an_image_without_a_program(build, play, tmp_path):
    summary = play(build('CMD ["/no/such/program"]'))
    (level,) = summary["levels"]
    assert level["verdict"] == "never connected"
    assert "exited with code 127" in level["reason"] and "/no/such/program" in level["reason"]
    assert summary["complete"]
