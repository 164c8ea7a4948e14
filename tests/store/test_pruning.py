"""Packages that nobody uses any more are pruned, and what others need is not."""

import os
import time
from pathlib import Path

import anyio
import pytest

from client.trees import FILES, contents, everything, make_tree
from ocipkg_async.content import MemoryStore
from ocipkg_async.errors import InvalidArgumentError, NotFoundError
from ocipkg_async.package import pack
from ocipkg_async.spec import Reference
from ocipkg_async.store import LocalStore, Package

DAY_S = 24 * 3600.0


async def install(store: LocalStore, folder: Path, name: str) -> Package:
    source = MemoryStore()
    root = await pack(source, [make_tree(folder / name, {**FILES, "name": name.encode()})])
    return await store.install(source, root, Reference.parse(f"example.org/{name}"))


def age(store: LocalStore, age_s: float) -> None:
    """Make it as if so much time had passed since every use so far."""
    for stamp in (store.path / "used").iterdir():
        then_s = stamp.stat().st_mtime - age_s
        os.utime(stamp, (then_s, then_s))


def names(packages: tuple[Package, ...] | list[Package]) -> list[str]:
    return sorted(str(p.reference).removeprefix("example.org/") for p in packages)


async def test_packages_that_nobody_looked_for_are_too_old(
    store: LocalStore, tmp_path: Path
) -> None:
    for name in ("a:1", "a:2"):
        await install(store, tmp_path, name)
    package = await install(store, tmp_path, "b:1")
    before = package.path.stat().st_mtime_ns
    age(store, 10 * DAY_S)
    await store.find(Reference.parse("example.org/b:1"))
    assert package.path.stat().st_mtime_ns == before  # build systems watch it
    told = await store.prune(older_than_s=9 * DAY_S, dry_run=True)
    assert names(told.removed) == ["a:1", "a:2"]
    assert len(await store.packages()) == 3
    pruned = await store.prune(older_than_s=9 * DAY_S)
    assert pruned == told
    assert (pruned.packages, pruned.blobs, pruned.leftovers) == (2, 4, 0)
    assert pruned.bytes > 2 * sum(map(len, FILES.values()))
    assert names(await store.packages()) == ["b:1"]
    assert contents(package.path) == {**FILES, "name": b"b:1"}
    assert await store.verify() == []
    with pytest.raises(NotFoundError):
        await store.find(Reference.parse("example.org/a:1"))
    for place in ("used", "receipts/sha256"):
        assert len(list((store.path / place).iterdir())) == 1


async def test_last_ones_of_each_repository_stay(store: LocalStore, tmp_path: Path) -> None:
    for name in ("a:1", "a:2", "a:3", "b:1"):
        await install(store, tmp_path, name)
        age(store, DAY_S)
    await store.find(Reference.parse("example.org/a:1"))
    with pytest.raises(InvalidArgumentError):
        await store.prune(keep=0)
    assert names((await store.prune(keep=2, older_than_s=5 * DAY_S)).removed) == []
    assert names((await store.prune(keep=2)).removed) == ["a:2"]
    assert names((await store.prune(keep=1, older_than_s=DAY_S)).removed) == ["a:3"]
    assert names(await store.packages()) == ["a:1", "b:1"]


async def test_packages_from_before_there_were_stamps_are_as_old_as_their_files(
    store: LocalStore, tmp_path: Path
) -> None:
    package = await install(store, tmp_path, "a:1")
    for stamp in (store.path / "used").iterdir():
        stamp.unlink()
    (store.path / "used").rmdir()
    assert (await store.prune(older_than_s=DAY_S)).removed == ()
    os.utime(package.path, (time.time() - 2 * DAY_S,) * 2)
    assert names((await store.prune(older_than_s=DAY_S)).removed) == ["a:1"]


async def test_nothing_is_pruned_under_somebody_who_just_found_it(
    store: LocalStore, tmp_path: Path
) -> None:
    package = await install(store, tmp_path, "a:1")
    age(store, 10 * DAY_S)
    async with anyio.create_task_group() as group, store.reading():
        group.start_soon(lambda: store.prune(older_than_s=DAY_S))
        await anyio.sleep(0.02)
        await store.find(package.reference)
    assert contents(package.path)["name"] == b"a:1"


async def test_dry_run_counts_left_overs_and_leaves_them(store: LocalStore, tmp_path: Path) -> None:
    await install(store, tmp_path, "a:1")
    (store.path / "partial").mkdir(exist_ok=True)
    for name in (".partial-sha256-0", ".partial-sha256-0.journal", ".partial-1-2"):
        (store.path / "partial" / name).write_bytes(b"x" * 100)
        os.utime(store.path / "partial" / name, (time.time() - 10,) * 2)
    make_tree(store.path / "packages/.tmp-1-dead")
    before = everything(store.path)
    told = await store.prune(dry_run=True)
    assert told.leftovers == 3
    assert everything(store.path) == before
    assert (await store.prune()) == told
    assert everything(store.path / "partial") == []
    assert (await store.prune()).leftovers == 0


async def test_damaged_manifest_keeps_what_it_might_need(store: LocalStore, tmp_path: Path) -> None:
    one, two = [await install(store, tmp_path, name) for name in ("a:1", "b:1")]
    blobs = store.path / "layout/blobs/sha256"
    for package in (one, two):
        blob = blobs / package.descriptor.digest.encoded
        blob.write_bytes(blob.read_bytes().replace(b"ocipkg", b"ocipkh"))
    assert (await store.prune()).blobs == 0
    await store.remove(one.reference)
    assert names(await store.packages()) == ["b:1"]
    assert contents(two.path)["name"] == b"b:1"
    again = await install(store, tmp_path, "b:1")  # mends it
    assert again == two
    assert await store.verify() == []
