"""The store keeps the unpacked files alone, knows what they were, and makes them so again."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from client.trees import FILES, contents, everything
from ocipkg_async.content import BytesSource, MemoryStore, fetch_bytes, select_manifest
from ocipkg_async.errors import InvalidDocumentError, LimitExceededError, NotFoundError
from ocipkg_async.package import UnpackLimits
from ocipkg_async.package.listing import ListedFolder
from ocipkg_async.spec import (
    EMPTY,
    EMPTY_JSON,
    Descriptor,
    Manifest,
    Reference,
    media_types,
)
from ocipkg_async.store import LocalStore, Package
from ocipkg_async.store.receipts import Receipt, Receipts
from package import raw_tar as raw

NAME = Reference.parse("example.org/pkg:v1")


async def documents_alone(source: MemoryStore, root: Descriptor) -> MemoryStore:
    """A store that lacks the layers."""
    manifest = await select_manifest(source, root)
    alone = MemoryStore()
    assert manifest.config is not None
    for one in (manifest.config, root):
        await alone.push(one, BytesSource(await fetch_bytes(source, one)))
    return alone


def blobs(store: LocalStore) -> int:
    return len(list((store.path / "layout/blobs/sha256").iterdir()))


async def test_layers_are_kept_only_where_asked(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    await store.install(source, root, NAME)
    assert blobs(store) == 2
    assert not any("partial-" in path or ".tmp-" in path for path in everything(store.path))
    await store.install(source, root, NAME, keep_layers=True)
    assert blobs(store) == 3
    await store.install(source, root, NAME)
    await store.prune()
    assert blobs(store) == 3
    assert await store.verify() == []


async def test_files_are_read_only_and_can_be_removed(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    package = await store.install(source, root, NAME)
    for path in package.path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_file():
            assert mode & 0o222 == 0
            assert bool(mode & 0o100) is (path.name == "run")
        else:
            assert mode & 0o200
    await store.remove(NAME)
    assert not package.path.exists()


def same_size(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"int a", b"int b"))


def into_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (same_size, "has other content"),
        (Path.unlink, "is missing"),
        (into_link, "is of another kind"),
        (lambda path: path.chmod(0o755), "is executable"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of 7"),
        (lambda path: shutil.rmtree(path.parent), "is missing"),
    ],
    ids=["content", "file", "link", "mode", "size", "folder"],
)
async def test_changed_files_are_told_and_mended(
    store: LocalStore,
    source: MemoryStore,
    root: Descriptor,
    damage: Callable[[Path], object],
    what: str,
) -> None:
    package = await store.install(source, root, NAME)
    damage(package.path / "include/a.h")
    (problem,) = await store.verify()
    assert problem.what == str(NAME)
    assert problem.message.endswith(what)
    with pytest.raises(NotFoundError):
        await store.install(await documents_alone(source, root), root, NAME)
    assert await store.verify() == [problem]  # what is there stays until there is better
    assert await store.install(source, root, NAME) == package
    assert contents(package.path) == FILES
    assert await store.verify() == []
    assert not any(".tmp-" in path for path in everything(store.path))


async def test_change_that_hides_its_time_is_found_by_verify(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    package = await store.install(source, root, NAME)
    file = package.path / "include/a.h"
    before = file.stat()
    same_size(file)
    file.chmod(stat.S_IMODE(before.st_mode))
    os.utime(file, ns=(before.st_mtime_ns, before.st_mtime_ns))
    (problem,) = await store.verify()
    assert problem.message == "include/a.h: has other content"


async def test_other_times_alone_are_no_change(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    """As after a copy of the whole store."""
    package = await store.install(source, root, NAME)
    for path in package.path.rglob("*"):
        os.utime(path, (1, 1))
    assert await store.verify() == []
    again = await store.install(await documents_alone(source, root), root, NAME)
    assert (again.path / "bin/run").stat().st_mtime == 1


@pytest.mark.parametrize("which", ["manifest", "config"])
@pytest.mark.parametrize("loss", ["bytes", "length", "file"])
async def test_damaged_documents_are_told_and_mended(
    store: LocalStore, source: MemoryStore, root: Descriptor, which: str, loss: str
) -> None:
    package = await store.install(source, root, NAME)
    config = (await select_manifest(source, root)).config
    assert config is not None
    digest = root.digest if which == "manifest" else config.digest
    blob = store.path / "layout/blobs/sha256" / digest.encoded
    if loss == "file":
        blob.unlink()
    else:
        blob.write_bytes(bytes(blob.stat().st_size - (loss == "length")))
    assert {problem.what for problem in await store.verify()} == {"layout"}
    assert [p.path for p in await store.packages()] == [package.path]
    assert await store.install(await documents_alone(source, root), root, NAME) == package
    assert await store.verify() == []


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def empty(_data: bytes) -> bytes:
    return b""


def twice(data: bytes) -> bytes:
    return data + data


def change(data: bytes) -> bytes:
    return data.replace(b"include", b"exclude")


@pytest.mark.parametrize("damage", [cut, change, empty, twice])
async def test_damaged_list_is_told_and_made_anew(
    store: LocalStore, source: MemoryStore, root: Descriptor, damage: Callable[[bytes], bytes]
) -> None:
    package = await store.install(source, root, NAME)
    receipt = store.path / "receipts/sha256" / root.digest.encoded
    receipt.write_bytes(damage(receipt.read_bytes()))
    (problem,) = await store.verify()
    assert "list of unpacked files is damaged" in problem.message
    assert await store.packages() == [package]
    await store.install(source, root, NAME)
    assert await store.verify() == []


@pytest.fixture
async def old(store: LocalStore, source: MemoryStore, root: Descriptor) -> Package:
    """A package as an earlier version left it: with its layers, without a list of its files."""
    package = await store.install(source, root, NAME, keep_layers=True)
    shutil.rmtree(store.path / "receipts")
    shutil.rmtree(store.path / "used")
    return package


async def test_package_of_an_earlier_version(
    store: LocalStore, source: MemoryStore, root: Descriptor, old: Package
) -> None:
    assert await store.verify() == []
    assert await store.find(NAME) == old
    assert await store.install(await documents_alone(source, root), root, NAME) == old
    await store.prune()
    assert blobs(store) == 3
    same_size(old.path / "include/a.h")
    assert [p.message for p in await store.verify()] == ["include/a.h: has other content"]
    shutil.rmtree(old.path)
    # Its layers are here.
    assert await store.install(await documents_alone(source, root), root, NAME) == old
    assert contents(old.path) == FILES
    await store.prune()  # and are not needed any more
    assert blobs(store) == 2
    assert await store.verify() == []


async def test_limits_hold_for_what_is_installed(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    await store.install(source, root, NAME)
    with pytest.raises(LimitExceededError):
        await store.install(source, root, NAME, limits=UnpackLimits(entries=3))
    (problem,) = await store.verify(limits=UnpackLimits(file_bytes=60_000))
    assert "over the limit" in problem.message


async def test_what_was_installed_with_raised_limits_stays_usable(
    store: LocalStore, source: MemoryStore
) -> None:
    size = (128 << 30) + 1  # one more than by default; nearly all of it a hole
    records = {b"GNU.sparse.map": b"0,3", b"GNU.sparse.size": b"%d" % size}
    records[b"GNU.sparse.name"] = b"file"
    data = raw.archive(raw.pax(records) + raw.file(b"x", b"abc"))
    layer = Descriptor.of(data, media_types.OCIPKG_LAYER_TAR_GZIP)
    manifest = Manifest.build(
        config=EMPTY, layers=(layer,), artifact_type=media_types.OCIPKG_ARTIFACT
    )
    for descriptor, content in (
        (EMPTY, EMPTY_JSON),
        (layer, data),
        (manifest.descriptor, manifest.raw),
    ):
        await source.push(descriptor, BytesSource(content))
    limits = UnpackLimits(file_bytes=size)
    package = await store.install(source, manifest.descriptor, NAME, limits=limits)
    assert await store.adopt(manifest.digest, NAME) == package
    assert await store.find(NAME) == package
    assert (await store.prune()).packages == 0
    assert await store.verify(limits=limits) == []


def test_receipt_of_another_version_is_none_of_ours(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    digest = Descriptor.of(b"", "a/b").digest
    receipts.write(digest, Receipt(key="key", listing=ListedFolder()))
    assert receipts.with_key("key") == [digest]
    file = tmp_path / "sha256" / digest.encoded
    file.write_bytes(file.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert receipts.with_key("key") == []
    with pytest.raises(InvalidDocumentError):
        receipts.read(digest, UnpackLimits())
