"""What networks do: resets, truncation, stalls, rubbish; and what cancelling leaves behind."""

import asyncio
import gc
import pickle
import socket
import time
from email.utils import formatdate

import anyio
import pytest

from ocipkg_async.errors import (
    ConnectError,
    DeniedError,
    OCIError,
    ProtocolError,
    TimedOutError,
    TransportError,
)
from ocipkg_async.events import Event, Retrying
from ocipkg_async.transport import Request, Response, RetryPolicy, Transport
from server.lines import until
from transport.servers import (
    get,
    nobody,
    ok,
    quick,
    read_head,
    saying,
    serve,
    serve_raw,
    text,
    until_hung_up,
)


async def read_to_end(response: Response, received: list[bytes]) -> None:
    while data := await response.body.read(100):
        received.append(data)


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    await asyncio.sleep(60)


async def test_a_connection_that_closes_without_an_answer_is_replaced() -> None:
    async with (
        serve_raw(saying(), saying(), saying(ok(b"here"))) as server,
        Transport(quick()) as transport,
    ):
        _, body = await transport.fetch(get(server), max_bytes=10)
    assert body == b"here"
    assert server.connections == 3


async def test_every_try_is_counted() -> None:
    async with serve_raw(saying()) as server, Transport(quick()) as transport:
        with pytest.raises(TransportError, match="closed the connection"):
            await transport.fetch(get(server), max_bytes=10)
    assert server.connections == 3


