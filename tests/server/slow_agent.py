"""`python slow_agent.py SECONDS`: waits that long before every timestep, and plays at random."""

import os
import sys
import time

from gym_remote.client import RemoteEnv
from gym_remote.exceptions import GymRemoteError

env = RemoteEnv(os.environ["RETRO_CONTEST_SOCKET"])
env.action_space.seed(0)
try:
    env.reset()
    while True:
        time.sleep(float(sys.argv[1]))
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
except GymRemoteError:  # the budget is used up
    pass
