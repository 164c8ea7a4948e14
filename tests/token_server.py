"""A token server as registries use them: GET and POST forms, real RS256 tokens.

Anybody may pull; `TokenServer.username` may do everything it asks for. Settings may be changed
while it runs, and `TokenServer.reset` puts them back.
"""

import base64
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import jwt
import trustme
from aiohttp import BasicAuth, web

from accepting import serving

__all__ = ["ISSUER", "SERVICE", "TokenRequest", "TokenServer", "new_authority"]

SERVICE = "test-registry"
ISSUER = "test-token-server"

# The token specification's default for answers without ``expires_in``, and its least value.
DEFAULT_LIFETIME_S = 60

Access = dict[str, str | list[str]]


def new_authority() -> trustme.CA:
    """The authority whose certificate a registry takes as its ``rootcertbundle``."""
    return trustme.CA(key_type=trustme.KeyType.RSA)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What a client asked for."""

    method: str
    username: str | None
    """None for an anonymous client."""
    grant_type: str | None
    """``password`` or ``refresh_token`` of the POST form."""
    service: str
    scopes: tuple[str, ...]
    """Each as sent: ``repository:name:pull,push``."""
    client_id: str | None
    status: int


@dataclass(slots=True, kw_only=True)
class TokenServer:
    """The settings and the record of a running token server."""

    authority: trustme.CA
    username: str
    password: str

    realm: str = ""
    """The URL for challenges, known once it runs."""
    lifetime_s: int = DEFAULT_LIFETIME_S
    """How long a token is good. Registries forgive a minute: -120 makes dead tokens."""
    announced_s: int | None = None
    """The ``expires_in`` of the answer where it differs from `lifetime_s`; 0 leaves it out."""
    accepts_post: bool = True
    """Several public token servers answer the POST form with 404."""
    requests: list[TokenRequest] = field(default_factory=list)

    _refresh_tokens: dict[str, str] = field(default_factory=dict)
    _key_pem: bytes = b""
    _x5c: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        leaf = self.authority.issue_cert("token.invalid", key_type=trustme.KeyType.RSA)
        self._key_pem = leaf.private_key_pem.bytes()
        der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        self._x5c = (base64.b64encode(der).decode(),)

    def reset(self) -> None:
        """Forget all requests and refresh tokens, and put the settings back."""
        self.lifetime_s = DEFAULT_LIFETIME_S
        self.announced_s = None
        self.accepts_post = True
        self.requests.clear()
        self._refresh_tokens.clear()

    @asynccontextmanager
    async def run(self) -> AsyncIterator["TokenServer"]:
        """Serve on a free loopback port until the block ends."""
        app = web.Application()
        app.router.add_get("/token", self._get)
        app.router.add_post("/token", self._post)
        async with serving(web.AppRunner(app, access_log=None)) as port:
            self.realm = f"http://127.0.0.1:{port}/token"
            yield self

    async def _get(self, request: web.Request) -> web.Response:
        username, allowed = None, True
        if "Authorization" in request.headers:
            given = BasicAuth.decode(request.headers["Authorization"])
            username, allowed = given.login, self._knows(given.login, given.password)
        return self._answer(
            request,
            query=request.query,
            username=username,
            allowed=allowed,
            scopes=tuple(request.query.getall("scope", [])),
            wants_refresh=request.query.get("offline_token") == "true",
        )

    async def _post(self, request: web.Request) -> web.Response:
        if not self.accepts_post:
            raise web.HTTPNotFound
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("grant_type") == "refresh_token":
            username = self._refresh_tokens.get(form.get("refresh_token", ""))
            allowed = username is not None
        else:
            username = form.get("username")
            allowed = self._knows(username, form.get("password"))
        return self._answer(
            request,
            query=form,
            username=username,
            allowed=allowed,
            scopes=tuple(form.get("scope", "").split()),
            wants_refresh=form.get("access_type") == "offline",
        )

    def _knows(self, username: str | None, password: str | None) -> bool:
        return (username, password) == (self.username, self.password)

    def _answer(
        self,
        request: web.Request,
        *,
        query: Mapping[str, str],
        username: str | None,
        allowed: bool,
        scopes: tuple[str, ...],
        wants_refresh: bool,
    ) -> web.Response:
        service = query.get("service", "")
        status = 200 if allowed else 401
        self.requests.append(
            TokenRequest(
                method=request.method,
                username=username,
                grant_type=query.get("grant_type"),
                service=service,
                scopes=scopes,
                client_id=query.get("client_id"),
                status=status,
            )
        )
        if not allowed:
            errors = [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]
            return web.json_response({"errors": errors}, status=status)
        token = self.sign(granted(scopes, username), service=service, subject=username or "")
        body: dict[str, str | int] = {"access_token": token}
        if request.method == "GET":
            body["token"] = token
        expires_in = self.lifetime_s if self.announced_s is None else self.announced_s
        if expires_in:
            body["expires_in"] = expires_in
        if wants_refresh and username is not None:
            refresh_token = secrets.token_urlsafe(16)
            self._refresh_tokens[refresh_token] = username
            body["refresh_token"] = refresh_token
        return web.json_response(body)

    def sign(self, access: list[Access], *, service: str = SERVICE, subject: str = "") -> str:
        """A token for `access`, as the registry reads it."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": service,
            "iat": now,
            "nbf": now - DEFAULT_LIFETIME_S,
            "exp": now + self.lifetime_s,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        return jwt.encode(claims, self._key_pem, "RS256", headers={"x5c": list(self._x5c)})


def granted(scopes: Iterable[str], username: str | None) -> list[Access]:
    """What a client gets of what it asks for: pulling only, unless it is known."""
    access: list[Access] = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        wanted = actions.split(",")
        if username is None:
            wanted = [action for action in wanted if kind == "repository" and action == "pull"]
        access.append({"type": kind, "name": name, "actions": wanted})
    return access
