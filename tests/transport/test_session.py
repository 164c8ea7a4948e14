"""What every request is like, and how answers that say no are reported."""

import logging

import anyio
import pytest
from aiohttp import web

from accepting import serving
from ocipkg_async.errors import (
    ClosedError,
    DeniedError,
    ProtocolError,
    RateLimitedError,
    RedirectError,
    RegistryError,
    RegistryNotFoundError,
)
from ocipkg_async.events import Event, Retrying, Warned
from ocipkg_async.transport import USER_AGENT, Request, RetryPolicy, Transport, TransportOptions
from ocipkg_async.transport.urls import origin_of
from transport.servers import Seen, Server, get, quick, serve, text


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("ghcr.io", "https://ghcr.io"),
        ("docker.io", "https://registry-1.docker.io"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
    ],
)
def test_r13_this_machine_speaks_http_and_all_others_https(registry: str, url: str) -> None:
    assert Transport().base_url(registry) == url


def test_r13_plain_http_is_an_option_in_both_directions() -> None:
    assert Transport(TransportOptions(plain_http=True)).base_url("r.example") == "http://r.example"
    assert (
        Transport(TransportOptions(plain_http=False)).base_url("localhost") == "https://localhost"
    )


async def test_d11_every_request_says_who_asks_and_wants_no_encoding() -> None:
    async with serve(lambda _: text()) as server, Transport() as transport:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            request = Request(method=method, url=server.url + "/", registry=server.host)
            await transport.fetch(request, max_bytes=1 << 20)
    for seen in server.seen:
        assert seen.headers["User-Agent"] == USER_AGENT
        assert USER_AGENT.startswith("ocipkg-async/")
        assert seen.headers.getall("Accept-Encoding") == ["identity"]
        assert seen.authorization is None


async def test_d11_cookies_are_not_kept() -> None:
    async with serve(lambda _: text(Set_Cookie="a=b; Path=/")) as server, Transport() as transport:
        for _ in range(2):
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert all("Cookie" not in seen.headers for seen in server.seen)


async def test_d122_urls_are_sent_byte_for_byte() -> None:
    path = "/v2/a%2Fb%7Ec/./x?sig=a%2Bb+c%3d&empty=&q=~%7E/:@"
    async with (
        serve(lambda _: text()) as server,
        Transport() as transport,
        transport.send(get(server, path)) as response,
    ):
        assert response.url == server.url + path
    assert server.seen[0].path == path


async def test_own_headers_go_along() -> None:
    options = TransportOptions(headers={"X-Own": "1"}, user_agent="mine/1")
    headers = {"Accept": "a/b", "accept-encoding": "gzip"}
    async with serve(lambda _: text()) as server, Transport(options) as transport:
        await transport.fetch(get(server, headers=headers), max_bytes=1)
    seen = server.seen[0].headers
    assert (seen["X-Own"], seen["Accept"], seen["User-Agent"]) == ("1", "a/b", "mine/1")
    assert seen.getall("Accept-Encoding") == ["identity"]


async def test_d54_a_request_without_body_says_so() -> None:
    async with serve(lambda _: text(status=202)) as server, Transport() as transport:
        for body in (None, b""):
            request = Request(
                method="POST",
                url=server.url + "/",
                registry=server.host,
                body=body,
                accept=frozenset({202}),
            )
            async with transport.send(request) as response:
                assert response.status == 202
    assert [seen.headers["Content-Length"] for seen in server.seen] == ["0", "0"]


async def test_an_answer_is_read_in_the_pieces_that_arrived() -> None:
    data = bytes(range(256)) * 20_000
    async with serve(lambda _: web.Response(body=data)) as server, Transport() as transport:
        async with transport.send(get(server)) as response:
            first = await response.read_some(10)
            assert first == data[:10]
            rest = b""
            while piece := await response.body.read(1 << 20):
                assert len(piece) <= 1 << 20
                rest += piece
            assert first + rest == data
            assert await response.body.read(1) == b""
            assert response.headers.get("content-length") == str(len(data))
        with pytest.raises(ClosedError):
            await response.body.read(1)


async def test_d121_a_compressed_body_is_not_inflated() -> None:
    raw = b"\x1f\x8b\x08not really gzip"
    answer = {"Content-Encoding": "gzip"}
    async with (
        serve(lambda _: web.Response(body=raw, headers=answer)) as server,
        Transport() as transport,
        transport.send(get(server)) as response,
    ):
        assert await response.read(100) == raw


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_longer_than_the_limit_is_refused(chunked: bool) -> None:
    def answer(_: Seen) -> web.Response:
        response = web.Response(body=b"x" * 11)
        if chunked:
            response.enable_chunked_encoding()
        return response

    async with serve(answer) as server, Transport() as transport:
        async with transport.send(get(server)) as response:
            assert len(await response.read(11)) == 11
        async with transport.send(get(server)) as response:
            with pytest.raises(ProtocolError, match="larger than 10 bytes"):
                await response.read(10)
        with pytest.raises(ProtocolError):
            await transport.fetch(get(server), max_bytes=10)
    assert len(server.seen) == 3


