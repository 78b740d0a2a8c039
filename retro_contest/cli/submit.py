"""`retro-contest submit`"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, Suppress, arg

from retro_common.errors import UsageError
from retro_common.text import clean
from retro_contest.cli.evaluate import Evaluate
from retro_contest.levels import check_playable, find
from retro_contest.rules import Rules

if TYPE_CHECKING:
    from docker import DockerClient

    from retro_contest.entry.remote import Remote
    from retro_contest.entry.submission import Submission

LEVELS = "PangolinDash-Genesis-v0/FernHollow.Act1,PangolinDash-Genesis-v0/AmberDunes.Act1"


@dataclass(frozen=True)
class Submit:
    """Submit an agent: build its image, check that it can play, push it, and write a record of it.

    With --server it is pushed to one's own name space of a contest that somebody hosts, and played
    there: retro-contest login first, retro-contest status afterwards.

    The image plays a short evaluation in containers. One that fails this check is not pushed. The
    record, submission.json beside the check's results, is what the board reads.

    Options of `docker build` follow after `--`. The environment image, the contest's side, is built
    where it is missing. For the kit's own agent (./submit.sh) it is built, too, with those of the
    options that say how to build, not what: --build-arg, --network, --pull, --no-cache, --add-host,
    --platform. Where a Dockerfile has ARG BASE=IMAGE, that image is pulled and its digest is built
    from, if no --build-arg BASE= names another.

    Exits with 0 when all is done, 1 when a step failed, 2 when something is missing or impossible.
    """

    folder: Annotated[Positional[str], arg(metavar="FOLDER", help_behavior_hint="(default: .)")] = (
        ""
    )
    """Folder with the agent's Dockerfile: see retro-contest new."""
    image: Annotated[str, arg(metavar="IMAGE")] = ""
    """An image that is built already, instead of a folder."""
    registry: Annotated[str, arg(metavar="HOST/REPO")] = ""
    """Where to push it (without: it stays on this machine)."""
    server: Annotated[str, arg(metavar="URL")] = ""
    """A contest's server to submit it to, instead of --registry."""
    pushed: Annotated[str, arg(metavar="REPOSITORY:TAG")] = ""
    """With --server: an image that is in its registry already; nothing is built or checked."""
    tag: str = ""
    """Its tag, and its name on the board (default: made of the agent's name and the commit,
    or of the kit's version and the commit for its own agent)."""
    bundle: Annotated[Path | None, arg(metavar="DIR")] = None
    """A bundle of the kit's agent that it holds (default: that of the Dockerfile, if any)."""
    levels: str = LEVELS
    """What the check plays."""
    timesteps: int = 2000
    """Budget of each of the check's runs."""
    results: Annotated[Path | None, arg(metavar="DIR")] = None
    """Where the check and the record go (default: results/submissions/TAG)."""
    dry_run: FlagCreatePairsOff[bool] = False
    """Say what would be done."""
    build: Suppress[tuple[str, ...]] = ()

    def run(self) -> int:
        # Not at the top: only commands that build need the client of Docker.
        from docker.errors import DockerException

        from retro_contest.entry.build import StepFailed

        if self.pushed:
            return self._start(self._remote(), self.pushed)
        rules = Rules(self.timesteps)
        check_playable(find(self.levels))
        try:
            return self._submit(rules)
        except StepFailed as error:
            print(f"error: {error}", file=sys.stderr)
        except DockerException as error:
            print(f"error: the Docker engine refused: {clean(error, 300)}", file=sys.stderr)
        return 1

    def _submit(self, rules: Rules) -> int:
        from retro_contest.entry import submission
        from retro_contest.entry.build import Options

        if self.image and (self.folder or self.build):
            raise UsageError("--image takes an image that is built: no FOLDER and no -- beside it")
        remote = self._remote() if self.server else None
        login = {} if remote is None else remote.get("registry")
        registry = self.registry if remote is None else f"{login['url']}/{self._repository()}"
        if self.image:
            planned = submission.of_image(self.image, registry, self.tag, self.bundle)
        else:
            planned = submission.of_folder(
                Path(self.folder or "."), registry, self.tag, self.bundle, Options(self.build)
            )
        results = self.results or Path("results/submissions") / planned.tag
        submission.check_writable(results)
        for line in planned.warnings():
            print(f"warning: {line}", file=sys.stderr)
        if self.dry_run:
            for line in planned.steps():
                print(line)
            print(f"would check it on {self.levels}, {rules.timesteps:,} timesteps each")
            print(f"would {'push ' + planned.image if registry else 'push nothing'}")
            print(f"would write {results / submission.RECORD_FILE}")
            print("nothing was done")
            return 0

        client = submission.prepare(planned, results)
        self._check(client, planned, rules, results)
        digest = self._push(client, planned, registry, login) if registry else ""
        for line in submission.write(client, planned, results, digest):
            print(line)
        if digest:
            print(f"submitted {registry}@{digest}")
        else:
            print(f"checked {planned.source}; --registry HOST/REPO pushes it")
        if remote is not None:
            return self._start(remote, f"{self._repository()}:{planned.tag}")
        return 0

    def _remote(self) -> Remote:
        """The contest's server, where this user has logged in."""
        from retro_contest.entry.remote import connect

        if not self.server or self.registry:
            raise UsageError("give --server URL, and no --registry beside it")
        return connect(self.server)

    def _repository(self) -> str:
        """The image's name in one's own name space."""
        from retro_contest.entry.new import image_name

        name = self.image.split("@")[0].split("/")[-1].split(":")[0]
        return image_name(name or Path(self.folder or ".").resolve().name)

    def _start(self, remote: Remote, tag: str) -> int:
        """Have the server play an image that was pushed."""
        job = remote.post("jobs", tag=tag)
        print(f"job {job['id']} is {job['state']}: retro-contest status --follow")
        return 0

    def _check(
        self, client: DockerClient, planned: Submission, rules: Rules, results: Path
    ) -> None:
        from retro_contest.entry import submission
        from retro_contest.entry.build import StepFailed

        print("checking it", flush=True)
        before = submission.image_id(client, planned)
        checked = Evaluate(
            levels=self.levels,
            results=results,
            rules=rules,
            image=planned.source,
            name=planned.tag,
            fresh=True,
        )
        if checked.run() != 0:
            for line in submission.agents_last_lines(results):
                print(line, file=sys.stderr)
            raise submission.failed(results)
        if submission.image_id(client, planned) != before:
            raise StepFailed(f"{planned.source} became another image meanwhile")

    def _push(
        self, client: DockerClient, planned: Submission, registry: str, login: dict[str, str]
    ) -> str:
        from retro_contest.entry.push import push
        from retro_contest.runs.progress import LINE_INTERVAL

        print(f"pushing {planned.image}", flush=True)
        client.images.get(planned.source).tag(planned.repository, planned.tag)
        console = Console()
        printed = time.monotonic()
        with console.status("pushing") as status:

            def show(line: str) -> None:
                nonlocal printed
                status.update(f"pushing: {line}")
                if not console.is_terminal and time.monotonic() >= printed + LINE_INTERVAL:
                    printed = time.monotonic()
                    print(f"pushing: {line}", flush=True)

            return push(client, registry, planned.tag, login=login, progress=show)
