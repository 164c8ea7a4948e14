"""``/token``: tokens for users, and for those who only read (A-10 to A-14)."""

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from ...spec.decoding import encode_json
from ...spec.reference import is_repository
from ...transport.auth.scope import Scope, merge, parse_scopes
from ..connections import Connection, Incoming, Limits
from ..failures import JSON, RefusedError
from ..faults import Faults
from ..routes import Route
from .authorization import Credentials, user_and_password
from .guard import check_password, credentials_of
from .options import Access
from .passwords import Passwords
from .permissions import basic_challenge, granted, unknown
from .tokens import Grant, Tokens

MAX_FORM_BYTES = 64 << 10
MAX_SCOPES = 100
"""In one token; clients ask for one or two."""


class _Asked(NamedTuple):
    """What a client wants, from the query of a GET or the form of a POST."""

    credentials: Credentials
    refresh_token: str | None
    scopes: tuple[Scope, ...]
    offline: bool


class TokenEndpoint:
    """Gives out tokens."""

    def __init__(
        self,
        access: Access,
        passwords: Passwords,
        tokens: Tokens,
        *,
        limits: Limits,
        faults: Faults | None,
    ) -> None:
        self._access = access
        self._passwords = passwords
        self._tokens = tokens
        self._limits = limits
        self._faults = faults or Faults()

    async def answer(self, request: web.Request, route: Route) -> web.Response:
        """Answer a GET or POST.

        Raises:
            RefusedError: 400, the form is none; 401, wrong password or refresh token, or nobody may
                do anything without; 408, the form came too slowly; 413, it is too long; 429, too
                many wrong passwords.
        """
        if request.method == "POST":
            connection = request.protocol
            assert isinstance(connection, Connection)  # noqa: S101 - there are no others
            with connection.giving_way():  # nobody knows yet whom it is from
                asked = await _form(Incoming(request.content, self._limits, code="UNSUPPORTED"))
        else:
            asked = _query(request, route)
        name = await self._name(request, asked)
        scopes = merge(granted(_possible(asked.scopes), known=name is not None))
        stamp = None if name is None else self._passwords.stamp(name)
        token = self._tokens.issue(Grant(name=name, stamp=stamp, scopes=scopes))
        document: dict[str, object] = dict.fromkeys(self._faults.token_fields, token)
        if expires_in := self._expires_in():
            document["expires_in"] = expires_in
        document["issued_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        if asked.offline and name is not None:
            document["refresh_token"] = asked.refresh_token or self._tokens.issue_refresh(
                Grant(name=name, stamp=stamp)
            )
        headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
        return web.Response(body=encode_json(document), headers=headers)

    async def _name(self, request: web.Request, asked: _Asked) -> str | None:
        """Return the user, or None for one who only reads."""
        if asked.refresh_token is not None:
            grant = self._tokens.find_refresh(asked.refresh_token)
            if grant is None or not self._passwords.vouches_for(grant.name, grant.stamp):
                raise unknown("the refresh token is unknown", challenge=basic_challenge())
            return grant.name
        if asked.credentials is not None:
            name = await check_password(self._passwords, asked.credentials, request)
            if name is None:
                raise unknown("wrong user or password", challenge=basic_challenge())
            return name
        if not self._access.anonymous_pull:
            raise unknown("user and password are needed", challenge=basic_challenge())
        return None

    def _expires_in(self) -> int:
        announced_s = self._faults.token_announced_s
        return max(1, int(self._tokens.lifetime_s)) if announced_s is None else announced_s


def _query(request: web.Request, route: Route) -> _Asked:
    return _Asked(
        credentials=credentials_of(request),
        refresh_token=None,
        scopes=_scopes(route.get_all("scope")),
        offline=route.get("offline_token") == "true",
    )


async def _form(incoming: Incoming) -> _Asked:
    """Read the OAuth2 form (A-12)."""
    body = b""
    while piece := await incoming.piece():
        body += piece
        if incoming.received > MAX_FORM_BYTES:
            raise RefusedError(413, "UNSUPPORTED", f"a form has at most {MAX_FORM_BYTES} bytes")
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise RefusedError(400, "UNSUPPORTED", "the form is not UTF-8") from error
    first = {key: values[0] for key, values in form.items()}
    credentials: Credentials = None
    refresh_token = None
    match first.get("grant_type"):
        case "password":
            credentials = user_and_password(first.get("username", ""), first.get("password", ""))
        case "refresh_token":
            refresh_token = first.get("refresh_token", "")
        case _:
            raise RefusedError(
                400, "UNSUPPORTED", "grant_type is neither password nor refresh_token"
            )
    return _Asked(
        credentials=credentials,
        refresh_token=refresh_token,
        scopes=_scopes(form.get("scope", [])),
        offline=first.get("access_type") == "offline",
    )


def _scopes(values: list[str]) -> tuple[Scope, ...]:
    """Read scopes, repeated or separated by blanks."""
    scopes = parse_scopes(" ".join(values))
    if len(scopes) > MAX_SCOPES:
        raise RefusedError(400, "UNSUPPORTED", f"a token has at most {MAX_SCOPES} scopes")
    return scopes


def _possible(scopes: tuple[Scope, ...]) -> list[Scope]:
    return [one for one in scopes if one.type != "repository" or is_repository(one.name)]
