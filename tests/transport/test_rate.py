"""The cap on bytes per second: the bucket on a clock of its own, then both directions through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.content import BytesSource
from ocipkg_async.errors import InvalidArgumentError, TimedOutError
from ocipkg_async.transport import Response, Transport, TransportOptions
from ocipkg_async.transport.exchange import Connections, Outgoing
from ocipkg_async.transport.rate import RateLimit, TokenBucket
from transport.servers import RawServer, Seen, Server, get, quick, read_head, serve, serve_raw, text

RATE = 100_000
PIECE = 10_000


def taken(bucket: TokenBucket, *, begin_s: float, end_s: float, length: int) -> int:
    """Take as one after the other does who waits as told; return the bytes until a time."""
    now_s, count = begin_s, 0
    while (now_s := now_s + bucket.take(length, now_s=now_s)) < end_s:
        count += length
    return count


@given(rate=st.integers(1, 10**10), seconds=st.integers(1, 100), part=st.floats(0.01, 1))
def test_no_more_is_taken_than_the_rate_allows(rate: int, seconds: int, part: float) -> None:
    bucket = TokenBucket(rate)
    length = max(1, int(bucket.piece_bytes * part))
    count = taken(bucket, begin_s=50, end_s=50 + seconds, length=length)
    allowed = rate * seconds + bucket.piece_bytes  # it begins full
    assert allowed - 2 * length <= count * (1 + 1e-6) + 1
    assert count <= allowed * (1 + 1e-6) + 1


def test_pieces_are_a_tenth_of_a_second_and_not_tiny() -> None:
    assert TokenBucket(20 << 20).piece_bytes == 2 << 20
    assert TokenBucket(1).piece_bytes == 4096


def test_a_pause_is_not_made_up_for() -> None:
    bucket = TokenBucket(RATE)
    assert bucket.take(PIECE, now_s=0) == 0
    assert bucket.take(PIECE, now_s=1000) == 0
    assert bucket.take(PIECE, now_s=1000) == pytest.approx(0.1)


def test_who_takes_later_waits_longer() -> None:
    bucket = TokenBucket(RATE)
    waits = [bucket.take(PIECE, now_s=5) for _ in range(4)]
    assert waits == pytest.approx([0, 0.1, 0.2, 0.3])
    bucket.give(PIECE)
    assert bucket.take(PIECE, now_s=5) == pytest.approx(0.3)


async def test_a_cancelled_wait_leaves_its_bytes_to_others() -> None:
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        await anyio.sleep_forever()

    limit = RateLimit(RATE, clock=lambda: 7.0, sleep=sleep)
    await limit.take(PIECE)
    for _ in range(3):
        with anyio.move_on_after(0.01):
            await limit.take(PIECE)
    assert waits == pytest.approx([0.1, 0.1, 0.1])


class Clock:
    """Time that passes when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps = 0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        self.sleeps += 1
        self.now_s += wait_s
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def limited(clock: Clock) -> AsyncIterator[Connections]:
    options = TransportOptions(bytes_per_s=RATE)
    async with Connections(options, clock=clock, sleep=clock.sleep) as connections:
        yield connections


async def exchanged(connections: Connections, server: Server, **more: Any) -> Response:
    given: dict[str, Any] = {"method": "GET", "bulk": True, "body": None, **more}
    outgoing = Outgoing(url=server.url + "/", headers={}, registry="127.0.0.1", own=True, **given)
    return await connections.exchange(outgoing, on_body=lambda: None, on_close=lambda: None)


async def test_what_is_received_passes_through_the_bucket() -> None:
    body, clock = "x" * RATE, Clock()
    async with serve(lambda _: text(body)) as server, limited(clock) as connections:
        for seconds in (1, 2):  # two answers share one bucket
            response = await exchanged(connections, server)
            received = b""
            while data := await response.body.read(1 << 20):
                assert len(data) <= PIECE
                received += data
            response.close()
            assert received == body.encode()
            assert clock.now_s == pytest.approx(seconds - 0.1)
    assert clock.sleeps >= 19


