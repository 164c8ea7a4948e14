"""Pushing blobs: whole, streamed, in chunks, mounted; refused, cut off and cancelled."""

import asyncio
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.lowlevel import checkpoint

from ocipkg_async.content import (
    BytesSource,
    ByteStream,
    FetchSource,
    FileSource,
    MemoryStore,
    ProducerSource,
    Source,
    StreamSource,
)
from ocipkg_async.copy import copy_graph
from ocipkg_async.errors import (
    DigestMismatchError,
    IntegrityError,
    InvalidArgumentError,
    NotFoundError,
    OCIError,
    ProtocolError,
    RedirectError,
    RegistryError,
    TooLongError,
    TooShortError,
    TransportError,
    UnauthorizedError,
)
from ocipkg_async.events import Event, Retrying
from ocipkg_async.registry import Repository, TransferOptions
from ocipkg_async.registry.upload.session import MAX_CHUNK_BYTES
from ocipkg_async.spec import Descriptor, Digest, media_types
from ocipkg_async.transport import Credential, StaticCredentials
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from transport.servers import Answer, Seen, serve, serve_raw, text

BLOB = media_types.OCTET_STREAM
OPENED = said(202, Location="/v2/u/1?s=0")
STORED = said(201)


class Unsized:
    """A source that does not know its length, in odd pieces."""

    size = None

    def __init__(self, data: bytes, *, reopenable: bool = True) -> None:
        self._data = data
        self.reopenable = reopenable
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        self.opened += 1
        yield _Pieces(self._data, 7_777)


class _Pieces:
    def __init__(self, data: bytes, piece_bytes: int) -> None:
        self._rest = data
        self._piece_bytes = piece_bytes

    async def read(self, max_bytes: int, /) -> bytes:
        length = min(max_bytes, self._piece_bytes)
        piece, self._rest = self._rest[:length], self._rest[length:]
        return piece


