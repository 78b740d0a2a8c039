"""Bytes on the socket: encoding, decoding, deadlines."""

import json
import math
import socket
import threading
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_remote import exceptions, messages
from gym_remote.exceptions import BY_ID, GymRemoteError, ProtocolError
from gym_remote.messages import Connection, PeerGone, decode, encode, error_in

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


def soon() -> float:
    return time.monotonic() + 10


def test_the_exceptions_are_those_of_2018():
    bases = {
        0: ("GymRemoteError", RuntimeError),
        1: ("TimestepTimeoutError", TimeoutError),
        2: ("WallClockTimeoutError", TimeoutError),
        3: ("ClientDisconnectError", BrokenPipeError),
        4: ("ServerDisconnectError", BrokenPipeError),
        5: ("ResetError", GymRemoteError),
    }
    assert {number: cls.__name__ for number, cls in BY_ID.items()} == {
        number: name for number, (name, _) in bases.items()
    }
    for number, (name, base) in bases.items():
        cls = getattr(exceptions, name)
        assert number == cls.ID and issubclass(cls, base) and issubclass(cls, GymRemoteError)
        assert str(cls("why")) == "why"


def test_exact_bytes():
    assert encode("update", {"reset": True}) == messages.RESET_REQUEST
    assert (
        messages.encode_farewell("close", exceptions.TimestepTimeoutError)
        == b'{"type": "close", "content": {"reason": null, "exception": 1}}\f'
    )
    assert encode("close", {"reason": None}) == b'{"type": "close", "content": {"reason": null}}\f'


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.integers())
def test_the_fast_encoders_write_what_json_writes(reward, done, number):
    answer = {"ob": True, "reward": reward, "done": done, "reset": False}
    assert messages.encode_answer("true", reward, done) == encode("update", answer)
    assert messages.encode_step(str(number)) == encode("update", {"ac": number})


@given(st.text(), st.dictionaries(st.text(), json_values, max_size=4))
@settings(deadline=None)
def test_decode_reads_what_encode_writes(kind, content):
    data = encode(kind, content)
    assert data.count(b"\f") == 1 and data.endswith(b"\f")
    decoded_kind, decoded = decode(data[:-1])
    assert decoded_kind == kind and repr(decoded) == repr(content)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_decode_takes_a_message_or_raises_protocol_error(data):
    try:
        kind, content = decode(data)
    except ProtocolError as error:
        assert len(str(error)) < 400 and str(error).isprintable()
    else:
        assert isinstance(kind, str) and isinstance(content, dict)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'{"type": "update"}',
        b'{"type": 1, "content": {}}',
        b'{"type": "update", "content": []}',
        b'{"type": "update", "content": {}, "more": 1}',
        b'{"type": "update", "content": {}} x',
        '{"type": "update", "content": {}}'.encode("utf-16"),
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type": "update", "content": {"ac": ' + b"9" * 5000 + b"}}",
    ],
)
def test_decode_refuses(data):
    with pytest.raises(ProtocolError):
        decode(data)


@given(st.sampled_from(["close", "exception"]), st.dictionaries(st.text(), json_values))
@settings(deadline=None)
def test_error_in_any_content(kind, content):
    try:
        error = error_in(kind, content)
    except ProtocolError:
        return
    assert isinstance(error, GymRemoteError) and str(error)


@pytest.mark.parametrize("number", [True, 1.0, "1", -1, 6, None, 10**30])
def test_error_in_refuses_numbers_that_are_none(number):
    with pytest.raises(ProtocolError):
        error_in("exception", {"reason": None, "exception": number})


@given(st.integers(), st.floats())
def test_numbers(integer, real):
    assert messages.is_integer(integer) == (-(2**63) <= integer <= 2**63 - 1)
    assert not messages.is_integer(True) and not messages.is_finite(True)
    assert messages.is_finite(real) == math.isfinite(real)


def test_messages_arrive_whole_however_they_are_cut(pair):
    connection, theirs = pair
    sent = [("update", {"ac": i, "text": "x" * i}) for i in range(40)]
    data = b"".join(encode(*message) for message in sent)

    def trickle():
        for start in range(0, len(data), 7):
            theirs.sendall(data[start : start + 7])

    thread = threading.Thread(target=trickle)
    thread.start()
    assert [connection.receive(soon()) for _ in sent] == sent
    assert not connection.buffered
    thread.join()


def test_two_messages_in_one_packet_are_two_messages(pair):
    connection, theirs = pair
    theirs.sendall(encode("a", {}) + encode("b", {}) + b'{"ty')
    assert connection.receive(soon()) == ("a", {})
    assert connection.buffered
    assert connection.receive(soon()) == ("b", {})
    theirs.sendall(encode("c", {})[4:])
    assert connection.receive(soon()) == ("c", {})


def test_deadline_holds_against_a_trickle(pair):
    connection, theirs = pair
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.01):
            theirs.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.receive(start + 0.2)
    assert 0.2 <= time.monotonic() - start < 5
    stop.set()
    thread.join()


def test_a_message_without_end_is_refused(pair):
    connection, theirs = pair

    def flood():
        try:
            while True:
                theirs.sendall(b"x" * 65536)
        except OSError:
            pass

    thread = threading.Thread(target=flood)
    thread.start()
    with pytest.raises(ProtocolError, match="more than"):
        connection.receive(soon())
    connection.close()
    thread.join()


