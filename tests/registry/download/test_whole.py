"""Blobs that arrive, arrive wrongly, or break off and are taken up again."""

import asyncio

import anyio
import pytest
from aiohttp import web

from ocipkg_async.errors import (
    DeniedError,
    DigestMismatchError,
    IntegrityError,
    NotFoundError,
    OCIError,
    ProtocolError,
    TooLongError,
    TooShortError,
    TransportError,
)
from ocipkg_async.events import Event, Retrying
from ocipkg_async.registry.download.plan import check_content_range
from ocipkg_async.spec import EMPTY, Descriptor
from ocipkg_async.transport import RetryPolicy
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, watched
from transport.servers import (
    Answer,
    Script,
    Seen,
    ok,
    read_head,
    saying,
    serve,
    serve_raw,
    text,
    until_hung_up,
)

SIZE = 300_000


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes 10-99/*",
        "bytes */100",
        "bytes 0-99/100",
        "bytes 11-99/100",
        "bytes 10-98/100",
        "bytes 10-100/100",
        "bytes 10-99/101",
        "10-99/100",
        "bytes=10-99/100",
        "bytes 10-99/100, bytes 10-99/100",
        "bytes +10-99/100",
        "bytes 10-99/" + "1" * 5000,
    ],
)
def test_d32_a_part_that_is_not_exactly_the_one_asked_for_is_refused(value: str | None) -> None:
    check_content_range("bytes 10-99/100", first=10, last=99, size=100)
    with pytest.raises(ProtocolError, match="bytes 10 to 99 of 100"):
        check_content_range(value, first=10, last=99, size=100)


@pytest.mark.parametrize("size", [0, 1, 100, SIZE])
async def test_d31_a_blob_comes_back_whole(
    registry: RunningRegistry, repository_name: str, size: int
) -> None:
    async with opened(registry.host, repository_name) as repository:
        descriptor, data = await push_blob(repository, size)
        assert await repository.exists(descriptor)
        assert await read(repository, descriptor) == data


async def test_d30_what_is_not_there_is_not_found(
    registry: RunningRegistry, repository_name: str
) -> None:
    descriptor, _ = blob(10)
    async with opened(registry.host, repository_name) as repository:
        assert not await repository.exists(descriptor)
        with pytest.raises(NotFoundError):
            await read(repository, descriptor)


@pytest.mark.parametrize("drop", [0, 1, 100_000, SIZE - 1])
async def test_a_blob_that_breaks_off_is_taken_up_where_it_stopped(drop: int) -> None:
    events: list[Event] = []
    async with watched() as server, opened(server.host, on_event=events.append) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        server.faults.drop_blob_at, server.faults.times = drop, 1
        server.log.clear()
        assert await read(repository, descriptor) == data
    asked = [one.headers.get("Range") for one in server.log]
    assert asked == [None, f"bytes={drop}-{SIZE - 1}" if drop else None]
    assert server.log[1].sent_bytes == SIZE - drop
    assert [type(event) for event in events] == [Retrying]
    assert events[0].action == "download"
    assert events[0].name == descriptor.digest.short


async def test_a_blob_that_breaks_off_again_and_again_arrives_while_tries_are_left() -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        server.faults.drop_blob_at, server.faults.times = 100_000, 2
        assert await read(repository, descriptor) == data


async def test_a_broken_connection_gives_its_place_to_the_next() -> None:
    async with watched() as server, opened(server.host, connections_per_host=1) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        server.faults.drop_blob_at, server.faults.times = 1000, 2
        with anyio.fail_after(20):
            assert await read(repository, descriptor) == data


async def test_tries_are_counted_over_all_connections() -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, _ = await push_blob(repository, SIZE)
        server.faults.drop_blob_at = 1000
        with pytest.raises(TransportError, match="broke off"):
            await read(repository, descriptor)
    assert server.count("GET") == 3


@pytest.mark.parametrize("drop", [1, 123_456, SIZE - 1])
async def test_d32_a_registry_that_sends_all_again_is_read_past_what_was_delivered(
    drop: int,
) -> None:
    descriptor, data = blob(SIZE)
    whole = ok(data)
    short = whole[: len(whole) - SIZE + drop]
    async with serve_raw(saying(short), saying(whole)) as server, opened(server.host) as repository:
        assert await read(repository, descriptor) == data
    assert server.connections == 2


@pytest.mark.parametrize(
    "content_range",
    ["bytes 0-299999/300000", "bytes 100000-299999/*", "bytes 100000-299998/299999"],
)
async def test_d32_a_wrong_part_ends_it(content_range: str) -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, _ = await push_blob(repository, SIZE)
        server.faults.drop_blob_at, server.faults.content_range = 100_000, content_range
        with pytest.raises(ProtocolError, match="asked for bytes 100000"):
            await read(repository, descriptor)
    assert server.count("GET") == 2


async def test_d33_a_signed_link_that_expired_is_asked_for_anew() -> None:
    descriptor, data = blob(SIZE)
    tries: list[str] = []

    async def stored(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await read_head(reader)).decode().lower()
        tries.append(head.split()[1])
        first = int(head.partition("range: bytes=")[2].partition("-")[0] or 0)
        status = "206 Partial Content" if first else "200 OK"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {SIZE - first}\r\n"
            f"Content-Range: bytes {first}-{SIZE - 1}/{SIZE}\r\n\r\n".encode()
        )
        writer.write(data[first:] if first else data[:100_000])
        await writer.drain()

    def signed(seen: Seen) -> Answer:
        return text(status=307, Location=f"{storage.url}/blob?signature={len(server.seen)}")

    async with (
        serve_raw(stored) as storage,
        serve(signed) as server,
        opened(server.host) as repository,
    ):
        assert await read(repository, descriptor) == data
    assert tries == ["/blob?signature=1", "/blob?signature=2"]