async def test_a_head_answer_tells_a_length_and_has_no_body() -> None:
    async with serve(lambda _: web.Response(body=b"x" * 99)) as server, Transport() as transport:
        request = Request(method="HEAD", url=server.url + "/", registry=server.host)
        async with transport.send(request) as response:
            assert response.headers.get("Content-Length") == "99"
            assert await response.read(10) == b""


async def test_d01_errors_carry_what_the_registry_said() -> None:
    body = '{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}'
    async with serve(lambda _: text(body, status=404)) as server, Transport() as transport:
        with pytest.raises(RegistryNotFoundError, match="no such repository") as caught:
            await transport.fetch(get(server, "/v2/x?token=secret"), max_bytes=1 << 20)
    error = caught.value
    assert (error.status, error.method, error.url) == (404, "GET", server.url + "/v2/x")
    assert error.details[0].code == "NAME_UNKNOWN"
    assert error.hint
    assert "secret" not in str(error)
    assert len(server.seen) == 1


async def test_a28_denied_is_final() -> None:
    async with serve(lambda _: text(status=403)) as server, Transport(quick()) as transport:
        with pytest.raises(DeniedError):
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert len(server.seen) == 1


async def test_a_status_that_is_accepted_is_an_answer() -> None:
    async with serve(lambda _: text(status=404)) as server, Transport() as transport:
        request = get(server, accept=frozenset({200, 404}))
        response, _ = await transport.fetch(request, max_bytes=1)
    assert response.status == 404


@pytest.mark.parametrize("status", [201, 206, 304])
async def test_a_status_that_means_nothing_here_breaks_the_protocol(status: int) -> None:
    async with serve(lambda _: web.Response(status=status)) as server, Transport() as transport:
        with pytest.raises(ProtocolError, match=str(status)):
            await transport.fetch(get(server), max_bytes=1 << 20)


async def test_d03_an_endless_error_body_is_cut() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        with anyio.move_on_after(5):
            while True:
                await response.write(b"x" * 65536)
        return response

    runner = web.ServerRunner(web.Server(endless), shutdown_timeout=0.1)
    async with serving(runner) as port, Transport() as transport:
        host = f"127.0.0.1:{port}"
        request = Request(method="GET", url=f"http://{host}/", registry=host)
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(request, max_bytes=1 << 20)
    assert len(str(caught.value)) < 1000


async def test_d05_temporary_errors_are_repeated_and_counted() -> None:
    events: list[Event] = []
    answers = iter([text(status=503), text(status=429), text("fine")])
    async with (
        serve(lambda _: next(answers)) as server,
        Transport(quick(), on_event=events.append) as transport,
        transport.send(get(server)) as response,
    ):
        assert await response.read(10) == b"fine"
    assert len(server.seen) == 3
    retries = [event for event in events if isinstance(event, Retrying)]
    assert [event.attempt for event in retries] == [1, 2]
    assert "503" in retries[0].reason
    assert retries[0].name == server.host
    assert retries[0].action == "download"


async def test_retries_end() -> None:
    async with serve(lambda _: text(status=500)) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert caught.value.status == 500
    assert len(server.seen) == 3


async def test_a_request_may_refuse_retries() -> None:
    async with serve(lambda _: text(status=500)) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError):
            await transport.fetch(get(server, retry=False), max_bytes=1 << 20)
    assert len(server.seen) == 1


async def test_d05_a_wait_longer_than_the_budget_is_reported_at_once() -> None:
    answer = {"Retry_After": "3600"}
    async with serve(lambda _: text(status=429, **answer)) as server, Transport() as transport:
        with pytest.raises(RateLimitedError) as caught:
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert caught.value.retry_after_s == 3600
    assert "3600 s" in str(caught.value)
    assert len(server.seen) == 1


async def test_d05_a_wait_past_the_deadline_is_reported_at_once() -> None:
    options = quick(retry=RetryPolicy(deadline_s=30))
    async with (
        serve(lambda _: text(status=503, Retry_After="60")) as server,
        Transport(options) as transport,
    ):
        for _ in range(2):  # by the answer, then by what is known of the host
            with pytest.raises(RegistryError, match=r"[56][0-9] s") as caught:
                await transport.fetch(get(server), max_bytes=1)
            assert caught.value.retry_after_s is not None
            assert caught.value.retry_after_s > 50
    assert len(server.seen) == 1


