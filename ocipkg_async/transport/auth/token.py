"""Requests to a token server and its answers, as plain values (A-10 to A-19)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

from ...errors import CredentialError, InvalidDocumentError, ProtocolError
from ...spec.decoding import decode_json
from ..credentials.model import Credential
from .scope import Scope

CLIENT_ID = "ocipkg-async"
MAX_ANSWER_BYTES = 128 << 10
"""Tokens of a few KiB are usual; more is an attack (A-16)."""
MAX_TOKEN_CHARS = 64 << 10
LEAST_LIFE_S = 60
"""Both where a lifetime is absent, and where it is shorter (A-14)."""
_LONGEST_LIFE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to a token server. Its text form shows no secret."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token.

    Attributes:
        value: the token.
        life_s: seconds from now on that it is good for.
        refresh_token: what replaces the identity token for the next time, or empty (A-19).
    """

    value: str = field(repr=False)
    life_s: float
    refresh_token: str = field(default="", repr=False)


def basic(credential: Credential) -> str:
    """Return the Authorization header of user and password (A-30).

    Raises:
        CredentialError: the user name holds a colon, which the form cannot carry.
    """
    if ":" in credential.username:
        raise CredentialError(
            "the stored user name holds a ':', which no registry can take",
            hint="log in again, with the user name alone",
        )
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def get_request(
    realm: str, *, service: str, scopes: tuple[Scope, ...], credential: Credential | None
) -> TokenRequest:
    """Return the GET form: with user and password, or anonymous (A-10, A-11)."""
    pairs = [("service", service)] if service else []
    pairs += [("scope", str(scope)) for scope in scopes]
    pairs.append(("client_id", CLIENT_ID))
    headers: dict[str, str] = {}
    if credential is not None:
        headers["Authorization"] = basic(credential)
        pairs.append(("account", credential.username))
    # A scope's colons, slashes and commas are legal in a query, and easier to read in server logs.
    query = urlencode(pairs, quote_via=quote, safe=":/,*")
    joint = "" if realm.endswith(("?", "&")) else "&" if "?" in realm else "?"
    return TokenRequest("GET", realm + joint + query, headers)


def post_request(
    realm: str, *, service: str, scopes: tuple[Scope, ...], refresh_token: str
) -> TokenRequest:
    """Return the OAuth2 form that exchanges an identity token (A-12)."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "service": service,
        "client_id": CLIENT_ID,
        "scope": " ".join(map(str, scopes)),
    }
    body = urlencode({key: value for key, value in form.items() if value}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return TokenRequest("POST", realm, headers, body)


def parse_token(body: bytes, *, server: str, date: str | None = None) -> Token:
    """Read a token server's answer.

    Args:
        body: the answer.
        server: its host, for the error, which never shows the body (A-15).
        date: Date header of the answer. How old the token is is told by the server's own clock;
            ours may be wrong.

    Raises:
        ProtocolError: there is no usable token in it.
    """
    try:
        answer: Any = decode_json(body, what="token answer")
    except InvalidDocumentError as error:
        # The parser's text may quote the answer.
        raise ProtocolError(f"the token server {server} did not answer with JSON") from error
    if not isinstance(answer, dict):
        raise ProtocolError(f"the token server {server} did not answer with a JSON object")
    fields = cast("dict[str, object]", answer)
    value = fields.get("token") or fields.get("access_token")
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"the token server {server} sent no token")
    if len(value) > MAX_TOKEN_CHARS or not _is_header_text(value):
        raise ProtocolError(f"the token server {server} sent a token that no header can carry")
    refresh = fields.get("refresh_token")
    life_s = _life_s(fields.get("expires_in")) - _age_s(fields.get("issued_at"), date)
    return Token(value, max(life_s, 0.0), refresh if isinstance(refresh, str) else "")


def _is_header_text(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _life_s(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124
        return LEAST_LIFE_S
    return min(max(float(value), LEAST_LIFE_S), _LONGEST_LIFE_S)


def _age_s(issued_at: object, date: str | None) -> float:
    if not isinstance(issued_at, str) or date is None:
        return 0.0
    try:
        issued = datetime.fromisoformat(issued_at)
        now = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError):
        return 0.0
    if issued.tzinfo is None:
        issued = issued.replace(tzinfo=UTC)
    if now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    # Docker's own server sends nanoseconds and rounds down; a token from the future is new.
    return max(0.0, (now - issued).total_seconds())
