"""From method and path to what is asked for (distribution-spec v1.1, section "Endpoints").

Repository names contain slashes, so the name is matched greedily between anchored ends (C-23).
"""

import enum
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from ..spec import image_layout
from ..spec.reference import is_repository
from .failures import RefusedError, name_invalid, path_unknown, unsupported

Kind = enum.Enum(
    "Kind",
    [
        "PAGE",
        "BASE",
        "CATALOG",
        "BLOB",
        "MANIFEST",
        "UPLOADS",
        "UPLOAD",
        "TAGS",
        "REFERRERS",
        "TOKEN",
    ],
)
"""What a path names."""

_READ = ("GET", "HEAD")
_METHODS = {
    Kind.PAGE: _READ,
    Kind.BASE: _READ,
    Kind.CATALOG: _READ,
    Kind.BLOB: (*_READ, "DELETE"),
    Kind.MANIFEST: (*_READ, "PUT", "DELETE"),
    Kind.UPLOADS: ("POST",),
    Kind.UPLOAD: ("GET", "PATCH", "PUT", "DELETE"),
    Kind.TAGS: _READ,
    Kind.REFERRERS: _READ,
    Kind.TOKEN: ("GET", "POST"),
}
# The first that matches decides: "uploads" is no digest.
_PATTERNS = (
    (Kind.UPLOADS, re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?", re.DOTALL)),
    (Kind.UPLOAD, re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<target>[^/]+)", re.DOTALL)),
    (Kind.BLOB, re.compile(r"/v2/(?P<name>.+)/blobs/(?P<target>[^/]+)", re.DOTALL)),
    (Kind.MANIFEST, re.compile(r"/v2/(?P<name>.+)/manifests/(?P<target>[^/]+)", re.DOTALL)),
    (Kind.REFERRERS, re.compile(r"/v2/(?P<name>.+)/referrers/(?P<target>[^/]+)", re.DOTALL)),
    (Kind.TAGS, re.compile(r"/v2/(?P<name>.+)/tags/list/?", re.DOTALL)),
    (Kind.CATALOG, re.compile(r"/v2/_catalog/?", re.DOTALL)),
    (Kind.BASE, re.compile(r"/v2/?", re.DOTALL)),
    (Kind.TOKEN, re.compile(r"/token")),
    (Kind.PAGE, re.compile(r"/")),
)
# A repository is a folder, and the repositories below it lie beside these entries of its layout (C-32).
_RESERVED = (image_layout.BLOBS, image_layout.INDEX, image_layout.MARKER)
# Before the path of a request in absolute form, which is meant for proxies and to be taken by all
# (RFC 9112 section 3.2.2). The host that it names is not looked at.
_ORIGIN = re.compile(r"https?://[^/?#]*(?=[/?])", re.IGNORECASE)
SESSION_KEY = "session"
"""Query key that may carry the session id instead of the path, for clients that must keep a query."""

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One request's target.

    Attributes:
        kind: what the path names.
        repository: a checked repository name, or empty.
        target: digest, tag or session id as text, or empty.
        query: the query, decoded, in order.
    """

    kind: Kind
    repository: str = ""
    target: str = ""
    query: Query = ()

    def get(self, key: str) -> str | None:
        """Return the first value of a query key, or None."""
        return next((value for name, value in self.query if name == key), None)

    def get_all(self, key: str) -> list[str]:
        """Return all values of a query key."""
        return [value for name, value in self.query if name == key]


def find_route(method: str, raw_path: str) -> Route:
    """Return what is asked for.

    Args:
        method: HTTP method.
        raw_path: path and query as they were sent.

    Raises:
        RefusedError: 404 unknown path, 400 bad escape or repository name, 405 wrong method.
    """
    raw, _, raw_query = _ORIGIN.sub("", raw_path, 1).partition("?")
    try:
        path = unquote(raw, errors="strict")
        query = tuple(parse_qsl(raw_query, keep_blank_values=True, errors="strict"))
    except ValueError as error:
        raise RefusedError(400, "UNSUPPORTED", "the URL is not valid UTF-8") from error
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        found = match.groupdict()
        route = _with_session(
            Route(
                kind=kind,
                repository=check_repository(found["name"]) if "name" in found else "",
                target=found.get("target", ""),
                query=query,
            )
        )
        allowed = _METHODS[route.kind]
        if method not in allowed:
            refused = unsupported(f"{method} is not for this path")
            refused.headers["Allow"] = ", ".join(allowed)
            raise refused
        return route
    raise path_unknown()


def _with_session(route: Route) -> Route:
    session = route.get(SESSION_KEY) if route.kind is Kind.UPLOADS else None
    if session is None:
        return route
    return Route(kind=Kind.UPLOAD, repository=route.repository, target=session, query=route.query)


def check_repository(name: str) -> str:
    """Return `name` if it can be a repository here.

    Raises:
        RefusedError: it breaks the grammar, or would lie inside another repository's files.
    """
    if not is_repository(name) or any(
        part == reserved or part.startswith(reserved + ".")
        for part in name.split("/")
        for reserved in _RESERVED
    ):
        raise name_invalid(name)
    return name
