"""Who a request is from, and whether it may do what it asks for."""

from aiohttp import web

from ..faults import Faults
from ..routes import Kind, Route
from .authorization import Basic, Bearer, Credentials, parse_authorization
from .options import Access
from .passwords import Passwords
from .permissions import (
    ANONYMOUS,
    Identity,
    allows,
    basic_challenge,
    bearer_challenge,
    is_host,
    needed,
    unknown,
    within_token,
)
from .tokens import Grant, Tokens

USER = web.RequestKey("user", str)
"""Under this, a request says who sent it."""


class Guard:
    """Lets requests pass or refuses them.

    Without `tokens`, it asks for user and password. A ping is refused to the anonymous even where
    all may read: by what a ping asks for, Docker and skopeo decide what they send with a push.
    """

    def __init__(
        self, access: Access, passwords: Passwords, tokens: Tokens | None, *, faults: Faults | None
    ) -> None:
        self._access = access
        self._passwords = passwords
        self._tokens = tokens
        self._faults = faults

    async def admit(self, request: web.Request, route: Route) -> Route:
        """Return what may be answered.

        Args:
            request: the request; nothing of its body is read.
            route: what it asks for.

        Raises:
            RefusedError: 401, with what to authenticate with; 429, too many wrong passwords.
        """
        credentials = credentials_of(request)
        # A page is opened by a browser, which knows user and password only.
        if self._tokens is not None and route.kind is not Kind.PAGE:
            return self._by_token(self._tokens, request, route, credentials)
        await self._by_password(request, route, credentials)
        return route

    async def _by_password(
        self, request: web.Request, route: Route, credentials: Credentials
    ) -> None:
        identity = ANONYMOUS
        if credentials is not None:
            name = await check_password(self._passwords, credentials, request)
            if name is None:
                raise unknown("wrong user or password", challenge=basic_challenge())
            identity = Identity(name)
            request[USER] = name
        needs = needed(request.method, route)
        if not allows(identity, needs, anonymous_pull=self._access.anonymous_pull):
            raise unknown("user and password are needed", challenge=basic_challenge())

    def _by_token(
        self, tokens: Tokens, request: web.Request, route: Route, credentials: Credentials
    ) -> Route:
        needs = needed(request.method, route)
        error, message = "", "a token is needed"
        if credentials is not None:
            grant = tokens.find(credentials.token) if isinstance(credentials, Bearer) else None
            if grant is None or not self._is_good(grant, request):
                error, message = "invalid_token", "the token is unknown or has expired"
            elif allows(
                Identity(grant.name, grant.scopes),
                needs,
                anonymous_pull=self._access.anonymous_pull,
            ):
                if grant.name is not None:
                    request[USER] = grant.name
                return within_token(route)
            else:
                error, message = "insufficient_scope", "the token does not allow this"
        raise unknown(message, challenge=bearer_challenge(own_url(request), needs, error=error))

    def _is_good(self, grant: Grant, request: web.Request) -> bool:
        grant.uses += 1
        if self._faults is not None and self._faults.ends_token(
            request.method, request.path, grant.uses
        ):
            return False
        return grant.name is None or self._passwords.vouches_for(grant.name, grant.stamp)


def credentials_of(request: web.BaseRequest) -> Credentials:
    """Return what came with a request to show who it is from."""
    return parse_authorization(request.headers.getall("Authorization", []))


async def check_password(
    passwords: Passwords, credentials: Credentials, request: web.BaseRequest
) -> str | None:
    """Return the user if the password is right, else None.

    Raises:
        RefusedError: 429.
    """
    if not isinstance(credentials, Basic):
        return None
    right = await passwords.check(
        credentials.name, credentials.password, address=request.remote or ""
    )
    return credentials.name if right else None


def own_url(request: web.BaseRequest) -> str:
    """Return the registry's URL as the client knows it.

    Only the connection and ``Host`` count: ``X-Forwarded-*`` can be sent by anybody.
    """
    host = request.headers.get("Host", "")
    if not is_host(host):
        address, port = request.get_extra_info("sockname")[:2]
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{request.scheme}://{host}"
