"""Channels and spaces: what is described, what is accepted, and which files are touched."""

import json
import os

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_remote.channels import IntChannel, IntFoldChannel, NpChannel, parse_description
from gym_remote.exceptions import ProtocolError
from gym_remote.spaces import channel_for, space_for

SPACES = [
    spaces.MultiBinary(1),
    spaces.MultiBinary(12),
    spaces.MultiBinary(63),
    spaces.MultiBinary(64),
    spaces.MultiBinary(100),
    spaces.MultiBinary([3, 4]),
    spaces.Discrete(5),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([3, 4, 7]),
    spaces.MultiDiscrete([[3, 4], [5, 6]], start=[[1, 2], [3, 4]]),
    spaces.Box(0, 255, (224, 320, 3), np.uint8),
    spaces.Box(0, 255, (64, 64, 3), np.float32),
    spaces.Box(-np.inf, np.inf, (4,), np.float32),
    spaces.Box(np.array([-4.8, -np.inf]), np.array([4.8, np.inf]), dtype=np.float64),
    spaces.Box(-3, 7, (2, 2), np.int16),
    spaces.Box(0.0, 1.0, (), np.float32),
]


@pytest.fixture
def directory_fd(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def through_the_wire(channel, directory_fd):
    """A second channel, made from the description of the first, both with their file."""
    description = json.loads(json.dumps({"ac": channel.describe()}))
    other = parse_description(description)["ac"]
    channel.create_file("ac", directory_fd)
    other.open_file("ac", directory_fd)
    return other


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_and_its_values_travel(space, directory_fd):
    channel = channel_for(space)
    other = through_the_wire(channel, directory_fd)
    assert space_for("ac", other) == space
    space.seed(0)
    for _ in range(20):
        value = space.sample()
        received = channel.decode(json.loads(other.encode(value)))
        assert np.array_equal(received, value) and np.shape(received) == np.shape(value)
        assert space.contains(received)
        np.testing.assert_array_equal(other.decode(json.loads(channel.encode(value))), value)
    channel.close()
    other.close()


def test_descriptions_of_2018():
    def describe(space):
        return channel_for(space).describe()

    assert describe(spaces.MultiBinary(3)) == [
        "int_fold",
        "[2, 2, 2],",
        {"n": "3", "type": "MultiBinary"},
    ]
    assert describe(spaces.MultiBinary(64)) == [
        "np",
        '(64,), dtype("|u1")',
        {"n": "64", "type": "MultiBinary"},
    ]
    assert describe(spaces.Discrete(9)) == ["int", None, {"n": "9", "type": "Discrete"}]
    kind, shape, annotations = describe(spaces.MultiDiscrete([3, 4]))
    assert (kind, shape) == ("np", '(2,), dtype("<i8")')
    assert annotations == {"shape": "2", "type": "MultiDiscrete", "nvec": "[3, 4]"}
    assert describe(spaces.Box(0, 255, (224, 320, 3), np.uint8)) == [
        "np",
        '(224, 320, 3), dtype("|u1")',
        {"type": "Box", "shape": "(224, 320, 3)"},
    ]


def test_a_server_of_2018_does_not_tell_bounds():
    box = NpChannel((2,), np.float32, {"type": "Box", "shape": "(2,)"})
    assert space_for("ob", box) == spaces.Box(-np.inf, np.inf, (2,), np.float32)
    multi = NpChannel((2,), np.int64, {"type": "MultiDiscrete", "shape": "2"})
    assert space_for("ac", multi).contains(np.array([5, -7]))


def test_a_box_with_very_many_bounds_is_described_by_the_outermost():
    low = np.linspace(-1, 0, 5000, dtype=np.float32)
    box = spaces.Box(low, low + 2, dtype=np.float32)
    seen = space_for("ob", channel_for(box))
    assert seen == spaces.Box(-1, 2, (5000,), np.float32)


@pytest.mark.parametrize("space", [spaces.Text(4), spaces.Dict({}), spaces.Tuple([])], ids=str)
def test_other_spaces_cannot_be_served(space):
    with pytest.raises(ValueError, match="cannot be served"):
        channel_for(space)


@given(st.lists(st.booleans(), min_size=1, max_size=63))
def test_bits_weigh_as_in_2018(bits):
    channel = IntFoldChannel(len(bits))
    number = sum(int(bit) << i for i, bit in enumerate(bits))
    assert channel.encode(np.array(bits)) == str(number) == channel.encode([int(b) for b in bits])
    assert channel.decode(number).tolist() == bits
    assert channel.decode(number).dtype == np.int8


@given(st.binary(min_size=1, max_size=20), st.sampled_from("bB?"))
def test_bits_of_one_byte_each_are_read_as_those_of_a_list(raw, dtype):
    vector = np.frombuffer(raw, np.uint8).view(dtype)
    channel = IntFoldChannel(len(raw))
    results = []
    for value in (vector, vector.tolist(), vector[::-1][::-1]):
        try:
            results.append(channel.encode(value))
        except ValueError:
            results.append(None)
    assert results == [results[0]] * 3


def test_a_decoded_vector_belongs_to_its_receiver():
    channel = IntFoldChannel(3)
    channel.decode(5)[:] = 7
    assert channel.decode(5).tolist() == [1, 0, 1]


def test_bits_beyond_the_size_are_ignored():
    channel = IntFoldChannel(3)
    assert channel.decode(8 + 5).tolist() == [1, 0, 1]
    assert channel.decode(-1).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64, "O"]
)
def test_bits_of_any_dtype(dtype):
    channel = IntFoldChannel(12)
    assert channel.encode(np.eye(12, dtype=dtype)[7]) == "128"
    assert channel.encode(np.ones(12, dtype)) == "4095"


