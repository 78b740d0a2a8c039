"""`retro-contest publish`"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from tyro.conf import FlagCreatePairsOff, Positional, arg

from retro_common.errors import UsageError
from retro_common.files import UnreadableFile, read_text
from retro_common.text import clean

CARD = "README.md"
CARD_BYTES = 1 << 20
NEVER = ("secret.json",)
"""files that stay here: who knows the secret of an evaluation can predict it"""
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class Publish:
    """Upload a folder, for example a bundle, to a repository of the Hugging Face Hub.

    The folder needs a model card, README.md with a YAML head; python -m analysis card writes that
    of a bundle. Files and folders whose name begins with a dot, and secrets of evaluations, stay
    here. Needs an account, and the extra hub: pip install 'retro-contest-kit[hub]'.
    """

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """The folder to publish."""
    hub: Annotated[str, arg(metavar="OWNER/NAME")]
    """The repository. It is made if there is none."""
    dry_run: FlagCreatePairsOff[bool] = False
    """Show what would be uploaded, and upload nothing."""

    def run(self) -> int:
        if not REPOSITORY.fullmatch(self.hub):
            raise UsageError(f"--hub {clean(self.hub, 60)}: a repository is OWNER/NAME")
        head = _head(self.folder / CARD)
        files = _files(self.folder)
        sizes = [(self.folder / name).stat().st_size for name in files]
        for name, size in zip(files, sizes, strict=True):
            print(f"{size:>13,}  {clean(name)}")
        print(f"{sum(sizes):>13,}  bytes in {len(files)} files to {self.hub}")
        print(f"card: {clean(', '.join(f'{key}: {value}' for key, value in head.items()), 300)}")
        if self.dry_run:
            print("dry run: nothing was uploaded")
            return 0
        return self._upload(files)

    def _upload(self, files: list[str]) -> int:
        try:
            from huggingface_hub import HfApi
        except ModuleNotFoundError:
            raise UsageError(
                "publish needs the library huggingface_hub: pip install 'retro-contest-kit[hub]'"
            ) from None
        api = HfApi()
        try:
            api.create_repo(self.hub, exist_ok=True)
            done = api.upload_folder(
                repo_id=self.hub,
                folder_path=self.folder,
                allow_patterns=[re.sub(r"([*?[])", r"[\1]", name) for name in files],
                commit_message=f"Publish {self.folder.resolve().name}",
            )
        except Exception as error:  # the network's, the Hub's, a missing login
            print(f"error: nothing was published: {clean(error, 300)}", file=sys.stderr)
            return 1
        print(f"published {done.commit_url}")
        return 0


def _head(card: Path) -> dict[str, object]:
    """The YAML head of a model card.

    Raises:
        UsageError: there is no card, or it has no such head.
    """
    try:
        text = read_text(card, CARD_BYTES, follow=True)
    except UnreadableFile as error:
        if error.missing:
            raise UsageError(f"{card} is missing: a model card is needed") from None
        raise
    match = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    try:
        head = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise UsageError(f"{card}: its head is no YAML ({clean(error)})") from None
    if not isinstance(head, dict):
        raise UsageError(f"{card} has no YAML head between two lines '---'")
    return {str(key): value for key, value in head.items()}


def _files(folder: Path) -> list[str]:
    """The files to upload, as paths in the folder, sorted."""
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not path.is_symlink() and not hidden and path.name not in NEVER:
            found.append(name.as_posix())
    return sorted(found)
