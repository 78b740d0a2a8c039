"""The secret of an evaluation, and the seeds of the environments that follow from it.

Sticky actions are the contest's only randomness: whoever knows the seed of an environment and its
level can search for the best actions offline. So each evaluation draws a secret, and the seed of
each run's environment follows from the secret and the run's name. An agent is given the number of
its run, 0, 1, ..., from which nothing follows.

The secret lies in the results folder, for the host and for an auditor who plays the evaluation
again (`retro-contest evaluate --replay-secret`). The summary has its SHA-256, which does not
disclose it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from retro_common.errors import UsageError
from retro_common.files import read_json
from retro_common.text import clean

SECRET_FILE = "secret.json"
"""the file of a results folder that holds the secret; only its owner may read it"""
SEED_VARIABLE = "RETRO_CONTEST_ENVIRONMENT_SEED"
"""environment variable through which a server gets its seed: a command line is for all to read"""
SECRET_BYTES = 16


def new_secret() -> str:
    """A secret in hexadecimal, 128 bits of the system's randomness."""
    return secrets.token_hex(SECRET_BYTES)


def check_secret(text: str) -> str:
    """A secret as a person gave it, in lower case.

    Raises:
        UsageError: it is not 32 hexadecimal digits.
    """
    digits = 2 * SECRET_BYTES
    if len(text) != digits or not set(text.lower()) <= set("0123456789abcdef"):
        raise UsageError(
            f"--replay-secret '{clean(text, 40)}' is not {digits} hexadecimal digits: "
            f"take it from the {SECRET_FILE} of the evaluation"
        )
    return text.lower()


def environment_seed(secret: str, run: str) -> int:
    """Seed of a run's environment: the first 63 bits of HMAC-SHA256(secret, run).

    Args:
        secret: in hexadecimal.
        run: the run's name, `GAME/STATE/seed-N`.
    """
    digest = hmac.digest(bytes.fromhex(secret), run.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def fingerprint(secret: str) -> str:
    """SHA-256 of a secret, in hexadecimal. It identifies the secret and does not disclose it."""
    return hashlib.sha256(bytes.fromhex(secret)).hexdigest()


def take_seed(variables: MutableMapping[str, str]) -> int | None:
    """Remove the seed from a server's environment variables; None if there is none.

    Raises:
        UsageError: it is not a whole number of at least 0.
    """
    text = variables.pop(SEED_VARIABLE, None)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 40):
        raise UsageError(f"{SEED_VARIABLE} is not a whole number of at least 0")
    return int(text)


@dataclass(frozen=True)
class Identity:
    """The content of a results folder's secret file."""

    id: str
    """random, in hexadecimal: another evaluation has another"""
    secret: str
    """the secret, in hexadecimal"""

    @classmethod
    def new(cls, secret: str = "") -> Identity:
        """A new identity, with a new secret unless one is given."""
        return cls(secrets.token_hex(8), secret or new_secret())

    @classmethod
    def read(cls, results: Path) -> Identity | None:
        """The identity of a results folder; None if it has none.

        Raises:
            UsageError: the file is damaged.
        """
        path = results / SECRET_FILE
        if not os.path.lexists(path):
            return None
        content = read_json(path)
        try:
            identity = cls(content["id"], content["secret"])
            bytes.fromhex(identity.id)
            check_secret(identity.secret)
        except (KeyError, TypeError, ValueError, UsageError):
            raise UsageError(f"{path} is damaged: --fresh draws another secret") from None
        return identity

    def write(self, results: Path) -> None:
        """Write the file; only its owner may read it.

        Raises:
            OSError: it cannot be written.
        """
        path = results / SECRET_FILE
        temporary = path.with_name(f".{SECRET_FILE}.tmp")
        temporary.unlink(missing_ok=True)
        content = json.dumps({"id": self.id, "secret": self.secret}, indent=2) + "\n"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
