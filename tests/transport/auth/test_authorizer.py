"""Tokens as registries and token servers see them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from aiohttp import web

from ocipkg_async.errors import (
    OCIError,
    ProtocolError,
    RegistryError,
    UnauthorizedError,
)
from ocipkg_async.events import Event
from ocipkg_async.transport import Credential, Request, Scope, Transport
from ocipkg_async.transport.auth.authorizer import Authorizer
from ocipkg_async.transport.auth.need import Need
from ocipkg_async.transport.auth.token import TokenRequest
from ocipkg_async.transport.headers import Headers
from ocipkg_async.transport.urls import origin_of
from transport.servers import (
    Answer,
    Handler,
    Seen,
    Server,
    Stored,
    bearer,
    get,
    quick,
    serve,
    text,
    token,
)

ALICE = Credential(username="alice", password="wonderland")
PULL = (Scope.repository("a", "pull"),)
PUSH = (Scope.repository("a", "pull", "push"),)


class Site:
    """A registry and its token server. A token is named after its number and its scopes."""

    def __init__(self) -> None:
        self.registry: Server
        self.tokens: Server
        self.grants: Handler = lambda _: token(self.new())
        self.needs = "repository:a:pull"
        self.issued = 0
        self.valid: set[str] = set()
        self.error = ""

    def grant(self, seen: Seen) -> Answer | Awaitable[Answer]:
        return self.grants(seen)

    def new(self) -> str:
        self.issued += 1
        self.valid.add(f"t{self.issued}")
        return f"t{self.issued}"

    def answer(self, seen: Seen) -> web.Response:
        kind, _, value = (seen.authorization or "").partition(" ")
        if kind == "Bearer" and value in self.valid:
            return text("fine")
        return bearer(self.tokens.url + "/token", scope=self.needs, error=self.error)

    @property
    def asked(self) -> list[list[str]]:
        """The scopes of each request to the token server."""
        return [[v for k, v in form(seen) if k == "scope"] for seen in self.tokens.seen]


def form(seen: Seen) -> list[tuple[str, str]]:
    text_ = seen.body.decode() if seen.method == "POST" else urlsplit(seen.path).query
    return parse_qsl(text_, keep_blank_values=True)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with (
        serve(made.grant) as made.tokens,
        serve(made.answer) as made.registry,
    ):
        yield made


@asynccontextmanager
async def transport_of(
    credential: Credential | None = None, events: list[Event] | None = None
) -> AsyncIterator[Transport]:
    seen = [] if events is None else events
    async with Transport(
        quick(), credentials=Stored(credential), on_event=seen.append
    ) as transport:
        yield transport


async def fetch(transport: Transport, site: Site, scopes: tuple[Scope, ...] = PULL) -> bytes:
    request = get(site.registry, repository="a", scopes=scopes)
    return (await transport.fetch(request, max_bytes=100))[1]


async def test_a10_an_anonymous_token_is_fetched_and_kept(site: Site) -> None:
    async with transport_of() as transport:
        for _ in range(3):
            assert await fetch(transport, site) == b"fine"
    (asked,) = site.tokens.seen
    assert dict(form(asked)) == {
        "service": "reg",
        "scope": "repository:a:pull",
        "client_id": "ocipkg-async",
    }
    assert asked.authorization is None
    assert [seen.authorization for seen in site.registry.seen] == [None, *["Bearer t1"] * 3]


async def test_a13_user_and_password_go_to_the_token_server_only(site: Site) -> None:
    async with transport_of(ALICE) as transport:
        await fetch(transport, site)
    (asked,) = site.tokens.seen
    assert asked.authorization == "Basic YWxpY2U6d29uZGVybGFuZA=="
    assert dict(form(asked))["account"] == "alice"
    assert all("Basic" not in (seen.authorization or "") for seen in site.registry.seen)


async def test_a13_an_identity_token_is_exchanged_by_post(site: Site) -> None:
    site.grants = lambda _: token(site.new(), refresh_token=f"refresh{site.issued}", expires_in=60)
    async with transport_of(Credential(identity_token="first")) as transport:
        await fetch(transport, site)
        await fetch(transport, site, PUSH)
    first, second = (dict(form(seen)) for seen in site.tokens.seen)
    assert [seen.method for seen in site.tokens.seen] == ["POST", "POST"]
    assert (first["grant_type"], first["refresh_token"]) == ("refresh_token", "first")
    assert second["refresh_token"] == "refresh1"
    assert all(seen.authorization is None for seen in site.tokens.seen)


async def test_a13_a_server_without_post_gets_a_get(site: Site) -> None:
    site.grants = lambda seen: text(status=405) if seen.method == "POST" else token(site.new())
    both = Credential(username="alice", password="wonderland", identity_token="first")
    async with transport_of(both) as transport:
        await fetch(transport, site)
    assert [seen.method for seen in site.tokens.seen] == ["POST", "GET"]


async def test_s16_a_redirected_post_is_not_followed(site: Site) -> None:
    async with serve(lambda _: token("stolen")) as thief:
        site.grants = lambda _: text(status=307, Location=thief.url)
        async with transport_of(Credential(identity_token="first")) as transport:
            with pytest.raises(OCIError):
                await fetch(transport, site)
    assert thief.seen == []


async def test_s16_a_redirected_get_leaves_the_password_behind(site: Site) -> None:
    async with serve(lambda _: token(site.new())) as other:
        site.grants = lambda _: text(status=307, Location=other.url)
        async with transport_of(ALICE) as transport:
            await fetch(transport, site)
    assert [seen.authorization for seen in other.seen] == [None]


async def test_a23_a24_own_scopes_and_the_challenges_are_asked_for_together(site: Site) -> None:
    site.needs = "repository:other:pull repository:a:delete"
    async with transport_of() as transport:
        await fetch(transport, site, PUSH)
    assert site.asked == [["repository:other:pull", "repository:a:delete,pull,push"]]


async def test_a26_a_token_is_used_for_what_it_covers(site: Site) -> None:
    async with transport_of() as transport:
        await fetch(transport, site, PUSH)
        await fetch(transport, site, PULL)
        await fetch(transport, site, ())
        assert site.issued == 1
        site.needs = ""
        await fetch(transport, site, (Scope.repository("b", "pull"),))
    assert site.asked == [["repository:a:pull,push"], ["repository:b:pull"]]
    # Known challenge: from the second request on nothing is sent without a token.
    assert [seen.authorization for seen in site.registry.seen].count(None) == 1


async def test_a26_a_token_goes_to_no_other_registry(site: Site) -> None:
    async with serve(site.answer) as second, transport_of(ALICE) as transport:
        await fetch(transport, site)
        await transport.fetch(get(second, repository="a", scopes=PULL), max_bytes=100)
    assert second.seen[0].authorization is None
    assert site.issued == 2


async def test_a25_a_token_that_is_too_narrow_is_widened_once(site: Site) -> None:
    async with transport_of() as transport:
        await fetch(transport, site)
        site.valid.clear()
        site.needs, site.error = "repository:a:delete", "insufficient_scope"
        await fetch(transport, site)
    assert site.asked == [["repository:a:pull"], ["repository:a:delete,pull"]]


async def test_a17_a_token_that_is_refused_early_is_replaced_once(site: Site) -> None:
    async with transport_of() as transport:
        await fetch(transport, site)
        site.valid.clear()
        await fetch(transport, site)
        assert site.issued == 2
        site.grants = lambda _: token("useless")
        site.valid.clear()
        with pytest.raises(UnauthorizedError):
            await fetch(transport, site)
    assert len(site.tokens.seen) == 3


async def test_a27_concurrent_requests_share_one_fetch(site: Site) -> None:
    async def slowly(_: Seen) -> web.Response:
        await asyncio.sleep(0.05)
        return token(site.new())

    site.grants = slowly
    async with transport_of() as transport, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(fetch, transport, site)
    assert site.issued == 1


async def test_a27_a_cancelled_request_does_not_take_the_others_down(site: Site) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    async def slowly(_: Seen) -> web.Response:
        if not started.is_set():
            started.set()
            await never.wait()
        return token(site.new())

    site.grants = slowly
    bodies: list[bytes] = []
    async with transport_of() as transport, anyio.create_task_group() as others:

        async def other() -> None:
            bodies.append(await fetch(transport, site))

        async with anyio.create_task_group() as first:
            first.start_soon(fetch, transport, site)
            await started.wait()
            for _ in range(3):
                others.start_soon(other)
            await asyncio.sleep(0.05)
            first.cancel_scope.cancel()
        never.set()
    assert bodies == [b"fine"] * 3
    assert len(site.tokens.seen) == 2


async def test_a_token_server_out_of_order_is_not_taken_for_a_wrong_password(site: Site) -> None:
    site.grants = lambda _: text("maintenance", status=503)
    async with transport_of(ALICE) as transport:
        with pytest.raises(RegistryError, match="maintenance") as caught:
            await fetch(transport, site)
    assert caught.value.status == 503
    assert all(seen.authorization for seen in site.tokens.seen)


async def test_a16_a_token_server_that_talks_without_end_is_left(site: Site) -> None:
    site.grants = lambda _: web.Response(text=json.dumps({"token": "x", "more": "y" * 200_000}))
    async with transport_of() as transport:
        with pytest.raises(ProtocolError):
            await fetch(transport, site)


async def test_a15_an_answer_without_token_shows_nothing_of_it(site: Site) -> None:
    site.grants = lambda _: web.Response(text='{"secret": "secret"}')
    async with transport_of() as transport:
        with pytest.raises(ProtocolError, match=r"127\.0\.0\.1") as caught:
            await fetch(transport, site)
    assert "secret" not in str(caught.value)


async def test_a_token_server_that_is_busy_is_asked_again(site: Site) -> None:
    answers = iter([text(status=503), text(status=500)])
    site.grants = lambda _: next(answers, None) or token(site.new())
    async with transport_of() as transport:
        assert await fetch(transport, site) == b"fine"
    assert len(site.tokens.seen) == 3


async def test_s13_a_realm_that_must_not_be_asked_is_an_error() -> None:
    async with (
        serve(lambda _: bearer("ftp://127.0.0.1/token")) as server,
        transport_of() as transport,
    ):
        with pytest.raises(ProtocolError, match="cannot be used"):
            await transport.fetch(get(server), max_bytes=1)


async def test_d69_a_later_upload_needs_no_second_body(site: Site) -> None:
    async with transport_of() as transport:
        await fetch(transport, site, PUSH)
        request = Request(
            method="PUT",
            url=site.registry.url + "/up",
            registry=site.registry.host,
            repository="a",
            scopes=PUSH,
            body=b"x" * 200_000,
        )
        await transport.fetch(request, max_bytes=100)
    assert len(site.registry.seen) == 3


CHALLENGE = ['Bearer realm="https://r.example/token",service="r"']


class Clocked:
    """An authorizer with a clock that the test moves, and a token server in memory."""

    def __init__(self, life_s: int = 300) -> None:
        self.now_s = 1000.0
        self.gate = anyio.Event()
        self.error: OCIError | None = None
        self.requests: list[TokenRequest] = []
        self.life_s = life_s
        self.authorizer = Authorizer(exchange=self.exchange, clock=lambda: self.now_s)
        self.need = Need("r.example", origin_of("https://r.example/"), "a", PULL)

    async def exchange(self, request: TokenRequest, _need: Need) -> tuple[bytes, Headers]:
        self.requests.append(request)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        answer = {"token": f"t{len(self.requests)}", "expires_in": self.life_s}
        return json.dumps(answer).encode(), Headers()


async def test_a17_a_token_is_replaced_before_it_expires() -> None:
    clocked = Clocked(life_s=100)
    clocked.gate.set()
    authorizer, need = clocked.authorizer, clocked.need
    assert await authorizer.current(need) is None
    first = await authorizer.renew(need, None, CHALLENGE)
    assert first is not None
    assert first.header == "Bearer t1"
    for passed_s, header in (
        (80, "Bearer t1"),
        (11, "Bearer t2"),
        (80, "Bearer t2"),
        (11, "Bearer t3"),
    ):
        clocked.now_s += passed_s
        current = await authorizer.current(need)
        assert current is not None
        assert current.header == header
    assert "t1" not in repr(first)


@pytest.mark.parametrize("fails", [True, False])
async def test_a27_what_one_fetch_brings_is_for_all_who_waited(fails: bool) -> None:
    clocked = Clocked()
    clocked.error = ProtocolError("go away") if fails else None
    found: list[str] = []

    async def one() -> None:
        try:
            authorization = await clocked.authorizer.renew(clocked.need, None, CHALLENGE)
            assert authorization is not None
            found.append(authorization.header)
        except ProtocolError as error:
            found.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        clocked.gate.set()
    assert found == ["go away" if fails else "Bearer t1"] * 5
    assert len(clocked.requests) == 1


async def test_a27_whoever_is_next_takes_over_from_a_cancelled_fetch() -> None:
    clocked = Clocked()
    found: list[object] = []

    async def one() -> None:
        found.append(await clocked.authorizer.renew(clocked.need, None, CHALLENGE))

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as first:
            first.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                others.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(clocked.requests) == 2
        clocked.gate.set()
    assert len(found) == 3
    assert len(clocked.requests) == 2
