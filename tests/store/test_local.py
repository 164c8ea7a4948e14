"""The local store: what is installed is whole, and stays what it was."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from client.trees import FILES, contents, everything, make_tree
from ocipkg_async.content import BlobReader, BytesSource, MemoryStore, fetch_bytes, select_manifest
from ocipkg_async.content.files import STALE_PARTIAL_S
from ocipkg_async.content.locks import file_lock
from ocipkg_async.content.reader import BytesStream
from ocipkg_async.errors import (
    DigestMismatchError,
    InvalidLayoutError,
    InvalidPlatformError,
    NotFoundError,
    StorageError,
    UnsafeArchiveError,
)
from ocipkg_async.events import Event, Warned
from ocipkg_async.package import pack
from ocipkg_async.spec import (
    EMPTY,
    EMPTY_JSON,
    Descriptor,
    Manifest,
    Platform,
    Reference,
    media_types,
)
from ocipkg_async.store import LocalStore, Package, default_path

NAME = Reference.parse("example.org/pkg:v1")
OTHER = Reference.parse("example.org/other:v1")


def blobs(store: LocalStore) -> list[str]:
    return sorted(path.name for path in (store.path / "layout/blobs/sha256").iterdir())


def folders(store: LocalStore) -> list[str]:
    return sorted(path.name for path in (store.path / "packages").rglob("*") if path.is_dir())


async def test_install_find_list_remove(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    package = await store.install(source, root, NAME)
    assert package == await store.find(NAME)
    assert await store.packages() == [package]
    assert contents(package.path) == FILES
    assert package.path == store.path / "packages/sha256" / root.digest.encoded
    assert await store.verify() == []
    assert await store.remove(NAME) == package
    assert await store.packages() == []
    assert not package.path.exists()
    assert blobs(store) == []
    for call in (store.find(NAME), store.remove(NAME)):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert "get example.org/pkg:v1" in (caught.value.hint or "")


async def test_installed_again_nothing_is_fetched(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    package = await store.install(source, root, NAME)
    before = (package.path / "bin/run").stat()
    manifest_alone = MemoryStore()
    await manifest_alone.push(root, BytesSource(await fetch_bytes(source, root)))
    assert await store.install(manifest_alone, root, NAME) == package
    assert (package.path / "bin/run").stat() == before


async def test_tag_that_moved(store: LocalStore, source: MemoryStore, tmp_path: Path) -> None:
    packages = [
        await store.install(
            source, await pack(source, [make_tree(tmp_path / text, {"a": text.encode()})]), NAME
        )
        for text in ("old", "new")
    ]
    package = packages[-1]
    assert await store.packages() == [package]
    assert contents(package.path) == {"a": b"new"}
    assert len(folders(store)) == 3
    pruned = await store.prune()
    assert (pruned.packages, pruned.blobs) == (1, 2)
    assert pruned.bytes > 0
    assert contents(package.path) == {"a": b"new"}
    assert await store.verify() == []


async def test_platforms_are_packages_of_their_own(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    arm, old = Platform.parse("linux/arm/v7"), Platform.parse("windows(10.0.17763)/amd64")
    for platform in (None, arm, old):
        assert (await store.install(source, root, NAME, platform=platform)).platform == platform
    assert [p.platform for p in await store.packages()] == [None, arm, old]
    await store.remove(NAME)
    assert contents((await store.find(NAME, arm)).path) == FILES
    with pytest.raises(NotFoundError, match=r"linux"):
        await store.find(NAME, Platform.parse("linux/amd64"))
    with pytest.raises(InvalidPlatformError):
        await store.install(source, root, NAME, platform=Platform(os="a b", architecture="c"))


async def test_shared_blobs_are_there_once(
    store: LocalStore, source: MemoryStore, tmp_path: Path
) -> None:
    layers = []
    for text in ("shared", "one", "two"):
        data = tar_of({text: b"x" * 1000})
        layers.append(Descriptor.of(data, media_types.OCIPKG_LAYER_TAR_GZIP))
        await source.push(layers[-1], BytesSource(data))
    await source.push(EMPTY, BytesSource(EMPTY_JSON))
    packages: list[Package] = []
    for own, name in zip(layers[1:], (NAME, OTHER), strict=True):
        manifest = Manifest.build(
            config=EMPTY, layers=(layers[0], own), artifact_type=media_types.OCIPKG_ARTIFACT
        )
        await source.push(manifest.descriptor, BytesSource(manifest.raw))
        packages.append(await store.install(source, manifest.descriptor, name, keep_layers=True))
    assert blobs(store).count(layers[0].digest.encoded) == 1
    assert len(blobs(store)) == 4 + 2
    await store.remove(NAME)
    assert len(blobs(store)) == 3 + 1
    assert contents(packages[1].path) == {"shared": b"x" * 1000, "two": b"x" * 1000}
    assert await store.verify() == []


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


async def test_two_names_of_one_package_share_its_folder(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    one = await store.install(source, root, NAME)
    two = await store.install(source, root, OTHER)
    assert one.path == two.path
    await store.remove(NAME)
    assert contents(two.path) == FILES


def break_file(package: Package, _store: LocalStore) -> None:
    (package.path / "include/a.h").write_bytes(b"int b;\n")


def add_file(package: Package, _store: LocalStore) -> None:
    (package.path / "extra").touch()


def remove_folder(package: Package, _store: LocalStore) -> None:
    shutil.rmtree(package.path)


def break_layer(_package: Package, store: LocalStore) -> None:
    for blob in (store.path / "layout/blobs/sha256").iterdir():
        data = blob.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            blob.chmod(0o644)
            blob.write_bytes(data[:-1] + b"\xff")


def break_manifest(package: Package, store: LocalStore) -> None:
    blob = store.path / "layout/blobs/sha256" / package.descriptor.digest.encoded
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"ocipkg", b"ocipkh"))


def lose_blob(package: Package, store: LocalStore) -> None:
    for blob in (store.path / "layout/blobs/sha256").iterdir():
        if blob.name != package.descriptor.digest.encoded:
            blob.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        (break_file, str(NAME), "include/a.h: has other content"),
        (add_file, str(NAME), "extra: does not belong there"),
        (remove_folder, str(NAME), "is missing"),
        (break_layer, "layout", "sha256"),
        (break_manifest, "layout", "sha256"),
        (lose_blob, "layout", "sha256"),
    ],
    ids=lambda damage: damage[0].__name__,
)
async def test_damage_is_found_and_mended(
    store: LocalStore,
    source: MemoryStore,
    root: Descriptor,
    damage: tuple[Callable[[Package, LocalStore], None], str, str],
) -> None:
    do_damage, what, message = damage
    package = await store.install(source, root, NAME, keep_layers=True)
    do_damage(package, store)
    problems = await store.verify()
    assert problems
    assert {problem.what for problem in problems} == {what}
    assert any(message in problem.message for problem in problems)
    assert not [path for path in everything(store.path) if ".tmp-" in path]
    await store.remove(NAME)
    assert await store.packages() == []
    again = await store.install(source, root, NAME)
    assert contents(again.path) == FILES
    assert await store.verify() == []


async def test_a_blob_that_a_power_failure_spoilt_is_fetched_again(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    """Its name and size came through, its bytes did not, and nothing was unpacked yet."""
    package = await store.install(source, root, NAME, keep_layers=True)
    shutil.rmtree(package.path)
    manifest = await select_manifest(source, root)
    (layer,) = manifest.layers
    blob = store.path / "layout/blobs/sha256" / layer.digest.encoded
    assert blob.stat().st_size == layer.size
    blob.write_bytes(bytes(layer.size))
    again = await store.install(source, root, NAME)
    assert contents(again.path) == FILES
    assert await store.verify() == []


async def test_wrong_digest_installs_nothing(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    class Liar:
        """Gives other bytes for the layer, of the right length."""

        @asynccontextmanager
        async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
            if descriptor.media_type == media_types.OCIPKG_LAYER_TAR_GZIP:
                yield BlobReader(BytesStream(bytes(descriptor.size)), descriptor)
            else:
                async with source.fetch(descriptor) as reader:
                    yield reader

    with pytest.raises(DigestMismatchError):
        await store.install(Liar(), root, NAME)
    assert await store.packages() == []
    assert folders(store) in ([], ["sha256"])
    assert contents((await store.install(source, root, NAME)).path) == FILES
    assert await store.verify() == []


async def test_evil_archive_installs_nothing(
    store: LocalStore, source: MemoryStore, root: Descriptor, tmp_path: Path
) -> None:
    data = tar_of({"good": b"x", "../../../evil": b"x"})
    layer = Descriptor.of(data, media_types.OCIPKG_LAYER_TAR_GZIP)
    manifest = Manifest.build(
        config=EMPTY, layers=(layer,), artifact_type=media_types.OCIPKG_ARTIFACT
    )
    for descriptor, raw in (
        (EMPTY, EMPTY_JSON),
        (layer, data),
        (manifest.descriptor, manifest.raw),
    ):
        await source.push(descriptor, BytesSource(raw))
    for _ in range(2):
        with pytest.raises(UnsafeArchiveError):
            await store.install(source, manifest.descriptor, NAME)
    assert await store.packages() == []
    assert not list(tmp_path.rglob("evil"))
    await store.install(source, root, NAME)
    assert await store.verify() == []
    assert (await store.prune()).blobs == 1
    assert await store.verify() == []


async def test_left_overs_are_pruned(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    package = await store.install(source, root, NAME)
    clean = everything(store.path)
    make_tree(store.path / "packages/.tmp-1-dead/tree")
    make_tree(store.path / "packages/sha256/.tmp-1-dead/tree")
    make_tree(store.path / "packages/sha256" / ("0" * 64))
    (store.path / "layout/blobs/sha256" / ("0" * 64)).write_bytes(b"x")
    pruned = await store.prune()
    size = 3 * sum(map(len, FILES.values())) + 1
    assert (pruned.packages, pruned.blobs, pruned.leftovers) == (1, 1, 2)
    assert pruned.bytes == size
    assert [p for p in everything(store.path) if not p.startswith("locks")] == [
        p for p in clean if not p.startswith("locks")
    ]
    assert contents(package.path) == FILES


@pytest.mark.parametrize("place", ["partial", "layout/blobs"])  # the second of earlier versions
async def test_unfinished_downloads_are_pruned_but_outlive_other_packages(
    store: LocalStore, source: MemoryStore, root: Descriptor, place: str
) -> None:
    folder = store.path / place
    folder.mkdir(parents=True, exist_ok=True)

    def left() -> list[str]:
        return sorted(path.name for path in folder.glob(".*"))

    names = {stem: f".partial-sha256-{stem * 64}" for stem in ("0", "1", "2")}
    for stem, age_s in (("0", 1), ("1", STALE_PARTIAL_S - 1000), ("2", STALE_PARTIAL_S + 1000)):
        (folder / names[stem]).write_bytes(b"x")
        os.utime(folder / names[stem], (time.time() - age_s,) * 2)
    await store.install(source, root, NAME)
    await store.remove(NAME)
    assert left() == [names["0"], names["1"]]
    async with file_lock(folder / (names["0"] + ".lock")):
        await store.prune()
        assert left() == [names["0"], names["0"] + ".lock"]
    await store.prune()
    assert left() == []


async def test_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: MemoryStore, root: Descriptor
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await LocalStore.open(Path("relative"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    package = await store.install(source, root, NAME)
    assert package.path.is_relative_to(tmp_path / "relative")
    assert contents(package.path) == FILES
    assert everything(tmp_path / "elsewhere") == []


async def test_default_path(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    assert default_path() == home / ".local/share/ocipkg-async"
    monkeypatch.setenv("OCIPKG_STORE", str(tmp_path / "chosen"))
    assert (await LocalStore.open()).path == tmp_path / "chosen"
    monkeypatch.setenv("OCIPKG_STORE", "~/mine")
    assert (await LocalStore.open()).path == home / "mine"


async def test_place_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        await LocalStore.open(tmp_path / "file")
    make_tree(tmp_path / "other/layout")
    with pytest.raises(InvalidLayoutError):
        await LocalStore.open(tmp_path / "other")


async def test_nothing_is_removed_while_somebody_reads(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    await store.install(source, root, NAME)
    removed = anyio.Event()

    async def remove() -> None:
        await store.remove(NAME)
        removed.set()

    async with anyio.create_task_group() as group, store.reading():
        group.start_soon(remove)
        with anyio.move_on_after(0.05):
            await removed.wait()
        assert not removed.is_set()
        assert len(await store.packages()) == 1
    assert removed.is_set()


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a file system"
)
async def test_a_read_only_store_can_be_read(
    source: MemoryStore, root: Descriptor, tmp_path: Path
) -> None:
    """A store that is part of an image: nothing can be locked there, and nothing needs to be."""
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        package = await (await LocalStore.open(place / "store")).install(source, root, NAME)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        store = await LocalStore.open(place / "store")
        assert (await store.find(NAME)).path == package.path
        assert [one.reference for one in await store.packages()] == [NAME]
        with pytest.raises(StorageError):
            await store.remove(NAME)
    finally:
        subprocess.run(["umount", place], check=True)


async def test_names_of_others_are_no_packages(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    await store.install(source, root, NAME)
    await store.layout.tag(root, "v1")
    assert [p.reference for p in await store.packages()] == [NAME]


async def test_installing_and_removing_at_once(
    store: LocalStore, source: MemoryStore, root: Descriptor
) -> None:
    async def install(number: int) -> None:
        name = Reference.parse(f"example.org/pkg:v{number}")
        for _ in range(3):
            package = await store.install(source, root, name)
            assert package.reference == name
            await store.remove(name)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(install, number)
        for _ in range(5):
            await store.packages()
            await store.prune()
            assert await store.verify() == []
    assert await store.packages() == []
    assert blobs(store) == []


async def test_layers_that_are_left_out_are_told(store: LocalStore, source: MemoryStore) -> None:
    await source.push(EMPTY, BytesSource(EMPTY_JSON))
    layer = Descriptor.of(b"x", "application/vnd.unknown")
    await source.push(layer, BytesSource(b"x"))
    manifest = Manifest.build(config=EMPTY, layers=(layer,), artifact_type="a/b")
    await source.push(manifest.descriptor, BytesSource(manifest.raw))
    events: list[Event] = []
    package = await store.install(source, manifest.descriptor, NAME, on_event=events.append)
    assert contents(package.path) == {}
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert layer.digest.short in warning.text
    assert await store.verify() == []


async def test_prune_removes_strange_files_and_links_and_follows_none(
    store: LocalStore, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "folder").mkdir(parents=True)
    (mine / "folder/file").write_text("kept")
    packages = store.path / "packages"
    (packages / "sha256").mkdir()
    (packages / "sha256/.DS_Store").write_text("a file manager's")
    (packages / "sha256/link").symlink_to(mine)
    (packages / "elsewhere").symlink_to(mine)
    for _ in range(2):
        await store.prune()
    assert everything(mine) == ["folder", "folder/file"]
    assert list((packages / "sha256").iterdir()) == []