@pytest.mark.parametrize(
    "action",
    [
        *([1, 0], "abc", None, 3, [[1, 0, 0]], ["1", "0", "0"]),
        *([0.5, 0, 0], [2, 0, 1], [-1, 0, 0], [float("nan"), 0, 0], [1e300, 0, 0]),
    ],
    ids=str,
)
def test_actions_that_do_not_fit_raise_value_error(action):
    with pytest.raises(ValueError, match="not a vector of 3 values that are 0 or 1: ") as caught:
        IntFoldChannel(3).encode(action)
    assert str(action)[:20] in str(caught.value)


def test_a_ragged_action_raises_value_error():
    with pytest.raises(ValueError):
        IntFoldChannel(3).encode([[1], 0, 0])


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, True, 1.0, "1", None, [1], {}])
def test_numbers_that_are_none_raise_protocol_error(value):
    for channel in (IntChannel(), IntFoldChannel(12)):
        with pytest.raises(ProtocolError):
            channel.decode(value)


def describe(kind="np", shape='(2,), dtype("|u1")', annotations=None, name="ob"):
    return {name: [kind, shape, annotations or {}]}


@pytest.mark.parametrize(
    "shape",
    [
        "__import__('os').system('touch pwned'), dtype('|u1')",
        '(2, 3), dtype("|u1") or __import__("os")',
        '(2**99,), dtype("|u1")',
        '(99999999999,), dtype("|u1")',
        '(9999999999, 9999999999), dtype("<f8")',
        '(20000000,), dtype("|u1")',
        '(0,), dtype("|u1")',
        '(-1,), dtype("|u1")',
        '(1, 1, 1, 1, 1, 1, 1, 1, 1), dtype("|u1")',
        '(2,), dtype("O")',
        '(2,), dtype("|O8")',
        '(2,), dtype("|V8")',
        '(2,), dtype("<U8")',
        '(2,), dtype("<f3")',
        '(2,), dtype("|u1,|u1")',
        '(2), dtype("|u1")',
        '(²,), dtype("|u1")',
        "(" + "1" * 4000 + '!), dtype("|u1")',
        "(" + "1, " * 30_000 + '), dtype("|u1")',
        "",
        None,
        7,
        ["(2,)"],
    ],
)
def test_hostile_np_shapes(shape, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProtocolError) as caught:
        parse_description(describe(shape=shape))
    assert len(str(caught.value)) < 600
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "shape", ["[3, 2],", "[],", "[2] * 9,", "[2, 2]", f"{[2] * 64},", "[2, 2],, ", None, "(2,),"]
)
def test_hostile_fold_shapes(shape):
    with pytest.raises(ProtocolError):
        parse_description(describe("int_fold", shape))


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "", "/etc/passwd", "a/b", "sock", "ob\0", "ob\n", "ö", "x" * 300]
)
def test_hostile_names(name):
    with pytest.raises(ProtocolError):
        parse_description(describe(name=name))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
