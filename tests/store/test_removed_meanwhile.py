"""What another process, or a person, removes between being looked at and being used."""

import os
import shutil
from pathlib import Path

import anyio
import pytest

from client.trees import FILES, contents, everything, make_tree
from moments import just_before
from ocipkg_async.content import BytesSource, MemoryStore, fetch_bytes, select_manifest
from ocipkg_async.content.files import STALE_AFTER_S, TEMP_PREFIX
from ocipkg_async.content.locks import file_lock
from ocipkg_async.package import pack
from ocipkg_async.spec import Descriptor, Manifest, Reference
from ocipkg_async.store import LocalStore, Package

NAME = Reference.parse("example.org/pkg:v1")
OTHER = Reference.parse("example.org/pkg:v2")


@pytest.fixture
async def root(source: MemoryStore, tmp_path: Path) -> Descriptor:
    tree = make_tree(tmp_path / "tree")
    (tree / "link").symlink_to("bin/run")
    return await pack(source, [tree])


@pytest.fixture
async def package(store: LocalStore, source: MemoryStore, root: Descriptor) -> Package:
    return await store.install(source, root, NAME, keep_layers=True)


async def layer_file(store: LocalStore, package: Package) -> tuple[Descriptor, Path]:
    manifest = await select_manifest(store.layout, package.descriptor)
    layer = manifest.layers[0]
    return layer, store.path / "layout/blobs/sha256" / layer.digest.encoded


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_clean_up_while_a_workplace_vanishes(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    packages = store.path / "packages"
    work = packages / f"{TEMP_PREFIX}0-abc"
    make_tree(work / "x")
    gone = just_before(
        monkeypatch, "scandir", lambda p: Path(p).parent == packages, lambda: shutil.rmtree(work)
    )
    await store.prune(dry_run=dry_run)
    assert gone
    assert len(await store.packages()) == 1


@pytest.mark.parametrize("call", ["rename", "rmdir", "unlink"])
async def test_a_clean_up_while_somebody_cleans_by_hand(
    store: LocalStore, package: Package, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    packages = store.path / "packages"
    unused = packages / "sha256" / ("0" * 64)
    make_tree(unused)

    def clean() -> None:
        shutil.rmtree(unused, ignore_errors=True)
        for path in [*packages.glob(f"{TEMP_PREFIX}*"), *store.path.glob("locks/[0-9a-f]*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    gone = just_before(monkeypatch, call, lambda _: True, clean)
    await store.prune()
    assert gone
    assert await store.packages() == [package]
    assert not unused.exists()
    assert await store.verify() == []


async def test_verifying_while_a_folder_is_taken_away(
    store: LocalStore, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = package.path / "include"
    gone = just_before(
        monkeypatch, "scandir", lambda p: p == str(folder), lambda: shutil.rmtree(folder)
    )
    assert [problem.message for problem in await store.verify()] == ["include/a.h: is missing"]
    assert gone


async def test_verifying_while_a_file_is_taken_away(
    store: LocalStore, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = package.path / "bin/run"
    gone = just_before(monkeypatch, "open", lambda p: p == str(file), file.unlink)
    assert [problem.message for problem in await store.verify()] == ["bin/run: is missing"]
    assert gone


async def test_files_that_go_while_they_are_looked_at_are_not_taken(
    store: LocalStore, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(package.path / "bin/run", (1, 1))  # so that it is read
    gone = just_before(
        monkeypatch, "open", lambda p: p.endswith("bin/run"), lambda: shutil.rmtree(package.path)
    )
    assert await store.adopt(package.descriptor.digest, OTHER) is None
    assert gone


async def test_files_that_go_while_they_are_shared_are_fetched(
    store: LocalStore,
    source: MemoryStore,
    root: Descriptor,
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = await select_manifest(source, root)
    assert first.config is not None
    manifest = Manifest.build(
        config=first.config,
        layers=first.layers,
        artifact_type=first.artifact_type,
        annotations={"other": "words"},
    )
    await source.push(manifest.descriptor, BytesSource(manifest.raw))
    gone = just_before(
        monkeypatch, "link", lambda p: p.endswith("a.h"), lambda: shutil.rmtree(package.path)
    )
    second = await store.install(source, manifest.descriptor, OTHER)
    assert gone
    assert contents(second.path) == {**FILES, "link": FILES["bin/run"]}
    assert not any(TEMP_PREFIX in path for path in everything(store.path))


async def test_a_layer_that_another_process_removes_comes_from_the_source(
    store: LocalStore, source: MemoryStore, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, file = await layer_file(store, package)
    data = await fetch_bytes(source, layer)
    gone = just_before(monkeypatch, "open", lambda p: p == str(file), file.unlink)
    assert await fetch_bytes(store.with_source(source), layer) == data
    assert gone


async def test_a_damaged_layer_that_another_process_removes_first(
    store: LocalStore,
    source: MemoryStore,
    root: Descriptor,
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, file = await layer_file(store, package)
    whole = file.read_bytes()
    file.write_bytes(bytes(len(whole)))
    shutil.rmtree(package.path)
    # It was found damaged here, and is about to be removed.
    gone = just_before(monkeypatch, "open", lambda p: p.endswith(".index.lock"), file.unlink)
    again = await store.install(source, root, NAME, keep_layers=True)
    assert gone
    assert contents(again.path) == {**FILES, "link": FILES["bin/run"]}
    assert file.read_bytes() == whole


async def test_an_old_workplace_is_removed_unless_somebody_builds_there(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    key = "f" * 64
    work = store.path / "packages" / f"{TEMP_PREFIX}0-{key}"
    make_tree(work / "tree")
    long_ago_s = work.stat().st_mtime - STALE_AFTER_S - 60
    os.utime(work, (long_ago_s, long_ago_s))
    async with file_lock(store.path / "locks" / key):
        await store.install(source, root, NAME)
        assert contents(work / "tree") == FILES
    young = store.path / "packages" / f"{TEMP_PREFIX}0-{'e' * 64}"
    young.mkdir()
    await store.remove(NAME)
    for path in (work, young):
        path.mkdir(exist_ok=True)
    os.utime(work, (long_ago_s, long_ago_s))
    await store.install(source, root, NAME)
    assert not await anyio.Path(work).exists()
    assert young.is_dir()
