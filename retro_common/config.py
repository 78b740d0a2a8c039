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
from retro_common.files import UnreadableFile, read_text
from retro_common.text import clean, shown

YAML_BYTES = 1 << 20
"""bytes that a YAML file may have"""
YAML_NODES = 20_000
"""values that it may hold"""
YAML_DEPTH = 32
"""how deep its lists and mappings may be nested"""
YAML_DIGITS = 100
"""digits that a number may have"""
EXTENDS_DEPTH = 16
"""how many files in a row may extend another one"""

Positive = Annotated[int, pydantic.Field(gt=0, le=1_000_000_000)]
NotNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
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
        key = ".".join(clean(part, 80) for part in first["loc"][:8]) or "(top level)"
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise UsageError(f"{where}: unknown key `{key}`") from None
        raise UsageError(
            f"{where}: {key}: {clean(first['msg'])}, not {shown(first['input'])}"
        ) from None


class _Loader(yaml.SafeLoader):
    """Plain YAML of bounded size: mappings, lists, texts, numbers, true, false and null.

    No anchors and aliases, with which a few bytes become gigabytes, and no other tags; a date is a
    text.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refusal("anchors and aliases (& and *) are not allowed", event)
        self._nodes += 1
        if self._nodes > YAML_NODES:
            raise _refusal(f"it holds more than {YAML_NODES:,} values", event)
        if self._depth > YAML_DEPTH:
            raise _refusal(f"it is nested more than {YAML_DEPTH} deep", event)
        if isinstance(event, yaml.ScalarEvent) and not _is_text(event.value):
            raise _refusal("a text holds a character that cannot be written", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A number; reading one takes time that grows with the square of its length."""
        if len(str(node.value)) > YAML_DIGITS:
            raise ValueError(f"a number in it has more than {YAML_DIGITS} digits")
        return yaml.SafeLoader.yaml_constructors[node.tag](self, node)


def _refusal(why: str, event: yaml.Event) -> yaml.YAMLError:
    place = event.start_mark
    where = f" (line {place.line + 1}, column {place.column + 1})" if place else ""
    return yaml.YAMLError(why + where)


def _is_text(value: str) -> bool:
    """Whether a text can be a file's name and be printed: no NUL, no lone surrogate."""
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")
_Loader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (None, *(f"tag:yaml.org,2002:{name}" for name in _TAGS))
}
for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Loader.yaml_constructors[_tag] = _Loader.number
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0].rpartition(":")[2] in (*_TAGS, "merge")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """The value of a YAML text from a source that is not trusted.

    Raises:
        ValueError: it is not YAML, or more than `YAML_NODES`, `YAML_DEPTH` and the loader allow.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{clean(error.problem or error.context)}{where}") from None
    except (yaml.YAMLError, RecursionError, OverflowError, LookupError) as error:
        raise ValueError(clean(error)) from None


def read_yaml(path: Path, *, follow: bool = False) -> Any:
    """The value of a YAML file of at most `YAML_BYTES`.

    Args:
        follow: whether the path itself may be a link; for files that only a person names.

    Raises:
        UnreadableFile: the file is missing, not a plain file, too big, or not such YAML.
    """
    text = read_text(path, YAML_BYTES, follow=follow)
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UnreadableFile(path, f"not valid YAML: {clean(error, 300)}") from None


def load(kind: type[Config], path: Path) -> Config:
    """Read a YAML file into the dataclass `kind`; missing keys keep their defaults.

    The key `extends` names another file, relative to this one, whose values come first: mappings
    are merged key by key, everything else is replaced.
    """
    return validate(kind, _read(path, ()), str(path))


def _read(path: Path, extended_by: tuple[Path, ...]) -> Any:
    """The file's values over those of the file that it extends."""
    try:
        values = read_yaml(path, follow=True)
    except UnreadableFile as error:
        why = error.why
        if not error.missing and not why.startswith("not valid YAML"):
            why = f"cannot be read: {why}"
        raise UsageError(f"{path}: {why}") from None
    values = {} if values is None else values
    if not isinstance(values, dict) or "extends" not in values:
        return values
    other = values.pop("extends")
    if not isinstance(other, str):
        raise UsageError(f"{path}: extends: should be a file's name, not {shown(other)}")
    extended_by = (*extended_by, path.resolve())
    if (path.parent / other).resolve() in extended_by:
        raise UsageError(f"{path}: extends: {clean(other, 80)} extends this file in turn")
    if len(extended_by) > EXTENDS_DEPTH:
        raise UsageError(f"{path}: extends: more than {EXTENDS_DEPTH} files extend each other")
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
