"""Repositories as folders: containment, foreign folders, layouts that other tools wrote."""

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.layout import Layout
from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.storage.repositories import Repositories
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Digest, Index
from ocipkg_async.spec.image_layout import blob_path
from server.driving import (
    REPOSITORY,
    Driver,
    Start,
    blob_url,
    manifest,
    manifest_url,
    raw_request,
    referrers_url,
)


async def test_c31_each_repository_is_a_layout_of_its_own(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    document = await driver.push_manifest("v1", "team/app")
    layout = await Layout.open(tmp_path / "team" / "app", read_only=True)
    assert (await layout.resolve("v1")).digest == document.digest
    assert await layout.tags() == ["v1"]


async def test_c31_layout_that_was_there_before_is_served(start: Start, tmp_path: Path) -> None:
    document = manifest(layers=())
    layout = await Layout.open(tmp_path / "some" / "thing", create=True)
    await layout.push(EMPTY, BytesSource(EMPTY_JSON))
    await layout.push_tagged(document.descriptor, BytesSource(document.raw), "v1")
    # A name that is no tag is not listed as one.
    await layout.tag(document.descriptor, "ghcr.io/org/pkg:v2")
    driver = await start(tmp_path)
    assert (await driver("GET", manifest_url("v1", "some/thing"))).body == document.raw
    assert (await driver("GET", "/v2/some/thing/tags/list")).json["tags"] == ["v1"]
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == ["some/thing"]


async def test_repository_above_and_below_another(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    for name in ("a/b", "a", "a/b/c"):
        await driver.push_manifest("v1", name)
    for name in ("a/b", "a", "a/b/c"):
        assert (await driver("GET", f"/v2/{name}/tags/list")).json["tags"] == ["v1"]


async def test_folder_with_files_is_not_made_a_repository(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep out")
    told: list[str] = []
    driver = await start(tmp_path, on_warning=told.append)
    location = await driver.start("mine")
    answer = await driver("PUT", f"{location}?digest={Digest.of(b'x')}", data=b"x")
    assert answer.status == 500
    # Where the files are is its owner's business alone.
    assert str(tmp_path).encode() not in answer.body
    (warning,) = told
    assert warning.startswith(f"PUT {location}?")
    assert str(tmp_path) in warning
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


async def test_c32_link_out_of_the_root_is_refused(start: Start, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    await Layout.open(outside, create=True)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    (root / "circle").symlink_to("circle")
    driver = await start(root)
    assert await driver.code_of("/v2/link/tags/list") == (400, "NAME_INVALID")
    assert (await driver("GET", "/v2/circle/tags/list")).status in {400, 404}
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == []
    repositories = Repositories(root)
    with pytest.raises(RefusedError):
        await repositories.create("link/below")
    assert not (outside / "below").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/tags/list",
        "/v2/%2e%2e/etc/tags/list",
        "/v2/a%2f..%2f..%2fetc/tags/list",
        "/v2/a/blobs/sha256:..%2f..%2findex.json",
        "/v2/a/blobs/..%2f..%2findex.json",
        "/v2/a/manifests/..%2f..%2findex.json",
        "/v2/a/blobs/uploads/..%2f..%2f.registry.lock",
        "//etc/passwd",
        "/v2/a\x00b/tags/list",
    ],
)
async def test_s04_path_escapes_are_refused(driver: Driver, path: str) -> None:
    await driver.push_manifest("v1", "a")
    host = driver.url.removeprefix("http://")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = await raw_request(host, request.encode())
    assert answer.split()[1] in {b"400", b"404"}
    assert b"schemaVersion" not in answer


@pytest.mark.parametrize("removed", ["a/b", "*"])
async def test_c31_what_its_owner_removes_is_gone_and_can_be_pushed_again(
    start: Start, tmp_path: Path, removed: str
) -> None:
    """One repository, or as ``rm -r root/*`` all that the shell shows."""
    driver = await start(tmp_path)
    for content in ("first", "second"):
        document = await driver.push_manifest("v1", "a/b", annotations={"n": content})
        await driver.expect_manifest("v1", document, "a/b")
        for path in tmp_path.glob(removed):
            if path.is_dir():
                shutil.rmtree(path)
        assert (await driver("GET", "/v2/a/b/tags/list")).status == 404
        assert (await driver("HEAD", blob_url(EMPTY.digest, "a/b"))).status == 404
        assert (await driver("GET", "/v2/_catalog")).json["repositories"] == []


async def test_c31_made_by_many_requests_at_once(start: Start, tmp_path: Path) -> None:
    """A repository, one above it and one below; and what each was given is there."""
    driver = await start(tmp_path)
    names = [name for name in ("a", "a/b", "a/b/c") for _ in range(8)]

    async def push(number: int, name: str) -> Digest:
        path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(b'%d' % number)}"
        assert (await driver("POST", path, data=b"%d" % number)).status == 201
        return Digest.of(b"%d" % number)

    digests = await asyncio.gather(*(push(*one) for one in enumerate(names)))
    for name, digest in zip(names, digests, strict=True):
        assert (await driver("GET", blob_url(digest, name))).status == 200
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == ["a", "a/b", "a/b/c"]


async def test_blob_is_no_manifest_though_it_looks_like_one(start: Start, tmp_path: Path) -> None:
    """What was not pushed as a manifest, with all that it needs, is none."""
    driver = await start(tmp_path)
    document = manifest(layers=("not there",))
    await driver.push_blob(document.raw)
    assert await driver.code_of(manifest_url(document.digest)) == (404, "MANIFEST_UNKNOWN")
    answer = await driver("DELETE", manifest_url(document.digest))
    assert answer.status == 404
    assert (await driver("DELETE", blob_url(document.digest))).status == 202


async def test_blob_that_a_manifest_needs_can_be_deleted(start: Start, tmp_path: Path) -> None:
    """As the specification has it: who deletes a blob is asked for no reason. A push brings it back."""
    driver = await start(tmp_path)
    document = await driver.push_manifest("v1")
    layer = document.layers[0].digest
    assert (await driver("DELETE", blob_url(layer))).status == 202
    assert (await driver("GET", blob_url(layer))).status == 404
    await driver.expect_manifest("v1", document)
    assert (await driver.push_document(document, "v2")).code == "MANIFEST_BLOB_UNKNOWN"
    await driver.push_manifest("v2")
    layout = await Layout.open(tmp_path / REPOSITORY, read_only=True)
    assert await layout.verify() == []


async def test_child_of_an_index_is_no_blob(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    child = await driver.push_manifest()
    index = Index.build(manifests=(child.descriptor,))
    await driver.push_document(index, "v1")
    assert await driver.code_of(blob_url(child.digest), "DELETE") == (405, "UNSUPPORTED")
    await driver.expect_manifest(child.digest, child)


async def test_damaged_manifest_is_healed_by_a_push_or_deleted(
    start: Start, tmp_path: Path
) -> None:
    driver = await start(tmp_path)
    document = await driver.push_manifest("v1")
    file = tmp_path / REPOSITORY / blob_path(document.digest)
    for damage in (b"", b"x" * document.size):
        file.write_bytes(damage)
        answer = await driver("GET", manifest_url("v1"))
        # What was read before may be in memory still.
        assert answer.status == 500 or answer.body == document.raw
        assert (await driver.push_document(document)).status == 201
        await driver.expect_manifest("v1", document)
    file.write_bytes(b"")
    assert (await driver("DELETE", manifest_url(document.digest))).status == 202
    assert (await driver("GET", "/v2/team/app/tags/list")).json["tags"] == []


async def test_referrer_that_was_deleted_below_its_index_is_none(
    start: Start, tmp_path: Path
) -> None:
    driver = await start(tmp_path)
    subject = await driver.push_manifest("v1")
    referrer = await driver.push_manifest(subject=subject, annotations={"n": "referrer"})
    await driver.push_document(Index.build(manifests=(referrer.descriptor,)), "signatures")
    assert len((await driver("GET", referrers_url(subject.digest))).json["manifests"]) == 1
    assert (await driver("DELETE", manifest_url(referrer.digest))).status == 202
    assert (await driver("GET", referrers_url(subject.digest))).json["manifests"] == []


@pytest.mark.parametrize("links", [True, False])
async def test_mounted_blob_is_one_file_where_links_can_be(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """Deleting it in one repository keeps it in the other, either way."""
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "no hard links")

        monkeypatch.setattr(os, "link", refuse)
    driver = await start(tmp_path)
    data = os.urandom(100_000)
    digest = await driver.push_blob(data, "one")
    mount = f"blobs/uploads/?mount={digest}&from=one"
    assert (await driver("POST", f"/v2/two/{mount}")).status == 201
    assert (await driver("POST", f"/v2/three/{mount}")).status == 201
    files = [tmp_path / name / blob_path(digest) for name in ("one", "two", "three")]
    assert {file.stat().st_nlink for file in files} == {3 if links else 1}
    assert len({file.stat().st_ino for file in files}) == (1 if links else 3)
    assert (await driver("DELETE", blob_url(digest, "one"))).status == 202
    assert (await driver("GET", blob_url(digest, "one"))).status == 404
    # A push puts a new file there; it does not write into the one that the others have.
    await driver.push_blob(data, "two")
    assert (await driver("DELETE", blob_url(digest, "two"))).status == 202
    assert (await driver("GET", blob_url(digest, "three"))).body == data
    assert list(tmp_path.rglob(".tmp-*")) == []


async def test_repositories_are_listed_while_others_are_removed(
    start: Start, tmp_path: Path
) -> None:
    driver = await start(tmp_path)
    await driver.push_blob(b"x", "stays")
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            (tmp_path / "goes" / "a" / "b").mkdir(parents=True)
            shutil.rmtree(tmp_path / "goes")

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, churn)
        try:
            for _ in range(100):
                answer = await driver("GET", "/v2/_catalog")
                assert answer.json == {"repositories": ["stays"]}
        finally:
            done.set()


async def test_only_what_can_be_read_is_mounted(start: Start, tmp_path: Path) -> None:
    """A link is mounted as what it leads to, which it might not from another folder."""
    root = tmp_path / "root"
    driver = await start(root)
    there = await driver.push_blob(b"data", "one")
    blobs = root / "one/blobs/sha256"
    (blobs / there.encoded).rename(root / "kept")
    (blobs / there.encoded).symlink_to("../../../kept")
    outside, pipe = Digest.of(b"outside"), Digest.of(b"pipe")
    (tmp_path / "secret").write_text("not to be shown")
    (blobs / outside.encoded).symlink_to(tmp_path / "secret")
    os.mkfifo(blobs / pipe.encoded)
    for name in ("two", "deeper/below/two"):
        answer = await driver("POST", f"/v2/{name}/blobs/uploads/?mount={there}&from=one")
        assert answer.status == 201
        assert (await driver("GET", blob_url(there, name))).body == b"data"
        for other in (outside, pipe):
            answer = await driver("POST", f"/v2/{name}/blobs/uploads/?mount={other}&from=one")
            assert answer.status == 202
