"""Listing what packages hold, from the archives themselves."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ocipkg_async import Client
from ocipkg_async.content import BlobReader, BytesSource, MemoryStore, fetch_document
from ocipkg_async.errors import (
    DigestMismatchError,
    IntegrityError,
    InvalidPackageError,
    LimitExceededError,
    StorageError,
)
from ocipkg_async.events import Event, Warned
from ocipkg_async.package import (
    ArtifactFile,
    PackageFile,
    UnpackLimits,
    list_files,
    list_folder,
    pack,
    push_artifact,
)
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Manifest, media_types
from ocipkg_async.spec import annotations as keys
from package import raw_tar as raw

MIB = 1 << 20
FILES = raw.archive(raw.file(b"lib/libfoo.a", b"foo"), raw.file(b"run", b"x", mode=0o755))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libfoo.a").write_bytes(b"objects")
    (root / "lib" / "libfoo.so").symlink_to("libfoo.a")
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    return root


class ReadingStore(MemoryStore):
    """A store that counts the blobs read, and may give others than it should."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Digest] = []
        self.swapped: dict[Digest, bytes] = {}

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        self.read.append(descriptor.digest)
        other = self.swapped.get(descriptor.digest)
        if other is None:
            async with super().fetch(descriptor) as reader:
                yield reader
        else:
            async with BytesSource(other).open() as stream:
                yield BlobReader(stream, descriptor)

    async def blob(self, data: bytes, media_type: str, **notes: str) -> Descriptor:
        await self.push(Descriptor.of(data, media_type), BytesSource(data))
        return Descriptor.of(data, media_type, annotations=notes or None)

    async def package(self, *layers: bytes) -> Manifest:
        return Manifest.build(
            config=await self.blob(b'{"layers":{}}', media_types.OCIPKG_CONFIG),
            layers=tuple([await self.blob(x, media_types.OCIPKG_LAYER_TAR_GZIP) for x in layers]),
            artifact_type=media_types.OCIPKG_ARTIFACT,
        )

    async def artifact(self, *layers: Descriptor) -> Manifest:
        await self.blob(EMPTY_JSON, media_types.OCI_EMPTY)
        return Manifest.build(config=EMPTY, layers=layers, artifact_type="a/b")


@pytest.fixture
def store() -> ReadingStore:
    return ReadingStore()


async def listed(store: MemoryStore, packed: Descriptor) -> list[PackageFile]:
    manifest = await fetch_document(store, packed)
    assert isinstance(manifest, Manifest)
    return await list_files(store, manifest)


def names(files: list[PackageFile]) -> list[tuple[str, str]]:
    return [(one.name, one.kind) for one in files]


async def test_a_package_is_listed_with_all_that_its_tar_says(
    store: ReadingStore, tree: Path
) -> None:
    packed = await pack(store, [tree])
    manifest = await fetch_document(store, packed)
    assert isinstance(manifest, Manifest)
    layer = manifest.layers[0].digest
    assert await listed(store, packed) == [
        PackageFile(name="lib", kind="directory", layer=layer),
        PackageFile(name="lib/libfoo.a", kind="file", size=7, layer=layer),
        PackageFile(name="lib/libfoo.so", kind="symlink", link="libfoo.a", layer=layer),
        PackageFile(name="run", kind="file", size=10, executable=True, layer=layer),
    ]


async def test_the_config_is_not_trusted(store: ReadingStore) -> None:
    layer = await store.blob(gzip.compress(FILES), media_types.OCIPKG_LAYER_TAR_GZIP)
    config = json.dumps({"layers": {layer.digest: ["/somewhere/else"]}}).encode()
    manifest = Manifest.build(
        config=await store.blob(config, media_types.OCIPKG_CONFIG),
        layers=(layer,),
        artifact_type=media_types.OCIPKG_ARTIFACT,
    )
    assert names(await list_files(store, manifest)) == [("lib/libfoo.a", "file"), ("run", "file")]


