"""Our server, spoken to by raw sockets: exact bytes, limits, refusals, clean-up, stop."""

import contextlib
import json
import os
import signal
import socket
import stat
import threading
import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_peers import (
    FRAME_BYTES,
    GENESIS_DESCRIPTION,
    RESET,
    RESET_ANSWER,
    STEP_RIGHT,
    FrameEnv,
    RawClient,
    Serving,
    names_in,
    wait_for,
)

from gym_remote.exceptions import SocketInUseError
from gym_remote.server import Reason, Server, serve

REFUSED = b'{"type": "exception", "content": {"reason": null, "exception": 5}}\f'


def closed_by(number: int) -> bytes:
    return b'{"type": "close", "content": {"reason": null, "exception": %d}}\f' % number


def test_a_whole_contest_byte_for_byte(tmp_path):
    env = FrameEnv(episode_length=2)
    with Serving(env, tmp_path, timestep_limit=5) as serving:
        assert names_in(tmp_path) == {"ob", "sock"}
        assert (tmp_path / "ob").read_bytes() == bytes(FRAME_BYTES)
        assert stat.S_ISSOCK((tmp_path / "sock").stat().st_mode)
        with RawClient(tmp_path) as client:
            assert client.read() == GENESIS_DESCRIPTION
            assert client.ask(RESET) == RESET_ANSWER
            assert (tmp_path / "ob").read_bytes() == bytes([0]) * FRAME_BYTES
            assert client.ask(STEP_RIGHT) == (
                b'{"type": "update", "content": '
                b'{"ob": true, "reward": 128.0, "done": false, "reset": false}}\f'
            )
            assert (tmp_path / "ob").read_bytes() == bytes([1]) * FRAME_BYTES
            assert client.ask(b'{"type":"update","content":{"ac":64,"reset":false}}\f') == (
                b'{"type": "update", "content": '
                b'{"ob": true, "reward": 64.0, "done": true, "reset": false}}\f'
            )
            # A reset that carries the last action, as a client of 2018 sends it.
            stale = b'{"type": "update", "content": {"ac": 64, "reset": true}}\f'
            assert client.ask(stale) == RESET_ANSWER
            client.ask(STEP_RIGHT)
            assert client.read() == closed_by(1)
            assert client.read() == b""
        served = serving.result()
    assert (served.timesteps, served.reason, served.detail) == (5, Reason.TIMESTEP_LIMIT, "")
    assert 0 < served.seconds < 20
    assert names_in(tmp_path) == set()
    assert [np.flatnonzero(action).tolist() for action in env.actions] == [[7], [6], [7]]
    assert env.resets == 2


def test_refused_requests_get_one_answer_and_do_not_count(tmp_path):
    env = FrameEnv(episode_length=1)
    with Serving(env, tmp_path, timestep_limit=3) as serving, RawClient(tmp_path) as client:
        client.read()
        assert client.ask(STEP_RIGHT) == REFUSED
        assert client.ask(RESET) == RESET_ANSWER
        assert [client.ask(RESET) for _ in range(5)] == [REFUSED] * 5
        assert b'"done": true' in client.ask(STEP_RIGHT)
        assert [client.ask(STEP_RIGHT) for _ in range(5)] == [REFUSED] * 5
        assert client.ask(RESET) == RESET_ANSWER
        assert client.read() == closed_by(1)
        assert serving.result().timesteps == 3
    assert env.resets == 2 and len(env.actions) == 1


def test_early_resets_may_be_allowed(tmp_path):
    env = FrameEnv()
    with (
        Serving(env, tmp_path, timestep_limit=3, allow_early_reset=True) as serving,
        RawClient(tmp_path) as client,
    ):
        client.read()
        assert client.ask(STEP_RIGHT) == REFUSED
        assert [client.ask(RESET) for _ in range(3)] == [RESET_ANSWER] * 3
        assert serving.result().timesteps == 3


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_timestep_limit_counts_resets_and_steps(limit, tmp_path):
    with Serving(FrameEnv(100), tmp_path, timestep_limit=limit) as serving:
        with RawClient(tmp_path) as client:
            client.read()
            answers = [client.ask(RESET)] + [client.ask(STEP_RIGHT) for _ in range(limit - 1)]
            assert all(b'"update"' in answer for answer in answers)
            assert client.read() == closed_by(1)
        assert serving.result().timesteps == limit


