"""Every relative link, anchor and image of every page leads somewhere."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(f"{link}: no such file in the repository")
        elif anchor and anchor not in anchors(target):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` (c)\n\n# A b c\n\n[x](#a-b-c-1) ![y](gone.png)\n\n| a |\n|---|\n| [z](t.md) |\n"
    )
    assert list(links(page)) == ["#a-b-c-1", "gone.png", "t.md"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}


def test_the_front_page_is_one_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_page_of_the_documentation_is_linked_from_the_front_page_or_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in pages() for link in links(page)
    }
    unreachable = [
        page.name for page in pages() if page.parent == ROOT / "docs" and page not in linked
    ]
    assert unreachable == []
