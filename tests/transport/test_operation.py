"""Redirects and 401s as servers see them: who gets what, and how often."""

from typing import Any

import pytest
from aiohttp import web

from ocipkg_async.content import BytesSource
from ocipkg_async.errors import RedirectError, RegistryError, UnauthorizedError
from ocipkg_async.transport import Credential, Request, Transport
from transport.servers import Seen, Server, Stored, bearer, get, quick, serve, text, token

ALICE = Credential(username="alice", password="wonderland")
BASIC = "Basic YWxpY2U6d29uZGVybGFuZA=="


def asks_for_basic(seen: Seen, then: web.Response) -> web.Response:
    if seen.authorization is None:
        return text(status=401, WWW_Authenticate='Basic realm="x"')
    return then


def put(server: Server, **more: Any) -> Request:
    more.setdefault("accept", frozenset({201}))
    return Request(method="PUT", url=server.url + "/up", registry=server.host, **more)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_s10_storage_gets_the_range_and_no_secret(status: int) -> None:
    path = "/a%2Fb%7E?sig=a%2Bb%3D&x=/y"

    def registry(seen: Seen) -> web.Response:
        return asks_for_basic(seen, text(status=status, Location=storage.url + path))

    async with serve(lambda _: text("blob")) as storage, serve(registry) as server:
        options = quick(headers={"X-Own": "own"})
        async with Transport(options, credentials=Stored(ALICE)) as transport:
            request = get(server, headers={"Range": "bytes=0-3", "X-Mine": "mine"})
            async with transport.send(request) as response:
                assert await response.read(10) == b"blob"
                assert response.url == storage.url + path
    (seen,) = storage.seen
    assert seen.path == path
    assert seen.headers["Range"] == "bytes=0-3"
    names = {name.lower() for name in seen.headers}
    assert names.isdisjoint({"authorization", "cookie", "x-own", "x-mine"})
    assert server.seen[-1].authorization == BASIC
    assert server.seen[-1].headers["X-Own"] == "own"


async def test_s10_the_same_origin_keeps_the_authorization() -> None:
    def registry(seen: Seen) -> web.Response:
        moved = text("here") if seen.path == "/there" else text(status=307, Location="/there")
        return asks_for_basic(seen, moved)

    async with (
        serve(registry) as server,
        Transport(quick(), credentials=Stored(ALICE)) as transport,
    ):
        assert (await transport.fetch(get(server), max_bytes=10))[1] == b"here"
    assert [seen.authorization for seen in server.seen] == [None, BASIC, BASIC]


async def test_s12_a_foreign_401_starts_no_login() -> None:
    credentials = Stored(ALICE)

    def storage(seen: Seen) -> web.Response:
        return asks_for_basic(seen, text("blob"))

    async with (
        serve(storage) as other,
        serve(lambda _: text(status=307, Location=other.url)) as server,
        Transport(quick(), credentials=credentials) as transport,
    ):
        with pytest.raises(UnauthorizedError) as caught:
            await transport.fetch(get(server), max_bytes=10)
    assert [seen.authorization for seen in other.seen] == [None]
    assert credentials.asked == []
    assert "no credential was sent" in (caught.value.hint or "")


async def test_s12_not_even_after_a_redirect_home() -> None:
    def registry(seen: Seen) -> web.Response:
        if seen.path == "/home":
            return asks_for_basic(seen, text("secret"))
        return asks_for_basic(seen, text(status=307, Location=other.url))

    async with (
        serve(lambda _: text(status=307, Location=server.url + "/home")) as other,
        serve(registry) as server,
        Transport(quick(), credentials=Stored(ALICE)) as transport,
    ):
        with pytest.raises(UnauthorizedError):
            await transport.fetch(get(server), max_bytes=10)
    assert [(seen.path, seen.authorization) for seen in server.seen] == [
        ("/v2/", None),
        ("/v2/", BASIC),
        ("/home", None),
    ]


async def test_s11_a_foreign_upload_location_gets_no_credential() -> None:
    credentials = Stored(ALICE)
    async with (
        serve(lambda seen: asks_for_basic(seen, text(status=201))) as other,
        serve(lambda _: text()) as server,
        Transport(quick(), credentials=credentials) as transport,
    ):
        for allowed in (False, True):
            request = Request(
                method="PUT", url=other.url, registry=server.host, body=b"x", credentials=allowed
            )
            with pytest.raises(UnauthorizedError):
                await transport.fetch(request, max_bytes=1)
    assert [seen.authorization for seen in other.seen] == [None, None]
    assert credentials.asked == []


async def test_a_request_without_credentials_sends_none_to_the_registry_either() -> None:
    async with (
        serve(lambda seen: asks_for_basic(seen, text())) as server,
        Transport(quick(), credentials=Stored(ALICE)) as transport,
    ):
        await transport.fetch(get(server), max_bytes=1)
        with pytest.raises(UnauthorizedError):
            await transport.fetch(get(server, credentials=False), max_bytes=1)
    assert [seen.authorization for seen in server.seen] == [None, BASIC, None]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_d123_a_redirected_upload_sends_its_body_again(status: int) -> None:
    data = b"z" * 2_000_000
    async with (
        serve(lambda _: text(status=201)) as other,
        serve(lambda _: text(status=status, Location=other.url + "/x")) as server,
        Transport(quick()) as transport,
    ):
        await transport.fetch(put(server, body=BytesSource(data)), max_bytes=1)
    assert (other.seen[0].method, other.seen[0].body) == ("PUT", data)
    assert other.seen[0].headers["Content-Length"] == str(len(data))


