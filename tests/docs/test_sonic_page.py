"""The commands of docs/sonic.md and docs/troubleshooting.md are ones that the kit has."""

import shlex
from pathlib import Path

import pytest
from pages import ROOT, blocks

from pretrain import __main__ as pretrain
from pretrain.config import PretrainConfig
from retro_common.config import load
from retro_contest import levels
from retro_contest.board.references import PUBLISHED, references
from retro_contest.cli.parse import parse
from retro_contest.rom_files import sources, stable_retro_games, wanted

PAGES = [ROOT / "docs/sonic.md", ROOT / "docs/troubleshooting.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    understood = 0
    for block in blocks(page):
        for line in block.commands() if block.language == "sh" else []:
            words = shlex.split(line, comments=True)
            if words[:1] == ["retro-contest"]:
                parse(words[1:], "retro-contest")
            elif words[:1] == ["./submit.sh"]:
                parse(["submit", *words[1:]], "retro-contest")
            elif words[:3] == ["python", "-m", "pretrain"]:
                config = load(PretrainConfig, Path(words[words.index("--config") + 1]))
                assert pretrain.stages(words[3], config)
            else:
                assert words[0] in ("pip", "."), line
                continue
            understood += 1
            for name in (word for word in words if word.startswith("sonic-")):
                assert levels.find(name)
    assert understood >= 4


def test_the_page_names_the_roms_that_this_stable_retro_wants() -> None:
    page = PAGES[0].read_text()
    games = {level.game for name in ("sonic-train", "sonic-validation") for level in
             levels.find(name)}  # fmt: skip
    for game in (*games, "SonicAndKnuckles-Genesis-v0", "SonicTheHedgehog3-Genesis-v0"):
        for digest in wanted(stable_retro_games("stable") / game):
            assert digest in page and game in page
    for level in levels.find("sonic-final-2018"):
        assert all(digest in page for digest in sources(level.folder))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_full_board_shows_the_published_scores(name: str) -> None:
    played = tuple(level.name for level in levels.find(name))
    rows = references(played, 1_000_000)
    assert [row.name for row in rows] == [row[0] for row in PUBLISHED[name]]
    assert all(row.interval is None and row.source for row in rows)
    assert references(played[1:], 1_000_000) == () == references(played, 20_000)
