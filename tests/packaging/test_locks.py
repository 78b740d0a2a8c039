"""The locked requirements of both images: everything has hashes, and they follow the pins."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = ("agent", "retro_contest")


def locked(folder: str) -> dict[str, str]:
    """name -> version of a lock, in which each entry must have a hash."""
    text = (ROOT / folder / "requirements.lock").read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            pin, *hashes = re.split(r"\s+--hash=", line.strip())
            assert hashes, line
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes)
            requirement = Requirement(pin)
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[requirement.name.lower()] = specifier.version
    return found


def pins(folder: str) -> list[Requirement]:
    lines = (ROOT / folder / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lock_follows_the_pins(folder):
    found = locked(folder)
    for pin in pins(folder):
        assert pin.specifier.contains(found[pin.name.lower()]), pin
    assert len(found) > len(pins(folder)), "indirect requirements are locked, too"


def test_both_images_have_the_same_versions():
    agent, contest = (locked(folder) for folder in FOLDERS)
    common = agent.keys() & contest.keys()
    assert common and {name: agent[name] for name in common} == {
        name: contest[name] for name in common
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_names_no_index_and_no_file(folder):
    text = (ROOT / folder / "requirements.lock").read_text()
    assert not re.search(r"https?:|file://|--(extra-)?index-url|--find-links|(^|\s)/\w", text)


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "retro_contest/Dockerfile"])
def test_the_images_install_by_hash(dockerfile):
    text = (ROOT / dockerfile).read_text()
    assert "--require-hashes" in text and "requirements.lock" in text
