"""The server's pages in a real browser: a visitor logs in, submits, follows the job, sees its film.

Needs Chromium (Debian's `chromium`); CI has it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from server_kit import PASSWORD, SLOW, Hosted, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
SETTINGS = f"""
name: Winter cup
agents: {{slow: "python {SLOW} 0.04"}}
open: {{levels: FernHollow.Act3, seeds: 2, rules: {{timesteps: 120, wallclock: 300, record: true}}}}
final: {{levels: FrostPeak.Act1, rules: {{timesteps: 60, wallclock: 300}}}}
limits: {{jobs_per_day: 9, active_jobs: 3}}
"""
LONG = 240_000  # milliseconds for what takes a job


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    host = Hosted(tmp_path_factory.mktemp("browser") / "data", SETTINGS)
    host.contest.accounts.add("alice", PASSWORD)
    host.start()
    yield host
    assert host.stop() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox for Chromium; the pages are our own.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@contextlib.contextmanager
def visit(
    browser: Browser, contest: Hosted, width: int = 1280, scheme: str = "light"
) -> Iterator[Page]:
    """A visitor, whose pages must load nothing from elsewhere and log no error."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=contest.url
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else 0)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: 0 if r.url.startswith(contest.url) else wrong.append(r.url))
    yield page
    assert wrong == []
    context.close()


def log_in(page: Page) -> None:
    page.goto("/jobs")
    page.get_by_label("Name or e-mail").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("My submissions")


@pytest.fixture(scope="module")
def job(browser: Browser, contest: Hosted) -> str:
    """The page of a job that was submitted, followed and played to its end in a browser."""
    wait_for(lambda: (contest.data / "sites/now").exists(), 60, "the first board")
    with visit(browser, contest) as page, visit(browser, contest, 390, "dark") as board:
        board.goto("/")
        expect(board.get_by_role("heading", name="No scores yet")).to_be_visible()
        log_in(page)
        page.get_by_role("link", name="Submit", exact=True).click()
        page.get_by_label("Agent").select_option("slow")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("h1")).to_have_text("slow")
        address = page.url.removeprefix(contest.url)

        # The page follows the job by itself.
        page.evaluate("window.kept = true")
        meters = page.locator("td svg.meter")
        expect(meters).to_have_count(1, timeout=LONG)
        expect(page.locator("td.progress").first).to_contain_text("per second", timeout=LONG)
        before = page.locator("td.progress").first.inner_text()
        expect(page.locator("td.progress").first).not_to_have_text(before, timeout=LONG)
        expect(page.locator("main")).to_contain_text("score so far")
        assert page.evaluate("window.kept") is True
        expect(board.locator(".playing")).to_contain_text("alice", timeout=LONG)

        # At the end the films are there, and the board has its first row.
        expect(page.locator(".tag.finished")).to_be_visible(timeout=LONG)
        expect(page.locator("video")).to_have_count(1, timeout=LONG)
        expect(board.locator("table.board a.name")).to_have_text(["alice"], timeout=LONG)
        expect(board.locator(".playing")).to_have_count(0, timeout=LONG)
    return address


def test_a_film_plays_for_its_owner(browser: Browser, contest: Hosted, job: str) -> None:
    with visit(browser, contest) as page:
        log_in(page)
        page.goto(job)
        video = page.locator("video")
        video.evaluate("video => { video.muted = true; return video.play(); }")
        # Not `wait_for_function`: it evaluates a string, which the server's pages forbid.
        video.evaluate(
            "video => new Promise(done => { const look = () => video.currentTime > 0.1"
            " ? done() : setTimeout(look, 50); look(); })"
        )
        page.get_by_role("link", name="server").first.click()
        assert "serving" in page.inner_text("body")


def test_the_board_sorts_filters_and_leads_to_its_pages(
    browser: Browser, contest: Hosted, job: str
) -> None:
    with visit(browser, contest) as page:
        page.goto("/")
        page.locator("table.board thead button", has_text="score").click()
        assert page.locator("th[aria-sort]").count() == 1
        filter_by = page.get_by_label("Filter")
        filter_by.fill("nobody")
        expect(page.locator("table.board tbody tr:visible")).to_have_count(0)
        filter_by.fill("ALICE")
        expect(page.locator("table.board tbody tr:visible")).to_have_count(1)
        page.locator("table.board a.name").click()
        assert page.locator("h1").inner_text() == "alice"
        assert page.locator("video").count() == 0
        page.locator(".charts a").first.click()
        assert page.locator("h1").inner_text() == "FernHollow.Act3"
        assert page.locator("img.start").evaluate("image => image.naturalWidth") == 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_its_window(
    browser: Browser, contest: Hosted, job: str, width: int, scheme: str
) -> None:
    with visit(browser, contest, width, scheme) as page:
        public = ["/", "/contest", "/submit", "/login"]
        for path in public:
            check_fit(page, path, width, scheme)
        log_in(page)
        for path in ("/jobs", job, "/submit", "/contest", "/"):
            check_fit(page, path, width, scheme)


def check_fit(page: Page, path: str, width: int, scheme: str) -> None:
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) > 3 * 128) == (scheme == "light")


def test_the_keyboard_is_enough(browser: Browser, contest: Hosted, job: str) -> None:
    with visit(browser, contest) as page:
        page.goto("/login")
        assert page.evaluate("document.activeElement.id") == "name"
        page.keyboard.type("alice")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("My submissions")
        page.goto("/submit")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        # Every field and button has a name for a screen reader, every picture a description.
        for path in ("/submit", job, "/jobs", "/contest"):
            page.goto(path)
            unnamed = page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]), select, button')]"
                ".filter(e => !e.labels?.length && !e.textContent.trim()).length"
                " + document.querySelectorAll('svg[role=img]:not([aria-label])').length"
            )
            assert unnamed == 0, path


def test_a_link_with_the_focus_keeps_it_while_its_page_refreshes(
    browser: Browser, contest: Hosted, job: str
) -> None:
    with visit(browser, contest) as page:
        log_in(page)
        link = page.locator("[data-refresh] a").first
        link.focus()
        page.wait_for_timeout(4000)
        assert link.evaluate("element => element === document.activeElement")
