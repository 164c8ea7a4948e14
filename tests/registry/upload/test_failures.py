"""Uploads that are refused, cut off or cancelled, and sources that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from ocipkg_async.content import (
    ByteStream,
    FetchSource,
    ProducerSource,
)
from ocipkg_async.errors import (
    DigestMismatchError,
    IntegrityError,
    NotFoundError,
    OCIError,
    ProtocolError,
    RegistryError,
    TooLongError,
    TooShortError,
    TransportError,
)
from ocipkg_async.events import Event
from ocipkg_async.registry import Repository
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from registry.upload.samples import BLOB, OPENED, STORED, Unsized
from transport.servers import Answer, Seen, serve, text


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


@pytest.mark.parametrize("status", [400, 403, 409, 413])
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


async def test_d65_a_put_that_is_only_accepted_is_looked_after() -> None:
    for found in (200, 404):
        steps = scripted(POST=OPENED, PUT=said(202), HEAD=said(found))
        async with serve(steps) as server, opened(server.host) as repository:
            if found == 200:
                await push_blob(repository)
            else:
                with pytest.raises(ProtocolError, match="does not have it"):
                    await push_blob(repository)
        assert [one.method for one in server.seen][:3] == ["POST", "PUT", "HEAD"]
