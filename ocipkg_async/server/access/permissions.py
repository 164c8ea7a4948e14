"""What a request needs, who may do it, and what a refusal asks for (A-06, A-23)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...spec.reference import is_repository
from ...transport.auth.scope import Scope, cover
from ..failures import API_VERSION, RefusedError
from ..routes import Kind, Route

REALM = "OCI registry"
"""What browsers show when they ask for a password."""
_PULL, _PUSH, _DELETE, _ANY = "pull", "push", "delete", "*"
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is from.

    Attributes:
        name: the user, or None for nobody in particular.
        scopes: all that a token is good for; None where there was no token.
    """

    name: str | None = None
    scopes: tuple[Scope, ...] | None = None


ANONYMOUS = Identity()


def needed(method: str, route: Route) -> tuple[Scope, ...]:
    """Return what a request does. The ping does nothing: it asks whether one is known (A-28)."""
    if route.kind is Kind.BASE:
        return ()
    if not route.repository:
        return (Scope.catalog(),)
    name = route.repository
    if route.kind not in {Kind.UPLOADS, Kind.UPLOAD}:
        if method in {"GET", "HEAD"}:
            return (Scope.repository(name, _PULL),)
        if method == "DELETE":
            return (Scope.repository(name, _DELETE),)
    push = Scope.repository(name, _PULL, _PUSH)
    source = route.get("from") if route.kind is Kind.UPLOADS and route.get("mount") else None
    if source is None or source == name or not is_repository(source):
        return (push,)  # what is no repository is refused later, and must not get into a challenge
    return (push, Scope.repository(source, _PULL))


def only_reads(scope: Scope) -> bool:
    """Whether this reads from a repository or lists them."""
    return scope == Scope.catalog() or (scope.type == "repository" and scope.only_pull)


def allows(identity: Identity, needs: tuple[Scope, ...], *, anonymous_pull: bool) -> bool:
    """Whether somebody may do what is needed; all users may do everything."""
    if identity.scopes is not None:
        return cover(identity.scopes, needs)
    if identity.name is not None:
        return True
    return anonymous_pull and bool(needs) and all(map(only_reads, needs))


def granted(asked: Iterable[Scope], *, known: bool) -> tuple[Scope, ...]:
    """Return what a token is given of what was asked for: reading only, unless its user is known.

    What is asked for in vain is left out; the client finds out by its request (A-18).
    """
    given = (_granted(scope, known=known) for scope in asked)
    return tuple(scope for scope in given if scope is not None)


def _granted(scope: Scope, *, known: bool) -> Scope | None:
    if scope == Scope.catalog():
        return scope
    if scope.type != "repository":
        return None
    allowed = {_PULL, _PUSH, _DELETE, _ANY} if known else {_PULL}
    asked = {*scope.actions, _PULL} if _ANY in scope.actions else set(scope.actions)
    actions = asked & allowed
    return Scope.repository(scope.name, *actions) if actions else None


def within_token(route: Route) -> Route:
    """Have a mount that names no source look for the blob only where the token leads (D-71)."""
    if route.kind is not Kind.UPLOADS or not route.get("mount") or route.get("from"):
        return route
    others = tuple(pair for pair in route.query if pair[0] != "from")
    return replace(route, query=(*others, ("from", route.repository)))


def is_host(text: str) -> bool:
    """Whether a ``Host`` header can stand in a URL and in a challenge."""
    return len(text) <= 255 + len(":65535") and _HOST.fullmatch(text) is not None


def unknown(message: str, *, challenge: str) -> RefusedError:
    """Return the answer to one who is not known well enough."""
    headers = {"WWW-Authenticate": challenge, **API_VERSION}
    return RefusedError(401, "UNAUTHORIZED", message, headers=headers)


def basic_challenge() -> str:
    """Ask for user and password (RFC 7617)."""
    return f'Basic realm="{REALM}", charset="UTF-8"'


def bearer_challenge(url: str, needs: Iterable[Scope], *, error: str = "") -> str:
    """Ask for a token (A-06).

    Args:
        url: of the registry, as the client knows it.
        needs: what the token has to be good for.
        error: what is wrong with the one that came, as RFC 6750 calls it, or empty.
    """
    text = f'Bearer realm="{url}/token",service="{url.partition("://")[2]}"'
    if scope := " ".join(map(str, needs)):
        text += f',scope="{scope}"'
    return text + (f',error="{error}"' if error else "")
