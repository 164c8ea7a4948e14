"""Packages with the same layers share their files, and need no download."""

import os
from pathlib import Path

import pytest

from client.trees import FILES, contents, everything, make_tree
from ocipkg_async.content import BytesSource, MemoryStore, fetch_bytes, select_manifest
from ocipkg_async.errors import DigestMismatchError, NotFoundError
from ocipkg_async.events import Event, Skipped
from ocipkg_async.package import pack
from ocipkg_async.spec import Descriptor, Manifest, Reference, media_types
from ocipkg_async.spec.decoding import encode_json
from ocipkg_async.store import LocalStore

ONE = Reference.parse("example.org/pkg:v1")
TWO = Reference.parse("example.org/pkg:v2")


@pytest.fixture
async def one(source: MemoryStore, tmp_path: Path) -> Descriptor:
    tree = make_tree(tmp_path / "tree")
    (tree / "link").symlink_to("bin/run")
    return await pack(source, [tree])


async def noted(source: MemoryStore, root: Descriptor, **annotations: str) -> Manifest:
    """The same content with other annotations."""
    manifest = await select_manifest(source, root)
    assert manifest.config is not None
    return Manifest.build(
        config=manifest.config,
        layers=manifest.layers,
        artifact_type=manifest.artifact_type,
        annotations=annotations,
    )


async def alone(source: MemoryStore, manifest: Manifest) -> MemoryStore:
    """A store with the documents of a package, without its layers."""
    store = MemoryStore()
    assert manifest.config is not None
    data = await fetch_bytes(source, manifest.config)
    await store.push(manifest.config, BytesSource(data))
    await store.push(manifest.descriptor, BytesSource(manifest.raw))
    return store


def inodes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.lstat().st_ino
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


async def test_equal_layers_are_there_once(
    store: LocalStore, source: MemoryStore, one: Descriptor
) -> None:
    first = await store.install(source, one, ONE)
    manifest = await noted(source, one, other="words")
    events: list[Event] = []
    second = await store.install(
        await alone(source, manifest), manifest.descriptor, TWO, on_event=events.append
    )
    assert second.path != first.path
    assert contents(second.path) == {**FILES, "link": FILES["bin/run"]}
    assert (second.path / "link").readlink() == Path("bin/run")
    assert inodes(second.path) == inodes(first.path)
    assert all(isinstance(event, Skipped) for event in events)
    assert await store.verify() == []
    pruned = await store.prune()
    assert pruned.packages == 0
    await store.remove(ONE)
    assert contents(second.path) == {**FILES, "link": FILES["bin/run"]}
    assert await store.verify() == []


async def test_copies_where_links_are_impossible(
    store: LocalStore,
    source: MemoryStore,
    one: Descriptor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_args: object, **_options: object) -> None:
        raise PermissionError("no hard links on this file system")

    first = await store.install(source, one, ONE)
    manifest = await noted(source, one, other="words")
    monkeypatch.setattr(os, "link", refused)
    second = await store.install(await alone(source, manifest), manifest.descriptor, TWO)
    assert contents(second.path) == contents(first.path)
    assert not set(inodes(second.path).values()) & set(inodes(first.path).values())
    assert await store.verify() == []


async def test_what_was_changed_is_not_shared(
    store: LocalStore, source: MemoryStore, one: Descriptor
) -> None:
    first = await store.install(source, one, ONE)
    (first.path / "include/a.h").chmod(0o644)
    (first.path / "include/a.h").write_bytes(b"int b;\n")
    manifest = await noted(source, one, other="words")
    with pytest.raises(NotFoundError):
        await store.install(await alone(source, manifest), manifest.descriptor, TWO)
    assert not any(".tmp-" in path for path in everything(store.path))
    await source.push(manifest.descriptor, BytesSource(manifest.raw))
    second = await store.install(source, manifest.descriptor, TWO)
    assert contents(second.path)["include/a.h"] == FILES["include/a.h"]
    # The first is made of the second now, whole again.
    documents = await alone(source, await select_manifest(source, one))
    assert await store.install(documents, one, ONE) == first
    assert inodes(second.path) == inodes(first.path)
    assert await store.verify() == []


async def image(source: MemoryStore, layer: Descriptor, diff_id: str) -> Manifest:
    config = encode_json(
        {"architecture": "a", "os": "b", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    )
    described = Descriptor.of(config, media_types.OCI_CONFIG)
    await source.push(described, BytesSource(config))
    manifest = Manifest.build(config=described, layers=(layer,))
    await source.push(manifest.descriptor, BytesSource(manifest.raw))
    return manifest


async def test_the_same_layer_under_another_promise_is_looked_at_anew(
    store: LocalStore, source: MemoryStore, one: Descriptor
) -> None:
    """Its uncompressed digest is part of what is promised; a wrong one is an error."""
    await store.install(source, one, ONE)
    (layer,) = (await select_manifest(source, one)).layers
    data = await fetch_bytes(source, layer)
    plain = Descriptor.of(data, media_types.OCI_LAYER_TAR_GZIP)
    manifest = await image(source, plain, "sha256:" + "0" * 64)
    with pytest.raises(DigestMismatchError):
        await store.install(source, manifest.descriptor, TWO)
    assert [p.reference for p in await store.packages()] == [ONE]