shapes = st.sampled_from(
    ['(2,), dtype("|u1")', '(2, 3), dtype("<i8")', '(), dtype("<f4")', "[2, 2],", None]
)
annotation_values = (
    st.text() | json_values.map(str) | st.sampled_from(["-1", "[[]]", "NaN", "1e99"])
)
entries = st.tuples(
    st.sampled_from(["int", "float", "bool", "int_fold", "np"]),
    shapes | st.text(),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["MultiBinary", "Discrete", "MultiDiscrete", "Box"])},
        optional={key: annotation_values for key in ("n", "start", "nvec", "low", "high")},
    )
    | st.dictionaries(st.text(), json_values, max_size=3),
).map(list)


@given(st.dictionaries(st.sampled_from(["ac", "ob"]) | st.text(), entries | json_values))
@settings(deadline=None, max_examples=150)
def test_any_description_gives_channels_and_spaces_or_a_protocol_error(content):
    try:
        for name, channel in parse_description(content).items():
            space_for(name, channel)
    except ProtocolError as error:
        assert len(str(error)) < 600


def test_too_many_channels():
    with pytest.raises(ProtocolError, match="channels"):
        parse_description({f"c{i}": ["bool", None, {}] for i in range(65)})


def test_client_opens_only_plain_files_inside_the_directory(tmp_path, directory_fd):
    shared, outside = tmp_path, tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(b"xx")
    (shared / "symlink").symlink_to(outside)
    (shared / "dangling").symlink_to(outside.with_name("nowhere"))
    os.link(outside, shared / "hardlink")
    os.mkfifo(shared / "fifo")
    (shared / "folder").mkdir()
    (shared / "short").write_bytes(b"x")
    (shared / "long").write_bytes(b"xxx")
    (shared / "good").write_bytes(b"xy")
    before = sorted(os.listdir(shared))
    for name in ("symlink", "dangling", "hardlink", "fifo", "folder", "short", "long", "missing"):
        channel = NpChannel((2,), np.uint8)
        with pytest.raises(ProtocolError, match=name):
            channel.open_file(name, directory_fd)
        channel.close()
    assert outside.read_bytes() == b"xx"
    assert sorted(os.listdir(shared)) == before
    good = NpChannel((2,), np.uint8)
    good.open_file("good", directory_fd)
    assert good.decode(True).tobytes() == b"xy"
    good.close()


def test_server_replaces_what_it_finds_and_follows_no_link(tmp_path, directory_fd):
    outside = tmp_path.parent / f"{tmp_path.name}-precious"
    outside.write_bytes(b"precious")
    (tmp_path / "ob").symlink_to(outside)
    channel = NpChannel((4,), np.uint8)
    channel.create_file("ob", directory_fd)
    channel.encode(np.arange(4))
    assert (tmp_path / "ob").read_bytes() == bytes(range(4))
    assert not (tmp_path / "ob").is_symlink() and outside.read_bytes() == b"precious"
    channel.close()


def test_a_truncated_file_harms_neither_side(tmp_path, directory_fd):
    server, client = NpChannel((4,), np.uint8), NpChannel((4,), np.uint8)
    server.create_file("ob", directory_fd)
    client.open_file("ob", directory_fd)
    os.truncate(tmp_path / "ob", 1)
    with pytest.raises(ProtocolError, match="truncated"):
        client.decode(True)
    server.encode(np.arange(4))  # whole again
    assert client.decode(True).tolist() == [0, 1, 2, 3]
    for announcement in (1, "true", None, False, []):
        with pytest.raises(ProtocolError):
            client.decode(announcement)
    with pytest.raises(ValueError, match="shape"):
        server.encode(np.zeros(5))
    server.close()
    client.close()
