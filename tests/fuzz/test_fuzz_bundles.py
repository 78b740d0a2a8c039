"""Bundles of strangers: they load, or are refused in one line, soon and in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.kit import Tally, examples
from tests.fuzz.mutate import JSON_RAW, YAML_RAW, damaged, mutated, to_json, to_yaml
from tests.fuzz.sandbox import Outcome, Sandbox
from tests.fuzz.special import SPECIAL, put

PARTS = ("vision", "memory", "controller")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("tests.fuzz.targets") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def good(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small valid bundle."""
    folder = tmp_path_factory.mktemp("bundle") / "good"
    assert sandbox.call("save_bundle", str(folder)).kind == "done"
    return folder


@pytest.fixture(scope="module")
def weights(sandbox: Sandbox, good: Path) -> str:
    """A hash of its weights."""
    return sandbox.call("load_bundle", str(good)).value


def config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text())


def copy(good: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    return folder


def loads_or_is_refused(sandbox: Sandbox, folder: Path, tally: Tally) -> Outcome:
    outcome = sandbox.call("load_bundle", str(folder))
    tally[outcome.word] += 1
    assert outcome.kind in ("done", "refused"), f"{outcome.kind}: {outcome.text}"
    if outcome.kind == "refused":
        one_line(outcome.text)
    return outcome


def one_line(text: str) -> None:
    """A message for a terminal: one line of bounded length, without escape sequences."""
    assert text.strip() and len(text) < 2_000, f"{len(text)} characters: {text[:200]!r}"
    assert text.isprintable(), f"not printable: {text[:500]!r}"


def test_the_good_bundle_loads(sandbox: Sandbox, good: Path) -> None:
    assert sandbox.call("load_bundle", str(good)).kind == "done"
    assert sandbox.call("load_bundle", str(good / "none")).kind == "refused"


def test_changed_configurations(
    sandbox: Sandbox, good: Path, weights: str, tmp_path: Path, tally: Tally
) -> None:
    document = config(good)

    def with_value(value: Any, *keys: str) -> str:
        changed = yaml.safe_load(yaml.safe_dump(document))
        place = changed
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        return to_yaml(changed)

    @examples(90)
    @given(mutated(document, YAML_RAW).map(to_yaml))
    @example(with_value("PUTbombHERE", "format"))
    @example(with_value("PUTbombHERE", "agent", "vision", "latent"))
    @example(with_value("PUTbombHERE", "origin"))
    @example(with_value("PUTmanyHERE", "origin"))
    @example(with_value("PUTdeepHERE", "origin"))
    @example(with_value("PUTpythonHERE", "origin"))
    @example(with_value("PUTbadintHERE", "format"))
    @example(with_value("PUTdateHERE", "origin"))
    @example(with_value("PUTdigitsHERE", "format"))
    @example(with_value("PUTnulHERE", "weights", "vision", "file"))
    @example(with_value(1_000_000, "agent", "memory", "hidden"))
    @example(with_value(10**25, "agent", "controller", "hidden"))
    @example(with_value([100_000, 100_000], "agent", "vision", "channels"))
    @example(with_value(["RIGHT"] * 50_000, "agent", "actions"))
    def load(text: str) -> None:
        folder = copy(good, tmp_path)
        (folder / "config.yaml").write_bytes(text.encode(errors="surrogatepass"))
        outcome = loads_or_is_refused(sandbox, folder, tally)
        # The configuration names the weights by their hash: there are no others to load.
        assert outcome.kind == "refused" or outcome.value == weights

    load()


def test_damaged_configurations(sandbox: Sandbox, good: Path, tmp_path: Path, tally: Tally) -> None:
    @examples(40)
    @given(damaged((good / "config.yaml").read_bytes()))
    def load(content: bytes) -> None:
        folder = copy(good, tmp_path)
        (folder / "config.yaml").write_bytes(content)
        loads_or_is_refused(sandbox, folder, tally)

    load()


def seal(folder: Path, contents: dict[str, bytes]) -> None:
    """Put weight files in the place of others, and their names and hashes into config.yaml."""
    document = config(folder)
    for part, content in contents.items():
        (folder / document["weights"][part]["file"]).unlink()
        digest = hashlib.sha256(content).hexdigest()
        name = f"{part}-{digest[:12]}.safetensors"
        (folder / name).write_bytes(content)
        document["weights"][part] = {"file": name, "sha256": digest}
    (folder / "config.yaml").write_text(yaml.safe_dump(document))


def tensors(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def packed(header: str, data: bytes) -> bytes:
    encoded = header.encode(errors="surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + data


@st.composite
def changed_weights(draw: st.DrawFn, content: bytes) -> bytes:
    """A weight file with another header, other types or other numbers; its layout is valid."""
    header, data = tensors(content)
    names = [name for name in header if name != "__metadata__"]
    match draw(st.sampled_from(["header", "dtype", "numbers", "extra"])):
        case "header":
            header = draw(mutated(header, JSON_RAW))
        case "dtype":
            entry = header[draw(st.sampled_from(names))]
            entry["dtype"] = draw(st.sampled_from(["I32", "U32", "F64", "F16", "BF16", "BOOL"]))
            if draw(st.booleans()) and entry["dtype"] in ("F16", "BF16"):
                entry["shape"] = [*entry["shape"], 2]
        case "numbers":
            number = draw(st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e38]))
            place = draw(st.integers(0, len(data) // 4 - 1))
            count = draw(st.sampled_from([1, 4, len(data) // 4]))
            count = min(count, len(data) // 4 - place)
            data = (
                data[: 4 * place] + struct.pack("<f", number) * count + data[4 * (place + count) :]
            )
        case "extra":
            header["extra"] = {
                "dtype": "F32",
                "shape": [draw(st.sampled_from([0, 1, 2**40]))],
                "data_offsets": [len(data), len(data) + draw(st.sampled_from([0, 4]))],
            }
            data += bytes(4)
    return packed(to_json(header), data)


def test_changed_weights(sandbox: Sandbox, good: Path, tmp_path: Path, tally: Tally) -> None:
    """Their hashes are right: whoever makes a bundle writes both."""
    original = {p: (good / config(good)["weights"][p]["file"]).read_bytes() for p in PARTS}
    header, data = tensors(original["controller"])
    everywhere = [
        packed(json.dumps(header), struct.pack("<f", number) * (len(data) // 4))
        for number in (float("nan"), float("inf"))
    ]
    half = {
        name: {**entry, "dtype": "BF16", "data_offsets": [o // 2 for o in entry["data_offsets"]]}
        for name, entry in header.items()
        if name != "__metadata__"
    }

    @examples(70)
    @given(
        st.sampled_from(PARTS).flatmap(
            lambda part: st.tuples(
                st.just(part),
                changed_weights(original[part])
                | changed_weights(original[part])
                | damaged(original[part])
                | st.sampled_from([original[other] for other in PARTS if other != part]),
            )
        )
    )
    @example(("controller", everywhere[0]))
    @example(("controller", everywhere[1]))
    @example(("controller", packed(json.dumps(half), data[: len(data) // 2])))
    @example(("controller", b""))
    @example(("controller", b"\x80\x04cos\nabort\n(tR."))
    @example(("controller", struct.pack("<Q", 2**63) + b"{}"))
    def load(change: tuple[str, bytes]) -> None:
        part, content = change
        folder = copy(good, tmp_path)
        seal(folder, {part: content})
        outcome = loads_or_is_refused(sandbox, folder, tally)
        if content == original[part]:
            assert outcome.kind == "done"
        elif content[:8] == original[part][:8] and outcome.kind == "done":
            types = {
                entry["dtype"]
                for name, entry in tensors(content)[0].items()
                if name != "__metadata__"
            }
            assert types == {"F32"}, f"weights of the types {types} were taken for float32"

    load()


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["config.yaml", "vision"])
def test_what_is_no_file(
    sandbox: Sandbox, good: Path, tmp_path: Path, tally: Tally, name: str, kind: str
) -> None:
    folder = copy(good, tmp_path)
    path = folder / (name if name == "config.yaml" else config(folder)["weights"][name]["file"])
    put(kind, path)
    outcome = sandbox.call("load_bundle", str(folder))
    assert outcome.kind == "refused", f"{outcome.kind}: {outcome.text}"
    one_line(outcome.text)
    assert not os.path.lexists(folder / "written")
