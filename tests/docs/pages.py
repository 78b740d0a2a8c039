"""The repository's Markdown pages, parsed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
GENERATED = (".git", ".venv", "out", "results", "runs", "tmp", "wheels")
CHECK = re.compile(r"<!-- check: (.+?) -->")


def pages() -> list[Path]:
    """All pages that git knows or would add. (The game's ROM is called rom.md and is none.)"""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    files = {ROOT / line for line in listed.stdout.splitlines()}
    if listed.returncode != 0:  # an archive without history, or git does not trust the folder
        rooms = [folder for folder in ROOT.iterdir() if folder.name not in GENERATED]
        files = {*ROOT.glob("*.md"), *(page for room in rooms for page in room.rglob("*.md"))}
    return sorted(file for file in files if file.name != "rom.md" and file.exists())


def tokens(page: Path) -> list[Token]:
    """A page's tokens, without its front matter."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text(), flags=re.DOTALL)
    return MarkdownIt().enable("table").parse(text)


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and images."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])
            elif child.type == "image":
                yield str(child.attrs["src"])


def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to a page's headings."""
    found: dict[str, int] = {}
    names: set[str] = set()
    parsed = tokens(page)
    for token, inline in pairwise(parsed):
        if token.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            count = found[name] = found.get(name, -1) + 1
            names.add(f"{name}-{count}" if count else name)
    return names


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the mark above it that says how it is tested."""

    language: str
    text: str
    check: str

    def commands(self) -> list[str]:
        """The lines of a shell block."""
        return [line for line in self.text.splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """A page's fenced blocks, in order."""
    found = []
    check = ""
    for token in tokens(page):
        if token.type == "fence":
            found.append(Block(token.info.strip(), token.content, check))
        mark = CHECK.match(token.content) if token.type == "html_block" else None
        check = mark[1] if mark else ""
    return found
