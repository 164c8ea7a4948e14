"""The ``Authorization`` header of a request, as plain values (A-30)."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A header that says nothing we can check: to be refused, not to be taken for none."""


Credentials = Basic | Bearer | Unusable | None


def parse_authorization(values: Sequence[str]) -> Credentials:
    """Read the header's values; None is an anonymous request.

    User and password that are both empty are none: skopeo and podman send them to a registry that
    asks for Basic when they have no credentials.
    """
    if not values:
        return None
    scheme, _, rest = values[0].strip().partition(" ")
    rest = rest.strip()
    if len(values) > 1 or not rest:
        return Unusable()
    match scheme.lower():
        case "basic":
            return _basic(rest)
        case "bearer":
            return Bearer(rest)
        case _:
            return Unusable()


def _basic(text: str) -> Credentials:
    try:
        pair = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return Unusable()
    name, colon, password = pair.partition(":")
    if pair == ":":
        return None
    return user_and_password(name, password) if colon else Unusable()


def user_and_password(name: str, password: str) -> Basic | Unusable:
    """Return them if they can be anybody's."""
    # RFC 7617, section 2: no control characters, of which NUL would end a password.
    if not name or ":" in name or any(char < " " or char == "\x7f" for char in name + password):
        return Unusable()
    return Basic(name, password)
