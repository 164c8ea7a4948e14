"""Writing oci-archives: whole or not at all, and the same bytes everywhere."""

import contextlib
import errno
import json
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from layout.samples import (
    LAYER_TYPE,
    image_members,
    index_of,
    layer,
    manifest,
    push,
    push_image,
    write_tar,
)
from ocipkg_async.content import (
    BytesSource,
    ByteStream,
    StreamPusher,
    StreamSource,
    TaggedPusher,
    fetch_bytes,
    walk,
)
from ocipkg_async.errors import (
    AlreadyExistsError,
    ClosedError,
    DigestMismatchError,
    InvalidReferenceError,
    NotFoundError,
    StorageError,
)
from ocipkg_async.layout import ArchiveReader, ArchiveWriter, tar_write
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest
from ocipkg_async.spec.annotations import REF_NAME
from ocipkg_async.spec.image_layout import blob_path
from ocipkg_async.spec.media_types import OCTET_STREAM


def once(data: bytes) -> StreamSource:
    pieces = iter([data[:1000], data[1000:]] if len(data) > 1000 else [data])
    return StreamSource(lambda _: next(pieces, b""))


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    async with ArchiveWriter.open(path) as writer:
        assert isinstance(writer, StreamPusher)
        assert isinstance(writer, TaggedPusher)
        one, two = await push_image(writer, "one"), await push_image(writer, "two")
        await writer.tag(one.descriptor, "v1")
        await writer.push_tagged(two.descriptor, BytesSource(two.raw), "ghcr.io/org/pkg:v2")
        assert await writer.resolve("v1") == one.descriptor
        assert await fetch_bytes(writer, layer("one")[0]) == b"one"
        assert await writer.exists(two.descriptor)
        assert not await writer.exists(layer("three")[0])
        assert not path.exists()
    assert os.listdir(tmp_path) == ["x.tar"]  # noqa: PTH208
    async with ArchiveReader.open(path) as reader:
        assert await reader.tags() == ["ghcr.io/org/pkg:v2", "v1"]
        for document in (one, two):
            assert len(await walk(reader, document.descriptor)) == 3


async def test_o12_order_headers_and_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    async with ArchiveWriter.open(path) as writer:
        image = await push_image(writer)
    with tarfile.open(path, "r:") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [
        "oci-layout",
        blob_path(layer()[0].digest),
        blob_path(EMPTY.digest),
        blob_path(image.digest),
        "index.json",
    ]
    assert {(m.mode, m.uid, m.gid, m.mtime, m.type) for m in members} == {
        (0o644, 0, 0, 0, tarfile.REGTYPE)
    }
    data = path.read_bytes()
    last = members[-1]
    assert len(data) == last.offset_data + -(-last.size // 512) * 512 + 1024
    assert data.endswith(bytes(1024))


async def test_o12_the_same_pushes_give_the_same_bytes(tmp_path: Path) -> None:
    data = os.urandom(10_000)
    for name in ("known", "unknown"):
        async with ArchiveWriter.open(tmp_path / name) as writer:
            blob = Descriptor.of(data, LAYER_TYPE)
            if name == "known":
                await writer.push(blob, BytesSource(data))
            else:
                assert await writer.push_stream(LAYER_TYPE, once(data)) == blob
                assert await writer.push_stream(LAYER_TYPE, once(data)) == blob
            await push(writer, manifest(blob))
            await writer.tag(manifest(blob).descriptor, "v1")
    assert (tmp_path / "known").read_bytes() == (tmp_path / "unknown").read_bytes()


async def test_long_digests(tmp_path: Path) -> None:
    data = b"sha512"
    digest = Digest.of(data, "sha512")
    blob = Descriptor(media_type=OCTET_STREAM, digest=digest, size=len(data))
    async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
        await writer.push(blob, BytesSource(data))
    async with ArchiveReader.open(tmp_path / "x.tar") as reader:
        assert await fetch_bytes(reader, blob) == data
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert blob_path(digest) in tar.getnames()


async def test_content_is_written_once(tmp_path: Path) -> None:
    async with ArchiveWriter.open(tmp_path / "x.tar") as writer:

        async def one(number: int) -> None:
            image = await push_image(writer, f"{number % 2}")
            await writer.tag(image.descriptor, f"v{number}")

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(one, number)
    with tarfile.open(tmp_path / "x.tar") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names)) == 2 + 1 + 2 + 2
    async with ArchiveReader.open(tmp_path / "x.tar") as reader:
        assert len(await reader.tags()) == 6


async def test_a_failed_push_leaves_no_trace(tmp_path: Path) -> None:
    good, data = layer("x" * 5000)
    async with ArchiveWriter.open(tmp_path / "a.tar") as writer:
        with pytest.raises(DigestMismatchError):
            await writer.push(good, BytesSource(b"y" * 5000))
        assert not await writer.exists(good)
        with pytest.raises(NotFoundError):
            await fetch_bytes(writer, good)
        await writer.push(EMPTY, BytesSource(EMPTY_JSON))
    async with ArchiveWriter.open(tmp_path / "b.tar") as writer:
        await writer.push(EMPTY, BytesSource(EMPTY_JSON))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert data == b"x" * 5000


async def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    async def fail() -> None:
        async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
            await push_image(writer)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    with anyio.CancelScope() as scope:
        async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
            await push_image(writer)
            scope.cancel()
            await anyio.sleep_forever()
    assert list(tmp_path.iterdir()) == []