async def test_a_refusal_in_the_middle_is_raised_as_it_is() -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, _ = await push_blob(repository, SIZE)
        server.faults.drop_blob_at = 1000
        async with repository.fetch(descriptor) as reader:
            server.faults.refuse_next, server.faults.refuse_status = 1, 403
            with pytest.raises(DeniedError):
                await reader.read()


async def test_a_refusal_that_may_pass_is_waited_out_in_the_middle() -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        server.faults.drop_blob_at, server.faults.times = 1000, 1
        async with repository.fetch(descriptor) as reader:
            server.faults.refuse_next, server.faults.refuse_status = 1, 503
            assert await reader.read_all() == data


async def test_a_body_that_loses_only_its_end_is_judged_by_its_digest() -> None:
    """Chunked encoding without the last chunk: all bytes are there."""
    descriptor, data = blob(1000)
    async with serve_raw(_chunked(data)) as server, opened(server.host) as repository:
        assert await read(repository, descriptor) == data
    assert server.connections == 1


def _chunked(data: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()

    return script


BODY = blob(1000)[1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(BODY[:-1], TooShortError, id="short"),
        pytest.param(b"", TooShortError, id="empty"),
        pytest.param(BODY + b"!", TooLongError, id="one byte more"),
        pytest.param(BODY * 1000, TooLongError, id="far longer"),
        pytest.param(b"!" + BODY[1:], DigestMismatchError, id="other bytes"),
        pytest.param(b"<html>log in</html>", IntegrityError, id="a page"),
    ],
)
async def test_s01_wrong_bytes_are_never_handed_out_as_a_whole(
    body: bytes, error: type[OCIError]
) -> None:
    descriptor, _ = blob(1000)
    async with serve(lambda _seen: _octets(body)) as server, opened(server.host) as repository:
        with pytest.raises(error):
            await read(repository, descriptor)
    assert len(server.seen) == 1  # wrong content is not asked for again


def _octets(data: bytes) -> Answer:
    return web.Response(body=data)


async def test_wrong_bytes_after_the_break_are_found() -> None:
    descriptor, data = blob(SIZE)
    other = blob(SIZE, seed=1)[1]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resumed = b"range: bytes=1000-" in (await read_head(reader)).lower()
        first = 1000 if resumed else 0
        head = b"HTTP/1.1 206 Part\r\n" if resumed else b"HTTP/1.1 200 OK\r\n"
        head += b"Content-Range: bytes 1000-%d/%d\r\n" % (SIZE - 1, SIZE) if resumed else b""
        writer.write(head + b"Content-Length: %d\r\n\r\n" % (SIZE - first))
        writer.write(other[1000:] if resumed else data[:1000])
        await writer.drain()

    async with serve_raw(script) as server, opened(server.host) as repository:
        with pytest.raises(DigestMismatchError):
            await read(repository, descriptor)
    assert server.connections == 2


async def test_all_again_and_less_than_before_is_counted_as_a_failure() -> None:
    descriptor, data = blob(SIZE)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resumed = b"range:" in (await read_head(reader)).lower()
        length = 500 if resumed else SIZE
        # It says that it hangs up, or the client might ask it once more before it sees that.
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length
        writer.write(head + data[: 500 if resumed else 1000])
        await writer.drain()

    async with serve_raw(script) as server, opened(server.host) as repository:
        with pytest.raises(TransportError, match="less of it"):
            await read(repository, descriptor)
    assert server.connections == 3


async def test_cancelling_a_download_leaves_no_connection() -> None:
    descriptor, data = blob(SIZE)
    stuck, hung_up = anyio.Event(), anyio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ok(data)[:1000])
        await writer.drain()
        stuck.set()
        assert await until_hung_up(reader) == b""
        hung_up.set()

    async with serve_raw(script) as server, opened(server.host) as repository:
        async with anyio.create_task_group() as group:
            group.start_soon(read, repository, descriptor)
            await stuck.wait()
            group.cancel_scope.cancel()
        await hung_up.wait()
    assert server.connections == 1


async def test_cancelling_the_wait_for_another_try_asks_no_more() -> None:
    descriptor, data = blob(SIZE)
    waiting = anyio.Event()

    def on_event(event: Event) -> None:
        assert isinstance(event, Retrying)
        waiting.set()

    patient = RetryPolicy(attempts=3, first_wait_s=3600.0, longest_wait_s=3600.0, wait_budget_s=9e9)
    async with (
        serve_raw(saying(ok(data)[:1000])) as server,
        opened(server.host, on_event=on_event, retry=patient) as repository,
    ):
        task = asyncio.create_task(read(repository, descriptor))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert server.connections == server.closed == 1


async def test_the_empty_blob_needs_no_length() -> None:
    """D-35: HEAD of the empty JSON blob without Content-Length says that it exists."""
    async with serve(lambda _seen: text()) as server, opened(server.host) as repository:
        assert await repository.exists(EMPTY)


async def test_a_blob_is_asked_for_by_its_digest_alone() -> None:
    """What a hostile manifest says of a blob never reaches the path."""
    descriptor, data = blob(10)
    odd = Descriptor(
        media_type="application/x",
        digest=descriptor.digest,
        size=10,
        urls=("http://169.254.169.254/",),
        annotations={"org.opencontainers.image.title": "../../etc/passwd"},
    )

    async with serve(lambda _seen: _octets(data)) as server, opened(server.host) as repository:
        assert await read(repository, odd) == data
    assert [seen.path for seen in server.seen] == [f"/v2/test/repository/blobs/{descriptor.digest}"]
