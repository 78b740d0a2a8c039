"""The main loop: play, learn, and save what was learnt until the contest ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch

from agent import bundle
from agent.actions import action_table
from agent.fine_tuning import FineTuning
from agent.learner.handle import Learner
from agent.learning.planner import Budget, Planner
from agent.models.actor import Actor, Models
from agent.models.frames import shrink
from agent.progress import Progress
from gym_remote.exceptions import ContestOver

log = logging.getLogger("agent")

FINISH_SECONDS = 5.0
"""time for the last update to end when the budget is used up"""


class Stopped(BaseException):
    """The process was asked to stop (SIGTERM, Ctrl-C).

    It may be raised anywhere. As an `Exception`, a library's `except Exception` could swallow it.
    """


def run(
    env: gymnasium.Env,
    models: Models,
    budget: Budget,
    *,
    learner: Learner | None,
    seed: int,
    save: Callable[[Progress], None],
    asked_to_stop: Callable[[], str | None] = lambda: None,
) -> Progress:
    """Play until the contest ends, fine-tuning the controller on the way.

    Args:
        env: the contest's environment, with frames as observations and MultiBinary(12) actions.
        learner: from `agent.learner.handle.start`; None plays without learning.
        save: called at intervals and at the end, to save what was learnt.
        asked_to_stop: returns the reason to stop, or None; called at every timestep, since a
            `Stopped` raised by a signal handler may be lost, for example in a finaliser.

    Returns:
        The counters of the contest. A used-up budget is the normal end.

    Raises:
        gym_remote.exceptions.GymRemoteError: the contest broke off for another reason; what was
            learnt has been saved.
        Stopped: the process was told to stop; what was learnt has been saved.
    """
    progress = Progress()
    tuning = None
    if learner is not None:
        planner = Planner(models.config.online, budget)
        tuning = FineTuning(models, learner, planner, progress, seed, lambda: save(progress))
    patience = 0.0
    try:
        _play(env, models, progress, tuning, seed, asked_to_stop)
    except ContestOver as end:
        log.info("the contest is over: %s", type(end).__name__)
        patience = FINISH_SECONDS
    finally:
        if tuning is not None:
            try:
                tuning.finish(patience)
                save(progress)
            except Stopped:  # raised only once, so the second try is not interrupted
                tuning.finish(0.0)
                save(progress)
                raise
    return progress


def _play(
    env: gymnasium.Env,
    models: Models,
    progress: Progress,
    tuning: FineTuning | None,
    seed: int,
    asked_to_stop: Callable[[], str | None],
) -> None:
    """Play timesteps until the environment raises that the contest is over."""
    buttons = action_table(models.config.actions)
    actor = Actor(models, envs=1, seed=seed)
    if tuning is not None:
        tuning.begin()
    frame = _reset(env, progress, tuning, actor)
    earned = 0.0
    while True:
        if reason := asked_to_stop():
            raise Stopped(reason)
        if tuning is not None:
            tuning.before_timestep()
        frames = shrink(frame)[None]
        features = actor.observe(frames)
        decision = actor.act(features)
        actions, replayed = decision.actions, None
        if tuning is not None:
            tuning.hand_over(decision.values)
            replayed = tuning.routes.action()
            if replayed is not None:
                actions = torch.tensor([replayed])
                decision = decision._replace(actions=actions)
        action = actions.item()
        frame, reward, terminated, truncated, _ = env.step(buttons[action])
        progress.timesteps += 1
        earned += float(reward)
        ended = bool(terminated or truncated)
        if tuning is not None:
            tuning.routes.record(action, float(reward), ended)
            if actor.follower is not None:
                tuning.followed.record(action, float(reward), ended)
            tuning.record(features, frames, decision, replayed is not None, float(reward), ended)
        actor.remember(features, actions, np.array([reward]), np.array([ended]))
        if ended:
            progress.rewards.append(earned)
            log.info(
                "episode %d: reward %.1f, timestep %d",
                len(progress.rewards),
                earned,
                progress.timesteps,
            )
            frame, earned = _reset(env, progress, tuning, actor), 0.0


def _reset(
    env: gymnasium.Env, progress: Progress, tuning: FineTuning | None, actor: Actor
) -> np.ndarray:
    frame, _ = env.reset()
    progress.timesteps += 1
    if tuning is not None:
        tuning.begin_episode(actor)
    return frame


def saver(models: Models, manifest: bundle.Manifest, out: Path, seed: int) -> Callable:
    """A `save` for `run` that writes the fine-tuned bundle into `out` and survives a full disk."""

    def save(progress: Progress) -> None:
        origin = {
            **manifest.origin,
            "fine_tuned": {
                "timesteps": progress.timesteps,
                "updates": progress.updates,
                "episodes": len(progress.rewards),
                "learnt_from": progress.learnt_from,
                "overwritten": progress.overwritten,
                "seed": seed,
            },
        }
        try:
            bundle.save(models, out, origin)
        except OSError as error:
            log.warning("what was learnt could not be saved to %s: %s", out, error)

    return save
