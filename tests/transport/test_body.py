"""Sending bodies: lengths, repetition, early answers, sources that fail or change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ocipkg_async.content import BytesSource, ByteStream, FileSource, ProducerSource
from ocipkg_async.errors import (
    DeniedError,
    OCIError,
    RegistryError,
    StorageError,
    TimedOutError,
    TooLongError,
    TooShortError,
    UnauthorizedError,
)
from ocipkg_async.transport import Body, Credential, Request, RetryPolicy, Transport
from transport.servers import (
    RawServer,
    Server,
    Stored,
    nobody,
    ok,
    quick,
    read_head,
    serve,
    serve_raw,
    text,
)

DATA = bytes(range(251)) * 14_000  # 3.5 MB, several pieces


class Counted(BytesSource):
    """Bytes that count how often they are opened and whether they are closed again."""

    def __init__(
        self, data: bytes = DATA, *, size: int | None = -1, reopenable: bool = True
    ) -> None:
        super().__init__(data)
        self.size = len(data) if size == -1 else size
        self.reopenable = reopenable
        self.opened = self.closed = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        self.opened += 1
        try:
            async with super().open() as stream:
                yield stream
        finally:
            self.closed += 1


def put(
    server: Server | RawServer, body: bytes | Body, *, retry: bool = True, method: str = "PUT"
) -> Request:
    return Request(
        method=method,
        url=server.url + "/v2/up",
        registry=server.host,
        body=body,
        accept=frozenset({200, 201}),
        retry=retry,
    )


async def test_a_body_of_known_size_is_sent_with_its_length() -> None:
    async with serve(lambda _: text(status=201)) as server, Transport() as transport:
        for body in (DATA, Counted(), b"small", Counted(b"small"), Counted(b"")):
            await transport.fetch(put(server, body), max_bytes=1)
    lengths = [int(seen.headers["Content-Length"]) for seen in server.seen]
    assert lengths == [len(DATA), len(DATA), 5, 5, 0]
    assert [seen.body for seen in server.seen] == [DATA, DATA, b"small", b"small", b""]
    assert all("Transfer-Encoding" not in seen.headers for seen in server.seen)


@pytest.mark.parametrize("data", [DATA, b"", b"x"])
async def test_a_body_of_unknown_size_is_sent_chunked(data: bytes) -> None:
    async with serve(lambda _: text(status=201)) as server, Transport() as transport:
        await transport.fetch(put(server, Counted(data, size=None)), max_bytes=1)
    assert server.seen[0].body == data
    assert server.seen[0].headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in server.seen[0].headers


async def test_files_and_producers_are_bodies(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)

    def produce(write: object) -> None:
        assert callable(write)
        for start in range(0, len(DATA), 100_000):
            write(DATA[start : start + 100_000])

    async with serve(lambda _: text(status=201)) as server, Transport() as transport:
        await transport.fetch(put(server, await FileSource.of(path)), max_bytes=1)
        await transport.fetch(put(server, ProducerSource(produce)), max_bytes=1)
    assert [seen.body for seen in server.seen] == [DATA, DATA]


async def test_a_body_is_sent_again_from_its_start() -> None:
    answers = iter([text(status=503), text(status=201)])
    body = Counted()
    async with serve(lambda _: next(answers)) as server, Transport(quick()) as transport:
        await transport.fetch(put(server, body), max_bytes=1)
    assert [seen.body for seen in server.seen] == [DATA, DATA]
    assert (body.opened, body.closed) == (2, 2)


async def test_d69_a_body_that_can_be_read_once_is_sent_once() -> None:
    body = Counted(reopenable=False)
    async with serve(lambda _: text(status=503)) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(put(server, body), max_bytes=1)
    assert caught.value.status == 503
    assert len(server.seen) == body.opened == 1


async def test_d69_a_body_that_was_not_touched_may_be_tried_again() -> None:
    """No connection, so nothing of it was read."""
    body = Counted(reopenable=False)
    with nobody() as server:
        async with Transport(quick()) as transport:
            with pytest.raises(OCIError, match="cannot connect"):
                await transport.fetch(put(server, body), max_bytes=1)
    assert body.opened == 0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("end", ["none", "of answers", "reset"])
async def test_an_early_error_is_reported_and_not_the_broken_pipe(known: bool, end: str) -> None:
    """The server answers after the headers and never reads the body."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nquit"
        )
        await writer.drain()
        if end == "of answers":
            writer.write_eof()
        if end != "reset":
            await asyncio.sleep(60)

    body = Counted(DATA * 8, size=len(DATA) * 8 if known else None)
    # A reset may come before the client has looked at the answer, and takes it away.
    options = quick(retry=RetryPolicy(attempts=1000, first_wait_s=0.001, longest_wait_s=0.001))
    async with serve_raw(script) as server, Transport(options) as transport:
        with anyio.fail_after(60), pytest.raises(DeniedError, match="quit"):
            await transport.fetch(put(server, body), max_bytes=1)
    assert server.connections == body.opened == 1 or end == "reset"
    assert body.opened == body.closed


