"""Our client, spoken to by scripted servers: exact bytes, copies, errors, timeouts, hostility."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_peers import (
    FRAME_BYTES,
    FRAME_SHAPE,
    GENESIS_DESCRIPTION,
    RESET,
    RESET_ANSWER,
    STEP_RIGHT,
    FrameEnv,
    RawServer,
    Serving,
    names_in,
)

from gym_remote import directory as shared
from gym_remote import exceptions
from gym_remote.client import RemoteEnv
from gym_remote.exceptions import (
    ContestOver,
    GymRemoteError,
    ProtocolError,
    ResetError,
    ServerDisconnectError,
    ServerTimeoutError,
    TimestepTimeoutError,
)
from gym_remote.server import Reason

RIGHT = np.eye(12, dtype=np.int8)[7]
DONE = b'{"type": "update", "content": {"ob": true, "reward": 3, "done": true}}\f'
GOODBYE = b'{"type": "close", "content": {"reason": null}}\f'


def connect(directory) -> RemoteEnv:
    return RemoteEnv(directory, connect_timeout=20, timeout=20)


def test_requests_byte_for_byte(tmp_path):
    script = [GENESIS_DESCRIPTION, RESET_ANSWER, DONE, RESET_ANSWER, DONE, b""]
    with RawServer(tmp_path, script) as server:
        env = connect(tmp_path)
        assert env.action_space == spaces.MultiBinary(12)
        assert env.observation_space == spaces.Box(0, 255, FRAME_SHAPE, np.uint8)
        observation, info = env.reset(seed=1, options={"a": 1})
        assert observation.shape == FRAME_SHAPE and observation.dtype == np.uint8
        assert (observation == 7).all() and info == {}  # connecting does not wipe the file
        observation, *rest = env.step(RIGHT)
        assert rest == [3.0, True, False, {}] and isinstance(rest[0], float)
        env.reset()
        env.step([0] * 11 + [1])
        env.close()
        env.close()
    last_button = b'{"type": "update", "content": {"ac": 2048}}\f'
    assert server.requests == [RESET, STEP_RIGHT, RESET, last_button, GOODBYE]


def test_frames_are_copies(tmp_path):
    with Serving(FrameEnv(100), tmp_path):
        env = connect(tmp_path)
        frames = [env.reset()[0]] + [env.step(RIGHT)[0] for _ in range(8)]
        env.close()
    assert [int(frame.max()) for frame in frames] == list(range(9))
    assert [int(frame.min()) for frame in frames] == list(range(9))
    frames[3][:] = 99  # writable, and nobody else's
    assert (frames[2] == 2).all() and (frames[4] == 4).all()


def test_early_resets_and_late_steps_stay_here(tmp_path):
    with Serving(FrameEnv(episode_length=3), tmp_path) as serving:
        env = connect(tmp_path)
        with pytest.raises(ResetError):
            env.step(RIGHT)
        for _ in range(3):
            assert env.reset()[0].max() == 0
            for step in (1, 2, 3):
                with pytest.raises(ResetError):
                    env.reset()
                observation, reward, done, _, _ = env.step(RIGHT)
                assert observation.max() == step and reward == 128 and done == (step == 3)
            with pytest.raises(ResetError):
                env.step(RIGHT)
        env.close()
        served = serving.result()
    assert (served.timesteps, served.reason) == (12, Reason.CLIENT_CLOSED)


@pytest.mark.parametrize("action", [3, [1, 0], [0.5] * 12, None, np.zeros((12, 1), int)])
def test_an_action_that_does_not_fit_is_not_sent(action, tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving:
        env = connect(tmp_path)
        env.reset()
        with pytest.raises(ValueError):
            env.step(action)
        assert env.step(RIGHT)[0].max() == 1
        env.close()
        assert serving.result().timesteps == 2


def test_the_last_answer_comes_before_the_end(tmp_path):
    for _ in range(10):
        with Serving(FrameEnv(100), tmp_path, timestep_limit=3) as serving:
            env = connect(tmp_path)
            env.reset()
            env.step(RIGHT)
            assert env.step(RIGHT)[1] == 128.0
            with pytest.raises(TimestepTimeoutError):
                env.step(RIGHT)
            serving.result()
            with pytest.raises(ServerDisconnectError):
                env.reset()
            env.close()


@pytest.mark.parametrize("kind", ["close", "exception"])
@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("reason", ["null", '"because"'])
def test_every_exception(kind, number, reason, tmp_path):
    message = f'{{"type": "{kind}", "content": {{"reason": {reason}, "exception": {number}}}}}\f'
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, message.encode()]):
        env = connect(tmp_path)
        with pytest.raises(GymRemoteError) as caught:
            env.reset()
        assert type(caught.value) is exceptions.BY_ID[number]
        over = isinstance(caught.value, ContestOver)
        assert over == (number in (1, 2))
        if "because" in reason:
            assert str(caught.value) == "because"
        elif over:
            assert str(caught.value).startswith("the contest is over: ")
        else:
            assert str(caught.value) == f"{type(caught.value).__name__} from the server"


def test_the_end_says_what_was_played_and_is_the_regular_one(tmp_path):
    with Serving(FrameEnv(episode_length=4), tmp_path, timestep_limit=1234) as serving:
        env = connect(tmp_path)
        with pytest.raises(ContestOver) as caught:
            done = True
            while True:
                if done:
                    env.reset()
                done = env.step(RIGHT)[2]
        assert str(caught.value) == "the contest is over: 1,234 timesteps played"
        assert type(caught.value) is TimestepTimeoutError
        assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, GymRemoteError)
        assert serving.result().timesteps == 1234


def test_out_of_time_says_what_was_played(tmp_path):
    close = b'{"type": "close", "content": {"reason": null, "exception": 2}}\f'
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, RESET_ANSWER, close]):
        env = connect(tmp_path)
        env.reset()
        with pytest.raises(ContestOver, match="out of time after 1 timesteps"):
            env.step(RIGHT)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_an_action_of_any_dtype(dtype, tmp_path):
    frames = FrameEnv(100)
    with Serving(frames, tmp_path):
        env = connect(tmp_path)
        env.reset()
        assert env.step(RIGHT.astype(dtype))[1] == 128
        env.close()
    assert frames.actions[0].tolist() == RIGHT.tolist()


def test_the_first_names_that_an_agent_needs():
    import gym_remote

    assert gym_remote.RemoteEnv is RemoteEnv and gym_remote.ContestOver is ContestOver
    assert RemoteEnv.buttons == gym_remote.BUTTONS and len(gym_remote.BUTTONS) == 12
    assert RemoteEnv.buttons[np.argmax(RIGHT)] == "RIGHT"
    assert set(gym_remote.__all__) <= set(dir(gym_remote))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        gym_remote.Nothing  # noqa: B018


def test_exceptions_alone_import_neither_numpy_nor_gymnasium():
    code = "import sys, gym_remote.exceptions; print({'numpy', 'gymnasium'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- where it connects ---


def test_without_arguments_the_environment_variable_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRO_CONTEST_SOCKET", str(tmp_path))
    with Serving(FrameEnv(), tmp_path):
        env = RemoteEnv(connect_timeout=20, timeout=20)
        assert env.reset()[0].max() == 0
        env.close()


@pytest.mark.parametrize("value", [None, ""])
def test_without_arguments_and_variable_it_is_tmp_sock(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETRO_CONTEST_SOCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("RETRO_CONTEST_SOCKET", value)
    folder = tmp_path / "tmp" / "sock"
    folder.mkdir(parents=True)
    with Serving(FrameEnv(), folder):
        env = RemoteEnv(connect_timeout=20, timeout=20)
        assert env.reset()[0].max() == 0
        env.close()


def test_an_argument_counts_more_than_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRO_CONTEST_SOCKET", str(tmp_path / "another"))
    with Serving(FrameEnv(), tmp_path):
        connect(tmp_path).close()


def test_it_says_once_that_it_waits(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(shared, "NOTICE_AFTER", 0.1)
    monkeypatch.delenv("RETRO_CONTEST_SOCKET", raising=False)
    with pytest.raises(ServerTimeoutError):
        RemoteEnv(tmp_path, connect_timeout=0.5)
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err == f"gym_remote: waiting up to 0.5 s for a server in {tmp_path}\n"


def test_it_says_where_else_a_server_may_be(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(shared, "NOTICE_AFTER", 0.1)
    monkeypatch.setenv("RETRO_CONTEST_SOCKET", "/run/contest")
    with pytest.raises(ServerTimeoutError):
        RemoteEnv(tmp_path, connect_timeout=0.3)
    assert "(RemoteEnv() without a directory would look in /run/contest)" in capfd.readouterr().err


def test_it_does_not_say_so_at_once(tmp_path, capfd):
    assert shared.NOTICE_AFTER == 5.0
    with pytest.raises(ServerTimeoutError):
        RemoteEnv(tmp_path, connect_timeout=0.2)
    assert capfd.readouterr().err == ""


# --- the end, whenever it comes ---


@pytest.mark.parametrize("moment", ["before the request", "with the last answer"])
def test_the_end_is_found_whenever_it_was_sent(moment, tmp_path):
    close = b'{"type": "close", "content": {"reason": null, "exception": 2}}\f'
    if moment == "before the request":
        script = [GENESIS_DESCRIPTION + close]
    else:
        script = [GENESIS_DESCRIPTION, RESET_ANSWER + close]
    with RawServer(tmp_path, script):
        env = connect(tmp_path)
        if moment == "with the last answer":
            env.reset()
        with pytest.raises(exceptions.WallClockTimeoutError):
            env.step(RIGHT) if moment == "with the last answer" else env.reset()


@pytest.mark.parametrize("end", [b"", b'{"type": "close", "content": {"reason": null}}\f'])
@pytest.mark.parametrize("described", [False, True])
def test_a_server_that_goes(end, described, tmp_path):
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, end] if described else [end]):
        with pytest.raises(ServerDisconnectError) as caught:
            connect(tmp_path).reset()
        assert isinstance(caught.value, BrokenPipeError)


def test_two_answers_to_one_request_are_noticed(tmp_path):
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, RESET_ANSWER + RESET_ANSWER], hang=True):
        env = connect(tmp_path)
        env.reset()
        with pytest.raises(ProtocolError):
            env.step(RIGHT)


# --- time ---


@pytest.mark.parametrize("described", [False, True])
def test_a_server_that_falls_silent(described, tmp_path):
    script = [GENESIS_DESCRIPTION, b""] if described else [b""]
    with RawServer(tmp_path, script, hang=True):
        start = time.monotonic()
        with pytest.raises(ServerTimeoutError) as caught:
            RemoteEnv(tmp_path, connect_timeout=0.2, timeout=0.2).reset()
        assert 0.2 <= time.monotonic() - start < 5
        assert isinstance(caught.value, TimeoutError)
        assert not isinstance(caught.value, TimestepTimeoutError)


@pytest.mark.parametrize("missing", ["directory", "socket", "listener"])
def test_no_server(missing, tmp_path):
    if missing == "listener":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "sock"))
    directory = tmp_path / "missing" if missing == "directory" else tmp_path
    start = time.monotonic()
    with pytest.raises(ServerTimeoutError, match="no server at"):
        RemoteEnv(directory, connect_timeout=0.2)
    assert 0.2 <= time.monotonic() - start < 5


def test_a_full_queue_is_not_waited_for_without_end(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(tmp_path / "sock"))
            with pytest.raises(ServerTimeoutError):
                RemoteEnv(tmp_path, connect_timeout=0.2)


@pytest.mark.parametrize("missing", ["directory", "socket", "listener"])
def test_a_late_server_is_found_quickly(missing, tmp_path):
    if missing == "listener":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "sock"))
    directory = tmp_path / "late" if missing == "directory" else tmp_path
    started = []

    def start():
        directory.mkdir(exist_ok=True)
        started.append((time.monotonic(), Serving(FrameEnv(), directory)))

    timer = threading.Timer(0.1, start)
    timer.start()
    env = connect(directory)
    connected = time.monotonic()
    timer.join()
    with started[0][1]:
        assert connected - started[0][0] < 2
        assert env.reset()[0].max() == 0
        env.close()


def test_not_a_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        RemoteEnv(tmp_path / "file", connect_timeout=20)


# --- hostility ---


def described(**changes) -> bytes:
    message = json.loads(GENESIS_DESCRIPTION[:-1])
    message["content"].update(changes)
    content = {name: entry for name, entry in message["content"].items() if entry != "missing"}
    return json.dumps({"type": "description", "content": content}).encode() + b"\f"


HOSTILE = {
    "path": described(**{"../x": ["np", '(4,), dtype("|u1")', {}]}),
    "socket as file": described(sock=["np", '(4,), dtype("|u1")', {}]),
    "code": described(ob=["np", "__import__('os').mkdir('pwned'),", {"type": "Box"}]),
    "pickle": described(ob=["np", '(4,), dtype("O")', {"type": "Box"}]),
    "huge": described(ob=["np", '(999999, 999999), dtype("|u1")', {"type": "Box"}]),
    "no ob": described(ob="missing"),
    "no reward": described(reward="missing"),
    "reward is int": described(reward=["int", None, {}]),
    "done is np": described(done=["np", '(4,), dtype("|u1")', {}]),
    "no type": described(ac=["int", None, {}]),
    "unknown space": described(ac=["int", None, {"type": "Text", "n": "3"}]),
    "mismatch": described(ac=["int", None, {"type": "Box", "n": "3"}]),
    "no n": described(ac=["int", None, {"type": "Discrete"}]),
    "zero n": described(ac=["int", None, {"type": "Discrete", "n": "0"}]),
    "nan bounds": described(
        ob=["np", '(4,), dtype("<f4")', {"type": "Box", "low": "NaN", "high": "NaN"}]
    ),
    "annotations": described(ac=["int", None, {"type": "Discrete", "n": 3}]),
    "other file": described(ob=["np", '(4,), dtype("|u1")', {"type": "Box"}]),
    "ac without file": described(ac=["np", '(80,), dtype("|u1")', {"type": "MultiBinary"}]),
    "not a description": RESET_ANSWER,
    "bytes": b"\x00\xff" * 50 + b"\f",
    "endless": b"x" * (1 << 21),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description(name, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"1234")
    with RawServer(shared, [HOSTILE[name]]):
        with pytest.raises(ProtocolError) as caught:
            connect(shared)
        assert len(str(caught.value)) < 1000
    assert names_in(tmp_path) == {"shared", "x"} and (tmp_path / "x").read_bytes() == b"1234"
    assert names_in(shared) == {"ob", "sock"}
    assert (shared / "ob").read_bytes() == b"\7" * FRAME_BYTES


@pytest.mark.parametrize("link", ["symlink", "hardlink"])
def test_a_linked_channel_file(link, tmp_path):
    shared, secret = tmp_path / "shared", tmp_path / "secret"
    shared.mkdir()
    secret.write_bytes(b"s" * FRAME_BYTES)
    (shared / "ob").symlink_to(secret) if link == "symlink" else os.link(secret, shared / "ob")
    with (
        RawServer(shared, [GENESIS_DESCRIPTION], files=()),
        pytest.raises(ProtocolError, match="ob"),
    ):
        connect(shared)
    assert secret.read_bytes() == b"s" * FRAME_BYTES


def answer(**content) -> bytes:
    content = {"ob": True, "reward": 0.0, "done": False} | content
    content = {name: value for name, value in content.items() if value != "missing"}
    return json.dumps({"type": "update", "content": content}).encode() + b"\f"


@pytest.mark.parametrize(
    "reply",
    [
        answer(ob="missing"),
        answer(reward="missing"),
        answer(done="missing"),
        answer(ob=False),
        answer(ob=1),
        answer(reward="1"),
        answer(reward=True),
        answer(reward=None),
        answer(reward=float("nan")),
        answer(reward=float("inf")),
        answer(reward=10**400),
        answer(done=0),
        answer(done=None),
        GENESIS_DESCRIPTION,
        b'{"type": "exception", "content": {"reason": null, "exception": 77}}\f',
        b'{"type": "exception", "content": {"reason": null}}\f',
        b'{"type": "close", "content": {"reason": 7, "exception": 1}}\f',
        b"\f",
        b"nonsense\f",
    ],
)
def test_a_hostile_answer(reply, tmp_path):
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, reply], hang=True):
        env = connect(tmp_path)
        with pytest.raises(ProtocolError):
            env.reset()
        with pytest.raises(ServerDisconnectError):  # it has not gone on out of step
            env.reset()


def test_a_frame_truncated_under_the_client(tmp_path):
    with RawServer(tmp_path, [GENESIS_DESCRIPTION, RESET_ANSWER]):
        env = connect(tmp_path)
        os.truncate(tmp_path / "ob", 100)
        with pytest.raises(ProtocolError, match="truncated"):
            env.reset()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["update", "close", "exception", "description"]) | st.text(),
        "content": st.dictionaries(
            st.sampled_from(["ob", "reward", "done", "reason", "exception", "ac"]), json_values
        )
        | json_values,
    }
)
some_bytes = st.one_of(
    st.binary(max_size=200),
    (messages | json_values).map(lambda value: json.dumps(value).encode() + b"\f"),
    st.sampled_from([RESET_ANSWER, DONE, GENESIS_DESCRIPTION, b"\f"]),
)


@given(st.booleans(), some_bytes, some_bytes)
@settings(deadline=None, max_examples=80)
def test_any_bytes_raise_a_clear_error_or_are_an_answer(
    tmp_path_factory, well_described, first, second
):
    directory = tmp_path_factory.mktemp("any")
    script = [GENESIS_DESCRIPTION, first, second] if well_described else [first, second]
    with RawServer(directory, script):
        env = None
        try:
            env = RemoteEnv(directory, connect_timeout=0.1, timeout=0.1)
            observation, _ = env.reset()
            assert observation.shape == FRAME_SHAPE
            observation, reward, done, _, _ = env.step(RIGHT)
            assert type(reward) is float and type(done) is bool
        except GymRemoteError as error:
            assert len(str(error)) < 1000
        finally:
            if env:
                env.close()
    assert names_in(directory) == {"ob", "sock"}
