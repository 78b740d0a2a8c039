"""The board's site in a real browser: it sorts, filters, plays films, and fits a phone.

Needs Chromium (Debian's `chromium`); CI has it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.score.site import write_folders
from retro_contest.board.boards import load_boards
from retro_contest.board.site import write_site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
]

COMMITTED = Path(__file__).parents[2] / "benchmarks/results/score"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample site, with a film of one run."""
    folder = tmp_path_factory.mktemp("results")
    write_folders(COMMITTED, folder)
    films = folder / "jerk-20000/films/PangolinDash-Genesis-v0"
    films.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    imageio.imwrite(films / "FernHollow.Act3-best.mp4", frames, fps=30)
    out = tmp_path_factory.mktemp("site")
    write_site(load_boards([folder]), out, lambda level, path: False)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox for Chromium; the pages are our own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@contextlib.contextmanager
def opened(
    browser: Browser, path: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[Page]:
    """A page, which must load nothing from elsewhere and log no error."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: 0 if r.url.startswith("file:") else wrong.append(r.url))
    page.goto(path.as_uri())
    yield page
    assert wrong == []
    context.close()


def names(page: Page, table: str) -> list[str]:
    rows = page.locator(f"#{table} tbody tr:visible td:nth-child(2)")
    return [text.split("\n")[0].strip() for text in rows.all_inner_texts()]


TABLE = "pangolin-test-20000-table"


def test_it_sorts_and_filters(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        before = names(page, TABLE)
        # The open track's agent leads, as an entry or as the reference that holds the same runs.
        assert "open" in before[0] and "world-model" in before and len(before) > 12
        button = page.locator(f"#{TABLE} thead button", has_text="score").first
        button.click()
        button.click()
        assert "random" in names(page, TABLE)[0]
        assert page.locator(f"#{TABLE} th[aria-sort=ascending]").count() == 1
        page.get_by_label("references").nth(1).uncheck()
        assert not any("reference" in name for name in names(page, TABLE))
        page.get_by_label("Filter").nth(1).fill("JERK")
        assert names(page, TABLE) == ["jerk"]
        page.get_by_label("Filter").nth(1).fill("")
        assert len(names(page, TABLE)) == sum("reference" not in name for name in before) > 9


def test_the_keyboard_reaches_sorting_and_links(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.locator(f"#{TABLE} thead button", has_text="submission").focus()
        page.keyboard.press("Enter")
        assert names(page, TABLE) == sorted(names(page, TABLE), key=str.lower)


def test_a_film_plays_on_the_page_of_its_submission(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        page.locator(f"#{TABLE}").get_by_role("link", name="jerk", exact=True).click()
        assert page.locator("h1").inner_text() == "jerk"
        video = page.locator("video")
        assert video.count() == 1
        video.evaluate("video => { video.muted = true; return video.play(); }")
        page.wait_for_function("document.querySelector('video').currentTime > 0.1")
        page.get_by_role("link", name="FernHollow.Act3").first.click()
        assert page.locator("h1").inner_text() == "FernHollow.Act3"
        assert page.locator("figure svg polyline").count() > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_kind_of_page_fits_its_window(
    browser: Browser, site: Path, width: int, scheme: str
) -> None:
    pages = [
        site / "index.html",
        next(site.glob("submissions/world-model-*.html")),
        next(site.glob("levels/*.html")),
    ]
    for path in pages:
        with opened(browser, path, width, scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            light = sum(int(part) for part in paper[4:-1].split(",")) > 3 * 128
            assert light == (scheme == "light")


def test_every_link_leads_somewhere(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html") as page:
        links = page.locator("a[href]").evaluate_all("all => all.map(a => a.href)")
    for link in links:
        path, _, anchor = link.removeprefix("file://").partition("#")
        assert Path(path).is_file()
        assert not anchor or f'id="{anchor}"' in Path(path).read_text()