async def test_d69_a_redirected_upload_that_can_be_read_once() -> None:
    body = BytesSource(b"z" * 100)
    body.reopenable = False
    async with (
        serve(lambda _: text(status=201)) as other,
        serve(lambda _: text(status=307, Location=other.url)) as server,
        Transport(quick()) as transport,
    ):
        with pytest.raises(RedirectError, match="only once"):
            await transport.fetch(put(server, body=body), max_bytes=1)
    assert other.seen == []


async def test_head_stays_head() -> None:
    def answer(seen: Seen) -> web.Response:
        return text("x" * 5) if seen.path == "/b" else text(status=303, Location="/b")

    async with serve(answer) as server, Transport(quick()) as transport:
        request = Request(method="HEAD", url=server.url + "/a", registry=server.host)
        response, body = await transport.fetch(request, max_bytes=10)
    assert (response.headers.get("Content-Length"), body) == ("5", b"")
    assert [seen.method for seen in server.seen] == ["HEAD", "HEAD"]


async def test_s10_redirects_in_a_circle_end() -> None:
    options = quick(max_redirects=4)
    answer = {"Location": "/"}
    async with (
        serve(lambda _: text(status=302, **answer)) as server,
        Transport(options) as transport,
    ):
        with pytest.raises(RedirectError):
            await transport.fetch(get(server), max_bytes=1)
    assert len(server.seen) == 5


async def test_a_failure_at_the_storage_starts_again_at_the_registry() -> None:
    """Its signed link may have expired, so a new one is asked for."""
    answers = iter([text(status=503), text("blob")])
    async with (
        serve(lambda _: next(answers)) as storage,
        serve(lambda _: text(status=307, Location=storage.url)) as server,
        Transport(quick()) as transport,
    ):
        assert (await transport.fetch(get(server), max_bytes=10))[1] == b"blob"
    assert len(server.seen) == 2


async def test_a30_basic_is_sent_from_the_first_request_once_it_is_known() -> None:
    credentials = Stored(ALICE)
    async with (
        serve(lambda seen: asks_for_basic(seen, text())) as server,
        Transport(quick(), credentials=credentials) as transport,
    ):
        for _ in range(3):
            await transport.fetch(get(server, repository="a"), max_bytes=1)
    assert [seen.authorization for seen in server.seen] == [None, BASIC, BASIC, BASIC]
    assert credentials.asked == [(server.host, "a")]


async def test_a_wrong_password_is_sent_once() -> None:
    async with (
        serve(lambda _: text("no", status=401, WWW_Authenticate='Basic realm="x"')) as server,
        Transport(quick(), credentials=Stored(ALICE)) as transport,
    ):
        with pytest.raises(UnauthorizedError, match="no") as caught:
            await transport.fetch(get(server), max_bytes=1)
    assert [seen.authorization for seen in server.seen] == [None, BASIC]
    assert "log in" in (caught.value.hint or "")
    assert "wonderland" not in repr(caught.value)


async def test_a_password_that_was_changed_meanwhile_is_read_again() -> None:
    credentials = Stored(ALICE)
    new = Credential(username="alice", password="new")

    def registry(seen: Seen) -> web.Response:
        valid = BASIC if credentials.credential is ALICE else "Basic YWxpY2U6bmV3"
        if seen.authorization == valid:
            return text()
        return text(status=401, WWW_Authenticate='Basic realm="x"')

    async with serve(registry) as server, Transport(quick(), credentials=credentials) as transport:
        await transport.fetch(get(server), max_bytes=1)
        credentials.credential = new
        await transport.fetch(get(server), max_bytes=1)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"WWW_Authenticate": "Bearer"},
        {"WWW_Authenticate": 'Bearer realm="unclosed'},
        {"WWW_Authenticate": "Negotiate"},
        {"WWW_Authenticate": 'Basic realm="x"'},
    ],
)
async def test_a05_a_401_that_nobody_can_answer_is_an_error(headers: dict[str, str]) -> None:
    async with (
        serve(lambda _: text("who are you", status=401, **headers)) as server,
        Transport(quick()) as transport,
    ):
        with pytest.raises(UnauthorizedError, match="who are you"):
            await transport.fetch(get(server), max_bytes=1)
    assert len(server.seen) == 1


async def test_a20_a_ready_token_goes_to_the_registry_and_to_no_token_server() -> None:
    ready = Credential(registry_token="ready")

    def registry(seen: Seen) -> web.Response:
        return text() if seen.authorization == "Bearer ready" else bearer(server.url + "/token")

    async with (
        serve(registry) as server,
        Transport(quick(), credentials=Stored(ready)) as transport,
    ):
        await transport.fetch(get(server), max_bytes=1)
    assert [seen.path for seen in server.seen] == ["/v2/", "/v2/"]


async def test_an_authorization_given_by_the_caller_is_left_alone() -> None:
    async with (
        serve(lambda seen: asks_for_basic(seen, text())) as server,
        Transport(quick(), credentials=Stored(ALICE)) as transport,
    ):
        request = get(server, headers={"authorization": "Mine x"})
        await transport.fetch(request, max_bytes=1)
    assert [seen.authorization for seen in server.seen] == ["Mine x"]


@pytest.mark.parametrize("error", ["", "insufficient_scope", "invalid_token"])
async def test_a25_a_registry_that_refuses_every_token_is_left_after_few_tries(error: str) -> None:
    counter = iter(range(100))

    def registry(seen: Seen) -> web.Response:
        if seen.path.startswith("/token"):
            return token(f"t{next(counter)}")
        scope = f"repository:a{next(counter)}:pull"
        return bearer(server.url + "/token", error=error, scope=scope)

    async with serve(registry) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(get(server), max_bytes=1)
    assert caught.value.status == 401
    paths = [seen.path.partition("?")[0] for seen in server.seen]
    assert paths == ["/v2/", "/token", "/v2/", "/token", "/v2/"]
