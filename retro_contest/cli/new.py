"""`retro-contest new`"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


@dataclass(frozen=True)
class New:
    """Write the folder of a new agent, which can be evaluated and submitted at once.

    It holds the agent, its requirements, its Dockerfile, and a README with the next commands. The
    agent imports nothing of the kit but gym_remote, which is copied into the folder.
    """

    name: Annotated[Positional[Path], arg(metavar="NAME")]
    """Folder to write; the agent and its image are called like it."""
    template: Literal["random", "script", "sb3", "world-model"] = "random"
    """random: every button at random. script: a function from a frame to buttons, or one that
    learns. sb3: PPO of stable-baselines3. world-model: the kit's agent with its bundle, copied from
    a checkout of the kit's repository."""

    def run(self) -> int:
        from retro_contest.entry.new import TEMPLATES, write

        write(self.name, self.template)
        script = self.name / TEMPLATES[self.template].script
        print(f"wrote {self.name}: its README.md says more. Next:")
        print(
            f'  retro-contest evaluate --levels FernHollow.Act1 --agent "python {script}" '
            f"--timesteps 3000 --results results/{self.name.resolve().name}"
        )
        print(f"  retro-contest submit {self.name} --registry HOST/REPOSITORY")
        return 0
