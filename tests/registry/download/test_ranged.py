"""Large blobs: fetched in ranges over several connections, into a file or a stream."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from ocipkg_async.content import Meter
from ocipkg_async.errors import (
    DigestMismatchError,
    NotFoundError,
    RegistryError,
    StorageError,
    TooLongError,
    TooShortError,
    TransportError,
)
from ocipkg_async.events import Event, Progressed, Warned
from ocipkg_async.registry import Repository, TransferOptions
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor
from ocipkg_async.transport import RetryPolicy
from registries import RunningRegistry
from registry.driving import Watched, blob, opened, push_blob, read, watched
from transport.servers import Answer, Seen, serve

PART = 64 << 10
SIZE = 20 * PART + 12_345
CONNECTIONS = 4
RANGED = TransferOptions(part_bytes=PART, connections=CONNECTIONS)

Get = Callable[[Repository, Descriptor], Awaitable[bytes]]


@pytest.fixture(params=["file", "stream"])
def get(request: pytest.FixtureRequest, tmp_path: Path) -> Get:
    """Both ways to fetch a large blob."""

    async def save(repository: Repository, descriptor: Descriptor) -> bytes:
        path = tmp_path / "folder" / "blob"
        assert await repository.download(descriptor, path)
        assert files(tmp_path / "folder") == ["blob"]
        return path.read_bytes()

    return save if request.param == "file" else read


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@asynccontextmanager
async def pushed(**options: Any) -> AsyncIterator[tuple[Watched, Repository, Descriptor, bytes]]:
    """A registry that has one large blob, and a repository that fetches it in ranges."""
    given = {"transfer": RANGED, **options}
    async with watched() as server, opened(server.host, **given) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        server.log.clear()
        yield server, repository, descriptor, data


def ranges(server: Watched) -> list[tuple[int, int]]:
    """The closed ranges that were asked for, as [start, stop)."""
    asked = [one.headers.get("Range", "") for one in server.log if "/blobs/" in one.path]
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", text) for text in asked]
    assert all(found), asked
    return sorted((int(m[1]), int(m[2]) + 1) for m in found if m)


def sent(server: Watched) -> int:
    return sum(one.sent_bytes for one in server.log if one.method == "GET")


async def test_each_byte_is_asked_for_once_in_closed_ranges(get: Get) -> None:
    async with pushed() as (server, repository, descriptor, data):
        assert await get(repository, descriptor) == data
        await server.settled()
        asked = ranges(server)
        assert asked[0][0] == 0
        assert asked[-1][1] == SIZE
        assert all(one[1] == after[0] for one, after in itertools.pairwise(asked))
        assert max(stop - start for start, stop in asked) == PART
        assert sent(server) == SIZE


async def test_real_registries_serve_ranges(
    get: Get, registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(registry.host, repository_name, transfer=RANGED) as repository:
        descriptor, data = await push_blob(repository, SIZE)
        assert await get(repository, descriptor) == data


async def test_a_small_blob_comes_in_one_piece(tmp_path: Path) -> None:
    async with watched() as server, opened(server.host, transfer=RANGED) as repository:
        descriptor, data = await push_blob(repository, 4 * PART - 1)
        server.log.clear()
        assert not await repository.download(descriptor, tmp_path / "blob")
        assert files(tmp_path) == []
        assert server.log == []
        assert await read(repository, descriptor) == data
        await server.settled()
        assert [one.headers.get("Range") for one in server.log] == [None]


async def test_a_part_that_breaks_goes_on_at_its_own_offset(get: Get) -> None:
    async with pushed() as (server, repository, descriptor, data):
        server.faults.drop_blob_at, server.faults.times = 10_000, 3
        assert await get(repository, descriptor) == data
        await server.settled()
        assert sum(start % PART == 10_000 for start, _ in ranges(server)) == 3
        assert sent(server) == SIZE - 3 * 10_000, "an answer that was cut is not in the log"


async def test_progress_gives_tries_back(get: Get) -> None:
    """Each connection breaks after a megabyte, far more often than there are tries."""
    size = 8 << 20
    transfer = TransferOptions(part_bytes=size // 4, connections=1)
    retry = RetryPolicy(attempts=2, first_wait_s=0)
    async with (
        watched() as server,
        opened(server.host, transfer=transfer, retry=retry) as repository,
    ):
        descriptor, data = await push_blob(repository, size)
        server.faults.drop_blob_at = (1 << 20) + 1000
        assert await get(repository, descriptor) == data


async def test_a_registry_that_always_breaks_off_is_given_up(tmp_path: Path) -> None:
    async with pushed() as (server, repository, descriptor, _):
        server.faults.drop_blob_at = 0
        with pytest.raises(TransportError):
            await repository.download(descriptor, tmp_path / "blob")
        assert not (tmp_path / "blob").exists()
        with pytest.raises(TransportError):
            await read(repository, descriptor)


async def test_a_200_is_taken_as_the_whole_blob(get: Get) -> None:
    async with pushed() as (server, repository, descriptor, data):
        server.faults.ignore_range = True
        assert await get(repository, descriptor) == data
        await server.settled()
        assert server.count("GET") == 1
        assert sent(server) == SIZE


async def test_a_200_that_breaks_leaves_its_connection_to_the_next_try(get: Get) -> None:
    """With one connection for each host there is no other to go on over."""
    async with pushed(connections_per_host=1) as (server, repository, descriptor, data):
        server.faults.ignore_range = True
        server.faults.drop_blob_at, server.faults.times = SIZE // 2, 1
        with anyio.fail_after(20):
            assert await get(repository, descriptor) == data


@pytest.mark.parametrize("content_range", ["", "bytes 0-65535/*", f"bytes 1-{PART}/{SIZE}"])
async def test_wrong_ranges_are_not_used(get: Get, content_range: str) -> None:
    async with pushed() as (server, repository, descriptor, data):
        server.faults.content_range = content_range
        assert await get(repository, descriptor) == data
        await server.settled()
        assert server.log[-1].headers.get("Range") is None


async def test_wrong_bytes_are_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    async with pushed() as (server, repository, descriptor, _):
        server.faults.wrong_bytes = True
        with pytest.raises(DigestMismatchError):
            await repository.download(descriptor, tmp_path / "blob")
        assert files(tmp_path) == []
        with pytest.raises(DigestMismatchError):
            await read(repository, descriptor)


@pytest.mark.parametrize(("change", "error"), [(1, TooShortError), (-1, TooLongError)])
async def test_another_size_is_an_error(
    tmp_path: Path, change: int, error: type[Exception]
) -> None:
    async with pushed() as (_, repository, descriptor, _):
        wrong = Descriptor(
            media_type=descriptor.media_type,
            digest=descriptor.digest,
            size=descriptor.size + change,
        )
        with pytest.raises(error):
            await repository.download(wrong, tmp_path / "blob")
        assert files(tmp_path) == []
        with pytest.raises(error):
            await read(repository, wrong)


async def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    descriptor, _ = blob(SIZE)
    async with watched() as server, opened(server.host, transfer=RANGED) as repository:
        with pytest.raises(NotFoundError):
            await repository.download(descriptor, tmp_path / "blob")
        assert files(tmp_path) == []
        with pytest.raises(NotFoundError):
            async with repository.fetch(descriptor):
                pass
        assert server.count("GET") == 2, [(one.method, one.path, one.status) for one in server.log]


# --- resume ------------------------------------------------------------------------------------


async def interrupted(path: Path, server: Watched, descriptor: Descriptor, allowed: int) -> None:
    """Download until the registry breaks off for good after `allowed` more bytes."""
    retry = RetryPolicy(attempts=1)
    async with opened(server.host, transfer=RANGED, retry=retry) as repository:
        left = allowed

        def stop(method: str, _path: str) -> bool:
            return method == "GET" and sum(one.sent_bytes for one in server.log) >= left

        server.faults.when, server.faults.drop_blob_at = stop, 0
        with pytest.raises(TransportError):
            await repository.download(descriptor, path)
    server.faults.drop_blob_at = None
    assert not path.exists()


async def test_another_run_fetches_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    async with pushed() as (server, repository, descriptor, data):
        await interrupted(path, server, descriptor, SIZE // 2)
        await server.settled()
        before = sent(server)
        assert before >= SIZE // 2
        server.log.clear()
        events: list[Event] = []
        meter = Meter(events.append, descriptor=descriptor)
        assert await repository.download(descriptor, path, meter=meter)
        assert path.read_bytes() == data
        await server.settled()
        assert sent(server) == SIZE - before
        first = events[0]
        assert isinstance(first, Progressed)
        assert first.done == before
    assert files(tmp_path) == ["blob"]


@pytest.mark.parametrize("where", [0, PART + 5, -1])
async def test_a_spoilt_partial_file_costs_a_restart(tmp_path: Path, where: int) -> None:
    path = tmp_path / "blob"
    async with pushed() as (server, repository, descriptor, data):
        await interrupted(path, server, descriptor, SIZE // 2)
        (partial,) = [p for p in tmp_path.iterdir() if p.stat().st_size > 10_000]
        spoilt = bytearray(partial.read_bytes())
        spoilt[where] ^= 1
        partial.write_bytes(spoilt)
        assert await repository.download(descriptor, path)
        assert path.read_bytes() == data
    assert files(tmp_path) == ["blob"]


async def test_no_resume_leaves_nothing(tmp_path: Path) -> None:
    transfer = TransferOptions(part_bytes=PART, connections=CONNECTIONS, resume=False)
    async with pushed(transfer=transfer, retry=RetryPolicy(attempts=1)) as (server, repo, blob_, _):
        server.faults.when = lambda _method, _path: sent(server) > SIZE // 2
        server.faults.drop_blob_at = 0
        with pytest.raises(TransportError):
            await repo.download(blob_, tmp_path / "blob")
        assert files(tmp_path) == []


async def test_two_at_once_are_both_right_and_fetch_it_once(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    events: list[Event] = []
    async with pushed(on_event=events.append) as (server, repository, descriptor, data):
        # The second has time to come before the first has all.
        server.faults.when = lambda _method, _path: not any(isinstance(e, Warned) for e in events)
        server.faults.delay_s = 0.2
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(repository.download, descriptor, path)
        assert path.read_bytes() == data
        await server.settled()
        assert sent(server) == SIZE
    assert [event.text for event in events if isinstance(event, Warned)]
    assert files(tmp_path) == ["blob"]


async def test_a_cancelled_download_goes_on_later(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    async with pushed() as (server, repository, descriptor, data):
        server.faults.when, server.faults.delay_s = lambda _m, _p: sent(server) > SIZE // 2, 60
        task = asyncio.ensure_future(repository.download(descriptor, path))
        while sent(server) <= SIZE // 2:  # noqa: ASYNC110 - the log calls nobody
            await anyio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not path.exists()
        await server.settled()
        kept = sent(server)
        server.faults.delay_s = 0
        server.log.clear()
        assert await repository.download(descriptor, path)
        assert path.read_bytes() == data
        assert sent(server) <= SIZE - kept + CONNECTIONS * PART


async def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with pushed() as (_, repository, descriptor, _):
        with pytest.raises(StorageError):
            await repository.download(descriptor, tmp_path / "file" / "blob")


# --- redirects and refusals ----------------------------------------------------------------------


async def test_the_place_behind_a_redirect_is_asked_for_all_other_parts(get: Get) -> None:
    async with EmbeddedRegistry() as storage, pushed() as (server, repository, descriptor, data):
        async with opened(storage.host) as behind:
            await push_blob(behind, SIZE)
        server.faults.redirect_blobs_to = storage.url
        assert await get(repository, descriptor) == data
        assert server.count("GET") == 1


class Storage:
    """A registry that redirects to storage whose signatures end after some requests."""

    def __init__(self, data: bytes, *, lives: int, status: int = 403) -> None:
        self.data = data
        self.lives = lives
        self.status = status
        self.signed = 0
        self.used: dict[str, int] = {}
        self.sent = 0
        self.open = 0
        self.most_open = 0

    def __call__(self, seen: Seen) -> Answer:
        assert "Authorization" not in seen.headers
        if seen.path.startswith("/v2/"):
            self.signed += 1
            return web.Response(
                status=307, headers={"Location": f"/storage?signature={self.signed}%2F"}
            )
        self.used[seen.path] = self.used.get(seen.path, 0) + 1
        if self.used[seen.path] > self.lives:
            return web.Response(status=self.status, text="expired")
        return part_of(self.data, seen)


def part_of(data: bytes, seen: Seen) -> web.Response:
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", seen.headers.get("Range", ""))
    if match is None:
        return web.Response(body=data)
    first, last = int(match[1]), int(match[2])
    headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return web.Response(status=206, body=data[first : last + 1], headers=headers)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_an_expired_place_is_asked_for_once_more_at_the_registry(
    get: Get, status: int
) -> None:
    descriptor, data = blob(SIZE)
    storage = Storage(data, lives=3, status=status)
    async with serve(storage) as server, opened(server.host, transfer=RANGED) as repository:
        assert await get(repository, descriptor) == data
    assert storage.signed > 1
    assert max(storage.used.values()) <= 3 + CONNECTIONS


async def test_a_place_that_never_works_is_an_error(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    storage = Storage(data, lives=0)
    async with serve(storage) as server, opened(server.host, transfer=RANGED) as repository:
        with anyio.fail_after(20), pytest.raises(RegistryError):
            await repository.download(descriptor, tmp_path / "blob")
    assert files(tmp_path) == []


@pytest.mark.parametrize("status", [403, 429])
async def test_a_server_that_takes_one_connection_gets_one(get: Get, status: int) -> None:
    descriptor, data = blob(SIZE)
    busy = 0

    async def alone(seen: Seen) -> Answer:
        nonlocal busy
        if busy:
            return web.Response(status=status)
        busy += 1
        try:
            await anyio.sleep(0.001)
            return part_of(data, seen)
        finally:
            busy -= 1

    async with serve(alone) as server, opened(server.host, transfer=RANGED) as repository:
        assert await get(repository, descriptor) == data
    refused = len(server.seen) - len({one.headers["Range"] for one in server.seen})
    assert refused <= CONNECTIONS


@pytest.mark.parametrize("status", [403, 429])
async def test_a_refusal_may_come_when_the_others_have_ended(get: Get, status: int) -> None:
    """The part was one too many when it was asked for; alone it is not."""
    descriptor, data = blob(SIZE)
    refused, missing, others_ended = "", SIZE, anyio.Event()

    async def late(seen: Seen) -> Answer:
        nonlocal refused, missing
        answer = part_of(data, seen)
        assert isinstance(answer.body, bytes)
        missing -= len(answer.body)
        if missing == 0:
            others_ended.set()
        if not refused and missing + len(answer.body) < SIZE:  # not the first of all
            refused = seen.headers["Range"]
            await others_ended.wait()
            await anyio.sleep(0.05)  # as a rule they have arrived by then; it is right if not, too
            missing += len(answer.body)
            return web.Response(status=status)
        return answer

    async with serve(late) as server, opened(server.host, transfer=RANGED) as repository:
        assert await get(repository, descriptor) == data
    assert [one.headers["Range"] for one in server.seen].count(refused) == 2


async def test_another_etag_between_parts_fetches_it_whole(get: Get) -> None:
    descriptor, data = blob(SIZE)
    count = 0

    def changing(seen: Seen) -> Answer:
        nonlocal count
        count += 1
        answer = part_of(data, seen)
        answer.headers["ETag"] = f'"{count // 6}"'
        return answer

    async with serve(changing) as server, opened(server.host, transfer=RANGED) as repository:
        assert await get(repository, descriptor) == data
    # Not always last: parts that were given up may have been asked for, and reach the server later.
    assert [one.headers.get("Range") for one in server.seen].count(None) == 1


@pytest.mark.parametrize("readers", [1, 4])
async def test_readers_that_wait_bound_what_is_fetched(readers: int) -> None:
    """Only a window is in memory, whatever the number and size of the blobs."""
    size = 1600 * PART
    async with watched() as server, opened(server.host, transfer=RANGED) as repository:
        descriptor, data = await push_blob(repository, size)
        server.log.clear()
        async with AsyncExitStack() as stack:
            opened_ = [
                await stack.enter_async_context(repository.fetch(descriptor))
                for _ in range(readers)
            ]
            before = -1
            while sent(server) != before:
                before = sent(server)
                await anyio.sleep(0.2)
            # The first to open had all of the window for a moment.
            window = 2 * (32 << 20) if readers > 1 else 32 << 20
            assert before < window + readers * (CONNECTIONS + 1) * PART < size
            for reader in opened_:
                pieces = []
                while piece := await reader.read():
                    pieces.append(piece)
                assert b"".join(pieces) == data
