"""Deleting manifests and tags: C-36, C-39 over HTTP; blobs are elsewhere."""

import pytest

from ocipkg_async.spec import Digest, Index, media_types, parse_document
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest_url


async def test_c36_children_stay_when_the_index_goes(driver: Driver) -> None:
    child = await driver.push_manifest()
    index = Index.build(manifests=(child.descriptor,))
    nested = Index.build(manifests=(index.descriptor,))
    await driver.push_document(index)
    await driver.push_document(nested, "v1")
    for document, next_one in ((nested, index), (index, child)):
        assert (await driver("DELETE", manifest_url(document.digest))).status == 202
        assert (await driver("GET", manifest_url(document.digest))).status == 404
        await driver.expect_manifest(next_one.digest, next_one)
    assert (await driver("DELETE", manifest_url(child.digest))).status == 202
    assert (await driver("GET", manifest_url(child.digest))).status == 404


async def test_child_deleted_before_its_index_is_gone(driver: Driver) -> None:
    child = await driver.push_manifest()
    await driver.push_document(Index.build(manifests=(child.descriptor,)), "v1")
    assert (await driver("DELETE", manifest_url(child.digest))).status == 202
    assert (await driver("GET", manifest_url(child.digest))).status == 404


async def test_c39_delete_of_a_tag_keeps_manifest_and_other_tags(driver: Driver) -> None:
    document = await driver.push_manifest("one")
    await driver.push_document(document, "two")
    assert (await driver("DELETE", manifest_url("one"))).status == 202
    assert await driver.code_of(manifest_url("one")) == (404, "MANIFEST_UNKNOWN")
    assert (await driver("DELETE", manifest_url("two"))).status == 202
    await driver.expect_manifest(document.digest, document)


async def test_c39_delete_by_digest_removes_all_its_tags(driver: Driver) -> None:
    document = await driver.push_manifest("one")
    await driver.push_document(document, "two")
    other = await driver.push_manifest("other", annotations={"n": "2"})
    assert (await driver("DELETE", manifest_url(document.digest))).status == 202
    listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
    assert listed == ["other"]
    for name in ("one", "two", document.digest):
        assert (await driver("GET", manifest_url(name))).status == 404
    assert (await driver("DELETE", manifest_url(document.digest))).status == 404
    await driver.expect_manifest("other", other)


async def test_c39_tags_do_not_come_back_with_their_manifest(driver: Driver) -> None:
    document = await driver.push_manifest("one")
    await driver.push_document(document, "two")
    elsewhere = await driver.push_manifest("one", "other")
    await driver("DELETE", manifest_url(document.digest))
    await driver.push_document(document)
    await driver.expect_manifest(document.digest, document)
    assert (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"] == []
    # Nor does a delete reach into another repository.
    await driver.expect_manifest("one", elsewhere, "other")


@pytest.mark.parametrize("first", ["sha256", "sha512"])
async def test_c39_two_digests_of_one_manifest_are_deleted_apart(
    driver: Driver, first: str
) -> None:
    """Each has its own tags; a tag answers with the digest it was set by (C-16)."""
    raw = (await driver.push_manifest()).raw
    named = {}
    for algorithm in ("sha256", "sha512"):
        digest = Digest.of(raw, algorithm)
        named[algorithm] = parse_document(raw, media_type=media_types.OCI_MANIFEST, digest=digest)
        answer = await driver(
            "PUT",
            f"{manifest_url(digest)}?tag={algorithm}&tag={algorithm}-too",
            data=raw,
            headers={"Content-Type": media_types.OCI_MANIFEST},
        )
        assert answer.status == 201
    for algorithm, document in named.items():
        for name in (document.digest, algorithm):
            await driver.expect_manifest(name, document)
    gone, kept = named.pop(first), *named.values()
    assert (await driver("DELETE", manifest_url(gone.digest))).status == 202
    for name in (gone.digest, first, f"{first}-too"):
        assert await driver.code_of(manifest_url(name)) == (404, "MANIFEST_UNKNOWN")
    for name in (kept.digest, *named, f"{kept.digest.algorithm}-too"):
        await driver.expect_manifest(name, kept)
    tags = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
    assert tags == [*named, f"{kept.digest.algorithm}-too"]


async def test_two_digests_of_one_blob_are_deleted_apart(driver: Driver) -> None:
    short = await driver.push_blob(b"data")
    long = await driver.push_blob(b"data", algorithm="sha512")
    assert (await driver("DELETE", blob_url(short))).status == 202
    assert (await driver("GET", blob_url(short))).status == 404
    assert (await driver("GET", blob_url(long))).body == b"data"


async def test_c39_delete_switched_off(start: Start) -> None:
    driver = await start(delete=False)
    document = await driver.push_manifest("v1")
    for name in ("v1", document.digest):
        assert await driver.code_of(manifest_url(name), "DELETE") == (405, "UNSUPPORTED")
    await driver.expect_manifest("v1", document)
