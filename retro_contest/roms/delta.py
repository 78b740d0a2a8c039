"""Reads a VCDIFF delta as far as that goes without its source (RFC 3284).

A delta is a header and windows. Each window says which part of the source it copies from, how many
bytes it makes, and how long its own parts are. What it says is checked here before a decoder gets
it: sizes within bounds, parts that add up, copies from within the source. The instructions inside
the windows are left to the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

from retro_common.errors import UsageError

MAGIC = b"\xd6\xc3\xc4\0"
MOST_DELTA = 16 << 20
"""bytes of a delta"""
MOST_TARGET = 16 << 20
"""bytes of the ROM that it makes"""
# Bits of the header's and of a window's indicator. xdelta adds the application header and Adler-32.
COMPRESSED, CODE_TABLE, APPLICATION = 1, 2, 4
FROM_SOURCE, FROM_TARGET, ADLER_32 = 1, 2, 4


class DamagedDelta(UsageError):
    """A delta that is damaged, is none, or asks for more than a ROM needs."""


@dataclass(frozen=True)
class Window:
    """A window of a delta."""

    source: range
    """bytes of the source that it may copy; nothing if it copies none"""
    target_bytes: int
    """bytes that it makes"""
    adler32: int | None
    """checksum of those, if it has one"""


@dataclass(frozen=True)
class Delta:
    """A delta's header and windows."""

    compressed: bool
    """whether its parts are compressed a second time, which not every decoder undoes"""
    windows: tuple[Window, ...]

    @property
    def target_bytes(self) -> int:
        """bytes of the ROM that it makes"""
        return sum(window.target_bytes for window in self.windows)

    @property
    def source_bytes(self) -> int:
        """bytes that its source has at least"""
        return max((window.source.stop for window in self.windows), default=0)


def read_delta(content: bytes) -> Delta:
    """The header and windows of a delta.

    Raises:
        DamagedDelta: it is cut off, says what cannot be, or would make more than `MOST_TARGET`.
    """
    if not content.startswith(MAGIC):
        raise DamagedDelta("it is no VCDIFF delta")
    reader = _Reader(content, len(MAGIC))
    indicator = reader.byte()
    if indicator & ~(COMPRESSED | APPLICATION):
        raise DamagedDelta("it has a code table of its own, which no decoder here knows")
    if indicator & COMPRESSED:
        reader.byte()  # which compressor
    if indicator & APPLICATION:
        reader.skip(reader.number())
    windows: list[Window] = []
    total = 0
    while not reader.ended:
        window = _window(reader, compressed=bool(indicator & COMPRESSED))
        total += window.target_bytes
        if total > MOST_TARGET:
            raise DamagedDelta(f"it would make more than {MOST_TARGET:,} bytes")
        windows.append(window)
    if total == 0:
        raise DamagedDelta("it makes nothing")
    return Delta(bool(indicator & COMPRESSED), tuple(windows))


def _window(reader: _Reader, *, compressed: bool) -> Window:
    indicator = reader.byte()
    if indicator & ~(FROM_SOURCE | ADLER_32):
        raise DamagedDelta("a window copies from what it makes, which no decoder here knows")
    source = range(0)
    if indicator & FROM_SOURCE:
        length, start = reader.number(), reader.number()
        source = range(start, start + length)
    length = reader.number()
    end = reader.position + length
    target = reader.number()
    if reader.byte() and not compressed:
        raise DamagedDelta("a window is compressed, the delta is not")
    parts = sum(reader.number() for _ in range(3))
    adler32 = int.from_bytes(reader.take(4)) if indicator & ADLER_32 else None
    reader.skip(parts)
    if reader.position != end:
        raise DamagedDelta("the parts of a window do not add up to its length")
    return Window(source, target, adler32)


class _Reader:
    """Bytes and numbers, one after the other."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self.position = position

    @property
    def ended(self) -> bool:
        return self.position == len(self._content)

    def skip(self, length: int) -> None:
        if length > len(self._content) - self.position:
            raise DamagedDelta("it is cut off, or damaged")
        self.position += length

    def take(self, length: int) -> bytes:
        start = self.position
        self.skip(length)
        return self._content[start : self.position]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """Seven bits in each byte, the highest first; the last byte's eighth bit is 0."""
        value = 0
        for _ in range(5):
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                if value >= 1 << 32:
                    break
                return value
        raise DamagedDelta("a number in it is beyond 32 bits")