def test_wallclock_limit_fires_while_the_client_sleeps(tmp_path):
    with (
        Serving(FrameEnv(), tmp_path, wallclock_limit=0.3) as serving,
        RawClient(tmp_path) as client,
    ):
        client.read()
        client.ask(RESET)
        start = time.monotonic()
        assert client.read() == closed_by(2)
        assert time.monotonic() - start < 5
        served = serving.result()
    assert (served.timesteps, served.reason) == (1, Reason.WALLCLOCK_LIMIT)
    assert 0.3 <= served.seconds < 5


def test_wallclock_limit_fires_while_the_client_is_busy(tmp_path):
    with (
        Serving(FrameEnv(10**9), tmp_path, wallclock_limit=0.3) as serving,
        RawClient(tmp_path) as client,
    ):
        client.read()
        client.ask(RESET)
        answer = b"update"
        while b"update" in answer:
            try:
                answer = client.ask(STEP_RIGHT)
            except BrokenPipeError:  # closed just now: what the server said before is still there
                answer = client.read()
        assert answer == closed_by(2)
        assert serving.result().reason == Reason.WALLCLOCK_LIMIT


def test_request_timeout(tmp_path):
    with (
        Serving(FrameEnv(), tmp_path, request_timeout=0.1, wallclock_limit=60) as serving,
        RawClient(tmp_path) as client,
    ):
        client.read()
        assert b'"exception": 0' in client.read()
        assert serving.result().reason == Reason.NO_REQUEST