async def test_d05_every_answer_that_asks_for_time_is_believed_between_requests_too() -> None:
    async with (
        serve(lambda _: text(status=503, Retry_After="3600")) as server,
        Transport() as transport,
    ):
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(get(server, retry=False), max_bytes=1)
        assert caught.value.retry_after_s == 3600
        # It is longer than the budget allows, so there is no other try, and no wait.
        assert not await transport.again(transport.budget(), caught.value, action="upload")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_d05_a_host_that_fails_is_left_alone_by_all(status: int) -> None:
    policy = RetryPolicy(attempts=1, first_wait_s=1e9, longest_wait_s=1e9, wait_budget_s=1e10)
    options = quick(retry=policy)
    answers = iter([text(status=status), text()])
    async with serve(lambda _: next(answers)) as server, Transport(options) as transport:
        with pytest.raises(RegistryError):
            await transport.fetch(get(server), max_bytes=1)
        with anyio.move_on_after(0.05) as waiting:
            await transport.fetch(get(server), max_bytes=1)
        assert waiting.cancelled_caught
        async with serve(lambda _: text()) as other:
            await transport.fetch(get(other), max_bytes=1)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 501])
async def test_a_host_that_says_no_is_not_left_alone(status: int) -> None:
    options = quick(retry=RetryPolicy(first_wait_s=1e9, longest_wait_s=1e9, wait_budget_s=1e10))
    answers = iter([text(status=status), text()])
    async with serve(lambda _: next(answers)) as server, Transport(options) as transport:
        with pytest.raises(RegistryError):
            await transport.fetch(get(server), max_bytes=1)
        await transport.fetch(get(server), max_bytes=1)


async def test_a_pause_that_the_host_did_not_ask_for_fails_nobody() -> None:
    options = quick(retry=RetryPolicy(attempts=1, first_wait_s=1e9, longest_wait_s=1e9))
    answers = iter([text(status=500), text()])
    async with serve(lambda _: next(answers)) as server, Transport(options) as transport:
        with pytest.raises(RegistryError):
            await transport.fetch(get(server), max_bytes=1)
        await transport.fetch(get(server), max_bytes=1)
    assert len(server.seen) == 2


async def test_d05_a_host_that_asks_for_time_gets_it_from_all_requests() -> None:
    options = quick(retry=RetryPolicy(attempts=1))
    answer = {"Retry_After": "200"}
    async with (
        serve(lambda _: text(status=429, **answer)) as server,
        Transport(options) as transport,
    ):
        with pytest.raises(RateLimitedError):
            await transport.fetch(get(server), max_bytes=1)
        with anyio.move_on_after(0.05) as waiting:
            await transport.fetch(get(server), max_bytes=1)
    assert waiting.cancelled_caught
    assert len(server.seen) == 1


async def test_d05_a_pause_that_does_not_fit_into_the_budget_is_reported() -> None:
    options = quick(retry=RetryPolicy(wait_budget_s=10))
    async with serve(lambda _: text()) as server, Transport(options) as transport:
        transport._parts.throttle.pause(origin_of(server.url), 20)
        with pytest.raises(RateLimitedError, match="left alone") as caught:
            await transport.fetch(get(server), max_bytes=1)
    assert caught.value.retry_after_s is not None
    assert server.seen == []


async def test_several_requests_share_a_budget() -> None:
    events: list[Event] = []
    lost = frozenset({404})

    async def refused(transport: Transport, server: Server) -> RegistryError:
        with pytest.raises(RegistryNotFoundError) as caught:
            await transport.fetch(get(server, retry=False), max_bytes=1)
        return caught.value

    async with (
        serve(lambda _: text(status=404)) as server,
        Transport(quick(), on_event=events.append) as transport,
    ):
        budget, error = transport.budget(), await refused(transport, server)
        while await transport.again(budget, error, action="upload", also=lost):
            error = await refused(transport, server)
        assert not await transport.again(transport.budget(), error, action="upload")
    assert len(server.seen) == 3
    assert [type(event) for event in events] == [Retrying, Retrying]


async def test_d04_each_warning_is_reported_once() -> None:
    events: list[Event] = []
    async with (
        serve(lambda _: text(Warning='299 - "old"')) as server,
        Transport(on_event=events.append) as transport,
    ):
        for _ in range(2):
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert events == [Warned(action="download", name=server.host, text="old")]


async def test_s17_the_log_shows_neither_queries_nor_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "ocipkg_async")
    async with serve(lambda _: text(status=500)) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError):
            async with transport.send(
                get(server, "/x?sig=secret", headers={"Authorization": "Bearer secret"})
            ):
                pass
    own = [record.getMessage() for record in caplog.records if "ocipkg" in record.name]
    assert any("GET" in line for line in own)
    assert "secret" not in "".join(own)


async def test_a_closed_transport_says_so() -> None:
    transport = Transport()
    request = Request(method="GET", url="http://127.0.0.1:1/", registry="127.0.0.1:1")
    with pytest.raises(ClosedError):
        await transport.fetch(request, max_bytes=1 << 20)
    async with transport:
        pass
    with pytest.raises(ClosedError):
        await transport.fetch(request, max_bytes=1)


async def test_a_redirect_that_is_not_to_be_followed_is_an_error() -> None:
    async with serve(lambda _: text(status=307, Location="/x")) as server, Transport() as transport:
        with pytest.raises(RedirectError):
            await transport.fetch(get(server, follow=False), max_bytes=1 << 20)
        async with transport.send(get(server, follow=False, accept=frozenset({307}))) as response:
            assert response.headers.get("Location") == "/x"
