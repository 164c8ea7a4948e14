"""Manifests that were read before, in layouts that other tools change while they are served."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.layout import Layout
from ocipkg_async.server.storage.manifest_cache import ENTRY_BYTES, ManifestCache
from ocipkg_async.server.storage.repositories import Repositories
from ocipkg_async.spec import Digest, Manifest, image_layout
from server.driving import REPOSITORY, Driver, Start, manifest, manifest_url


async def settle(layout: Path) -> None:
    """Make the index look old: one that was just changed is read anew each time."""
    past_s = time.time() - 60
    await anyio.to_thread.run_sync(os.utime, layout / image_layout.INDEX, (past_s, past_s))


async def seen(driver: Driver, name: str) -> tuple[int, str | None]:
    """Ask three times, so that the answer was remembered at last."""
    answers = [await driver("GET", manifest_url(name)) for _ in range(3)]
    found = {(one.status, one.headers.get("Docker-Content-Digest")) for one in answers}
    assert len(found) == 1, found
    for one in answers:
        if one.status == 200:
            assert Digest.of(one.body) == one.headers["Docker-Content-Digest"]
    return found.pop()


Change = Callable[[Layout, Manifest, Manifest], Awaitable[object]]


async def move(layout: Layout, _old: Manifest, new: Manifest) -> None:
    await layout.tag(new.descriptor, "v1")


async def untag(layout: Layout, _old: Manifest, _new: Manifest) -> None:
    await layout.untag("v1")


async def delete(layout: Layout, old: Manifest, _new: Manifest) -> None:
    await layout.delete(old.descriptor)


async def remove_file(layout: Layout, old: Manifest, _new: Manifest) -> None:
    await anyio.Path(layout.path / image_layout.blob_path(old.digest)).unlink()


async def remove_all(layout: Layout, old: Manifest, new: Manifest) -> None:
    await delete(layout, old, new)
    await delete(layout, new, new)


@pytest.mark.parametrize(
    ("change", "tag", "digest"),
    [
        (move, "new", 200),
        (untag, None, 200),
        (delete, None, 404),
        (remove_file, None, 404),
        (remove_all, None, 404),
    ],
)
async def test_another_tool_changes_what_was_read(
    start: Start, tmp_path: Path, change: Change, tag: str | None, digest: int
) -> None:
    driver = await start(tmp_path)
    old = await driver.push_manifest("v1")
    new = await driver.push_manifest("v2", annotations={"new": "yes"})
    path = tmp_path / REPOSITORY
    await settle(path)
    assert await seen(driver, "v1") == (200, old.digest)
    assert await seen(driver, old.digest) == (200, old.digest)

    await change(await Layout.open(path), old, new)
    expected = (404, None) if tag is None else (200, new.digest)
    # At once, and when the index has settled again.
    for _ in range(2):
        assert await seen(driver, "v1") == expected
        assert (await seen(driver, old.digest))[0] == digest
        await settle(path)


async def test_what_was_deleted_here_is_gone_and_comes_back(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    old = await driver.push_manifest("v1")
    await settle(tmp_path / REPOSITORY)
    assert await seen(driver, "v1") == (200, old.digest)
    assert await seen(driver, old.digest) == (200, old.digest)
    assert (await driver("DELETE", manifest_url(old.digest))).status == 202
    await settle(tmp_path / REPOSITORY)
    assert (await seen(driver, "v1"))[0] == 404
    assert (await seen(driver, old.digest))[0] == 404
    await driver.push_manifest("v1")
    await settle(tmp_path / REPOSITORY)
    assert await seen(driver, "v1") == (200, old.digest)


async def test_an_index_that_cannot_be_read_is_an_error_although_manifests_are_known(
    start: Start, tmp_path: Path
) -> None:
    driver = await start(tmp_path)
    old = await driver.push_manifest("v1")
    index = anyio.Path(tmp_path / REPOSITORY / image_layout.INDEX)
    await settle(tmp_path / REPOSITORY)
    assert await seen(driver, "v1") == (200, old.digest)
    await index.write_bytes(b"[]")
    assert (await seen(driver, "v1"))[0] == 500
    await index.unlink()
    assert (await seen(driver, "v1"))[0] == 404


async def test_no_more_is_held_than_allowed(tmp_path: Path) -> None:
    repository = await Repositories(tmp_path).create(REPOSITORY)
    documents = [manifest(annotations={"pad": "x" * 1000 * n}) for n in range(8)]
    for number, document in enumerate(documents):
        await repository.layout.push_tagged(
            document.descriptor, BytesSource(document.raw), f"v{number}"
        )
    await settle(repository.layout.path)
    cache = ManifestCache(max_bytes=documents[-1].size + ENTRY_BYTES)
    for _ in range(2):
        for number, document in enumerate(documents):
            for name in (f"v{number}", document.digest):
                assert await cache.read(repository, name) == (document.descriptor, document.raw)
                assert 0 < cache.held_bytes <= documents[-1].size + ENTRY_BYTES
    # The last one has all the room there is.
    assert cache.held_bytes == documents[-1].size + ENTRY_BYTES