# --- whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_d54_a_blob_is_pushed_in_one_put(size: int) -> None:
    async with watched() as server, opened(server.host) as repository:
        descriptor, data = await push_blob(repository, size)
        assert [one.method for one in server.log] == ["POST", "PUT"]
        assert server.log[-1].headers["Content-Type"] == BLOB
        assert "Content-Range" not in server.log[-1].headers
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def test_a_file_and_a_producer_are_pushed(
    registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    descriptor, data = blob(2_500_000)
    (tmp_path / "file").write_bytes(data)
    sources: list[Source] = [
        await FileSource.of(tmp_path / "file"),
        ProducerSource(lambda write: _write_pieces(write, data)),
    ]
    for number, source in enumerate(sources):
        async with opened(registry.host, f"{repository_name}/{number}") as repository:
            await repository.push(descriptor, source)
            assert await read(repository, descriptor) == data


def _write_pieces(write: Callable[[bytes], None], data: bytes) -> None:
    for start in range(0, len(data), 70_000):
        write(data[start : start + 70_000])


async def test_d66_a_blob_with_a_sha512_digest(
    registry: RunningRegistry, repository_name: str
) -> None:
    data = b"content"
    digest = Digest("sha512:" + hashlib.sha512(data).hexdigest())
    descriptor = Descriptor(media_type=BLOB, digest=digest, size=len(data))
    async with opened(registry.host, repository_name) as repository:
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data


async def test_d66_the_algorithm_is_named_when_the_upload_is_opened() -> None:
    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    descriptor = Descriptor(media_type=BLOB, digest=digest, size=1)
    async with (
        serve(scripted(POST=OPENED, PUT=STORED)) as server,
        opened(server.host) as repository,
    ):
        await repository.push(descriptor, BytesSource(b"x"))
    assert server.seen[0].path.endswith("/blobs/uploads/?digest-algorithm=sha512")


@pytest.mark.parametrize("location", ["path", "absolute", "relative", "query", "state"])
@pytest.mark.parametrize("chunk_bytes", [None, 1000])
async def test_d50_every_form_of_location_is_followed(
    location: str, chunk_bytes: int | None
) -> None:
    async with watched(location=location) as server:
        async with opened(server.host, chunk_bytes=chunk_bytes) as repository:
            descriptor, data = await push_blob(repository, 3500)
            streamed = await repository.push_stream(BLOB, Unsized(data))
            assert streamed == descriptor
            assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


# --- streams of unknown digest -------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 300_000])
@pytest.mark.parametrize("chunk_bytes", [None, 100_000])
async def test_d56_a_stream_gets_its_digest_on_the_way(
    registry: RunningRegistry, repository_name: str, size: int, chunk_bytes: int | None
) -> None:
    descriptor, data = blob(size)
    async with opened(registry.host, repository_name, chunk_bytes=chunk_bytes) as repository:
        for source in (Unsized(data), BytesSource(data), Unsized(data, reopenable=False)):
            assert await repository.push_stream(BLOB, source) == descriptor
        assert await read(repository, descriptor) == data


async def test_a_stream_is_one_patch_without_range_and_an_empty_put() -> None:
    async with watched() as server, opened(server.host) as repository:
        await repository.push_stream(BLOB, Unsized(b"x" * 100_000))
    assert [one.method for one in server.log] == ["POST", "PATCH", "PUT"]
    assert "Content-Range" not in server.log[1].headers
    assert [one.received_bytes for one in server.log] == [0, 100_000, 0]


async def test_a_registry_that_answers_before_the_end_does_not_get_a_part_for_a_whole() -> None:
    """It would keep the first bytes, and their digest is what we would name."""

    class Slow(Unsized):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            self.opened += 1
            yield self

        async def read(self, _max_bytes: int, /) -> bytes:
            if self.opened == self._sent:
                await anyio.sleep_forever()
            self._sent = self.opened
            return b"the first bytes"

        _sent = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method = head.split()[0]
            if method == b"PATCH":
                await reader.readuntil(b"the first bytes\r\n")
                writer.write(b"HTTP/1.1 202 OK\r\nRange: 0-14\r\nContent-Length: 0\r\n\r\n")
                return
            methods.append(method)
            status = b"202" if method == b"POST" else b"201"
            writer.write(b"HTTP/1.1 %s OK\r\nLocation: /u/1\r\nContent-Length: 0\r\n\r\n" % status)

    methods: list[bytes] = []
    source = Slow(b"")
    async with serve_raw(early) as server, opened(server.host) as repository:
        with pytest.raises(TransportError, match="before it was sent the whole blob"):
            await repository.push_stream(BLOB, source)
    assert source.opened == 3
    assert b"PUT" not in methods


@pytest.mark.parametrize("chunk_bytes", [None, 100])
async def test_a_source_that_can_be_read_once_is_not_sent_twice(chunk_bytes: int | None) -> None:
    data = b"x" * 1000
    async with watched(drop_upload_at=10, times=1) as server:
        async with opened(server.host, chunk_bytes=chunk_bytes) as repository:
            source = StreamSource(_reader(data))
            if chunk_bytes is None:
                with pytest.raises(TransportError):
                    await repository.push_stream(BLOB, source)
                assert server.count("POST") == 1
            else:  # a chunk is in memory and can be sent again
                descriptor = await repository.push_stream(BLOB, source)
                assert await read(repository, descriptor) == data
                assert server.count("POST") == 1
        assert server.open_uploads() == 0


def _reader(data: bytes) -> Callable[[int], bytes]:
    return io.BytesIO(data).read


# --- chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sent"),
    [
        (0, [("PUT", None, 0)]),
        (999, [("PUT", None, 999)]),
        (1000, [("PUT", None, 1000)]),
        (1001, [("PATCH", "0-999", 1000), ("PUT", "1000-1000", 1)]),
        (2000, [("PATCH", "0-999", 1000), ("PUT", "1000-1999", 1000)]),
        (
            3500,
            [
                ("PATCH", "0-999", 1000),
                ("PATCH", "1000-1999", 1000),
                ("PATCH", "2000-2999", 1000),
                ("PUT", "3000-3499", 500),
            ],
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_d57_chunks_lie_end_to_end_and_the_last_travels_with_the_digest(
    size: int, sent: list[tuple[str, str | None, int]], streamed: bool
) -> None:
    descriptor, data = blob(size)
    async with watched() as server, opened(server.host, chunk_bytes=1000) as repository:
        if streamed:
            assert await repository.push_stream(BLOB, Unsized(data)) == descriptor
        else:
            await repository.push(descriptor, Unsized(data))
        found = [
            (one.method, one.headers.get("Content-Range"), one.received_bytes)
            for one in server.log[1:]
        ]
        assert found == sent
        assert await read(repository, descriptor) == data


@pytest.mark.parametrize("size", [100_000, 150_000, 200_000])
async def test_chunks_are_taken_by_real_registries(
    registry: RunningRegistry, repository_name: str, size: int
) -> None:
    async with opened(registry.host, repository_name, chunk_bytes=50_000) as repository:
        descriptor, data = await push_blob(repository, size)
        assert await read(repository, descriptor) == data


async def test_d59_chunks_grow_to_the_registrys_minimum() -> None:
    async with watched(chunk_min_bytes=1500) as server:
        async with opened(server.host, chunk_bytes=1000) as repository:
            await push_blob(repository, 3500)
        assert [one.received_bytes for one in server.log] == [0, 1500, 1500, 500]


@pytest.mark.parametrize("streamed", [False, True])
async def test_d59_an_absurd_minimum_sends_the_blob_in_one_piece(streamed: bool) -> None:
    descriptor, data = blob(3500)
    async with (
        watched(chunk_min_bytes=MAX_CHUNK_BYTES + 1) as server,
        opened(server.host, chunk_bytes=1000) as repository,
    ):
        if streamed:
            await repository.push_stream(BLOB, Unsized(data))
        else:
            await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data
    methods = [one.method for one in server.log[:3]]
    assert methods == (["POST", "PATCH", "PUT"] if streamed else ["POST", "PUT", "GET"])


async def test_d60_what_the_registry_did_not_keep_is_sent_again() -> None:
    async with (
        watched(keep_of_chunk=400) as server,
        opened(server.host, chunk_bytes=1000) as repository,
    ):
        descriptor, data = await push_blob(repository, 2500)
        assert await read(repository, descriptor) == data
    ranges = [one.headers.get("Content-Range") for one in server.log if one.method == "PATCH"]
    assert ranges[:3] == ["0-999", "400-999", "800-999"]


async def test_d61_a_chunk_that_breaks_off_goes_on_in_the_same_session() -> None:
    events: list[Event] = []
    async with (
        watched(drop_upload_at=600, times=1) as server,
        opened(server.host, chunk_bytes=1000, on_event=events.append) as repository,
    ):
        descriptor, data = await push_blob(repository, 2500)
        assert await read(repository, descriptor) == data
    assert server.count("POST") == 1
    sent = [one.headers.get("Content-Range") for one in server.log if one.method == "PATCH"]
    assert sent == ["0-999", "600-999", "1000-1999"]
    assert [type(event) for event in events] == [Retrying]


async def test_d61_a_misplaced_chunk_asks_where_to_go_on() -> None:
    steps = scripted(
        POST=OPENED,
        PATCH=[said(416), said(202, Location="/v2/u/1?s=2", Range="0-999")],
        GET=said(204, Location="/v2/u/1?s=1", Range="0-299"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        descriptor, data = await push_blob(repository, 1200)
    assert [
        (one.method, one.path, one.headers.get("Content-Range")) for one in server.seen[1:]
    ] == [
        ("PATCH", "/v2/u/1?s=0", "0-999"),
        ("GET", "/v2/u/1?s=0", None),
        ("PATCH", "/v2/u/1?s=1", "300-999"),
        ("PUT", f"/v2/u/1?s=2&digest={descriptor.digest.replace(':', '%3A')}", "1000-1199"),
    ]
    assert server.seen[3].body == data[300:1000]


async def test_d61_no_progress_ends_it() -> None:
    steps = scripted(POST=OPENED, PATCH=said(416), GET=said(204, Range="0-299"))
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(ProtocolError, match="does not get past byte 300"):
            await push_blob(repository, 1200)
    assert len(server.seen) < 20
    assert server.seen[-1].method == "DELETE"


async def test_d62_an_unclear_status_starts_a_new_session() -> None:
    steps = scripted(
        POST=[OPENED, said(202, Location="/v2/u/2")],
        PATCH=[said(416), said(202)],
        GET=said(204, Range="0-0"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        await push_blob(repository, 1200)
    assert [one.method for one in server.seen] == [
        *("POST", "PATCH", "GET", "DELETE"),
        *("POST", "PATCH", "PUT"),
    ]


async def test_a_registry_that_lost_earlier_chunks_gets_them_in_a_new_session() -> None:
    steps = scripted(
        POST=OPENED,
        PATCH=[said(202), said(416), said(202)],
        GET=said(204, Range="0-499"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 2200)
    assert sum(one.method == "POST" for one in server.seen) == 2
    assert b"".join(one.body for one in server.seen[-3:]) == data


@pytest.mark.parametrize("answer", ["0-1000", "0-9999999"])
async def test_a_registry_that_claims_more_than_was_sent_is_not_believed(answer: str) -> None:
    steps = scripted(POST=OPENED, PATCH=said(202, Range=answer))
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(ProtocolError, match="1000 were sent"):
            await push_blob(repository, 1200)
    steps = scripted(POST=OPENED, PATCH=said(416), GET=said(204, Range=answer))
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(ProtocolError, match="1000 were sent"):
            await push_blob(repository, 1200)


async def test_ecr_a_range_that_stays_at_the_first_chunk_is_ignored() -> None:
    steps = scripted(POST=OPENED, PATCH=said(201, Range="0-999"), PUT=STORED)
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 3200)
    ranges = [one.headers.get("Content-Range") for one in server.seen[1:]]
    assert ranges == ["0-999", "1000-1999", "2000-2999", "3000-3199"]
    assert b"".join(one.body for one in server.seen) == data


def test_a_chunk_has_at_least_a_byte() -> None:
    with pytest.raises(InvalidArgumentError):
        TransferOptions(chunk_bytes=0)


# --- at once ---------------------------------------------------------------------------------


async def test_d67_a_blob_that_many_push_at_once_is_sent_once() -> None:
    async with watched() as server, opened(server.host) as repository:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(push_blob, repository)
        assert server.count("PUT") == 1
        assert server.open_uploads() == 0


async def test_d67_if_the_first_fails_the_next_sends() -> None:
    """And one that is cancelled while it waits stops nobody."""
    descriptor, data = blob(1000)
    async with watched() as server, opened(server.host) as repository:
        async with anyio.create_task_group() as group:
            group.start_soon(_fails, repository, descriptor)
            await checkpoint()
            waiting = asyncio.create_task(repository.push(descriptor, BytesSource(data)))
            await checkpoint()
            waiting.cancel()
            group.start_soon(repository.push, descriptor, BytesSource(data))
        assert waiting.cancelled()
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0


async def _fails(repository: Repository, descriptor: Descriptor) -> None:
    with pytest.raises(TooShortError):
        await repository.push(descriptor, BytesSource(b""))


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop", [0, 1, 100_000, 299_999])
async def test_an_upload_that_breaks_off_is_done_again(drop: int) -> None:
    events: list[Event] = []
    async with watched(drop_upload_at=drop, times=1) as server:
        async with opened(server.host, on_event=events.append) as repository:
            descriptor, data = await push_blob(repository, 300_000)
            assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0
    assert server.count("POST") == 2
    assert server.count("DELETE") == 1
    assert [event.action for event in events] == ["upload"]


async def test_tries_are_counted() -> None:
    async with watched(drop_upload_at=10) as server, opened(server.host) as repository:
        server.faults.when = lambda method, _path: method == "PUT"
        with pytest.raises(TransportError):
            await push_blob(repository)
        assert server.open_uploads() == 0
    assert server.count("PUT") == server.count("POST") == server.count("DELETE") == 3


@pytest.mark.parametrize("status", [404, 416, 500, 503])
async def test_d63_a_session_that_is_gone_is_opened_anew(status: int) -> None:
    steps = scripted(POST=[OPENED, said(202, Location="/v2/u/2")], PUT=[said(status), STORED])
    async with serve(steps) as server, opened(server.host) as repository:
        await push_blob(repository)
    assert [one.method for one in server.seen] == ["POST", "PUT", "DELETE", "POST", "PUT"]
    assert server.seen[-1].path.startswith("/v2/u/2?digest=")


@pytest.mark.parametrize("status", [400, 403, 405, 413])
async def test_a_refusal_is_not_repeated(status: int) -> None:
    steps = scripted(POST=OPENED, PUT=said(status, "no"))
    async with serve(steps) as server, opened(server.host) as repository:
        with pytest.raises(RegistryError) as caught:
            await push_blob(repository)
    assert caught.value.status == status
    assert [one.method for one in server.seen] == ["POST", "PUT", "DELETE"]


@pytest.mark.parametrize("answer", [202, 204, 401, 404, 405, 500])
async def test_d64_what_is_answered_to_a_cancellation_does_not_matter(answer: int) -> None:
    steps = scripted(POST=OPENED, PUT=said(413, "too large"), DELETE=said(answer))
    async with serve(steps) as server, opened(server.host) as repository:
        with pytest.raises(RegistryError, match="too large"):
            await push_blob(repository)


async def test_d64_the_newest_location_is_cancelled() -> None:
    """Some registries end a session, with an error, when an old location of it is used."""
    steps = scripted(
        POST=OPENED,
        PATCH=[said(202, Location="/v2/u/1?s=1"), said(403)],
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(RegistryError):
            await push_blob(repository, 3000)
    assert (server.seen[-1].method, server.seen[-1].path) == ("DELETE", "/v2/u/1?s=1")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("chunk_bytes", [None, 1000])
async def test_d64_cancelling_ends_the_session_and_leaves_nothing(
    native: bool, chunk_bytes: int | None
) -> None:
    closed = anyio.Event()
    stuck = anyio.Event()

    class Stuck(Unsized):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            try:
                yield self
            finally:
                closed.set()

        async def read(self, _max_bytes: int, /) -> bytes:
            if self.opened < 3:
                self.opened += 1
                return b"x" * 1000
            stuck.set()
            await anyio.sleep_forever()
            raise AssertionError

    descriptor, _ = blob(5000)
    async with watched() as server, opened(server.host, chunk_bytes=chunk_bytes) as repository:
        if native:
            task = asyncio.create_task(repository.push(descriptor, Stuck(b"")))
            await stuck.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(repository.push, descriptor, Stuck(b""))
                await stuck.wait()
                group.cancel_scope.cancel()
        assert closed.is_set()
        assert server.count("DELETE") == 1
        assert server.open_uploads() == 0
        assert not await repository.exists(descriptor)


async def test_cancelling_does_not_wait_for_a_registry_that_is_stuck() -> None:
    stuck = anyio.Event()

    async def never(_seen: Seen) -> Answer:
        stuck.set()
        await asyncio.sleep(3600)
        return text()

    async with (
        serve(scripted(POST=OPENED, PUT=never)) as server,
        opened(server.host) as repository,
        anyio.create_task_group() as group,
    ):
        group.start_soon(push_blob, repository)
        await stuck.wait()
        group.cancel_scope.cancel()
    assert server.seen[-1].method == "DELETE"


# --- sources that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_bytes", [None, 400])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(blob(1000)[1][:-1], TooShortError, id="shorter"),
        pytest.param(b"", TooShortError, id="empty"),
        pytest.param(blob(1000)[1] + b"!", TooLongError, id="longer"),
        pytest.param(b"!" + blob(1000)[1][1:], DigestMismatchError, id="other bytes"),
    ],
)
async def test_a_source_that_changed_is_not_stored(
    registry: RunningRegistry,
    repository_name: str,
    chunk_bytes: int | None,
    data: bytes,
    error: type[IntegrityError],
) -> None:
    descriptor, _ = blob(1000)
    async with opened(registry.host, repository_name, chunk_bytes=chunk_bytes) as repository:
        with pytest.raises(error) as caught:
            await repository.push(descriptor, Unsized(data))
        assert caught.value.hint
        assert "push it again" in caught.value.hint
        assert not await repository.exists(descriptor)


async def test_a_registry_that_stored_something_else_is_found_out() -> None:
    other = blob(10)[0].digest
    steps = scripted(POST=OPENED, PUT=said(201, Docker_Content_Digest=other))
    async with serve(steps) as server, opened(server.host) as repository:
        with pytest.raises(DigestMismatchError, match="stored"):
            await push_blob(repository)
    steps = scripted(POST=OPENED, PUT=said(201, Docker_Content_Digest="sha512:" + "0" * 128))
    async with serve(steps) as server, opened(server.host) as repository:
        await push_blob(repository)  # another algorithm says nothing of ours


@pytest.mark.parametrize("chunk_bytes", [None, 400])
async def test_a_failure_of_the_source_is_neither_repeated_nor_taken_for_a_lost_session(
    chunk_bytes: int | None,
) -> None:
    """A source that is a registry and answers 404 means itself."""
    descriptor, _ = blob(1000)
    async with (
        watched() as origin,
        watched() as server,
        opened(origin.host) as source,
        opened(server.host, chunk_bytes=chunk_bytes) as repository,
    ):
        with pytest.raises(NotFoundError):
            await repository.push(descriptor, FetchSource(source, descriptor))
        assert origin.count("GET") == 1
        assert server.count("POST") == server.count("DELETE") == 1
        assert server.open_uploads() == 0


async def test_a_bug_in_a_source_is_passed_on_and_the_session_ended() -> None:
    def broken(_write: object) -> None:
        raise ZeroDivisionError

    async with watched() as server, opened(server.host) as repository:
        with pytest.raises(ZeroDivisionError):
            await repository.push_stream(BLOB, ProducerSource(broken))
        assert server.open_uploads() == 0


# --- other hosts, credentials --------------------------------------------------------------------


async def test_s11_a_foreign_upload_location_gets_the_bytes_and_no_credentials() -> None:
    def registry(seen: Seen) -> Answer:
        if seen.authorization is None:
            return text(status=401, WWW_Authenticate='Basic realm="r"')
        return text(status=202, Location=f"{storage.url}/put?sig=a%2Fb")

    async with serve(scripted(PUT=STORED)) as storage, serve(registry) as server:
        stored = StaticCredentials({server.host: Credential(username="u", password="p")})
        async with opened(server.host, credentials=stored) as repository:
            _, data = await push_blob(repository)
    assert [one.authorization is not None for one in server.seen] == [False, True]
    (put,) = storage.seen
    assert put.authorization is None
    assert put.path.startswith("/put?sig=a%2Fb&digest=sha256%3A")
    assert put.body == data


async def test_s11_a_foreign_location_that_asks_for_a_password_is_refused() -> None:
    asking = said(401, WWW_Authenticate='Basic realm="give it to me"')
    async with serve(scripted(PUT=asking, DELETE=asking)) as storage:
        steps = scripted(POST=said(202, Location=f"{storage.url}/put"))
        async with serve(steps) as server:
            stored = StaticCredentials(
                {
                    host: Credential(username="u", password="p")
                    for host in (server.host, storage.host)
                }
            )
            async with opened(server.host, credentials=stored) as repository:
                with pytest.raises(UnauthorizedError):
                    await push_blob(repository)
    assert [(one.method, one.authorization) for one in storage.seen] == [
        ("PUT", None),
        ("DELETE", None),
    ]


async def test_s11_nothing_is_sent_in_the_clear_because_a_registry_says_so() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serve(scripted(PUT=STORED)) as storage:
        steps = scripted(POST=said(202, Location=f"{storage.url}/put"))
        async with (
            serve(steps, tls=tls) as server,
            opened(server.host, plain_http=False, insecure=True) as repository,
        ):
            with pytest.raises(RedirectError, match="http"):
                await push_blob(repository)
    assert storage.seen == []


# --- mount ---------------------------------------------------------------------------------------


async def test_d70_a_blob_is_mounted_from_a_repository_beside(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name) as source:
        descriptor, data = await push_blob(source)
        async with opened(registry.host, repository_name + "/copy") as target:
            assert not await target.exists(descriptor)
            origin = target.can_mount_from(source)
            assert origin == repository_name
            assert await target.mount(descriptor, origin)
            assert await read(target, descriptor) == data


async def test_d72_nothing_is_mounted_from_elsewhere() -> None:
    async with opened("one.example", "a") as one, opened("two.example", "b") as two:
        assert two.can_mount_from(one) is None
        assert one.can_mount_from(one) is None
        assert one.can_mount_from(MemoryStore()) is None
    async with (
        opened("docker.io", "library/a") as one,
        opened("index.docker.io", "library/b") as two,
    ):
        assert two.can_mount_from(one) == "library/a"


async def test_d70_a_session_instead_of_a_mount_is_used_for_the_push(
    registry: RunningRegistry, repository_name: str
) -> None:
    descriptor, data = blob(1000)
    async with opened(registry.host, repository_name) as repository:
        assert not await repository.mount(descriptor, "there/is/nothing")
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data


async def test_d70_that_session_is_the_only_one() -> None:
    descriptor, data = blob(1000)
    async with watched() as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "there/is/nothing")
        await repository.push(descriptor, BytesSource(data))
        assert [one.method for one in server.log] == ["POST", "PUT"]
        assert server.open_uploads() == 0


async def test_a_session_from_a_mount_that_expired_is_replaced() -> None:
    steps = scripted(POST=[OPENED, said(202, Location="/v2/u/2")], PUT=[said(404), STORED])
    descriptor, data = blob(1000)
    async with serve(steps) as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "other")
        await repository.push(descriptor, BytesSource(data))
    assert server.seen[-1].path.startswith("/v2/u/2")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 202])
async def test_d72_a_refused_mount_is_asked_once_and_pushed(status: int) -> None:
    """202 without a location is a refusal, too."""
    steps = scripted(POST=[said(status), OPENED], PUT=STORED)
    descriptor, data = blob(1000)
    async with serve(steps) as server, opened(server.host) as repository:
        assert not await repository.mount(descriptor, "other/place")
        await repository.push(descriptor, BytesSource(data))
    assert [one.method for one in server.seen] == ["POST", "POST", "PUT"]
    digest = descriptor.digest.replace(":", "%3A")
    assert server.seen[0].path.endswith(f"?mount={digest}&from=other%2Fplace")
    assert server.seen[1].path.endswith("/blobs/uploads/")


async def test_a_copy_beside_moves_no_byte(registry: RunningRegistry, repository_name: str) -> None:
    async with opened(registry.host, repository_name) as source:
        descriptor, _ = await push_blob(source)
        async with opened(registry.host, repository_name + "/copy") as target:
            report = await copy_graph(source, target, descriptor)
            assert report.bytes_copied == 0
            assert report.skipped == (descriptor,)
            assert await target.exists(descriptor)


async def test_errors_of_uploads_are_ours() -> None:
    """Whatever a registry answers to any step."""
    odd = [
        said(200), said(302, Location="ftp://x/"), said(202, Location="http://[/"),
        said(418, "\x1b[31m"), said(202, Location="x" * 5000),
    ]  # fmt: skip
    texts: list[str] = []
    for step in odd:
        for method in ("POST", "PUT", "PATCH"):
            steps = {
                "POST": OPENED,
                "PATCH": said(202),
                "PUT": STORED,
                "GET": said(404),
                method: step,
            }
            async with (
                serve(scripted(**steps)) as server,
                opened(server.host, chunk_bytes=400) as repository,
            ):
                texts.append(await _failure(repository))
    assert len([text for text in texts if text]) > len(odd)
    assert "\x1b" not in "".join(texts)


async def _failure(repository: Repository) -> str:
    """The error of a push, or nothing; any exception that is not ours ends the test."""
    try:
        await push_blob(repository)
    except OCIError as error:
        return str(error)
    return ""
