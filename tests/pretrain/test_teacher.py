"""The teacher: its acts, where its episodes begin, what pays, and its stage."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.learning.ppo import Rollout
from pangolin_dash.simulator import NO_NEW_GROUND, RIGHT, B, Worlds, view
from pretrain import __main__ as command
from pretrain.config import PretrainConfig, TeacherTraining
from pretrain.data import acts as data
from pretrain.data.starts import EVERY, FAR, LEAST, Starts
from pretrain.demonstrations import Demonstrations
from pretrain.stage import Stopped
from pretrain.stages import teacher as stage
from pretrain.teacher import SCALE, Teacher
from retro_common.errors import UsageError
from retro_contest import levels

TINY = """
levels: pangolin-train
out: {out}
teacher: {{timesteps: 6144, worlds: 16}}
"""


@pytest.fixture(scope="module")
def known() -> list[data.Known]:
    return data.acts_of_levels("pangolin-train")


def course(known: list[data.Known], worlds: int = 32) -> stage.Course:
    training = TeacherTraining(worlds=worlds)
    config = PretrainConfig(Path("unused"), "pangolin-train", teacher=training)
    return stage.Course.open(config, known, seed=1)


def test_acts_are_the_training_levels_and_never_held_out_ones(known: list[data.Known]) -> None:
    assert [each.name for each in known] == [level.name for level in levels.find("pangolin-train")]
    assert all(each.movie is not None for each in known)
    with pytest.raises(UsageError, match="Airstriker-Genesis-v0/Level1 is no act of PangolinDash"):
        data.acts_of_levels("airstriker")


def test_generated_acts_are_others_and_their_movies_are_kept(tmp_path: Path) -> None:
    acts = data.generated_acts(data.TRAINING_SEED, 1, tmp_path)
    first, second = next(acts), next(acts)
    assert first.name == "1001/FernHollow.Act1" and second.name == "1001/FernHollow.Act2"
    again = next(data.generated_acts(data.TRAINING_SEED, 1, tmp_path))
    assert first.movie is not None and again.movie is not None
    assert (again.movie.frames, again.movie.reward) == (first.movie.frames, first.movie.reward)
    assert [path.name for path in sorted((tmp_path / "1001").iterdir())] == [
        "FernHollow.Act1.json",
        "FernHollow.Act2.json",
    ]
    (route, states, pads), (other, _, _) = data.traces([first, second])
    assert len(states) == len(pads) == data.ALONG and set(pads) <= set(route["pad"])
    assert len(route) == -(-first.movie.frames // 4) and len(other) != len(route)
    shipped = {each.act.name: each.act for each in data.acts_of_levels("pangolin-train")}
    assert first.act.sections != shipped["FernHollow.Act1"].sections


def test_episodes_begin_at_the_start_along_the_route_and_before_deaths(
    known: list[data.Known],
) -> None:
    course_ = course(known[:3])
    starts, worlds = course_.starts, course_.worlds
    places = {
        (int(a), int(x)) for a, x in zip(starts.act, worlds.state["variables"]["x"], strict=True)
    }
    assert len(places) > 10
    whole = worlds.state["variables"]["x"][starts.whole]
    assert 5 < len(whole) < 27 and set(whole.tolist()) <= {known[i].act.start[0] for i in range(3)}
    for t in range(300):
        if t % EVERY == 0:
            starts.look()
        worlds.step(np.full(32, RIGHT | B * (t // 8 % 2), np.uint8))
        starts.after_step()
    following = view(worlds.starts)
    assert (following["over"] == 0).all() and (following["fresh"] == 1).all()
    assert (following["variables"]["lives"] == 3).all()
    on_routes = {
        (int(point["x"]), int(point["y"]))
        for trace in data.traces(known[:3])
        for point in trace.route
    }
    variables = following["variables"]
    places = {(int(x), int(y)) for x, y in zip(variables["x"], variables["y"], strict=True)}
    assert places - on_routes and places & on_routes


def test_hard_places_are_practised_more(known: list[data.Known]) -> None:
    """Who stands still fails everywhere; who cannot fail, nowhere."""
    still, lucky = course(known[:2]), course(known[:2])
    for each, pad in ((still, 0), (lucky, RIGHT)):
        for t in range(700):
            if t % EVERY == 0:
                each.starts.look()
            each.worlds.step(np.full(32, pad, np.uint8))
            if each is lucky:
                each.worlds.scores[:] = FAR
            each.starts.after_step()
    failures, of_lucky = still.starts.failures, lucky.starts.failures
    tried = failures != 0.5
    assert tried.sum() > 5 and failures[tried].mean() > 0.55  # some begin at full speed
    assert (of_lucky[of_lucky != 0.5] < 0.5).all()


def test_places_are_drawn_by_their_failures(known: list[data.Known]) -> None:
    course_ = course(known[:2])
    starts, worlds = course_.starts, course_.worlds
    seen = []
    for time in range(12):
        starts.failures[:] = -LEAST
        starts.failures[7] = 1
        worlds.over[:], worlds.scores[:] = NO_NEW_GROUND, FAR
        starts.after_step()
        if time > 2:  # the first ones were drawn before
            seen += view(worlds.starts)["variables"]["x"].tolist()
    at_starts = {each.act.start[0] for each in known[:2]}
    within = [x for x in seen if x not in at_starts]
    assert 0.3 < len(within) / len(seen) < 0.7
    assert np.bincount(within).max() > 0.9 * len(within)


def test_what_pays(known: list[data.Known]) -> None:
    """Along its movie an episode earns ground, route and bonus; going back costs nothing."""
    ((route, along, pads),) = data.traces(known[:1])
    worlds = Worlds([known[0].act], 1, routes=[route], sticky=0)
    starts = Starts(worlds, [along], np.random.default_rng(0))
    course_ = stage.Course(worlds, starts, 1, pads)
    worlds.load(0, 0)
    starts.whole[0] = True
    total, least = 0.0, 0.0
    for pad in [*route["pad"], 0, 0]:
        rewards, ended = course_.step(np.array([pad]))
        total += rewards[0]
        least = min(least, rewards[0])
        if ended[0]:
            break
    assert ended[0] and least == 0
    assert total == pytest.approx(known[0].movie.reward * SCALE, abs=0.2)
    assert list(course_.episodes) == ["levels"] and course_.episodes["levels"][0][0]


def test_who_gets_nowhere_is_shown_the_movie(known: list[data.Known]) -> None:
    known = known[:2]
    course_ = course(known)
    torch.manual_seed(0)
    teacher = Teacher(course_.worlds.observation_size, ("", "RIGHT", "RIGHT B"))
    with torch.no_grad():
        teacher.policy.bias[0] = 20  # certain of standing still
    acts = [each.act for each in known]
    shown = Demonstrations(acts, course_.starts.places, course_.pads, teacher)
    assert shown.actions[shown.actions >= 0].bincount().sum() > 50
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    failures = shown.try_all(teacher, generator)
    assert failures.shape == (2 * data.ALONG,) and failures.mean() > 0.8
    optimizer = torch.optim.Adam(teacher.parameters(), 1e-3)
    first = shown.learn(teacher, optimizer, failures, rng)
    assert first["failing"] == failures.mean() and first["demonstrations"] > 10
    for _ in range(60):
        last = shown.learn(teacher, optimizer, failures, rng)
    assert last["demonstrations"] < 1
    assert shown.try_all(teacher, generator).mean() < 0.7 * failures.mean()
    assert shown.learn(teacher, optimizer, np.zeros_like(failures), rng) == {"failing": 0.0}


def test_rollouts_hold_what_the_teacher_saw_and_did(known: list[data.Known]) -> None:
    course_ = course(known, worlds=8)
    size = course_.worlds.observation_size
    torch.manual_seed(0)
    teacher = Teacher(size, ("", "RIGHT", "RIGHT B")).eval()
    rollout = Rollout(stage.LENGTH, 8, size, 0)
    stage.play(course_, teacher, rollout, torch.Generator().manual_seed(0))
    log_probs, values = teacher.label(rollout.z.flatten(0, 1).numpy())
    chosen = np.take_along_axis(log_probs, rollout.actions.reshape(-1, 1).numpy(), axis=1)
    np.testing.assert_allclose(chosen[:, 0], rollout.log_probs.flatten(), atol=1e-5)
    np.testing.assert_allclose(values, rollout.values.flatten(), atol=1e-5)
    assert rollout.rewards.min() == 0 < rollout.rewards.max()
    assert 0 < rollout.ends.sum() < 100


def test_stopped_continued_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(TINY.format(out=tmp_path / "run"))
    play = stage.play

    def stopped(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        play(*arguments)

    monkeypatch.setattr(stage, "play", stopped)
    with pytest.raises(Stopped):
        command.main(["teacher", "--config", str(config)])
    monkeypatch.undo()
    folder = tmp_path / "run/teacher"
    before = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert before["done"] == 2048
    assert command.main(["teacher", "--config", str(config)]) == 0
    after = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert after["done"] == 6144
    assert not torch.equal(before["model"]["policy.weight"], after["model"]["policy.weight"])

    teacher = Teacher.load(folder / "teacher.safetensors")
    assert teacher.actions[2] == "RIGHT B" and teacher.pads[2] == RIGHT | B
    assert torch.equal(teacher.policy.weight, after["model"]["policy.weight"])
    worlds = Worlds([data.acts_of_levels("pangolin-train")[0].act], 3, on_screen=True)
    teacher.check(worlds)
    log_probs, values = teacher.label(worlds.observe())
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-5)
    assert values.shape == (3,)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    with pytest.raises(UsageError, match="cannot be read"):
        Teacher.load(path)
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(UsageError, match="not a teacher"):
        Teacher.load(path)
    with pytest.raises(UsageError, match="no button START"):
        Teacher(8, ("RIGHT", "START"))
    small = Teacher(8, ("RIGHT",))
    small.save(path, {})
    with pytest.raises(UsageError, match="observations of 8 numbers"):
        Teacher.load(path).check(Worlds([data.acts_of_levels("pangolin-train")[0].act], 1))
