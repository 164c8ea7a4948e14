"""Where a redirect leads, and what may go along (D-06, S-10 to S-12). No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..errors import ProtocolError, RedirectError
from .urls import Origin, is_internal, is_local, join_location, origin_of, redacted

STATUSES = frozenset({301, 302, 303, 307, 308})
_HARMLESS = frozenset(
    {
        "accept",
        "content-range",
        "content-type",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    }
)
"""Headers that another origin may see. Everything else stays behind: it may be a secret."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One request on the way.

    Attributes:
        method: HTTP method.
        url: absolute URL.
        headers: headers to send, without Authorization, which the sender adds if `trusted`.
        with_body: whether the body goes along.
        trusted: the registry's own origin, reached without leaving it. Once left, credentials are
            not sent again, not even after a redirect back (S-12).
        count: redirects so far.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    with_body: bool
    trusted: bool
    count: int = 0

    @property
    def origin(self) -> Origin:
        """Origin of the URL."""
        return origin_of(self.url)


def next_hop(
    hop: Hop,
    status: int,
    location: str | None,
    *,
    registry: Origin,
    max_redirects: int,
    allowed_hosts: frozenset[str] = frozenset(),
) -> Hop:
    """Return the request that a redirect asks for.

    Args:
        hop: the request that was answered.
        status: 301, 302, 303, 307 or 308. Method and body stay, but a 303 makes anything but HEAD a GET.
        location: the Location header.
        registry: the origin that the whole operation is for.
        max_redirects: how many are followed.
        allowed_hosts: hosts that may be internal.

    Raises:
        RedirectError: it must not be followed.
    """
    what = f"{hop.method} {redacted(hop.url)}: the redirect"
    if hop.count >= max_redirects:
        raise RedirectError(f"{what} would be number {hop.count + 1} in a row")
    if location is None:
        raise RedirectError(f"{what} names no Location")
    try:
        url = join_location(hop.url, location)
    except ProtocolError as error:
        raise RedirectError(f"{what} cannot be followed: {error}") from error
    here, there = hop.origin, origin_of(url)
    _check(what, here, there, registry=registry, allowed_hosts=allowed_hosts)
    turned = status == 303 and hop.method not in {"GET", "HEAD"}
    moved = replace(
        hop,
        method="GET" if turned else hop.method,
        url=url,
        headers=_without_content(hop.headers) if turned else hop.headers,
        with_body=hop.with_body and not turned,
        count=hop.count + 1,
    )
    if here == there:
        return moved
    kept = {name: value for name, value in moved.headers.items() if name.lower() in _HARMLESS}
    return replace(moved, headers=kept, trusted=False)


def check_place(
    url: str, *, registry_url: str, allowed_hosts: frozenset[str] = frozenset()
) -> None:
    """Check where a registry wants further requests of an upload, by the rules for redirects (S-11).

    Args:
        url: absolute URL that it named.
        registry_url: its own.
        allowed_hosts: hosts that may be internal.

    Raises:
        RedirectError: nothing must be sent there.
    """
    registry, there = origin_of(registry_url), origin_of(url)
    what = f"the place that {registry.netloc} names for an upload"
    _check(what, registry, there, registry=registry, allowed_hosts=allowed_hosts)


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if not k.lower().startswith("content-")}


def _check(
    what: str, here: Origin, there: Origin, *, registry: Origin, allowed_hosts: frozenset[str]
) -> None:
    if here.scheme == "https" and there.scheme == "http":
        raise RedirectError(
            f"{what} leads from https to http on {there.netloc}, where anybody can read along",
            hint="ask the registry's owner to serve its storage over https",
        )
    if there.host == registry.host or not is_internal(there.host) or is_local(registry.host):
        return
    if not allowed_hosts.isdisjoint({there.host, there.netloc}):
        return
    raise RedirectError(
        f"{what} leads into an internal network, to {there.netloc}",
        hint="if this is the registry's own storage, add the host to redirect_hosts",
    )
