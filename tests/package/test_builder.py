"""Packages: ocipkg's V1 format, written into any store in one pass."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from ocipkg_async.content import MemoryStore, Source, fetch_bytes, fetch_document
from ocipkg_async.errors import (
    InvalidArgumentError,
    InvalidPackageError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Finished, Planned, Progressed, Started, Warned
from ocipkg_async.package import Compression, pack, source_date_epoch
from ocipkg_async.package.collect import collect_directory
from ocipkg_async.package.layer_writer import write_layer
from ocipkg_async.spec import Descriptor, Manifest, media_types

MIB = 1 << 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libfoo.a").write_bytes(b"!<arch>\n" * 100)
    (root / "lib" / "libfoo.so").symlink_to("libfoo.so.1")
    (root / "lib" / "libfoo.so.1").write_bytes(b"\x7fELF")
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    return root


async def manifest_of(store: MemoryStore, descriptor: Descriptor) -> Manifest:
    document = await fetch_document(store, descriptor)
    assert isinstance(document, Manifest)
    return document


async def layer_names(store: MemoryStore, descriptor: Descriptor) -> list[str]:
    (layer,) = (await manifest_of(store, descriptor)).layers
    return names_in(gzip.decompress(await fetch_bytes(store, layer)))


def names_in(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


async def test_a_package_has_ocipkgs_v1_format(tree: Path) -> None:
    store = MemoryStore()
    descriptor = await pack(store, [tree], name="localhost:5000/pkg:v1")
    assert await store.resolve("localhost:5000/pkg:v1") == descriptor
    manifest = await manifest_of(store, descriptor)
    assert manifest.artifact_type == "application/vnd.ocipkg.v1.artifact"
    assert manifest.config is not None
    assert manifest.config.media_type == "application/vnd.ocipkg.v1.config+json"
    (layer,) = manifest.layers
    assert layer.media_type == "application/vnd.ocipkg.v1.layer.tar+gzip"
    config = json.loads(await fetch_bytes(store, manifest.config))
    assert config["layers"] == {layer.digest: ["lib", "run"]}
    tar = gzip.decompress(await fetch_bytes(store, layer))
    assert config["diffIds"] == {layer.digest: "sha256:" + hashlib.sha256(tar).hexdigest()}
    assert names_in(tar) == ["lib", "lib/libfoo.a", "lib/libfoo.so", "lib/libfoo.so.1", "run"]


async def test_the_manifest_has_no_space_and_the_keys_in_ocipkgs_order(tree: Path) -> None:
    store = MemoryStore()
    manifest = await manifest_of(store, await pack(store, [tree], annotations={"b": "2", "a": "1"}))
    assert manifest.raw == json.dumps(json.loads(manifest.raw), separators=(",", ":")).encode()
    assert list(json.loads(manifest.raw)) == [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "annotations",
    ]
    assert list(manifest.annotations) == ["a", "b"]


async def test_i69_the_same_files_give_the_same_package(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", tree, other], check=True)
    os.utime(other / "run", (1, 1))
    packed = {
        (await pack(MemoryStore(), [source], compression=Compression(threads=threads))).digest
        for source in (tree, other)
        for threads in (1, 3)
    }
    assert len(packed) == 1


async def test_the_time_comes_from_the_environment_or_the_caller(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = await pack(MemoryStore(), [tree])
    given = await pack(MemoryStore(), [tree], mtime_s=1000)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000")
    assert await pack(MemoryStore(), [tree]) == given != plain
    assert await pack(MemoryStore(), [tree], mtime_s=0) == plain


def test_source_date_epoch_is_read_strictly() -> None:
    assert source_date_epoch({}) == 0
    assert source_date_epoch({"SOURCE_DATE_EPOCH": ""}) == 0
    assert source_date_epoch({"SOURCE_DATE_EPOCH": "1700000000"}) == 1700000000
    for text in ("now", "-1", "1.5", "\u0663"):
        with pytest.raises(InvalidArgumentError):
            source_date_epoch({"SOURCE_DATE_EPOCH": text})


async def test_files_come_under_their_base_names(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    store = MemoryStore()
    assert await layer_names(store, await pack(store, [tree / "run", tmp_path / "one"])) == [
        "one",
        "run",
    ]
    mixed = await pack(store, [tree / "lib", tmp_path / "one"])
    assert (await layer_names(store, mixed))[:2] == ["lib", "lib/libfoo.a"]


async def test_zstd_has_a_layer_type_of_its_own(tree: Path) -> None:
    store = MemoryStore()
    packed = await pack(store, [tree], compression=Compression(algorithm="zstd"))
    (layer,) = (await manifest_of(store, packed)).layers
    assert layer.media_type == media_types.OCIPKG_LAYER_TAR_ZSTD
    assert (await fetch_bytes(store, layer))[:4] == b"\x28\xb5\x2f\xfd"
    with pytest.raises(UnsupportedError):
        await pack(store, [tree], compression=Compression(algorithm="none"))


async def test_events_tell_the_total_the_way_and_the_end(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(10 * MIB))
    (tmp_path / "small").write_bytes(b"x")
    events: list[Event] = []
    await pack(MemoryStore(), [tmp_path], label="pkg.tar", on_event=events.append)
    total = 10 * MIB + 1
    assert events[0] == Planned(action="pack", total=total)
    assert isinstance(events[1], Started)
    assert events[1].name == events[-1].name == "pkg.tar"
    between = events[2:-1]
    assert between
    for event in between:
        assert isinstance(event, Progressed)
        assert (event.name, event.total) == ("pkg.tar", total)
        assert 0 < event.done <= total
    assert isinstance(events[-1], Finished)
    assert events[-1].done == total
    assert events[-1].descriptor is not None


async def test_links_out_of_the_package_are_told(tree: Path) -> None:
    (tree / "out").symlink_to("/usr/lib")
    events: list[Event] = []
    await pack(MemoryStore(), [tree], on_event=events.append)
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "out" in warning.text
    assert "libfoo" not in warning.text


async def test_names_that_are_lost_when_unpacked_are_told(tree: Path) -> None:
    for name in (".wh.x", "a:b", "lib/.whole"):
        (tree / name).touch()
    for form, told in (("ocipkg-v1", "'.wh.x', 'a:b'"), ("ocipkg-v0", "'.wh.x'")):
        events: list[Event] = []
        await pack(MemoryStore(), [tree], format=form, on_event=events.append)  # type: ignore[arg-type]
        (warning,) = [event for event in events if isinstance(event, Warned)]
        assert warning.text.endswith(f"unpacked: {told}")


async def test_following_symlinks_is_passed_on(tree: Path) -> None:
    store = MemoryStore()
    packed = await pack(store, [tree], follow_symlinks=True)
    (layer,) = (await manifest_of(store, packed)).layers
    with tarfile.open(fileobj=io.BytesIO(await fetch_bytes(store, layer))) as tar:
        assert tar.getmember("lib/libfoo.so").isfile()


async def test_nothing_is_tagged_when_a_file_cannot_be_packed(tree: Path) -> None:
    class ChangingStore(MemoryStore):
        async def push_stream(self, media_type: str, source: Source) -> Descriptor:
            await to_thread.run_sync((tree / "run").write_bytes, b"longer than when it was found")
            return await super().push_stream(media_type, source)

    store = ChangingStore()
    with pytest.raises(InvalidPackageError, match="run changed"):
        await pack(store, [tree], name="x")
    assert await store.tags() == []


async def test_what_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await pack(MemoryStore(), [tmp_path / "missing"])
    with pytest.raises(InvalidPackageError):
        await pack(MemoryStore(), [tmp_path])
    with pytest.raises(InvalidPackageError):
        await pack(MemoryStore(), [])


async def test_a_file_that_cannot_be_read_is_a_storage_error(tree: Path) -> None:
    class RemovingStore(MemoryStore):
        async def push_stream(self, media_type: str, source: Source) -> Descriptor:
            await to_thread.run_sync((tree / "run").unlink)
            return await super().push_stream(media_type, source)

    with pytest.raises(StorageError, match="run"):
        await pack(RemovingStore(), [tree])


async def test_a_store_may_read_the_layer_twice(tree: Path) -> None:
    class RetryingStore(MemoryStore):
        async def push_stream(self, media_type: str, source: Source) -> Descriptor:
            async with source.open() as stream:
                await stream.read(10)
            return await super().push_stream(media_type, source)

    assert await pack(RetryingStore(), [tree]) == await pack(MemoryStore(), [tree])


async def test_a_store_without_names_takes_packages_without_names(tree: Path) -> None:
    class NamelessStore:
        def __init__(self) -> None:
            self.memory = MemoryStore()

        async def exists(self, descriptor: Descriptor) -> bool:
            return await self.memory.exists(descriptor)

        async def push(self, descriptor: Descriptor, source: Source) -> None:
            await self.memory.push(descriptor, source)

        async def push_stream(self, media_type: str, source: Source) -> Descriptor:
            return await self.memory.push_stream(media_type, source)

    store = NamelessStore()
    assert await store.exists(await pack(store, [tree]))
    with pytest.raises(UnsupportedError):
        await pack(store, [tree], name="v1")


async def test_one_step_is_used_where_a_store_has_it(tree: Path) -> None:
    class TaggingStore(MemoryStore):
        async def push_tagged(self, descriptor: Descriptor, source: Source, name: str) -> None:
            await self.push(descriptor, source)
            await super().tag(descriptor, name)

        async def tag(self, descriptor: Descriptor, name: str) -> None:  # noqa: ARG002
            raise AssertionError

    store = TaggingStore()
    await pack(store, [tree], name="v1")
    assert await store.tags() == ["v1"]


async def test_cancelling_ends_all_threads(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(16 * MIB))

    class StuckStore(MemoryStore):
        async def push_stream(self, media_type: str, source: Source) -> Descriptor:  # noqa: ARG002
            async with source.open() as stream:
                await stream.read(1)
                scope.cancel()
                await anyio.sleep_forever()
            raise AssertionError

    with anyio.CancelScope() as scope:
        await pack(StuckStore(), [tmp_path])
    assert scope.cancelled_caught
    assert not [t for t in threading.enumerate() if t.name.startswith(("compress", "digest"))]


async def test_a_reader_that_goes_away_ends_all_threads(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(16 * MIB))

    class FullStore(MemoryStore):
        async def push_stream(self, media_type: str, source: Source) -> Descriptor:  # noqa: ARG002
            async with source.open() as stream:
                await stream.read(1)
                raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="full"):
        await pack(FullStore(), [tmp_path])
    assert not [t for t in threading.enumerate() if t.name.startswith(("compress", "digest"))]


async def test_an_exception_of_the_callback_ends_it(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(10 * MIB))

    class StopError(Exception): ...

    def stop(event: Event) -> None:
        if isinstance(event, Progressed):
            raise StopError

    with pytest.raises(StopError):
        await pack(MemoryStore(), [tmp_path], on_event=stop)


def test_write_layer_tells_what_it_wrote(tree: Path) -> None:
    out: list[bytes] = []
    info = write_layer(
        collect_directory(tree),
        out.append,
        compression=Compression(),
        mtime_s=0,
        prefix="a/b",
    )
    tar = gzip.decompress(b"".join(out))
    assert info.diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
    assert (info.entries, info.tar_size) == (5, len(tar))
    assert names_in(tar)[:2] == ["a/b", "a/b/lib"]


def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    """A child packs 120 MiB of noise with 96 MiB of data segment; more would be MemoryError."""
    with (tmp_path / "noise").open("wb") as file:
        block = os.urandom(MIB)
        for n in range(120):
            file.write(block[n:] + block[:n])
    script = textwrap.dedent(
        f"""
        import anyio, hashlib, resource
        from pathlib import Path
        from ocipkg_async.content import MemoryStore
        from ocipkg_async.package import Compression, pack
        from ocipkg_async.spec import Descriptor

        class Counting(MemoryStore):
            async def push_stream(self, media_type, source):
                digest = hashlib.sha256()
                size = 0
                async with source.open() as stream:
                    while data := await stream.read(1 << 20):
                        digest.update(data)
                        size += len(data)
                return Descriptor(media_type=media_type, digest="sha256:" + digest.hexdigest(), size=size)

        resource.setrlimit(resource.RLIMIT_DATA, ({96 * MIB}, {96 * MIB}))
        anyio.run(lambda: pack(Counting(), [Path({str(tmp_path)!r})], compression=Compression(threads=2)))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
