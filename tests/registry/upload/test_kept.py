"""Upload sessions that are remembered for later runs: what is kept, believed, locked and removed."""

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from faulty.faults import CutUpload
from faulty.proxy import FaultyProxy
from faulty.when import When
from moments import just_before
from ocipkg_async.content import BytesSource, ByteStream
from ocipkg_async.errors import StorageError, TooShortError, TransportError
from ocipkg_async.events import Event, Warned
from ocipkg_async.registry import TransferOptions
from ocipkg_async.registry.upload.kept import kept_upload
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.transport import Credential, StaticCredentials
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from registry.upload.samples import OPENED, STORED, Unsized
from transport.servers import serve

SIZE = 9 << 20
CHUNK = 1 << 20
AFTER_TWO = When(method="PATCH", path="/uploads/", skip=2, times=None)


def resuming(folder: Path, **options: Any) -> TransferOptions:
    return TransferOptions(
        **{"resume_uploads": True, "state": folder, "chunk_bytes": CHUNK, **options}
    )


@asynccontextmanager
async def broken_push(folder: Path, **options: Any) -> AsyncIterator[FaultyProxy]:
    """A proxy before a registry that has two chunks of a blob, which a push failed to go on with."""
    descriptor, data = blob(SIZE)
    async with (
        EmbeddedRegistry() as registry,
        FaultyProxy(registry.host, CutUpload(at=0, when=AFTER_TWO)) as proxy,
    ):
        async with opened(proxy.host, transfer=resuming(folder, **options)) as repository:
            with pytest.raises(TransportError):
                await repository.push(descriptor, BytesSource(data))
        proxy.clear()
        yield proxy


async def push(proxy: FaultyProxy, folder: Path) -> int:
    """Push the blob in another run; return the bytes that it took."""
    descriptor, data = blob(SIZE)
    async with opened(proxy.host, transfer=resuming(folder)) as repository:
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data
    return proxy.received()


def only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_a_later_run_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    async with broken_push(tmp_path / "state") as proxy:
        assert only(tmp_path / "state").stat().st_mode & 0o077 == 0
        assert await push(proxy, tmp_path / "state") == SIZE - 2 * CHUNK
    assert list((tmp_path / "state").iterdir()) == []