def test_the_longest_message_passes(pair):
    connection, theirs = pair
    content = {"text": "x" * (messages.MAX_BYTES - 100)}
    thread = threading.Thread(target=theirs.sendall, args=(encode("long", content),))
    thread.start()
    assert connection.receive(soon()) == ("long", content)
    thread.join()


def test_a_side_that_does_not_read_is_not_waited_for(pair):
    connection, _ = pair
    start = time.monotonic()
    with pytest.raises(ProtocolError, match="does not read"):
        while True:
            connection.send(messages.RESET_REQUEST)
    assert time.monotonic() - start < 5


def test_a_side_that_is_gone(pair):
    connection, theirs = pair
    connection.send(encode("never read", {}))
    theirs.close()
    with pytest.raises(PeerGone):
        connection.receive(soon())
    with pytest.raises(PeerGone):
        connection.send(encode("a", {}))
    connection.close(encode("b", {}))
    with pytest.raises(PeerGone):
        connection.send(encode("c", {}))


def test_stop_receiving_wakes_a_waiting_thread(pair):
    connection, theirs = pair
    threading.Timer(0.1, connection.stop_receiving).start()
    with pytest.raises(PeerGone):
        connection.receive(math.inf)
    connection.send(encode("a", {}))  # a farewell is still possible
    assert theirs.recv(4096) == encode("a", {})


# --- the fast paths read and write the same as the general ones ---

usual_rewards = st.floats(allow_nan=False, allow_infinity=False).map(repr)
odd_rewards = st.sampled_from(
    [
        *("-0", "-0.0", "0", "1", "01.0", "1.", ".5", "+1.0", "1_0.0", " 1.0", "1.0 ", "1e5"),
        *("1.5e300", "1e999", "NaN", "Infinity", "-Infinity", "nan", "true", "null", '"1.0"'),
        *("9" * 30 + ".0", "٣.0", "0x1.0", '1.0, "more": 1', '1.0, "reward": 2.0'),
    ]
)
true_or_false = st.sampled_from(["true", "false", "True", "1", "null"])


def read_answer_with_json(data: bytes) -> tuple[float, bool] | None:
    """(reward, done) as `decode` reads them; None for no answer whose observation is true."""
    try:
        kind, content = decode(data)
    except ProtocolError:
        return None
    reward, done = content.get("reward"), content.get("done")
    if kind != "update" or content.get("ob") is not True or type(done) is not bool:
        return None
    return (float(reward), done) if messages.is_finite(reward) else None


@given(
    usual_rewards | odd_rewards, true_or_false, true_or_false, st.sampled_from(["false", "true"])
)
@settings(deadline=None)
def test_the_fast_reader_of_answers_reads_what_json_reads(reward, done, observation, reset):
    data = (
        f'{{"type": "update", "content": {{"ob": {observation}, "reward": {reward}, '
        f'"done": {done}, "reset": {reset}}}}}'
    ).encode()
    fast = messages.decode_usual_answer(data)
    if fast is not None:
        assert repr(fast) == repr(read_answer_with_json(data))


@given(st.floats(-1e14, 1e14).filter(lambda x: "e" not in repr(x)), st.booleans())
def test_the_fast_reader_reads_the_usual_answers(reward, done):
    data = messages.encode_answer("true", reward, done)[:-1]
    assert repr(messages.decode_usual_answer(data)) == repr((reward, done))


@given(st.binary(max_size=150), st.integers(0, 90), st.floats(-1e6, 1e6), st.booleans())
@settings(deadline=None)
def test_a_damaged_answer_is_for_the_general_reader(inserted, position, reward, done):
    data = messages.encode_answer("true", reward, done)[:-1]
    damaged = data[:position] + inserted + data[position:]
    fast = messages.decode_usual_answer(damaged)
    if fast is not None:
        assert repr(fast) == repr(read_answer_with_json(damaged))


def request_of(data: bytes) -> object:
    try:
        return messages.decode_request(data)
    except ProtocolError as error:
        return str(error)


@given(
    st.fixed_dictionaries({}, optional={"ac": json_values, "reset": json_values, "ob": st.none()}),
    st.sampled_from(["update", "close", "exception"]),
)
@settings(deadline=None)
def test_a_remembered_request_means_what_a_new_one_does(content, kind):
    data = encode(kind, content)[:-1]
    long = data[:-1] + b" " * messages.SHORT + data[-1:]  # the same, too long to be remembered
    first, second = request_of(data), request_of(data)
    assert repr(first) == repr(second)
    if not isinstance(first, str):
        assert repr(request_of(long)) == repr(first)
    elif isinstance(request_of(long), str):
        assert request_of(long)[:10] == first[:10]
    else:
        pytest.fail("the same request is refused only when it is short")


def test_long_messages_are_not_remembered():
    """Some thousand of a megabyte each would fill the memory."""
    message = b'{"type": "update", "content": {"ac": 128}' + b" " * 1_000_000 + b"}"
    assert messages.decode_request(message) == messages.Request(False, 128)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(20):
        padded = b'{"type": "update", "content": {"ac": %d}' % i + b" " * 1_000_000 + b"}"
        assert messages.decode_request(padded).action == i
        assert messages.decode_usual_answer(padded) is None
    del padded
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < 1_000_000
