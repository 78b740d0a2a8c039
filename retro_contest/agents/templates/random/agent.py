"""Presses every button at random. A place to start from."""

import os

from gym_remote import ContestOver, RemoteEnv

env = RemoteEnv()  # finds the contest's socket by itself
env.action_space.seed(int(os.environ.get("RETRO_CONTEST_SEED", "0")))
try:
    while True:
        observation, _ = env.reset()  # uint8 of shape (224, 320, 3): the last frame, RGB
        done = False
        while not done:
            action = env.action_space.sample()  # 12 times 0 or 1, in the order of env.buttons
            observation, reward, done, _, _ = env.step(action)
except ContestOver as end:  # the budget is used up
    print(end)
