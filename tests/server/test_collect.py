"""Collecting while the registry serves: only when asked, with a grace time (C-41)."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from ocipkg_async.errors import ClosedError, IntegrityError, InvalidArgumentError
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Digest, Index
from ocipkg_async.spec.image_layout import blob_path
from server.driving import REPOSITORY, Driver, blob_url, manifest, manifest_url, referrers_url
from server.lines import until
from server.zygote import driven

LONG_AGO_S = 7200.0


def age(root: Path, *names: str) -> None:
    """Make all blobs of some repositories, or of all, old."""
    then = time.time() - LONG_AGO_S
    for name in names or ("",):
        for path in root.joinpath(name).rglob("blobs/*/*"):
            os.utime(path, (then, then))


@pytest.fixture
def root(embedded: EmbeddedRegistry) -> Path:
    return embedded.root


async def removed(registry: EmbeddedRegistry, **options: Any) -> dict[str, set[Digest]]:
    """Collect; return what was removed, without repositories where nothing was."""
    done = await registry.collect(**options)
    assert [one.error for one in done] == [None] * len(done)
    return {one.repository: {d for d, _ in one.removed} for one in done if one.removed}


async def test_deleted_manifests_leave_blobs_until_they_are_collected(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    document = await driver.push_manifest("v1", layers=("one", "two"))
    await driver("DELETE", manifest_url(document.digest))
    age(root)
    layers = [layer.digest for layer in document.layers]
    for digest in layers:
        assert (await driver("GET", blob_url(digest))).status == 200
    (foretold,) = await embedded.collect(dry_run=True)
    assert (await driver("GET", blob_url(EMPTY.digest))).body == EMPTY_JSON
    (done,) = await embedded.collect()
    assert done == foretold
    assert (done.repository, done.error) == (REPOSITORY, None)
    assert dict(done.removed) == {layers[0]: 3, layers[1]: 3, EMPTY.digest: 2}
    assert done.bytes == 8
    for digest in (*layers, EMPTY.digest):
        assert (await driver("GET", blob_url(digest))).status == 404
    assert [one.removed for one in await embedded.collect()] == [()]


async def test_young_blobs_stay(embedded: EmbeddedRegistry, driver: Driver, root: Path) -> None:
    old = await driver.push_blob(b"old")
    age(root)
    young = await driver.push_blob(b"young")
    assert await removed(embedded) == {REPOSITORY: {old}}
    assert (await driver("GET", blob_url(young))).body == b"young"
    (done,) = await embedded.collect(grace_s=0)
    assert done.removed == ((young, 5),)


@pytest.mark.parametrize("how", ["asked for", "mounted", "mounted from here", "pushed", "listed"])
async def test_what_a_client_found_is_as_young_as_what_it_sent(
    embedded: EmbeddedRegistry, driver: Driver, root: Path, how: str
) -> None:
    digest = await driver.push_blob(EMPTY_JSON)
    other = await driver.push_blob(b"other")
    if how == "listed":  # and then the manifest was deleted
        document = await driver.push_manifest("v1", layers=())
        age(root)
        await driver.push_document(document, "v2")
        await driver("DELETE", manifest_url(document.digest))
    else:
        age(root)
    if how == "asked for":
        assert (await driver("HEAD", blob_url(digest))).status == 200
    elif how == "mounted":
        # Into another repository; the two are one file, so it is young in both.
        path = f"/v2/elsewhere/blobs/uploads/?mount={digest}&from={REPOSITORY}"
        assert (await driver("POST", path)).status == 201
    elif how == "mounted from here":
        path = f"/v2/{REPOSITORY}/blobs/uploads/?mount={digest}"
        assert (await driver("POST", path)).status == 201
    elif how == "pushed":
        await driver.push_blob(EMPTY_JSON)
    assert await removed(embedded) == {REPOSITORY: {other}}


async def test_age_of_a_blob_counts_from_its_end(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    location = await driver.start()
    await driver("PATCH", location, data=b"data")
    (upload,) = (root / UPLOADS).iterdir()
    os.utime(upload, (1, 1))
    digest = Digest.of(b"data")
    assert (await driver("PUT", f"{location}?digest={digest}")).status == 201
    assert await removed(embedded) == {}
    assert (await driver("GET", blob_url(digest))).body == b"data"


async def test_manifest_that_a_client_found_stays(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    asked, child, lost = [
        await driver.push_manifest(annotations={"n": name}) for name in ("asked", "child", "lost")
    ]
    age(root)
    assert (await driver("HEAD", manifest_url(asked.digest))).status == 200
    index = Index.build(manifests=(child.descriptor,))
    assert (await driver.push_document(index)).status == 201
    assert await removed(embedded, untagged=True) == {REPOSITORY: {lost.digest}}
    for document in (asked, child, index):
        await driver.expect_manifest(document.digest, document)


async def test_untagged_manifests_go_only_when_told(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    old = await driver.push_manifest("latest", layers=("old",))
    signature = await driver.push_manifest(subject=old, layers=("signature",))
    new = await driver.push_manifest("latest", layers=("new",))
    kept = await driver.push_manifest(subject=new, layers=("kept",))
    assert await removed(embedded, untagged=True) == {}
    age(root)
    assert await removed(embedded) == {}
    gone = {old.digest, old.layers[0].digest, signature.digest, signature.layers[0].digest}
    assert await removed(embedded, untagged=True) == {REPOSITORY: gone}
    for document in (old, signature):
        assert await driver.code_of(manifest_url(document.digest)) == (404, "MANIFEST_UNKNOWN")
    assert (await driver("GET", referrers_url(old.digest))).json["manifests"] == []
    await driver.expect_manifest("latest", new)
    (listed,) = (await driver("GET", referrers_url(new.digest))).json["manifests"]
    assert listed["digest"] == kept.digest


async def test_blob_of_two_repositories_is_one_file_and_goes_in_each_by_itself(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    document = await driver.push_manifest("v1", "one")
    layer = document.layers[0].digest
    for digest in (layer, EMPTY.digest):
        path = f"/v2/two/blobs/uploads/?mount={digest}&from=one"
        assert (await driver("POST", path)).status == 201
    await driver.push_document(document, "v1", "two")
    files = [root / name / blob_path(layer) for name in ("one", "two")]
    assert files[0].stat().st_nlink == 2
    assert files[0].samefile(files[1])
    await driver("DELETE", manifest_url(document.digest, "one"))
    age(root)
    assert await removed(embedded) == {"one": {layer, EMPTY.digest}}
    assert files[1].stat().st_nlink == 1
    assert (await driver("GET", blob_url(layer, "one"))).status == 404
    assert (await driver("GET", blob_url(layer, "two"))).body == b"layer"
    assert await (await Layout.open(root / "two", read_only=True)).verify() == []


async def test_damaged_repository_does_not_stop_the_others(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    lost = {}
    for name in ("a", "broken", "damaged", "z"):
        await driver.push_manifest("v1", name)
        lost[name] = await driver.push_blob(b"lost", name)
    (root / "broken" / "index.json").write_text("{")
    (root / "damaged" / blob_path(manifest().digest)).write_text("x")
    age(root)
    done = {one.repository: one for one in await embedded.collect(untagged=True)}
    assert {name for name, one in done.items() if one.error is None} == {"a", "z"}
    assert isinstance(done["damaged"].error, IntegrityError)
    for name, digest in lost.items():
        assert bool(done[name].removed) == (name in {"a", "z"})
        assert (root / name / blob_path(digest)).exists() == (name not in {"a", "z"})


async def test_leftovers_are_removed(
    embedded: EmbeddedRegistry, driver: Driver, root: Path
) -> None:
    await driver.push_manifest("v1", "a/b")
    (root / "a" / "never" / "made").mkdir(parents=True)
    folders = [
        root / "a",
        root / "a" / "b",
        root / "a" / "b" / "blobs" / "sha256",
        root / "a" / "never",
    ]
    for folder in folders:
        for name, age_s in (("old", LONG_AGO_S), ("young", 0)):
            file = folder / f".tmp-12-{name}"
            file.write_text("x")
            os.utime(file, (time.time() - age_s,) * 2)
    assert await removed(embedded) == {}
    assert {file.name for file in root.rglob(".tmp-*")} == {".tmp-12-young"}
    assert len(list(root.rglob(".tmp-*"))) == len(folders)


async def test_arguments(embedded: EmbeddedRegistry) -> None:
    for grace_s in (-1, float("nan")):
        with pytest.raises(InvalidArgumentError):
            await embedded.collect(grace_s=grace_s)
    with pytest.raises(ClosedError):
        await EmbeddedRegistry().collect()


@asynccontextmanager
async def collecting(registry: EmbeddedRegistry, **options: float) -> AsyncIterator[None]:
    """Collect again and again."""

    async def collect() -> None:
        while True:
            await removed(registry, untagged=True, **options)

    task = asyncio.create_task(collect())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_pushes_are_not_disturbed(tmp_path: Path) -> None:
    """Clients that find half of their blobs, which are old, and list them somewhat later."""
    async with driven(tmp_path) as (registry, driver):
        contents = [f"layer {number}".encode() for number in range(40)]
        for data in contents:
            await driver.push_blob(data)
        await driver.push_blob(EMPTY_JSON)
        age(tmp_path)
        found = 0

        async def push(number: int) -> None:
            nonlocal found
            layers = contents[number::8]
            for data in (EMPTY_JSON, *layers):
                if (await driver("HEAD", blob_url(Digest.of(data)))).status == 200:
                    found += 1
                else:
                    await driver.push_blob(data)
            await anyio.sleep(0.05)
            document = manifest(layers=[data.decode() for data in layers])
            answer = await driver.push_document(document, f"v{number}")
            assert answer.status == 201, answer

        pushes = asyncio.gather(*map(push, range(8)))
        await until(lambda: found > 0)  # else all might be gone before anybody asks
        async with collecting(registry):
            await pushes
        for number in range(8):
            assert (await driver("GET", manifest_url(f"v{number}"))).status == 200
    assert await (await Layout.open(tmp_path / REPOSITORY, read_only=True)).verify() == []


async def test_without_grace_a_manifest_that_is_taken_has_its_blobs(tmp_path: Path) -> None:
    """A push may lose its blobs before its manifest comes, and is told so; never after."""
    async with driven(tmp_path) as (registry, driver):
        taken = 0

        async def push(number: int) -> None:
            nonlocal taken
            for turn in range(25):
                text = f"{number} {turn}"
                for data in (EMPTY_JSON, text.encode()):
                    await driver.push_blob(data)
                answer = await driver.push_document(manifest(layers=[text]), text.replace(" ", "-"))
                assert answer.status in {201, 400}, answer
                taken += answer.status == 201

        async with collecting(registry, grace_s=0):
            await asyncio.gather(*map(push, range(4)))
        listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
        assert len(listed) == taken
    if listed:
        assert await (await Layout.open(tmp_path / REPOSITORY, read_only=True)).verify() == []


async def test_blob_that_is_being_read_is_read_to_its_end(tmp_path: Path) -> None:
    data = os.urandom(8 << 20)
    async with driven(tmp_path) as (registry, driver):
        digest = await driver.push_blob(data)
        async with driver.session.get(driver.url + blob_url(digest)) as answer:
            start = await answer.content.readexactly(1000)
            (done,) = await registry.collect(grace_s=0)
            assert done.removed == ((digest, len(data)),)
            assert start + await answer.content.read() == data
        assert (await driver("GET", blob_url(digest))).status == 404
