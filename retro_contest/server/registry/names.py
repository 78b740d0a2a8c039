"""Names in a registry: which requests a user may make, and what they mean in the registry behind.

A user's images lie in a name space of their own: the repository `agent` of the name space `u7` is
`u7/agent` in the registry. A request's path is never taken over: it is matched against the few
forms of the registry protocol, and the registry's path is built anew from the parts, with the name
space before the repository. So no path can leave it: a name consists of lower-case words joined by
single signs, which rules out `..`, empty parts, and anything percent-encoded.

Protocol: the HTTP API V2 of the CNCF's Distribution (OCI Distribution Specification 1.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

_WORD = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAME = rf"{_WORD}(?:/{_WORD})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_UPLOAD = r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,199}"
NAME_LENGTH = 200
"""characters of a repository's name; a registry allows 255 with the name space"""
READ = frozenset({"GET", "HEAD"})

# Of each form: the path after the repository's name, and the methods. Not among them: DELETE of a
# manifest or a blob, so that an image whose digest a job has noted stays.
_FORMS = (
    (re.compile(rf"({_NAME})(/tags/list)"), frozenset({"GET"})),
    (re.compile(rf"({_NAME})(/manifests/(?:{_TAG}|{_DIGEST}))"), READ | {"PUT"}),
    (re.compile(rf"({_NAME})(/blobs/{_DIGEST})"), READ),
    (re.compile(rf"({_NAME})(/blobs/uploads/)"), frozenset({"POST"})),
    (
        re.compile(rf"({_NAME})(/blobs/uploads/{_UPLOAD})"),
        frozenset({"GET", "PATCH", "PUT", "DELETE"}),
    ),
)
_PARAMETERS = frozenset({"_state", "digest", "from", "last", "mount", "n"})


class Refused(Exception):
    """A request that the registry protocol has no place for, with the HTTP status to answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """one of the protocol's error codes"""


@dataclass(frozen=True)
class Target:
    """What a request means in the registry behind."""

    repository: str
    """its name for the user, without the name space"""
    path: str
    """path in the registry, `/v2/...`"""
    query: str
    """query in the registry, without `?`"""
    upload: bool
    """whether it is part of an upload of a blob"""


def target(space: str, method: str, path: bytes, query: bytes) -> Target:
    """Translate a request.

    Args:
        space: the user's name space; nothing for one who names all images in full.
        method: HTTP method.
        path: its path as it was sent, percent-encoded, without the query.
        query: its query as it was sent.

    Raises:
        Refused: the request is none of the protocol's, or its method is not allowed.
    """
    if not path.startswith(b"/v2/") or not path.isascii():
        raise Refused(404, "NAME_INVALID", "not a path of the registry protocol")
    rest = path[len("/v2/") :].decode()
    for form, methods in _FORMS:
        match = form.fullmatch(rest)
        if match is None:
            continue
        repository, end = match.groups()
        if len(repository) > NAME_LENGTH:
            break
        if method not in methods:
            raise Refused(405, "UNSUPPORTED", f"{method} is not allowed here")
        return Target(
            repository=repository,
            path=f"/v2/{_prefix(space)}{repository}{end}",
            query=_query(space, query),
            upload=end.startswith("/blobs/uploads/"),
        )
    raise Refused(404, "NAME_INVALID", "not a path of the registry protocol")


def _query(space: str, query: bytes) -> str:
    """The parameters that the protocol has; a blob is taken from one's own repositories only."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise Refused(400, "UNSUPPORTED", "not a query of the registry protocol") from None
    values = {key: value for key, value in pairs if key in _PARAMETERS}
    if "from" in values or "mount" in values:
        # Without both the registry begins a usual upload, as the protocol allows.
        source, blob = values.pop("from", ""), values.pop("mount", "")
        if re.fullmatch(_NAME, source) and re.fullmatch(_DIGEST, blob):
            values |= {"from": f"{_prefix(space)}{source}", "mount": blob}
    return urlencode(values)


def _prefix(space: str) -> str:
    return f"{space}/" if space else ""


def public_location(space: str, location: str) -> str:
    """A `Location` of the registry behind as its user may see it: a path, without the name space.

    Raises:
        ValueError: it lies elsewhere.
    """
    path = "/" + location.partition("://")[2].partition("/")[2] if "://" in location else location
    start = f"/v2/{_prefix(space)}"
    if not path.startswith(start):
        raise ValueError("the registry points elsewhere")
    return "/v2/" + path[len(start) :]
