"""Typed configurations: dataclasses that YAML and the command line fill.

An unknown key, a wrong type or an impossible value is a `UsageError` of one line that names the
key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from retro_common.errors import UsageError

Positive = Annotated[int, pydantic.Field(gt=0)]
NotNegative = Annotated[float, pydantic.Field(ge=0)]
Rate = Annotated[float, pydantic.Field(gt=0)]
Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
Config = TypeVar("Config")

FORBID_UNKNOWN = pydantic.ConfigDict(extra="forbid")
"""a dataclass whose `__pydantic_config__` this is refuses keys that it does not have"""


def validate(kind: type[Config], values: Any, where: str) -> Config:
    """Build the dataclass `kind` from nested dictionaries, checking every key, type and range.

    Raises:
        UsageError: names the first bad key and what is wrong with it.
    """
    try:
        return pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise UsageError(f"{where}: unknown key `{key}`") from None
        raise UsageError(f"{where}: {key}: {first['msg']}, not {first['input']!r}") from None


def load(kind: type[Config], path: Path) -> Config:
    """Read a YAML file into the dataclass `kind`; missing keys keep their defaults.

    The key `extends` names another file, relative to this one, whose values come first: mappings
    are merged key by key, everything else is replaced.
    """
    return validate(kind, _read(path, ()), str(path))


def _read(path: Path, extended_by: tuple[Path, ...]) -> Any:
    """The file's values over those of the file that it extends."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict) or "extends" not in values:
        return values
    other = values.pop("extends")
    if not isinstance(other, str):
        raise UsageError(f"{path}: extends: should be a file's name, not {other!r}")
    extended_by = (*extended_by, path.resolve())
    if (path.parent / other).resolve() in extended_by:
        raise UsageError(f"{path}: extends: {other} extends this file in turn")
    return merge(_read(path.parent / other, extended_by), values)


def merge(under: Any, over: Any) -> Any:
    """Nested mappings: `over`, with the keys that only `under` has."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    shared = {key: merge(under[key], over[key]) for key in under.keys() & over.keys()}
    return {**under, **over, **shared}


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as plain dictionaries, lists and scalars, fit for YAML and JSON."""
    return pydantic.TypeAdapter(type(config)).dump_python(config, mode="json")