async def test_a_kept_connection_that_went_stale_costs_no_wait() -> None:
    """Not even a request that must not be repeated notices it, if its policy allows two tries."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ok())
        await read_head(reader)  # and hang up on the second

    events: list[Event] = []
    options = quick(retry=RetryPolicy(attempts=2, first_wait_s=60, longest_wait_s=60))
    async with serve_raw(once) as server, Transport(options, on_event=events.append) as transport:
        for _ in range(2):
            await transport.fetch(get(server), max_bytes=1)
    assert [event.wait_s for event in events if isinstance(event, Retrying)] == [0]
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_a_truncated_body_is_an_error_after_its_bytes(answer: bytes) -> None:
    async with serve_raw(saying(answer)) as server, Transport(quick()) as transport:
        async with transport.send(get(server)) as response:
            received: list[bytes] = []
            with pytest.raises(TransportError, match="before its end"):
                await read_to_end(response, received)
        with pytest.raises(TransportError):
            await transport.fetch(get(server), max_bytes=100)
    assert b"half".startswith(b"".join(received))
    assert server.connections == 1 + 3


async def test_a_whole_read_repeats_a_body_that_broke_off() -> None:
    half = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    async with serve_raw(half, saying(ok(b"all"))) as server, Transport(quick()) as transport:
        response, body = await transport.fetch(get(server), max_bytes=100)
    assert (response.status, body) == (200, b"all")
    assert server.connections == 2


async def test_d120_a_stalled_answer_and_a_stalled_body_time_out() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await asyncio.sleep(60)

    options = quick(read_timeout_s=2.5, retry=RetryPolicy(attempts=1))
    async with serve_raw(hang, half) as server, Transport(options) as transport:
        with pytest.raises(TimedOutError):
            await transport.fetch(get(server), max_bytes=100)
        async with transport.send(get(server)) as response:
            assert await response.body.read(100) == b"half"
            with pytest.raises(TimedOutError):
                await response.body.read(100)


@pytest.mark.parametrize(
    "drop", [b"X", b"HTTP/1.1 103 Early Hints\r\n\r\n"], ids=["bytes", "hints"]
)
async def test_headers_that_never_end_time_out(drop: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    start = b"HTTP/1.1 200 OK\r\n" if drop == b"X" else b""
    options = quick(read_timeout_s=0.2, connect_timeout_s=0.2, retry=RetryPolicy(attempts=1))
    async with serve_raw(drip) as server, Transport(options) as transport:
        with pytest.raises(TimedOutError), anyio.fail_after(20):
            await transport.fetch(get(server), max_bytes=10)


async def test_d120_a_slow_body_that_keeps_coming_does_not_time_out() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.35)
            writer.write(b"x")

    async with serve_raw(drip) as server, Transport(quick(read_timeout_s=6)) as transport:
        _, body = await transport.fetch(get(server, retry=False), max_bytes=20)
    assert body == b"x" * 20


async def test_a_reset_while_the_body_comes_is_an_error() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await writer.drain()
        await answered.wait()
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()

    answered = asyncio.Event()
    async with (
        serve_raw(reset) as server,
        Transport(quick()) as transport,
        transport.send(get(server)) as response,
    ):
        answered.set()
        with pytest.raises(TransportError):
            await response.body.read(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a number\r\n",
    ],
)
async def test_what_is_not_http_is_an_error_of_ours(answer: bytes) -> None:
    async with serve_raw(saying(answer)) as server, Transport(quick()) as transport:
        with pytest.raises(TransportError):
            await transport.fetch(get(server, "/v2/?sig=secret"), max_bytes=100)


async def test_rubbish_is_not_asked_for_again() -> None:
    async with serve_raw(saying(b"SSH-2.0-x\r\n\r\n")) as server, Transport(quick()) as transport:
        with pytest.raises(ProtocolError, match="not HTTP"):
            await transport.fetch(get(server), max_bytes=100)
    assert server.connections == 1


async def test_d01_an_error_whose_body_breaks_off_is_still_that_error() -> None:
    half = saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nnot for you")
    async with serve_raw(half) as server, Transport(quick()) as transport:
        with pytest.raises(DeniedError, match="not for you"):
            await transport.fetch(get(server), max_bytes=1)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_host_that_says_nothing_times_out(scheme: str) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    options = quick(connect_timeout_s=0.2, read_timeout_s=0.2, plain_http=scheme == "http")
    async with serve_raw(silent) as server, Transport(options) as transport:
        request = Request(
            method="GET", url=f"{scheme}://{server.host}/", registry=server.host, retry=False
        )
        with pytest.raises(TimedOutError, match="in time"):
            await transport.fetch(request, max_bytes=1)
        await until(lambda: server.connections > 0)  # the system accepts before the server does
    assert server.connections == 1


async def test_tls_that_breaks_off_is_tried_again() -> None:
    async def slam(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serve_raw(slam) as server, Transport(quick()) as transport:
        request = Request(method="GET", url=f"https://{server.host}/", registry=server.host)
        with pytest.raises(TransportError):
            await transport.fetch(request, max_bytes=1)
    assert server.connections == 3


async def test_nobody_listens() -> None:
    events: list[Event] = []
    with nobody() as server:
        async with Transport(quick(), on_event=events.append) as transport:
            with pytest.raises(ConnectError, match="cannot connect") as caught:
                await transport.fetch(get(server), max_bytes=1)
    assert server.host in str(caught.value)
    assert len(events) == 2


async def test_a_name_that_does_not_exist_is_not_asked_for_again() -> None:
    events: list[Event] = []
    async with Transport(quick(), on_event=events.append) as transport:
        request = Request(method="GET", url="https://no.invalid/v2/", registry="no.invalid")
        with pytest.raises(ConnectError, match=r"no\.invalid"):
            await transport.fetch(request, max_bytes=1)
    # Where there is no name server at all, the failure may pass and is tried again.
    assert len(events) in {0, 2}


async def test_s17_errors_hold_no_query_anywhere() -> None:
    """Not in the text, not in causes and contexts, not when pickled."""
    answers = [
        saying(),
        saying(b"rubbish\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ]
    for answer in answers:
        async with serve_raw(answer) as server, Transport(quick()) as transport:
            with pytest.raises(OCIError) as caught:
                await transport.fetch(
                    get(server, "/x?sig=secret", headers={"Authorization": "secret"}), max_bytes=9
                )
        error: BaseException | None = caught.value
        assert "secret" not in repr(pickle.loads(pickle.dumps(error)))  # noqa: S301 - our own
        while error is not None:
            assert "secret" not in f"{error} {error!r}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


async def test_d05_retry_after_in_the_form_of_a_date() -> None:
    """In the past: at once. Far away: not waited for."""
    past, future = (
        formatdate(time.time() - 50, usegmt=True),
        formatdate(time.time() + 5000, usegmt=True),
    )
    options = quick(retry=RetryPolicy(attempts=3, first_wait_s=0))
    answers = iter([text(status=503, Retry_After=past), text("yes")])
    async with serve(lambda _: next(answers)) as server, Transport(options) as transport:
        assert (await transport.fetch(get(server), max_bytes=9))[1] == b"yes"
    async with (
        serve(lambda _: text(status=429, Retry_After=future)) as server,
        Transport(options) as transport,
    ):
        with pytest.raises(OCIError) as caught:
            await transport.fetch(get(server), max_bytes=9)
    assert 4900 < caught.value.__dict__["retry_after_s"] < 5001
    assert len(server.seen) == 1


@pytest.mark.parametrize("stage", ["slot", "answer", "body", "wait", "host"])
async def test_cancelling_at_any_stage_leaves_nothing(stage: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if stage in {"wait", "host"}:
            writer.write(b"HTTP/1.1 503 No\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n")
        elif stage == "body":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        reached.set()
        ended.append(await until_hung_up(reader))

    reached = asyncio.Event()
    ended: list[bytes] = []
    options = quick(connections_per_host=1, retry=RetryPolicy(attempts=3))
    async with serve_raw(script) as server, Transport(options) as transport:
        async with anyio.create_task_group() as group:
            for _ in range(2 if stage in {"slot", "host"} else 1):
                group.start_soon(lambda: transport.fetch(get(server), max_bytes=10))
            await reached.wait()
            await asyncio.sleep(0.05)
            group.cancel_scope.cancel()
        if stage not in {"wait", "host"}:  # there the connection is whole and kept
            with anyio.fail_after(20):
                while not ended:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        # The slot is free again.
        stage = "done"
        with anyio.move_on_after(0.2) as reached_again:
            await transport.fetch(get(server, retry=False), max_bytes=10)
        assert reached_again.cancelled_caught
    gc.collect()


async def test_leaving_the_transport_closes_its_connections() -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ok())
        ended.append(await until_hung_up(reader))

    ended: list[bytes] = []
    async with serve_raw(keep) as server:
        async with Transport() as transport:
            await transport.fetch(get(server), max_bytes=1)
            assert not ended
        with anyio.fail_after(20):
            while not ended:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_connections_are_used_again() -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            writer.write(ok(b"x" * 10))

    async with serve_raw(keep) as server, Transport() as transport:
        for _ in range(3):
            async with transport.send(get(server)) as response:
                await response.body.read(100)
        async with transport.send(get(server)) as response:
            await response.discard()
        await transport.fetch(get(server), max_bytes=10)
    assert server.connections == 1


async def test_leaving_an_answer_unread_closes_its_connection() -> None:
    async def big(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        ended.append(await until_hung_up(reader))

    ended: list[bytes] = []
    async with serve_raw(big) as server, Transport() as transport:
        async with transport.send(get(server)) as response:
            assert response.status == 200
        with anyio.fail_after(20):
            while not ended:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def hangs_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_head(reader)


async def test_d05_a_host_that_hangs_up_on_new_connections_too_is_left_alone() -> None:
    policy = RetryPolicy(attempts=2, first_wait_s=1e9, longest_wait_s=1e9, wait_budget_s=1e10)
    async with serve_raw(hangs_up) as server, Transport(quick(retry=policy)) as transport:
        with pytest.raises(TransportError):
            await transport.fetch(get(server), max_bytes=1)
        assert server.connections == 2, "the first may have been stale"
        with anyio.move_on_after(0.05) as waiting:
            await transport.fetch(get(server), max_bytes=1)
        assert waiting.cancelled_caught
        assert server.connections == 2


async def test_one_stale_connection_says_nothing_of_its_host() -> None:
    policy = RetryPolicy(attempts=1, first_wait_s=1e9, longest_wait_s=1e9, wait_budget_s=1e10)
    options = quick(retry=policy)
    async with serve_raw(hangs_up, saying(ok())) as server, Transport(options) as transport:
        with pytest.raises(TransportError):
            await transport.fetch(get(server), max_bytes=1)
        await transport.fetch(get(server), max_bytes=1)