async def test_whiteouts_and_all_kinds_are_shown_as_such(store: ReadingStore) -> None:
    second = raw.archive(
        raw.file(b"lib/.wh.libfoo.a"),
        raw.file(b"etc/.wh..wh..opq"),
        raw.file(b".wh..wh..opq"),
        raw.hardlink(b"again", b"run"),
        raw.header(b"null", kind=b"3"),
        raw.header(b"pipe", kind=b"6"),
    )
    manifest = await store.package(gzip.compress(FILES), gzip.compress(second))
    found = await list_files(store, manifest)
    assert [one.layer for one in found[:2]] == [manifest.layers[0].digest] * 2
    assert {one.layer for one in found[2:]} == {manifest.layers[1].digest}
    assert names(found[2:]) == [
        ("lib/libfoo.a", "whiteout"),
        ("etc", "opaque"),
        (".", "opaque"),
        ("again", "hardlink"),
        ("null", "device"),
        ("pipe", "fifo"),
    ]
    assert found[5].link == "run"


async def test_loose_files_are_listed_by_title_and_not_fetched(
    store: ReadingStore, tree: Path
) -> None:
    files = [ArtifactFile(path=tree / "run", title="bin/run")]
    packed = await push_artifact(store, files)
    (found,) = await listed(store, packed)
    assert (found.name, found.kind, found.size) == ("bin/run", "file", 10)
    assert found.layer not in store.read


async def test_directories_of_an_artifact_are_listed(store: ReadingStore, tree: Path) -> None:
    packed = await push_artifact(store, [ArtifactFile(path=tree / "lib", title="a/lib")])
    assert [one.name for one in await listed(store, packed)] == [
        "a/lib",
        "a/lib/libfoo.a",
        "a/lib/libfoo.so",
    ]
    # oras-py's: the names begin with the last part of the title.
    tar = raw.archive(raw.folder(b"lib"), raw.file(b"lib/.wh.x", b"12"))
    layer = await store.blob(
        gzip.compress(tar), media_types.OCI_LAYER_TAR_GZIP, **{keys.TITLE: "a/lib"}
    )
    found = await list_files(store, await store.artifact(layer))
    assert names(found) == [("a/lib", "directory"), ("a/lib/.wh.x", "file")]


@pytest.mark.parametrize("content", [gzip.compress(FILES), gzip.compress(b"text"), b"text"])
async def test_what_only_might_be_a_directory_is_a_file(
    store: ReadingStore, content: bytes
) -> None:
    layer = await store.blob(content, media_types.OCI_LAYER_TAR_GZIP, **{keys.TITLE: "data"})
    (found,) = await list_files(store, await store.artifact(layer))
    assert (found.name, found.kind, found.size) == ("data", "file", len(content))


async def test_a_layer_without_a_title_is_left_out_and_told(store: ReadingStore) -> None:
    layer = await store.blob(b"x", "text/plain")
    events: list[Event] = []
    manifest = await store.artifact(layer)
    assert await list_files(store, manifest, on_event=events.append) == []
    (event,) = events
    assert isinstance(event, Warned)
    assert "without a title" in event.text


@pytest.mark.parametrize(
    "other",
    [
        gzip.compress(raw.archive(raw.file(b"evil", b"x"))),
        gzip.compress(FILES)[:-20],
        b"no archive at all",
        b"",
    ],
)
async def test_nothing_is_told_of_a_layer_with_wrong_bytes(
    store: ReadingStore, other: bytes
) -> None:
    manifest = await store.package(gzip.compress(FILES))
    store.swapped[manifest.layers[0].digest] = other
    with pytest.raises(IntegrityError):
        await list_files(store, manifest)


async def test_wrong_bytes_are_the_reason_also_where_they_break_the_archive(
    store: ReadingStore,
) -> None:
    # The archive is refused in the first of several pieces, long before its digest is known.
    manifest = await store.package(gzip.compress(FILES + os.urandom(4 * MIB)))
    store.swapped[manifest.layers[0].digest] = os.urandom(manifest.layers[0].size)
    with pytest.raises(IntegrityError):
        await list_files(store, manifest)


