"""Shows at the end of a run how many examples each property had, and how they ended."""

from collections.abc import Iterator

import pytest

from tests.fuzz.kit import LONG, Tally

TALLY = "fuzz tally"


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Counts the outcomes of a test's examples."""
    tally = Tally()
    yield tally
    # A property of the report: it also reaches the terminal from a worker of pytest-xdist.
    request.node.user_properties.append((TALLY, str(tally)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not LONG:
        return
    terminalreporter.section("examples")
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == TALLY and report.when == "teardown":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")