@pytest.mark.parametrize("limits", [{"connect_timeout": 0.1}, {"wallclock_limit": 0.1}])
def test_a_client_that_never_connects(limits, tmp_path):
    served = serve(FrameEnv(), tmp_path, **limits)
    assert (served.timesteps, served.reason) == (0, Reason.NO_CLIENT)
    assert 0.1 <= served.seconds < 5
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("limit", ["timestep_limit", "wallclock_limit", "connect_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_impossible_limits(limit, value, tmp_path):
    with pytest.raises(ValueError, match="positive"):
        serve(FrameEnv(), tmp_path, **{limit: value})
    assert names_in(tmp_path) == set()


def test_client_says_goodbye(tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving, RawClient(tmp_path) as client:
        client.read()
        client.ask(RESET)
        goodbye = b'{"type": "close", "content": {"reason": null}}\f'
        assert client.ask(goodbye) == closed_by(3)
        served = serving.result()
    assert (served.timesteps, served.reason) == (1, Reason.CLIENT_CLOSED)
    assert names_in(tmp_path) == set()


def test_client_says_goodbye_while_it_is_answered(tmp_path):
    """It was told to stop in the middle of a request: nobody is there for the answer."""
    gone = threading.Event()

    class SlowEnv(FrameEnv):
        def step(self, action):
            assert gone.wait(20)
            return super().step(action)

    with Serving(SlowEnv(), tmp_path) as serving:
        with RawClient(tmp_path) as client:
            client.read()
            client.ask(RESET)
            client.sock.sendall(STEP_RIGHT)
            client.sock.sendall(b'{"type": "close", "content": {"reason": null}}\f')
        gone.set()
        served = serving.result()
    assert (served.timesteps, served.reason) == (1, Reason.CLIENT_CLOSED)
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("requests", [0, 1, 3])
def test_client_dies_without_a_word(requests, tmp_path):
    with Serving(FrameEnv(100), tmp_path) as serving:
        with RawClient(tmp_path) as client:
            client.read()
            for request in [RESET, STEP_RIGHT, STEP_RIGHT][:requests]:
                client.ask(request)
        served = serving.result()
    assert (served.timesteps, served.reason) == (requests, Reason.CLIENT_DIED)
    assert names_in(tmp_path) == set()


def test_client_dies_before_it_reads(tmp_path):
    with Serving(FrameEnv(100), tmp_path) as serving:
        with RawClient(tmp_path) as client:
            client.sock.sendall(RESET + STEP_RIGHT)
        assert serving.result().reason == Reason.CLIENT_DIED
    assert names_in(tmp_path) == set()


NONSENSE = [
    b"\f",
    b"GET / HTTP/1.1\r\n\r\n\f",
    b"\x80\x04\x95\f",
    b"null\f",
    b"[" * 5000 + b"\f",
    b'{"type": "update", "content": null}\f',
    b'{"type": "update", "content": {}}\f',
    b'{"type": "update", "content": {"reset": false}}\f',
    b'{"type": "update", "content": {"reset": 1}}\f',
    b'{"type": "update", "content": {"ac": null}}\f',
    b'{"type": "update", "content": {"ac": "128"}}\f',
    b'{"type": "update", "content": {"ac": 1.5}}\f',
    b'{"type": "update", "content": {"ac": true}}\f',
    b'{"type": "update", "content": {"ac": [1, 0]}}\f',
    b'{"type": "update", "content": {"ac": 99999999999999999999}}\f',
    b'{"type": "update", "content": {"ac": 1, "reward": 1000}}\f',
    b'{"type": "update", "content": {"../x": true}}\f',
    b'{"type": "description", "content": {}}\f',
    b'{"type": "exception", "content": {"reason": null, "exception": 5}}\f',
    b'{"type": "__class__", "content": {}}\f',
]


@pytest.mark.parametrize("request_bytes", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_ends_the_contest_with_a_clear_verdict(request_bytes, tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving, RawClient(tmp_path) as client:
        client.read()
        client.ask(RESET)
        kind, content = json.loads(client.ask(request_bytes)[:-1]).values()
        assert kind == "close" and content["exception"] == 0
        assert content["reason"].startswith("protocol error: ")
        served = serving.result()
    assert (served.timesteps, served.reason) == (1, Reason.PROTOCOL_ERROR)
    assert served.detail and served.detail.isprintable() and len(served.detail) < 400
    assert names_in(tmp_path) == set()


def test_a_client_that_floods_and_never_reads(tmp_path):
    with Serving(FrameEnv(10**9), tmp_path) as serving, RawClient(tmp_path) as client:
        with contextlib.suppress(OSError):
            client.sock.sendall(RESET + STEP_RIGHT * 100_000)
        assert serving.result().reason == Reason.PROTOCOL_ERROR


def test_a_message_without_end(tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving, RawClient(tmp_path) as client:
        with contextlib.suppress(OSError):
            client.sock.sendall(b"x" * (1 << 22))
        assert serving.result().reason == Reason.PROTOCOL_ERROR


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
requests = (
    st.fixed_dictionaries(
        {"type": st.sampled_from(["update", "close", "description", "exception"])},
        optional={
            "content": st.dictionaries(st.sampled_from(["ac", "reset", "ob"]), json_values)
            | json_values
        },
    )
    | json_values
)
some_bytes = st.one_of(
    st.binary(max_size=200),
    requests.map(lambda request: json.dumps(request).encode() + b"\f"),
    st.sampled_from([RESET, STEP_RIGHT, b"\f"]),
)


@given(st.lists(some_bytes, max_size=8))
@settings(deadline=None, max_examples=80)
def test_any_bytes_end_with_a_verdict_and_an_empty_directory(tmp_path_factory, packets):
    directory = tmp_path_factory.mktemp("any")
    with Serving(FrameEnv(), directory) as serving:
        with RawClient(directory) as client:
            client.read()
            with contextlib.suppress(BrokenPipeError):
                client.sock.sendall(b"".join(packets))
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
            while client.read():
                pass
        reason = serving.result().reason
    assert reason in (Reason.CLIENT_DIED, Reason.CLIENT_CLOSED, Reason.PROTOCOL_ERROR)
    assert names_in(directory) == set()


def test_a_second_client_is_turned_away(tmp_path):
    with Serving(FrameEnv(), tmp_path), RawClient(tmp_path) as client:
        client.read()
        with pytest.raises(ConnectionRefusedError):
            RawClient(tmp_path)
        assert client.ask(RESET) == RESET_ANSWER


# --- spaces ---


def test_actions_outside_the_space_are_a_protocol_error(tmp_path):
    env = FrameEnv(action_space=spaces.Discrete(3))
    with Serving(env, tmp_path) as serving, RawClient(tmp_path) as client:
        description = json.loads(client.read()[:-1])["content"]
        assert description["ac"] == ["int", None, {"n": "3", "type": "Discrete"}]
        client.ask(RESET)
        assert b"update" in client.ask(b'{"type": "update", "content": {"ac": 2}}\f')
        assert b"not an action: 3" in client.ask(b'{"type": "update", "content": {"ac": 3}}\f')
        assert serving.result().reason == Reason.PROTOCOL_ERROR
    assert env.actions == [2]


def test_an_array_action_comes_from_a_file(tmp_path):
    env = FrameEnv(action_space=spaces.MultiDiscrete([3, 4]))
    with Serving(env, tmp_path) as serving, RawClient(tmp_path) as client:
        client.read()
        client.ask(RESET)
        assert names_in(tmp_path) == {"ac", "ob", "sock"}
        (tmp_path / "ac").write_bytes(np.array([2, 3], np.int64).tobytes())
        assert b"update" in client.ask(b'{"type": "update", "content": {"ac": true}}\f')
        (tmp_path / "ac").write_bytes(b"")
        assert b"truncated" in client.ask(b'{"type": "update", "content": {"ac": true}}\f')
        assert serving.result().reason == Reason.PROTOCOL_ERROR
    assert [action.tolist() for action in env.actions] == [[2, 3]]
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "Pendulum-v1"])
def test_serves_gymnasium_environments(name, tmp_path):
    from gym_remote.client import RemoteEnv

    with gymnasium.make(name) as env, Serving(env, tmp_path, timestep_limit=60):
        remote = RemoteEnv(tmp_path)
        assert remote.observation_space == env.observation_space
        assert remote.action_space == env.action_space
        remote.action_space.seed(0)
        done = True
        for _ in range(60):
            if done:
                observation, _ = remote.reset()
                done = False
            else:
                observation, reward, done, truncated, info = remote.step(
                    remote.action_space.sample()
                )
                assert isinstance(reward, float) and not truncated and info == {}
            assert remote.observation_space.contains(observation)
        remote.close()


# --- an environment that fails ---


@pytest.mark.parametrize(
    "failure", [ZeroDivisionError, BrokenPipeError, TimeoutError, "nan", "shape"]
)
def test_a_failing_environment_is_reported_to_both_sides(failure, tmp_path):
    class Failing(FrameEnv):
        def step(self, action):
            if not isinstance(failure, str):
                raise failure("the emulator is on fire")
            frame = self._frame()[:5] if failure == "shape" else self._frame()
            return frame, float("nan"), False, False, {}

    with Serving(Failing(), tmp_path) as serving, RawClient(tmp_path) as client:
        client.read()
        client.ask(RESET)
        assert b"the environment failed" in client.ask(STEP_RIGHT)
        with pytest.raises(ValueError if isinstance(failure, str) else failure):
            serving.result()
    assert names_in(tmp_path) == set()


# --- stop and clean up ---


@pytest.mark.parametrize("connected", [False, True])
def test_stop_from_another_thread(connected, tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving:
        client = RawClient(tmp_path) if connected else None
        if client:
            client.read()
            client.ask(RESET)
        threading.Timer(0.1, serving.server.stop).start()
        if client:
            assert client.read() == closed_by(4)
            client.sock.close()
        served = serving.result()
    assert (served.timesteps, served.reason) == (int(connected), Reason.STOPPED)
    assert names_in(tmp_path) == set()


def test_stop_before_serve(tmp_path):
    with Server(FrameEnv(), tmp_path) as server:
        server.stop()
        assert server.serve().reason == Reason.STOPPED
        with pytest.raises(RuntimeError, match="only once"):
            server.serve()
    server.stop()
    server.close()
    assert names_in(tmp_path) == set()


def test_stop_from_a_signal_handler(tmp_path):
    with Server(FrameEnv(), tmp_path) as server:
        previous = signal.signal(signal.SIGTERM, lambda *_: server.stop())
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            assert server.serve().reason == Reason.STOPPED
        finally:
            signal.signal(signal.SIGTERM, previous)
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("connected", [False, True])
def test_keyboard_interrupt_cleans_up(connected, tmp_path):
    def interrupt():
        if connected:
            client = RawClient(tmp_path)
            client.read()
            said.append(client.ask(RESET))
        os.kill(os.getpid(), signal.SIGINT)
        if connected:
            said.append(client.read())

    said = []
    with Server(FrameEnv(), tmp_path) as server:
        thread = threading.Timer(0.1, interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            server.serve()
    thread.join()
    assert names_in(tmp_path) == set()
    assert said == ([RESET_ANSWER, closed_by(4)] if connected else [])


# --- the directory ---


def test_a_missing_directory_is_not_created(tmp_path):
    with pytest.raises(FileNotFoundError):
        Server(FrameEnv(), tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        Server(FrameEnv(), tmp_path / "file")
    assert names_in(tmp_path) == {"file"}


def test_a_live_server_keeps_its_socket(tmp_path):
    with Serving(FrameEnv(), tmp_path) as serving:
        for _ in range(3):
            with pytest.raises(SocketInUseError, match="socket in use") as caught:
                Server(FrameEnv(), tmp_path)
            assert isinstance(caught.value, OSError) and "\n" not in str(caught.value)
        assert names_in(tmp_path) == {"ob", "sock"}
        with RawClient(tmp_path) as client:  # the one place is still free
            assert client.read() == GENESIS_DESCRIPTION
            with pytest.raises(SocketInUseError):
                Server(FrameEnv(), tmp_path)
            assert client.ask(RESET) == RESET_ANSWER
        serving.result()
    Server(FrameEnv(), tmp_path).close()


def test_a_live_server_of_2018_keeps_its_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(1)
        for _ in range(4):  # also when its queue is full
            with pytest.raises(SocketInUseError):
                Server(FrameEnv(), tmp_path)
        assert names_in(tmp_path) == {"sock"}


def test_the_leftovers_of_a_killed_server_are_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
    (tmp_path / "ob").write_bytes(b"old")
    with Serving(FrameEnv(), tmp_path), RawClient(tmp_path) as client:
        assert client.read() == GENESIS_DESCRIPTION
        assert (tmp_path / "ob").stat().st_size == FRAME_BYTES
    wait_for(lambda: names_in(tmp_path) == set())


def test_a_file_called_sock_is_not_removed(tmp_path):
    (tmp_path / "sock").write_text("mine")
    with pytest.raises(FileExistsError, match="no socket"):
        Server(FrameEnv(), tmp_path)
    assert (tmp_path / "sock").read_text() == "mine"
    assert names_in(tmp_path) == {"sock"}


def test_a_very_long_path(tmp_path):
    from gym_remote.client import RemoteEnv

    directory = tmp_path / ("d" * 120) / ("e" * 120)
    directory.mkdir(parents=True)
    with Serving(FrameEnv(), directory) as serving:
        env = RemoteEnv(directory)
        env.reset()
        env.close()
        assert serving.result().reason == Reason.CLIENT_CLOSED
    assert names_in(directory) == set()


def test_an_unserveable_environment_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="cannot be served"):
        Server(FrameEnv(action_space=spaces.Text(3)), tmp_path)
    assert names_in(tmp_path) == set()