class Stuck(Unsized):
    """Gives three chunks and no more."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reached = anyio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        yield self

    async def read(self, max_bytes: int, /) -> bytes:
        start = self.opened
        if start >= 3 * CHUNK:
            self.reached.set()
            await anyio.sleep_forever()
        self.opened += max_bytes
        return self._data[start : self.opened]


async def test_the_session_of_a_cancelled_push_stays_open(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    source = Stuck(data)
    async with (
        watched() as server,
        opened(server.host, transfer=resuming(tmp_path)) as repository,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(repository.push, descriptor, source)
            await source.reached.wait()
            group.cancel_scope.cancel()
        assert server.count("DELETE") == 0
        assert server.open_uploads() == 1
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data
        assert server.count("POST") == 1
        assert server.open_uploads() == 0


async def test_wrong_content_is_not_kept(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    async with (
        watched() as server,
        opened(server.host, transfer=resuming(tmp_path)) as repository,
    ):
        with pytest.raises(TooShortError):
            await repository.push(descriptor, BytesSource(data[:-1]))
        assert server.open_uploads() == 0
    assert list(tmp_path.iterdir()) == []


def _edit(file: Path, **changes: object) -> None:
    record = json.loads(file.read_bytes())
    file.write_text(json.dumps({**record, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"more": "than this version knows"},
        {"saved_s": time.time() - 8 * 24 * 3600},
        {"saved_s": time.time() + 24 * 3600},
        {"offset": SIZE + 1},
        {"offset": -1},
        {"size": SIZE - 1},
        {"location": "ftp://elsewhere/"},
        {"location": ""},
        {"repository": "another"},
    ],
    ids=[
        *(
            "newer",
            "more fields",
            "old",
            "from the future",
            "offset past the end",
            "offset below 0",
        ),
        *("another size", "no http", "no location", "another repository"),
    ],
)
async def test_what_is_not_understood_costs_a_new_session(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    async with broken_push(tmp_path / "state") as proxy:
        _edit(only(tmp_path / "state"), **changes)
        assert await push(proxy, tmp_path / "state") == SIZE
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 100, b"[]", b"{}" + b" " * (1 << 20)])
async def test_a_broken_file_costs_a_new_session(tmp_path: Path, content: bytes) -> None:
    async with broken_push(tmp_path / "state") as proxy:
        only(tmp_path / "state").write_bytes(content)
        assert await push(proxy, tmp_path / "state") == SIZE
    assert list((tmp_path / "state").iterdir()) == []


def _piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _linked(file: Path) -> None:
    file.symlink_to(file.rename(file.with_name("elsewhere")))


def _writable(file: Path) -> None:
    file.chmod(0o666)


def _given(file: Path) -> None:
    os.chown(file, 12345, -1)


@pytest.mark.parametrize(
    "spoil",
    [
        _piped,
        _linked,
        _writable,
        pytest.param(
            _given,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
        ),
    ],
)
async def test_what_others_may_have_written_is_not_believed(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """It says where the content goes."""
    state = tmp_path / "state"
    async with broken_push(state) as proxy:
        file = only(state)
        spoil(file)
        assert await push(proxy, state) == SIZE
        assert not os.path.lexists(file)


async def test_an_offset_that_is_wrong_does_not_matter(tmp_path: Path) -> None:
    """The registry's counts."""
    async with broken_push(tmp_path / "state") as proxy:
        _edit(only(tmp_path / "state"), offset=5 * CHUNK)
        assert await push(proxy, tmp_path / "state") == SIZE - 2 * CHUNK