async def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"mine")
    with pytest.raises(AlreadyExistsError):
        async with ArchiveWriter.open(path):
            pass
    assert path.read_bytes() == b"mine"
    async with ArchiveWriter.open(path, overwrite=True) as writer:
        assert path.read_bytes() == b"mine"
        await push_image(writer)
    async with ArchiveReader.open(path) as reader:
        assert len(await reader.entries()) == 1


async def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"

    async def write() -> None:
        async with ArchiveWriter.open(path):
            path.write_bytes(b"somebody else's")

    with pytest.raises(AlreadyExistsError):
        await write()
    assert path.read_bytes() == b"somebody else's"
    assert len(list(tmp_path.iterdir())) == 1


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        async with ArchiveWriter.open(tmp_path / "no" / "x.tar"):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_o06_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    for name in ("one", "two"):
        async with ArchiveWriter.open(path, append=True) as writer:
            image = await push_image(writer, name)
            await writer.tag(image.descriptor, name)
    async with ArchiveReader.open(path) as reader:
        assert await reader.tags() == ["one", "two"]
        for name in ("one", "two"):
            assert len(await walk(reader, await reader.resolve(name))) == 3


async def test_o06_append_keeps_unknown_members_of_the_index(tmp_path: Path) -> None:
    members = image_members(annotations={REF_NAME: "old"})
    index = json.loads(members["index.json"])
    members["index.json"] = json.dumps({**index, "x-unknown": 1}).encode()
    path = write_tar(tmp_path / "x.tar", members.items())
    async with ArchiveWriter.open(path, append=True) as writer:
        await push_image(writer, "new")
    with tarfile.open(path) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        assert json.load(file)["x-unknown"] == 1


async def test_o06_append_verifies_what_it_copies(tmp_path: Path) -> None:
    members = image_members()
    members[blob_path(layer()[0].digest)] = b"evil!"
    path = write_tar(tmp_path / "x.tar", members.items())
    before = path.read_bytes()
    with pytest.raises(DigestMismatchError):
        async with ArchiveWriter.open(path, append=True):
            pass
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


async def test_names_are_checked(tmp_path: Path) -> None:
    async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
        image = await push_image(writer)
        with pytest.raises(InvalidReferenceError):
            await writer.tag(image.descriptor, "a b")
        with pytest.raises(NotFoundError):
            await writer.tag(manifest(layer("x")[0]).descriptor, "v1")
        await writer.tag(image.descriptor, "v1")
        await push(writer, index_of(image))
    async with ArchiveReader.open(tmp_path / "x.tar") as reader:
        assert await reader.tags() == ["v1"]


async def test_it_is_closed_after_its_block(tmp_path: Path) -> None:
    async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
        image = await push_image(writer)
    with pytest.raises(ClosedError):
        await writer.push(layer("x")[0], BytesSource(b"x"))
    with pytest.raises(ClosedError):
        await writer.tag(image.descriptor, "v1")
    with pytest.raises(ClosedError):
        await fetch_bytes(writer, image.descriptor)


async def test_o13_a_stream_that_outgrows_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 GiB are too many for a test; with a lower limit the same steps are taken."""
    monkeypatch.setattr(tar_write, "MAX_USTAR_SIZE", 2000)
    data = os.urandom(5000)
    blob = Descriptor.of(data, LAYER_TYPE)
    for name in ("known", "unknown"):
        async with ArchiveWriter.open(tmp_path / name) as writer:
            if name == "known":
                await writer.push(blob, BytesSource(data))
            else:
                await writer.push_stream(LAYER_TYPE, once(data))
            await writer.push(EMPTY, BytesSource(EMPTY_JSON))
            assert await fetch_bytes(writer, blob) == data
    assert (tmp_path / "known").read_bytes() == (tmp_path / "unknown").read_bytes()
    async with ArchiveReader.open(tmp_path / "known") as reader:
        assert await fetch_bytes(reader, blob) == data
        assert await fetch_bytes(reader, EMPTY) == EMPTY_JSON


async def test_a_push_that_outlives_the_block_writes_nowhere(tmp_path: Path) -> None:
    """The file's number is free again then, and given to the next file that is opened."""
    started, go_on = anyio.Event(), anyio.Event()

    class Late:
        size: int | None = None
        reopenable = False

        @contextlib.asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            yield self

        async def read(self, _max_bytes: int, /) -> bytes:
            started.set()
            await go_on.wait()
            return b"late"

    async def push_late(writer: ArchiveWriter) -> None:
        with pytest.raises(StorageError):
            await writer.push_stream(LAYER_TYPE, Late())

    async def fail(group: TaskGroup) -> None:
        async with ArchiveWriter.open(tmp_path / "x.tar") as writer:
            group.start_soon(push_late, writer)
            await started.wait()
            raise KeyError

    async with anyio.create_task_group() as group:
        with pytest.raises(KeyError):
            await fail(group)
        others = [(tmp_path / f"{number}").open("w+b") for number in range(5)]
        go_on.set()
    for other in others:
        with other:
            assert other.read() == b""


@pytest.mark.parametrize("there", [True, False])
async def test_no_hard_links_on_this_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "x.tar"

    async def write() -> None:
        async with ArchiveWriter.open(path, durable=True) as writer:
            await push_image(writer)
            if there:
                path.write_bytes(b"somebody else's")

    if there:
        with pytest.raises(AlreadyExistsError):
            await write()
        assert path.read_bytes() == b"somebody else's"
    else:
        await write()
        async with ArchiveReader.open(path) as reader:
            assert len(await reader.entries()) == 1
    assert len(list(tmp_path.iterdir())) == 1