async def test_a_layer_that_was_packed_broken(store: ReadingStore) -> None:
    for broken in (gzip.compress(FILES)[:-20], gzip.compress(FILES[:700]), b"text"):
        with pytest.raises(InvalidPackageError):
            await list_files(store, await store.package(broken))


async def test_i51_diff_ids_are_checked(store: ReadingStore) -> None:
    layer = await store.blob(gzip.compress(FILES), media_types.OCI_LAYER_TAR_GZIP)
    for diff_id, right in ((Digest.of(FILES), True), (Digest.of(b""), False)):
        config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
        described = await store.blob(config, media_types.OCI_CONFIG)
        manifest = Manifest.build(config=described, layers=(layer,))
        if right:
            assert len(await list_files(store, manifest)) == 2
        else:
            with pytest.raises(DigestMismatchError):
                await list_files(store, manifest)


@pytest.mark.parametrize(
    "limits", [UnpackLimits(entries=1), UnpackLimits(file_bytes=2), UnpackLimits(total_bytes=3)]
)
async def test_limits_hold(store: ReadingStore, limits: UnpackLimits) -> None:
    manifest = await store.package(gzip.compress(FILES))
    assert len(await list_files(store, manifest)) == 2
    with pytest.raises(LimitExceededError):
        await list_files(store, manifest, limits=limits)


@pytest.mark.parametrize("by_scope", [True, False])
async def test_it_can_be_cancelled_while_it_waits_for_more(by_scope: bool) -> None:
    waiting = anyio.Event()
    tar = raw.archive(raw.file(b"a", b"1"), raw.file(b"big", os.urandom(4 * MIB)))
    content = gzip.compress(tar, 0)

    class Stuck:
        def __init__(self) -> None:
            self.data = content[: 3 * MIB]

        async def read(self, max_bytes: int, /) -> bytes:
            if not self.data:
                waiting.set()
                await anyio.sleep_forever()
            piece, self.data = self.data[:max_bytes], self.data[max_bytes:]
            return piece

    class StuckStore(ReadingStore):
        @asynccontextmanager
        async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
            yield BlobReader(Stuck(), descriptor)

    store = StuckStore()
    manifest = await store.package(content)
    if by_scope:
        async with anyio.create_task_group() as group:
            group.start_soon(list_files, store, manifest)
            await waiting.wait()
            group.cancel_scope.cancel()
        assert group.cancel_scope.cancel_called
    else:
        task = asyncio.ensure_future(list_files(store, manifest))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_folder_is_listed_sorted(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert list_folder(tree) == [
        PackageFile(name="lib", kind="directory"),
        PackageFile(name="lib/libfoo.a", kind="file", size=7),
        PackageFile(name="lib/libfoo.so", kind="symlink", link="libfoo.a"),
        PackageFile(name="pipe", kind="fifo"),
        PackageFile(name="run", kind="file", size=10, executable=True),
    ]
    with pytest.raises(StorageError):
        list_folder(tree / "missing")


async def test_memory_does_not_grow_with_the_layer(tmp_path: Path) -> None:
    """A child lists 120 MiB of noise with 80 MiB of data segment; more would be MemoryError."""
    noise = tmp_path / "in" / "noise"
    noise.parent.mkdir()
    block = os.urandom(MIB)
    await anyio.Path(noise).write_bytes(b"".join(block[n:] + block[:n] for n in range(120)))
    archive = tmp_path / "a.tar"
    async with Client() as client:
        await client.pack([noise.parent], str(archive))
    script = textwrap.dedent(
        f"""
        import anyio, resource
        from ocipkg_async import Client

        async def main():
            async with Client() as client:
                (found,) = await client.files({str(archive)!r})
                assert found.size == {120 * MIB}

        resource.setrlimit(resource.RLIMIT_DATA, ({80 * MIB}, {80 * MIB}))
        anyio.run(main)
        """
    )
    done = await anyio.run_process(
        [sys.executable, "-c", script], check=False, stderr=subprocess.PIPE
    )
    assert done.returncode == 0, done.stderr.decode()
