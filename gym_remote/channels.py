"""Channels: named values of one type that travel in a message or, for arrays, through a file.

A channel is described as `[TYPE, SHAPE, annotations]`. SHAPE is the text that Python's repr gives:
`[2, 2, 2],` for int_fold, `(224, 320, 3), dtype("|u1")` for np, null for the others. It is read by
a grammar, never evaluated. Everything received is checked before it is used, and a violation raises
ProtocolError; values of our own that do not fit raise ValueError.
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import os
import re
import stat

import numpy as np

from gym_remote.directory import SOCKET_NAME
from gym_remote.exceptions import ProtocolError
from gym_remote.messages import is_integer, shorten

MAX_CHANNELS = 64
MAX_ARRAY_BYTES = 1 << 24  # of one array: 78 Genesis frames
MAX_DIMENSIONS = 8
MAX_TEXT = 4096  # characters of a SHAPE or a name

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
INT_FOLD_SHAPE = re.compile(r"\[2(?:, ?2)*\],")
NP_SHAPE = re.compile(
    r"\((|\d{1,10},|\d{1,10}(?:, ?\d{1,10})+)\), ?dtype\(\"([<>|=]?[biuf]\d{1,2})\"\)", re.ASCII
)


class Channel:
    """A value that travels inside the message. Subclasses say how."""

    TYPE: str

    def __init__(self, annotations: dict[str, str] | None = None):
        self.annotations = annotations or {}

    @property
    def shape_text(self) -> str | None:
        return None

    def describe(self) -> list:
        return [self.TYPE, self.shape_text, self.annotations]

    def encode(self, value) -> str:
        """`value` as JSON; raises ValueError if it does not fit the channel."""
        raise NotImplementedError

    def decode(self, value):
        """The value that the JSON value `value` stands for; raises ProtocolError."""
        raise NotImplementedError

    def create_file(self, name: str, directory_fd: int) -> None:
        """Server: make the channel's file, if its type has one."""

    def open_file(self, name: str, directory_fd: int) -> None:
        """Client: open the channel's file, if its type has one."""

    def close(self) -> None:
        """Close the channel's file, if its type has one."""


class IntChannel(Channel):
    TYPE = "int"

    def encode(self, value) -> str:
        number = int(value)
        if number != value or not is_integer(number):
            raise ValueError(f"not a 64-bit integer: {value!r}")
        return str(number)

    def decode(self, value) -> int:
        if not is_integer(value):
            raise ProtocolError(f"not an integer: {shorten(value)}")
        return value


class FloatChannel(Channel):
    TYPE = "float"


class BoolChannel(Channel):
    TYPE = "bool"


class IntFoldChannel(Channel):
    """A short vector of bits in one number, bit i weighing 2**i.

    The SHAPE lists the number of values of each element: always 2, as in 2018.
    """

    TYPE = "int_fold"

    def __init__(self, size: int, annotations: dict[str, str] | None = None):
        super().__init__(annotations)
        if not 0 < size < 64:
            raise ValueError(f"a folded vector has between 1 and 63 bits, not {size}")
        self.size = size

    @property
    def shape_text(self) -> str:
        return f"{[2] * self.size},"

    def encode(self, value) -> str:
        """Takes any dtype (a policy's action is often float32), but no value except 0 and 1."""
        if type(value) is np.ndarray and value.shape == (self.size,) and value.dtype.char in "bB?":
            text = _fold(value.tobytes())
            if text is not None:
                return text
        vector = np.asarray(value)
        # Plain Python: for so few bits numpy is slower.
        bits = vector.tolist() if vector.shape == (self.size,) else []
        if bits.count(0) + bits.count(1) != self.size:
            raise ValueError(
                f"not a vector of {self.size} values that are 0 or 1: {shorten(value)} "
                f"(shape {vector.shape}, dtype {vector.dtype})"
            )
        return str(sum(1 << i for i, bit in enumerate(bits) if bit))

    def decode(self, value) -> np.ndarray:
        """An int8 vector. Bits beyond its size are ignored, as in 2018."""
        if not is_integer(value):
            raise ProtocolError(f"not an integer: {shorten(value)}")
        return _unfold(value, self.size).copy()


# A contest consists of few different actions: numpy is slow for so few bits.


@functools.lru_cache(maxsize=4096)
def _fold(bits: bytes) -> str | None:
    """The folded number of bytes that are all 0 or 1, None of others."""
    if bits.count(0) + bits.count(1) != len(bits):
        return None
    return str(sum(bit << i for i, bit in enumerate(bits)))


@functools.lru_cache(maxsize=4096)
def _unfold(number: int, size: int) -> np.ndarray:
    """The int8 vector of the last bits; shared by all callers."""
    return np.array([number >> i & 1 for i in range(size)], np.int8)


