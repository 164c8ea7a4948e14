"""Stored credentials that are refused: reading goes on without them, and nothing else does."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ocipkg_async.errors import DeniedError, RegistryError, UnauthorizedError
from ocipkg_async.events import Event, Warned
from ocipkg_async.transport import Credential, Request, Scope, Transport
from ocipkg_async.transport.auth.need import Need
from ocipkg_async.transport.auth.refused import AGAIN_AFTER_S, Refusals
from ocipkg_async.transport.urls import origin_of
from transport.servers import Answer, Seen, Server, Stored, bearer, quick, serve, text, token

GOOD = Credential(username="alice", password="wonderland")
STALE = Credential(username="alice", password="forgotten")


def basic_of(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


class Site:
    """A registry, its own token server, where all may read ``open/…`` and Alice may do everything.

    Attributes:
        scheme: of its challenges, bearer or basic.
        refusal: status for wrong credentials.
        stranger: status of the token server for who shows none; 200 gives a token.
        password: the user's; it can be changed.
    """

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.refusal = 401
        self.stranger = 200
        self.password = GOOD.password
        self.server: Server

    def answer(self, seen: Seen) -> Answer:
        credential = Credential(username="alice", password=self.password)
        known = seen.authorization in {basic_of(credential), "Bearer alice"}
        if seen.path.startswith("/token"):
            if seen.authorization and not known:
                return text("wrong password", status=self.refusal)
            if self.stranger != 200 and not known:
                return text("strangers get nothing", status=self.stranger)
            return token("alice" if known else "anybody")
        if known or (self._is_open(seen) and self._is_anybody(seen)):
            return text("fine")
        if self.scheme == "basic":
            return text("denied", status=401, WWW_Authenticate='Basic realm="it"')
        return bearer(f"http://{seen.headers['Host']}/token")

    @staticmethod
    def _is_open(seen: Seen) -> bool:
        return seen.method == "GET" and seen.path.startswith("/v2/open/")

    def _is_anybody(self, seen: Seen) -> bool:
        return seen.authorization == ("Bearer anybody" if self.scheme == "bearer" else None)

    @property
    def tried(self) -> list[bool]:
        """For each request on which stale credentials could be shown, whether they were."""
        asked = [s for s in self.server.seen if s.path.startswith("/token")]
        shown = [seen.authorization for seen in (asked or self.server.seen)]
        return [value == basic_of(STALE) for value in shown]


class Told(Transport):
    """A transport that keeps its warnings."""

    def __init__(self, credential: Credential) -> None:
        self.events: list[Event] = []
        self.stored = Stored(credential)
        super().__init__(quick(), credentials=self.stored, on_event=self.events.append)

    @property
    def warnings(self) -> list[Warned]:
        return [event for event in self.events if isinstance(event, Warned)]


@pytest.fixture(params=["bearer", "basic"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with site_of(request.param) as made:
        yield made


@asynccontextmanager
async def site_of(scheme: str) -> AsyncIterator[Site]:
    made = Site(scheme)
    async with serve(made.answer) as made.server:
        yield made


async def send(
    transport: Transport, site: Site, repository: str, *actions: str, method: str = "GET"
) -> bytes:
    """Send what needs these actions: to pull, unless others are named."""
    request = Request(
        method=method,
        url=f"{site.server.url}/v2/{repository}/x",
        registry=site.server.host,
        repository=repository,
        scopes=(Scope.repository(repository, *(actions or ("pull",))),),
    )
    return (await transport.fetch(request, max_bytes=100))[1]


async def remember_challenge(transport: Transport, site: Site) -> None:
    """Make a Basic site ask once: from then on credentials go along from the start."""
    if site.scheme == "basic":
        with pytest.raises(UnauthorizedError):
            await send(transport, site, "closed/first")
        site.server.seen.clear()


async def test_public_content_is_read_without_them_and_the_user_is_told_once(site: Site) -> None:
    async with Told(STALE) as transport:
        await remember_challenge(transport, site)
        for repository in ("open/a", "open/a", "open/b", "open/a"):
            assert await send(transport, site, repository) == b"fine"
        (warned,) = transport.warnings
    assert warned.name == site.server.host
    assert "refused the stored credential" in warned.text
    assert f"ocipkg-async logout {site.server.host}" in warned.text
    assert "forgotten" not in repr(transport.events)


async def test_a_token_server_is_asked_once_with_them(site: Site) -> None:
    async with Told(STALE) as transport:
        await remember_challenge(transport, site)
        for repository in ("open/a", "open/b", "open/a"):
            await send(transport, site, repository)
    if site.scheme == "bearer":
        assert site.tried == [True, False, False]
    else:
        # A 401 to Basic may be about one repository: each is asked once.
        assert site.tried == [True, False, True, False, False]


async def test_a_private_repository_ends_with_both_reasons(site: Site) -> None:
    async with Told(STALE) as transport:
        for _ in range(2):
            with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
                await send(transport, site, "closed/a")
            assert "no credential was sent" in str(caught.value)
            assert f"ocipkg-async logout {site.server.host}" in (caught.value.hint or "")
            assert caught.value.status == 401
        assert transport.warnings == []  # it was of no use to go on
    assert sum(site.tried) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_token_server_that_refuses_everybody(status: int) -> None:
    async with site_of("bearer") as site, Told(STALE) as transport:
        site.refusal = site.stranger = status
        for _ in range(2):
            with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
                await send(transport, site, "open/a")
            assert "strangers get nothing" in str(caught.value)
            assert caught.value.hint
        assert site.tried == [True, False, False]


async def test_writing_fails_with_them_even_after_reading_went_on(site: Site) -> None:
    async with Told(STALE) as transport:
        await send(transport, site, "open/a")
        before = sum(site.tried)
        with pytest.raises(UnauthorizedError) as caught:
            await send(transport, site, "open/a", "pull", "push", method="POST")
        assert caught.value.hint
        assert "log in" in caught.value.hint
        assert sum(site.tried) == before + 1
        assert all(
            seen.authorization != "Bearer anybody"
            for seen in site.server.seen
            if seen.method == "POST"
        )


@pytest.mark.parametrize(
    "scopes", [(), (Scope.catalog(),), (Scope.repository("open/a", "pull", "push"),)]
)
async def test_what_needs_a_login_fails_with_them(scopes: tuple[Scope, ...]) -> None:
    async with site_of("bearer") as site, Told(STALE) as transport:
        request = Request(
            method="GET",
            url=f"{site.server.url}/v2/open/a/x",
            registry=site.server.host,
            repository="open/a",
            scopes=scopes,
        )
        with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
            await transport.fetch(request, max_bytes=100)
        assert "log in" in (caught.value.hint or "")
        assert "wrong password" in str(caught.value)
        assert "forgotten" not in repr(caught.value)
        assert site.tried == [True]


async def test_credentials_that_are_replaced_meanwhile_are_used(site: Site) -> None:
    async with Told(STALE) as transport:
        with pytest.raises(UnauthorizedError):
            await send(transport, site, "closed/a")
        transport.stored.credential = GOOD
        assert await send(transport, site, "closed/a") == b"fine"


def test_credentials_are_tried_again_after_a_while() -> None:
    """Token servers in trouble refuse good ones; a service must not do without for good."""
    origin = origin_of("https://r.example/")
    read = Need("r.example", origin, "a", (Scope.repository("a", "pull"),))
    other = Need("r.example", origin, "b", (Scope.repository("b", "pull"),))
    write = Need("r.example", origin, "a", (Scope.repository("a", "pull", "push"),))
    for everywhere in (True, False):
        refusals = Refusals()
        refusals.remember(read, STALE, "it said no", everywhere=everywhere, now_s=10.0)
        for now_s in (10.0, 10.0 + AGAIN_AFTER_S - 1):
            assert refusals.reason(read, STALE, now_s=now_s) == "it said no"
            assert refusals.reason(write, STALE, now_s=now_s) == ""
            assert bool(refusals.reason(other, STALE, now_s=now_s)) == everywhere
            assert refusals.reason(read, GOOD, now_s=now_s) == ""
        assert refusals.reason(read, STALE, now_s=10.0 + AGAIN_AFTER_S) == ""


async def test_a_refusal_of_scopes_is_about_one_repository() -> None:
    """403 may mean what was asked for: GitHub's answer to a token with too few rights."""
    site = Site("bearer")

    def grant(seen: Seen) -> Answer:
        if seen.path.startswith("/token"):
            if seen.authorization and "closed" not in seen.path:
                return text("not this one", status=403)
            return token("alice" if seen.authorization else "anybody")
        return site.answer(seen)

    async with serve(grant) as site.server, Told(STALE) as transport:
        assert await send(transport, site, "open/a") == b"fine"
        assert await send(transport, site, "closed/a") == b"fine"


async def test_a_stale_registry_token_is_left_behind_too() -> None:
    async with site_of("bearer") as site, Told(Credential(registry_token="expired")) as transport:
        assert await send(transport, site, "open/a") == b"fine"
        assert len(transport.warnings) == 1
        with pytest.raises(UnauthorizedError):
            await send(transport, site, "open/a", "pull", "push", method="POST")


async def test_what_is_hidden_from_strangers_says_why_none_was_shown() -> None:
    """Some registries answer 403 or 404 to a stranger."""
    site, status = Site("bearer"), 403

    def answer(seen: Seen) -> Answer:
        if seen.authorization == "Bearer anybody":
            return web.Response(status=status)
        return site.answer(seen)

    async with serve(answer) as site.server, Told(STALE) as transport:
        with pytest.raises(DeniedError, match="refused the stored credential"):
            await send(transport, site, "closed/a")
        assert transport.warnings == []
        status = 404  # callers make "not found" of it, so the user is told apart from that
        with pytest.raises(RegistryError, match="answered 404"):
            await send(transport, site, "closed/a")
        assert len(transport.warnings) == 1