async def test_an_answer_before_the_end_of_a_body_never_completes_the_request() -> None:
    """The rest of the answer is read while the source has nothing more to give."""

    class Slow(Counted):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            async with super().open():
                yield _SlowStream()

    class _SlowStream:
        def __init__(self) -> None:
            self._given = False

        async def read(self, _max_bytes: int, /) -> bytes:
            if self._given:
                await anyio.sleep_forever()
            self._given = True
            return b"first"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        received.append(await reader.readuntil(b"first\r\n"))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nha")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"lf")
        received.append(await reader.read(-1))
        ended.set()

    received: list[bytes] = []
    ended = asyncio.Event()
    body = Slow(size=None)
    async with serve_raw(script) as server, Transport(quick()) as transport:
        with anyio.fail_after(60):
            assert (await transport.fetch(put(server, body), max_bytes=9))[1] == b"half"
            await ended.wait()
    assert received == [b"5\r\nfirst\r\n", b""]
    assert (body.opened, body.closed) == (1, 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_an_early_refusal_gets_the_body_again_if_it_can(status: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        await asyncio.sleep(60)  # to close now is a reset, which may take the answer away

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        received.append(await reader.readexactly(len(DATA)))
        writer.write(ok())

    received: list[bytes] = []
    body = Counted()
    async with serve_raw(refuse, take) as server, Transport(quick()) as transport:
        await transport.fetch(put(server, body), max_bytes=1)
    assert received == [DATA]
    assert (body.opened, body.closed) == (2, 2)
    once = Counted(reopenable=False)
    async with serve_raw(refuse, take) as server, Transport(quick()) as transport:
        with pytest.raises(RegistryError) as caught:
            await transport.fetch(put(server, once), max_bytes=1)
    assert caught.value.status == status
    assert once.opened == 1


@pytest.mark.parametrize("known", [True, False])
async def test_a_source_that_fails_never_completes_the_request(known: bool) -> None:
    """Half a body in chunked encoding must not be ended as if it were whole."""

    class Failing(Counted):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            async with super().open() as stream:
                yield _FailingStream(stream)

    class _FailingStream:
        def __init__(self, stream: ByteStream) -> None:
            self._stream = stream
            self._read = 0

        async def read(self, max_bytes: int, /) -> bytes:
            if self._read > 1_500_000:
                await asyncio.sleep(0.05)  # let what was read so far arrive
                raise StorageError("the disk is gone")
            data = await self._stream.read(max_bytes)
            self._read += len(data)
            return data

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        received.append(await reader.read(-1))
        ended.set()

    ended = asyncio.Event()
    received: list[bytes] = []
    async with serve_raw(script) as server, Transport(quick()) as transport:
        body = Failing(DATA, size=len(DATA) if known else None)
        with pytest.raises(StorageError, match="the disk is gone"):
            await transport.fetch(put(server, body), max_bytes=1)
        await ended.wait()
    assert server.connections == 1
    assert 0 < len(received[0]) < len(DATA)
    assert not received[0].endswith(b"0\r\n\r\n")
    assert (body.opened, body.closed) == (1, 1)


@pytest.mark.parametrize(
    ("size", "kind"), [(len(DATA) + 1, TooShortError), (len(DATA) - 1, TooLongError)]
)
async def test_a_source_of_another_size_never_completes_the_request(
    size: int, kind: type[OCIError]
) -> None:
    async with serve(lambda _: text(status=201)) as server, Transport(quick()) as transport:
        with pytest.raises(kind):
            await transport.fetch(put(server, Counted(size=size)), max_bytes=1)
    assert server.seen == []


async def test_a_server_that_stops_reading_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await asyncio.sleep(60)

    body = Counted(DATA * 8)
    options = quick(read_timeout_s=0.2)
    async with serve_raw(script) as server, Transport(options) as transport:
        with anyio.fail_after(60), pytest.raises(TimedOutError, match="took nothing more"):
            await transport.fetch(put(server, body, retry=False), max_bytes=1)
    assert (body.opened, body.closed) == (1, 1)


async def test_an_answer_to_a_sent_body_may_take_longer_than_a_read() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(100_000)
        await asyncio.sleep(3.5)
        writer.write(ok(b"stored"))

    async with (
        serve_raw(script) as server,
        Transport(quick(read_timeout_s=3, answer_timeout_s=30)) as transport,
    ):
        _, answer = await transport.fetch(
            put(server, Counted(DATA[:100_000]), retry=False), max_bytes=10
        )
        assert answer == b"stored"
    async with (
        serve_raw(script) as server,
        Transport(quick(read_timeout_s=30, answer_timeout_s=0.2)) as transport,
    ):
        with pytest.raises(TimedOutError):
            await transport.fetch(put(server, Counted(DATA[:100_000]), retry=False), max_bytes=10)


async def test_cancelling_an_upload_closes_source_and_connection() -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(1_000_000)
        started.set()
        await asyncio.sleep(0.05)  # the client is now waiting to write
        await reader.read(-1)
        ended.set()

    started, ended = asyncio.Event(), asyncio.Event()
    body = Counted(DATA * 20)
    async with serve_raw(script) as server, Transport(quick()) as transport:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: transport.fetch(put(server, body), max_bytes=1))
            await started.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            await ended.wait()
        assert (body.opened, body.closed) == (1, 1)
        names = {task.get_name() for task in asyncio.all_tasks() if "Body" in repr(task)}
        assert names == set()


@pytest.mark.parametrize("known", [True, False])
async def test_d69_a_401_after_a_body_that_can_be_read_once(known: bool) -> None:
    challenge = {"WWW_Authenticate": 'Basic realm="x"'}
    credential = Credential(username="alice", password="wonderland")
    async with (
        serve(lambda _: text(status=401, **challenge)) as server,
        Transport(quick(), credentials=Stored(credential if known else None)) as transport,
    ):
        with pytest.raises(UnauthorizedError) as caught:
            await transport.fetch(put(server, Counted(reopenable=False)), max_bytes=1)
    assert len(server.seen) == 1
    assert ("only once" in (caught.value.hint or "")) is known