class NpChannel(Channel):
    """An array in a file of the shared directory; the message only says `true`.

    The server reads and writes it with preadv and pwrite. It does not map the file: an agent can
    truncate it (a client of 2018 does so when it connects), and touching a truncated mapping kills
    the process. The client maps the file to read it, which takes half of the time: a contest that
    wants to end its agent has other means.
    """

    TYPE = "np"

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype, annotations: dict[str, str] | None = None
    ):
        super().__init__(annotations)
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        if len(self.shape) > MAX_DIMENSIONS or not 0 < self.nbytes <= MAX_ARRAY_BYTES:
            raise ValueError(
                f"an array of shape {self.shape} and {self.nbytes} bytes; between 1 and "
                f"{MAX_ARRAY_BYTES} bytes and at most {MAX_DIMENSIONS} dimensions are possible"
            )
        self._fd = -1
        self._mapped: np.ndarray | None = None  # the file's memory, in a client

    @property
    def shape_text(self) -> str:
        return f'{self.shape}, dtype("{self.dtype.str}")'

    def create_file(self, name: str, directory_fd: int) -> None:
        """A new zeroed file. What lay there under this name (of a killed server) is removed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory_fd)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(name, flags, 0o666, dir_fd=directory_fd)
        # Allocated in one piece, not sparse: later writes cannot fill the disk, and are faster.
        os.posix_fallocate(self._fd, 0, self.nbytes)

    def open_file(self, name: str, directory_fd: int) -> None:
        """Only opens a plain file of the right size inside the directory: no link of any kind."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._fd = os.open(name, flags, dir_fd=directory_fd)
            status = os.fstat(self._fd)
        except OSError as error:
            raise ProtocolError(f"channel file {name}: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ProtocolError(f"channel file {name} is not a plain file")
        if status.st_size != self.nbytes:
            raise ProtocolError(
                f"channel file {name} has {status.st_size} bytes instead of {self.nbytes}"
            )
        memory = mmap.mmap(self._fd, self.nbytes)
        self._mapped = np.ndarray(self.shape, self.dtype, memory)

    def encode(self, value) -> str:
        array = np.asarray(value, self.dtype, order="C")
        if array.shape != self.shape:
            raise ValueError(f"an array of shape {array.shape} instead of {self.shape}")
        # The file's space was allocated when it was made: if there is none now, then the other side
        # has cut the file off and taken it.
        try:
            whole = os.pwrite(self._fd, array.data, 0) == self.nbytes
        except OSError:
            whole = False
        if not whole:
            raise ProtocolError("a channel file was made unusable")
        return "true"

    def decode(self, value) -> np.ndarray:
        """A new array, which later messages do not change."""
        if value is not True:
            raise ProtocolError(f"an array is announced by true, not by {shorten(value)}")
        if self._mapped is not None and os.lseek(self._fd, 0, os.SEEK_END) == self.nbytes:
            return self._mapped.copy()
        array = np.empty(self.shape, self.dtype)
        if os.preadv(self._fd, [array.data], 0) != self.nbytes:
            raise ProtocolError("a channel file was truncated")
        return array

    def close(self) -> None:
        self._mapped = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def parse_description(content: dict) -> dict[str, Channel]:
    """The channels of a description message, by name, with no file opened yet."""
    if len(content) > MAX_CHANNELS:
        raise ProtocolError(f"{len(content)} channels; at most {MAX_CHANNELS} are possible")
    return {name: _parse_channel(name, entry) for name, entry in content.items()}


def _parse_channel(name: str, entry: object) -> Channel:
    if not NAME.fullmatch(name) or name == SOCKET_NAME:
        raise ProtocolError(f"not a channel name: {shorten(name)}")
    if type(entry) is not list or len(entry) != 3:
        raise ProtocolError(f"channel {name} is not described as [type, shape, annotations]")
    kind, shape, annotations = entry
    annotations = {} if annotations is None else annotations
    if type(annotations) is not dict or any(type(v) is not str for v in annotations.values()):
        raise ProtocolError(f"channel {name}: annotations must be strings")
    if not (shape is None or (type(shape) is str and len(shape) <= MAX_TEXT)):
        raise ProtocolError(f"channel {name}: not a shape: {shorten(shape)}")
    try:
        if kind == "int_fold" and shape is not None:
            return IntFoldChannel(_parse_fold(shape), annotations)
        if kind == "np" and shape is not None:
            return NpChannel(*_parse_array(shape), annotations)
        if kind in ("int", "float", "bool") and not shape:
            simple = {"int": IntChannel, "float": FloatChannel, "bool": BoolChannel}
            return simple[kind](annotations)
    except ValueError as error:
        raise ProtocolError(f"channel {name}: {shorten(str(error))}") from None
    raise ProtocolError(f"channel {name}: unknown type {shorten(kind)} or shape {shorten(shape)}")


def _parse_fold(text: str) -> int:
    if not INT_FOLD_SHAPE.fullmatch(text):
        raise ValueError(f"not a shape: {text}")
    return text.count("2")


def _parse_array(text: str) -> tuple[tuple[int, ...], np.dtype]:
    match = NP_SHAPE.fullmatch(text)
    if not match:
        raise ValueError(f"not a shape: {text}")
    try:
        dtype = np.dtype(match[2])
    except TypeError:
        raise ValueError(f"not a dtype: {match[2]}") from None
    return tuple(int(size) for size in re.findall(r"\d+", match[1])), dtype
