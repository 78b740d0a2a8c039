"""Hostile versions of good documents and bytes, as hypothesis strategies."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

# Values that a writer of JSON or YAML would not write. They stand in a document as text and are
# put in when it is serialised.
JSON_RAW = {
    "PUTdeepHERE": "[" * 100_000 + "]" * 100_000,
    "PUTdeepmapHERE": '{"a":' * 3_000 + "1" + "}" * 3_000,
    "PUTdigitsHERE": "9" * 5_000,
    "PUThugeHERE": "1" + "0" * 400,
    "PUTnanHERE": "NaN",
    "PUTinfinityHERE": "-Infinity",
    "PUTmanyHERE": "[" + "0," * 100_000 + "0]",
    "PUTnestedtextHERE": '"' + "[" * 200_000 + '"',
}


def _bomb(first: str) -> str:
    """A YAML value of 500 bytes that stands for 10 ** 9 of `first`."""
    lists = [f"&l0 [{', '.join([first] * 10)}]"]
    for depth in range(1, 9):
        aliases = ", ".join([f"*l{depth - 1}"] * 10)
        lists.append(f"&l{depth} [{aliases}]")
    return f"[{', '.join(lists)}]"


YAML_RAW = {
    "PUTbombHERE": _bomb("x"),
    "PUTmapbombHERE": "{a: &m0 {k: 1}, b: &m1 {<<: *m0, l: *m0}, c: {<<: [*m0, *m1]}}",
    "PUTloopHERE": "&self [*self]",
    "PUTdeepHERE": "[" * 2_000 + "]" * 2_000,
    "PUTdeepmapHERE": "{a: " * 2_000 + "}" * 2_000,
    "PUTdigitsHERE": "9" * 5_000,
    "PUThugeHERE": "1" + "0" * 400,
    "PUTsexagesimalHERE": "1" + ":59" * 2_000,
    "PUTnanHERE": ".nan",
    "PUTinfinityHERE": "-.inf",
    "PUTmanyHERE": "[" + "0, " * 300_000 + "0]",
    "PUTpythonHERE": "!!python/object/apply:os.abort []",
    "PUTbadintHERE": "!!int x",
    "PUTbinaryHERE": "!!binary x",
    "PUTdateHERE": "2020-99-99",
    "PUTtagHERE": "!unknown {a: 1}",
    "PUTnulHERE": '"a\\0b"',
    "PUTsurrogateHERE": '"\\ud800"',
}

SCALARS: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    17,
    10**6,
    2**31,
    2**63,
    -(10**25),
    0.5,
    -0.0,
    1e-308,
    1.7e308,
    "",
    " ",
    "0",
    "yes",
    "a\0b",
    "\ud800",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines\r\x85",
    "\u202egnp.exe",
    "[/x]",
    "[link=http://a]b[/link]",
    r"$\frac$",
    "<script>document.title='x'</script>",
    "x" * 100_000,
    "../../../../etc/passwd",
    "/dev/zero",
    [],
    {},
    [[]],
    [None],
    [1, "a", {}],
    {"": None},
    list(range(1_000)),
]


def _paths(document: Any, prefix: tuple = ()) -> Iterator[tuple]:
    """The place of every value in a document, its own included, as keys and indices."""
    yield prefix
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _paths(value, (*prefix, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:20]):
            yield from _paths(value, (*prefix, index))


@st.composite
def mutated(draw: st.DrawFn, document: Any, raw: dict[str, str]) -> Any:
    """`document` (of dictionaries, lists and scalars) with one to three changes.

    A value is replaced by another one of the document, by a hostile one or by a random one; a key
    is left out, added or renamed; a list gets an element more.

    Args:
        raw: `JSON_RAW` or `YAML_RAW`: what the serialiser puts in.
    """
    document = copy.deepcopy(document)
    hostile = (
        st.sampled_from(SCALARS)
        | st.sampled_from(sorted(raw))
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
    ).map(copy.deepcopy)  # a later change may alter the value
    for _ in range(draw(st.integers(1, 3))):
        # Not the document as a whole: that is one change of many, and ends all the others.
        places = list(_paths(document))[1:]
        if not places:
            break
        *outer, last = draw(st.sampled_from(places))
        holder = document
        for key in outer:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "replace", "replace", "move", "drop", "add"]))
        if change == "replace":
            holder[last] = draw(hostile)
        elif change == "move":
            value = document
            for key in draw(st.sampled_from(places)):
                value = value[key]
            holder[last] = copy.deepcopy(value)
        elif change == "drop":
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(["", "x", "extra", "format", "\x1b[31m", "ü"]))] = draw(
                hostile
            )
        else:
            holder.append(draw(hostile))
    return document


def to_json(document: Any) -> str:
    """A mutated document as JSON, or as what pretends to be it."""
    text = json.dumps(document)
    for name, value in JSON_RAW.items():
        text = text.replace(f'"{name}"', value)
    return text


def to_yaml(document: Any) -> str:
    """A mutated document as YAML, or as what pretends to be it."""
    text = yaml.safe_dump(document, sort_keys=False)
    for name, value in YAML_RAW.items():
        text = text.replace(name, value)
    return text


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with bytes flipped, cut off, left out, repeated, zeroed or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 2, 8, 64, 4096]))
        change = draw(st.sampled_from(["flip", "flip", "cut", "drop", "repeat", "zero", "put"]))
        if change == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif change == "cut":
            del data[at:]
        elif change == "drop":
            del data[at : at + length]
        elif change == "repeat":
            data[at:at] = data[at : at + length]
        elif change == "zero":
            piece = len(data[at : at + length])
            data[at : at + piece] = bytes(piece)
        else:
            data[at:at] = draw(st.binary(max_size=64) | st.sampled_from([b"\xff" * 8, b"\0" * 8]))
    return bytes(data)
