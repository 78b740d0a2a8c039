"""The training benchmark, made small: both sides really train, on the same contest."""

import pytest
import torch

import benchmarks.agents.sb3
import retro_contest.levels
from agent.config import AgentConfig, MemoryConfig, VisionConfig
from agent.models.actor import Models
from benchmarks import training

LEVEL = retro_contest.levels.find("PangolinDash-Genesis-v0/EmberWorks.Act1")[0]
SMALL = AgentConfig(
    vision=VisionConfig(
        latent=16, grid=4, player_units=0, channels=(4, 8), decoder_channels=(4, 8)
    ),
    memory=MemoryConfig(hidden=16, mixtures=2),
)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ENVS", 2)
    monkeypatch.setattr(training, "TURN", 256)


@pytest.mark.slow
def test_our_turn_trains_what_the_arm_is_named_after() -> None:
    for models in (Models.build(SMALL), training.pixels(SMALL, seed=0)):
        networks = {name: getattr(models, name) for name in ("vision", "memory", "controller")}
        before = {part: dict(m.state_dict()) for part, m in networks.items()}
        before = {part: {k: v.clone() for k, v in s.items()} for part, s in before.items()}
        ours = training.Ours(LEVEL, models, seed=0, device=torch.device("cpu"))
        arm = training.Arm("ours", ours.turn)
        with ours.sampler:
            arm.run()
        shares = ours.shares(arm.wall[0])
        assert sum(shares.values()) == pytest.approx(1, abs=0.01) and min(shares.values()) > 0
        assert sum(ours.sampler.timesteps_per_level().values()) == training.TURN
        after = {part: m.state_dict() for part, m in networks.items()}
        for part in ("vision", "memory"):
            assert all(torch.equal(before[part][k], v) for k, v in after[part].items())
        assert not torch.equal(
            before["controller"]["policy.0.weight"], after["controller"]["policy.0.weight"]
        )


@pytest.mark.slow
def test_the_peer_trains_on_the_same_contest() -> None:
    peer = training.Peer(LEVEL, 0, "cpu")
    try:
        before = peer.model.policy.action_net.weight.detach().clone()
        arm = training.Arm("sb3", peer.turn)
        arm.run()
        assert peer.model.num_timesteps == training.TURN
        assert not torch.equal(before, peer.model.policy.action_net.weight)
        assert peer.envs.observation_space.shape == (4, 84, 84)
        assert arm.cpu[0] > 0.1, "the emulators' processes count"
    finally:
        peer.envs.close()


def test_episodes_of_the_peer_are_counted_in_the_contests_reward() -> None:
    env = training.peer_env(LEVEL, 0)()
    try:
        learnt_from, ended = 0.0, False
        while not ended:
            right = benchmarks.agents.sb3.ACTIONS.index("RIGHT")
            _, reward, terminated, truncated, info = env.step(right)
            learnt_from, ended = learnt_from + reward, terminated or truncated
        assert info["episode"]["r"] == pytest.approx(100 * learnt_from, rel=1e-3)
        assert 100 < info["episode"]["r"] < 10_000
    finally:
        env.close()


def test_figures() -> None:
    arm = training.Arm("", list, wall=[9.0, 2.0, 4.0, 3.0])
    arm.episodes = [(256, 100.0), (512, 200.0), (768, 300.0), (1024, 500.0)]
    assert arm.rate == 256 / 3
    assert arm.learnt() == 400.0
    assert [reward for _, reward in arm.curve()] == [100.0, 200.0, 300.0, 500.0]
    assert training.Arm("", list, wall=[1.0, 1.0]).learnt() is None