async def test_a_location_on_another_host_gets_no_credentials(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    gone = scripted(GET=said(404), PUT=STORED, PATCH=said(202))
    async with serve(gone) as elsewhere, broken_push(tmp_path) as proxy:
        _edit(only(tmp_path), location=f"{elsewhere.url}/steal?a=b")
        stored = StaticCredentials(
            {host: Credential(username="u", password="p") for host in (proxy.host, elsewhere.host)}
        )
        async with opened(
            proxy.host, transfer=resuming(tmp_path), credentials=stored
        ) as repository:
            await repository.push(descriptor, BytesSource(data))
        assert [(one.method, one.authorization) for one in elsewhere.seen] == [("GET", None)]


async def test_who_comes_second_pushes_without(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    source = Stuck(data)
    async with (
        watched() as server,
        opened(server.host, transfer=resuming(tmp_path)) as one,
        opened(server.host, transfer=resuming(tmp_path)) as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(one.push, descriptor, source)
        await source.reached.wait()
        before = sorted(file.name for file in tmp_path.iterdir())
        await other.push(descriptor, BytesSource(data))
        assert await read(other, descriptor) == data
        assert server.count("POST") == 2
        assert server.open_uploads() == 1
        assert sorted(file.name for file in tmp_path.iterdir()) == before
        group.cancel_scope.cancel()


async def test_small_blobs_and_usual_pushes_keep_nothing(tmp_path: Path) -> None:
    descriptor, data = blob(CHUNK)
    async with watched() as server:
        async with opened(server.host, transfer=resuming(tmp_path / "a")) as repository:
            await repository.push(descriptor, BytesSource(data))
        descriptor, data = blob(SIZE)
        options = TransferOptions(state=tmp_path / "a")
        async with opened(server.host, transfer=options) as repository:
            await repository.push(descriptor, BytesSource(data))
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_used_is_told_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    descriptor, data = blob(SIZE)
    async with (
        watched() as server,
        opened(server.host, transfer=resuming(tmp_path / "file" / "state")) as repository,
    ):
        with pytest.raises(StorageError):
            await repository.push(descriptor, BytesSource(data))
        assert not server.log


async def test_a_registry_without_patch_gets_whole_blobs_and_says_so(tmp_path: Path) -> None:
    events: list[Event] = []
    descriptor, data = blob(SIZE)
    async with (
        watched(no_patch=True) as server,
        opened(server.host, transfer=resuming(tmp_path), on_event=events.append) as repository,
    ):
        await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data
        assert server.open_uploads() == 0
    assert any(isinstance(event, Warned) and "resumed" in event.text for event in events)
    assert list(tmp_path.iterdir()) == []


async def test_a_registry_that_cannot_be_reached_loses_nothing(tmp_path: Path) -> None:
    descriptor, data = blob(SIZE)
    async with broken_push(tmp_path) as proxy:
        before = only(tmp_path).read_bytes()
        host = proxy.host
    async with opened(host, transfer=resuming(tmp_path)) as repository:
        with pytest.raises(TransportError):
            await repository.push(descriptor, BytesSource(data))
    assert only(tmp_path).read_bytes() == before


async def test_what_nobody_went_on_with_is_removed_by_the_next_push(tmp_path: Path) -> None:
    old = time.time() - 8 * 24 * 3600
    ours, others, young = "a" * 64, "b" * 64, "c" * 64
    foreign = ["Cargo.lock", "a.upload", f"{ours}.lock.bak", "uv.lock"]
    for name in (f"{ours}.upload", f"{ours}.lock", f"{others}.lock", ".tmp-1-x", *foreign):
        (tmp_path / name).write_bytes(b"{}")
        os.utime(tmp_path / name, (old, old))
    (tmp_path / f"{young}.upload").write_bytes(b"{}")
    descriptor, data = blob(SIZE)
    async with (
        serve(scripted(POST=OPENED, PATCH=said(202), PUT=STORED)) as server,
        opened(server.host, transfer=resuming(tmp_path)) as repository,
    ):
        await repository.push(descriptor, BytesSource(data))
    # The folder may be chosen, and hold what is none of ours.
    assert {file.name for file in tmp_path.iterdir()} == {f"{young}.upload", *foreign}


async def test_what_another_push_begins_anew_is_not_removed_as_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / ("a" * 64 + ".upload")
    other.write_bytes(b"{}")
    os.utime(other, (1, 1))
    # Found old; then another push takes it over, and ends before it is looked at again.
    done = just_before(
        monkeypatch, "open", lambda p: p.endswith("a.lock"), lambda: other.write_bytes(b"{new}")
    )
    async with kept_upload(
        tmp_path, registry="r.example", repository="a/b", descriptor=blob(SIZE)[0]
    ):
        assert done
    assert [file.name for file in tmp_path.iterdir()] == [other.name]
    assert other.read_bytes() == b"{new}"


async def test_a_session_that_a_mount_left_is_ended_where_an_earlier_one_goes_on(
    tmp_path: Path,
) -> None:
    descriptor, data = blob(SIZE)
    async with (
        broken_push(tmp_path) as proxy,
        opened(proxy.host, transfer=resuming(tmp_path)) as repository,
    ):
        assert not await repository.mount(descriptor, "there/is/nothing")
        await repository.push(descriptor, BytesSource(data))
        methods = [one.method for one in proxy.exchanges]
        assert (methods.count("POST"), methods.count("DELETE")) == (1, 1)
        assert proxy.received() == SIZE - 2 * CHUNK


async def test_that_nothing_is_kept_is_said_once(tmp_path: Path) -> None:
    events: list[Event] = []
    async with (
        watched(no_patch=True) as server,
        opened(server.host, transfer=resuming(tmp_path), on_event=events.append) as repository,
    ):
        for seed in (1, 2):
            await push_blob(repository, SIZE, seed)
    assert [type(event) for event in events] == [Warned]
