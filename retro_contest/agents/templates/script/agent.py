"""An agent that is a function, `act`; or, if it is to learn while it plays, a generator, `learner`.

The last lines choose which one plays.
"""

import inspect
import os
import random
from statistics import fmean

from gym_remote import BUTTONS, ContestOver, RemoteEnv


def act(observation):
    """The buttons that are held in the next timestep (4 frames).

    Args:
        observation: the last frame, uint8 of shape (224, 320, 3), RGB.

    Returns:
        Names of buttons: B A MODE START UP DOWN LEFT RIGHT C Y X Z. A, B and C jump.
    """
    return ["RIGHT", "B"] if random.random() < 0.2 else ["RIGHT"]


def learner(observation):
    """Learns how often to jump: plays the best chance so far, and sometimes another one.

    One generator plays the whole contest. It yields buttons and receives (observation, reward,
    done). After an episode's end, which `done` reports, the observation is the first one of the
    next episode.
    """
    results = {chance: [] for chance in (0.05, 0.2, 0.5)}  # rewards of the episodes of each
    while True:
        untried = [chance for chance, rewards in results.items() if not rewards]
        if untried:
            chance = untried[0]
        elif random.random() < 0.1:
            chance = random.choice(list(results))
        else:
            chance = max(results, key=lambda each: fmean(results[each]))
        total, done = 0.0, False
        while not done:
            buttons = ["RIGHT", "B"] if random.random() < chance else ["RIGHT"]
            _observation, reward, done = yield buttons  # it looks at rewards only
            total += reward
        results[chance].append(total)


def play(agent):
    """Play until the budget is used up, which raises ContestOver."""
    env = RemoteEnv()  # finds the contest's socket by itself
    observation, _ = env.reset()
    generator = agent(observation) if inspect.isgeneratorfunction(agent) else None
    buttons = next(generator) if generator else agent(observation)
    while True:
        if unknown := set(buttons) - set(BUTTONS):
            raise ValueError(f"no button is called {unknown.pop()!r}")
        observation, reward, done, _, _ = env.step([name in buttons for name in BUTTONS])
        if done:
            observation, _ = env.reset()
        buttons = generator.send((observation, reward, done)) if generator else agent(observation)


if __name__ == "__main__":
    random.seed(int(os.environ.get("RETRO_CONTEST_SEED", "0")))
    try:
        play(act)  # or: play(learner)
    except ContestOver as end:
        print(end)