async def test_what_is_sent_passes_through_another_bucket() -> None:
    body, clock = b"y" * RATE, Clock()
    async with serve(lambda _: text("x" * RATE)) as server, limited(clock) as connections:
        response = await exchanged(connections, server, method="PUT", body=BytesSource(body))
        assert clock.now_s == pytest.approx(0.9)
        before_s = clock.now_s
        assert await response.body.read(PIECE)  # the other direction did not wait meanwhile
        assert clock.now_s == before_s
        response.close()
    assert server.seen[0].body == body


async def test_small_requests_do_not_wait() -> None:
    clock = Clock()
    async with serve(lambda _: text("x" * RATE)) as server, limited(clock) as connections:
        for body in (None, b"z" * RATE):
            response = await exchanged(connections, server, bulk=False, method="PUT", body=body)
            assert len(await response.read(1 << 20)) == RATE
            response.close()
    assert clock.now_s == 0


async def test_blobs_in_both_directions_are_what_a_transport_limits() -> None:
    """At a rate that would take hours: what is more than one piece waits, a manifest does not."""

    def answer(seen: Seen) -> Any:
        return text("x" * 50_000)

    async with serve(answer) as server, Transport(quick(bytes_per_s=1)) as transport:
        assert len((await transport.fetch(get(server), max_bytes=1 << 20))[1]) == 50_000
        async with transport.send(get(server, "/v2/a/blobs/sha256:0")) as response:
            assert len(await response.body.read(1 << 20)) == 4096
            with anyio.move_on_after(0.05) as waiting:
                await response.body.read(1 << 20)
            assert waiting.cancelled_caught
        put = get(server, body=BytesSource(bytes(50_000)))
        with anyio.move_on_after(0.05) as sending:
            await transport.fetch(put, max_bytes=1)
        assert sending.cancelled_caught


async def test_a_cancelled_read_loses_nothing() -> None:
    body = bytes(range(256)) * 200

    async def sleep(_: float) -> None:
        if not held.is_set():
            await anyio.sleep_forever()

    held = anyio.Event()
    options = TransportOptions(bytes_per_s=RATE)
    async with (
        serve(lambda _: text(body.decode("latin-1"))) as server,
        Connections(options, clock=lambda: 0.0, sleep=sleep) as connections,
    ):
        response = await exchanged(connections, server)
        received = await response.body.read(1 << 20)
        for _ in range(2):
            with anyio.move_on_after(0.01) as scope:
                await response.body.read(1 << 20)
            assert scope.cancelled_caught
        held.set()
        while data := await response.body.read(1 << 20):
            received += data
        response.close()
    assert received.decode() == body.decode("latin-1")


async def test_waiting_for_the_bucket_is_no_stall() -> None:
    async def sleep(_: float) -> None:
        await anyio.sleep(2.2)  # longer than a silent peer is given

    options = TransportOptions(bytes_per_s=RATE, read_timeout_s=2, connect_timeout_s=30)
    async with (
        serve(lambda _: text("x" * 3 * PIECE)) as server,
        Connections(options, clock=lambda: 0.0, sleep=sleep) as connections,
    ):
        response = await exchanged(
            connections, server, method="PUT", body=BytesSource(bytes(3 * PIECE))
        )
        assert len(await response.read(1 << 20)) == 3 * PIECE
        response.close()
    assert len(server.seen[0].body) == 3 * PIECE


async def test_a_silent_peer_is_one_with_a_limit_too() -> None:
    async def stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(20_000))
        await reader.read()

    async def deaf(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await anyio.sleep_forever()

    options = quick(bytes_per_s=10 << 20, read_timeout_s=0.15)
    async with Transport(options) as transport:
        async with serve_raw(stops) as server:
            with pytest.raises(TimedOutError):
                await read_all(transport, server)
        async with serve_raw(deaf) as server:
            body = BytesSource(bytes(64 << 20))
            with pytest.raises(TimedOutError, match="took nothing more"):
                await transport.fetch(get(server, body=body, retry=False), max_bytes=1)


async def read_all(transport: Transport, server: RawServer) -> None:
    async with transport.send(get(server, "/v2/a/blobs/sha256:0")) as response:
        while await response.body.read(1 << 20):
            pass


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_is_at_least_one_byte_per_second(rate: int) -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        TransportOptions(bytes_per_s=rate)
