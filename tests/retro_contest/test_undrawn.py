"""Undrawn frames change nothing, and go back to drawn ones whenever that is not sure."""

import ctypes
import hashlib
import logging
import shutil

import numpy as np
import pytest
import stable_retro

from pangolin_dash.movies import FOLDER
from retro_common.movies import Movie
from retro_contest import levels
from retro_contest.emulator import proof, recycled, undrawn
from retro_contest.emulator.environment import ContestEnv
from retro_contest.emulator.make import make
from retro_contest.levels import Level

LEVEL = Level("Airstriker-Genesis-v0", "Level1")
PAD = ("B", "A", "MODE", "START", "UP", "DOWN", "LEFT", "RIGHT", "C", "Y", "X", "Z")
SHIPPED = [
    level
    for name, level_set in levels.load_sets().items()
    if name == "airstriker" or name.startswith("pangolin-")
    for level in level_set.levels
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test starts without verdicts and without warnings given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    proof.forget()
    undrawn.warn.cache_clear()
    undrawn.read_symbols.cache_clear()
    yield tmp_path / "cache" / "retro-contest-kit" / "undrawn"
    proof.forget()
    undrawn.read_symbols.cache_clear()


def solution(level: Level) -> np.ndarray:
    """The buttons `[timesteps, 12]` with which the game's solver finishes an act."""
    movie = Movie.load(FOLDER / f"{level.state}.json")
    rows = []
    for held, frames in (*movie.inputs, ((), 8)):  # idle until the game has counted the end
        rows += [[button in held for button in PAD]] * frames
    return np.array(rows, np.int8)[::4]


def one_per_zone(level: Level) -> object:
    """All levels in CI, the first act of each zone in `make test`."""
    marks = () if level == LEVEL or level.state.endswith("Act1") else pytest.mark.slow
    return pytest.param(level, id=level.name, marks=marks)


@pytest.mark.parametrize("level", [one_per_zone(level) for level in SHIPPED])
def test_shipped_levels_are_the_same(level):
    """Picture, reward, end, RAM and save-state after every timestep of a long play."""
    if level == LEVEL:
        actions = proof.random_buttons(1000, seed=7)
    else:
        actions = solution(level)
    env = ContestEnv(level, sticky=0)
    core = undrawn.Undrawn()
    drawn = list(proof.trace(env, core, actions))
    env.undrawn = core
    for timestep, skipped in enumerate(proof.trace(env, core, actions)):
        assert skipped == drawn[timestep], f"timestep {timestep}"
    env.close()
    ends = [i for i, step in enumerate(drawn) if any(step["the episode's end"])]
    if level == LEVEL:
        assert len(ends) >= 2
    else:
        assert len(ends) == 1, "the movie does not finish the act"
        assert sum(step["the reward"] for step in drawn) > 9000


def test_the_end_of_an_episode_is_drawn():
    """An episode may end on a frame that goes undrawn: the observation shows that frame."""
    frames = []
    for draw_all in (True, False):
        env = make(LEVEL, draw_all=draw_all, frame_skip=60, seed=0)
        env.reset()
        terminated = False
        while not terminated:
            frame, _, terminated, _, variables = env.step(np.zeros(12, np.int8))
        frames.append((frame, variables, env.episode_length))
        assert variables["lives"] == 0
        env.reset()
        frames.append((env.step(np.ones(12, np.int8))[0], None, None))
        env.close()
    for drawn, skipped in zip(frames[:2], frames[2:], strict=True):
        np.testing.assert_array_equal(drawn[0], skipped[0])
        assert drawn[1:] == skipped[1:]


def test_sound_is_the_same():
    sounds = []
    for draw_all in (True, False):
        env = make(LEVEL, draw_all=draw_all, seed=0)
        env.reset()
        for _ in range(20):
            env.step(np.zeros(12, np.int8))
        sounds.append(env.retro.em.get_audio().copy())
        env.close()
    assert sounds[0].any()
    np.testing.assert_array_equal(*sounds)


def falls_back(caplog, reason: str) -> None:
    """`make` draws every frame and says why, once."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            env = make(LEVEL, seed=0)
            assert env.undrawn is None
            env.reset()
            env.step(np.zeros(12, np.int8))
            env.close()
    assert len(caplog.messages) == 1
    assert "every frame is drawn" in caplog.messages[0] and reason in caplog.messages[0]


def test_a_difference_is_found(monkeypatch, caplog, cache):
    """Airstriker's sprites touch: with the two status bits compared it is not the same."""
    monkeypatch.setattr(undrawn, "PAINTED_STATUS", 0)
    falls_back(caplog, "the save-state differs")
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("what", ["RAM", "a RAM variable", "the picture", "the reward"])
def test_every_kind_of_difference_is_found(monkeypatch, what):
    """A core whose undrawn frames change something is caught."""

    def meddle(self):
        honest(self)
        data = self.env.retro.data
        self.count += 1
        if self.count < 50:
            return
        if what == "RAM":
            data.memory.assign(0xFF8000, "|u1", 1 ^ data.memory.extract(0xFF8000, "|u1"))
        elif what == "a RAM variable":
            data.set_value("gameover", self.count)
        elif what == "the reward":
            data.set_value("score", self.count)
        else:
            set_button_mask(env_of[0].retro.em, np.ones(12, np.uint8))

    honest = undrawn.Undrawn.step
    env_of: list[ContestEnv] = []
    original = ContestEnv.__init__

    def remember(env, *args, **kwargs):
        original(env, *args, **kwargs)
        env_of[:] = [env]
        undrawn.Undrawn.env = env
        undrawn.Undrawn.count = 0

    def set_button_mask(em, mask):
        em.set_button_mask(mask, 0)

    monkeypatch.setattr(ContestEnv, "__init__", remember)
    monkeypatch.setattr(undrawn.Undrawn, "env", None, raising=False)
    monkeypatch.setattr(undrawn.Undrawn, "count", 0, raising=False)
    monkeypatch.setattr(undrawn.Undrawn, "step", meddle)
    assert "differs after" in proof.prove(LEVEL, 60)


def test_missing_symbol(monkeypatch, caplog, cache):
    monkeypatch.setattr(undrawn, "FUNCTIONS", (*undrawn.FUNCTIONS, "no_such_function"))
    falls_back(caplog, "no_such_function")
    assert not cache.exists(), "a failure of this machine is not a verdict on the level"


def test_stripped_core(monkeypatch, caplog, tmp_path):
    core = tmp_path / "genesis_plus_gx_libretro.so"
    monkeypatch.setattr(undrawn, "CORE", core)
    falls_back(caplog, "no genesis_plus_gx_libretro.so")
    shutil.copy(stable_retro._retro.__file__, core)  # a library, but not this one
    undrawn.warn.cache_clear()
    falls_back(caplog, "system_frame_gen")


def test_other_platform(monkeypatch, caplog):
    monkeypatch.setattr(undrawn.sys, "platform", "darwin")
    falls_back(caplog, "darwin")


def test_core_must_be_loaded_and_unchanged():
    with pytest.raises(undrawn.Unavailable, match="is not loaded"):
        undrawn.Undrawn()
    env = ContestEnv(LEVEL)
    base = undrawn.library_base(undrawn.CORE)
    symbols = undrawn.read_symbols(undrawn.CORE)
    hardware = ctypes.c_uint8.from_address(base + symbols["system_hw"][0])
    assert hardware.value == 0x80
    try:
        for other in (0x20, 0x81, 0x84):  # Master System, Pico's neighbour, Mega CD
            hardware.value = other
            with pytest.raises(undrawn.Unavailable, match="not a Mega Drive"):
                undrawn.Undrawn()
    finally:
        hardware.value = 0x80
    offset, code = symbols["system_frame_gen"]
    symbols["system_frame_gen"] = offset, b"\x90" + code[1:]
    with pytest.raises(undrawn.Unavailable, match="in memory differs"):
        undrawn.Undrawn()
    env.close()


def test_a_verdict_is_kept(monkeypatch, cache):
    assert not proof.is_known(LEVEL)
    assert proof.may_skip(LEVEL)
    assert proof.is_known(LEVEL)
    (verdict,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(proof, "prove", lambda level: pytest.fail("proved again"))
        assert proof.may_skip(LEVEL)
        proof.forget()  # as in another process
        assert proof.may_skip(LEVEL)
    proof.forget()
    verdict.write_text("{damaged")
    assert not proof.is_known(LEVEL)
    monkeypatch.setattr(proof, "prove", lambda level: "")
    assert proof.may_skip(LEVEL)
    assert '"difference": ""' in verdict.read_text()


def test_a_verdict_belongs_to_rom_state_and_rules(tmp_path):
    folder = tmp_path / "integration" / LEVEL.game
    shutil.copytree(LEVEL.folder, folder)
    level = Level(LEVEL.game, LEVEL.state, folder.parent)
    keys = {proof.key_of(level)}
    for name in ("rom.md", "Level1.state", "scenario.json"):
        path = folder / name
        path.write_bytes(path.read_bytes() + b" ")
        if name == "rom.md":  # another ROM is refused unless the integration names its hash
            digest = hashlib.sha1(path.read_bytes()).hexdigest()
            (folder / "rom.sha").write_text(digest)
        keys.add(proof.key_of(level))
    (folder / "script.lua").write_text("")
    keys.add(proof.key_of(level))
    assert len(keys) == 5


def test_without_a_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made there
    assert proof.may_skip(LEVEL)
    assert proof.is_known(LEVEL)
    env = make(LEVEL)
    assert env.undrawn is not None
    env.close()


def test_a_core_that_fails_after_its_proof(monkeypatch, caplog):
    """A verdict of another day does not help a core that cannot be found now."""
    assert proof.may_skip(LEVEL)
    undrawn.read_symbols.cache_clear()
    monkeypatch.setattr(undrawn, "OBJECTS", (*undrawn.OBJECTS, "no_such_object"))
    falls_back(caplog, "no_such_object")


def test_draw_all_touches_nothing(monkeypatch):
    monkeypatch.setattr(proof, "may_skip", lambda level: pytest.fail("asked"))
    monkeypatch.setattr(recycled, "install", lambda: pytest.fail("installed"))
    env = make(LEVEL, draw_all=True)
    assert env.undrawn is None
    env.close()


def test_ram_copies_are_recycled():
    slots = {name: slot.value for name, slot in recycled.linkage_slots().items()}
    assert slots == recycled.blocks().system
    env = make(LEVEL, seed=0)
    env.reset()
    blocks = recycled.blocks()
    for _ in range(3):
        env.step(np.zeros(12, np.int8))
    used, kept = set(blocks.used), set(blocks.kept)
    assert len(used) == 2 and {size for _, size in used | kept} == {65536}
    for _ in range(20):
        env.step(np.zeros(12, np.int8))
    assert blocks.used | set(blocks.kept) == used | kept, "new blocks"
    env.close()
    assert {name: slot.value for name, slot in recycled.linkage_slots().items()} == slots
    assert not blocks.used and not blocks.kept


def test_recycling_can_stop_at_any_time():
    """Blocks handed out before go back to the system itself, and the other way round."""
    env = ContestEnv(LEVEL)
    rewards = []
    for _ in range(2):
        env.reset(seed=0)
        for timestep in range(60):
            if timestep % 10 == 0:
                (recycled.install if timestep % 20 else recycled.uninstall)()
            rewards.append(env.step(np.ones(12, np.int8))[1:3])
    recycled.uninstall()
    env.close()
    assert rewards[:60] == rewards[60:]


def test_recycling_is_no_must(monkeypatch):
    """Where the extension's table cannot be used, everything works as without."""
    monkeypatch.setattr(recycled.platform, "machine", lambda: "arm64")
    recycled.linkage_slots.cache_clear()
    env = make(LEVEL, seed=0)
    env.reset()
    env.step(np.zeros(12, np.int8))
    assert not recycled.blocks().used
    env.close()
    monkeypatch.undo()
    assert len(recycled.linkage_slots()) == 2
