"""Manifests: C-01, C-05, C-15 to C-17, C-21, C-22, C-35, C-36, C-39 over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ocipkg_async.server.manifests import MAX_TAGS
from ocipkg_async.server.service import MAX_MANIFEST_BYTES
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest, media_types
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest, manifest_url


async def put(
    driver: Driver, name: str, raw: bytes, content_type: str | None = media_types.OCI_MANIFEST
) -> tuple[int, str]:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await driver("PUT", manifest_url(name), data=raw, headers=headers)
    return answer.status, answer.code if answer.status >= 400 else ""


def tree(**members: Any) -> dict[str, Any]:
    config = {"mediaType": EMPTY.media_type, "digest": str(EMPTY.digest), "size": 2}
    return {
        "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "artifactType": "a/b",
        "config": config, "layers": [], **members,
    }  # fmt: skip


async def test_push_by_tag_and_by_digest(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    await driver.expect_manifest("v1", document)
    await driver.expect_manifest(document.digest, document)
    other = manifest(annotations={"a": "b"})
    answer = await driver.push_document(other)
    assert answer.status == 201
    assert answer.location == manifest_url(other.digest)
    assert answer.headers["Docker-Content-Digest"] == other.digest
    await driver.expect_manifest(other.digest, other)


@pytest.mark.parametrize(
    "name", [".INVALID_MANIFEST_NAME", "missing", "a%20b", "%C3%A9", "x" * 129]
)
async def test_c01_get_of_a_name_that_is_not_there(driver: Driver, name: str) -> None:
    await driver.push_manifest("v1")
    for method in ("GET", "DELETE"):
        assert await driver.code_of(manifest_url(name), method) == (404, "MANIFEST_UNKNOWN")
    assert (await driver("HEAD", manifest_url(name))).status == 404


async def test_c17_malformed_digest_and_tag(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    for name, code in (("sha256:totallywrong", "DIGEST_INVALID"), (".tag", "MANIFEST_INVALID")):
        assert await put(driver, name, document.raw) == (400, code)
    assert (await driver.code_of(manifest_url("sha256:totallywrong")))[1] == "DIGEST_INVALID"


async def test_c15_digest_of_other_content_is_refused(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    wrong = Digest.of(b"other")
    assert await put(driver, wrong, document.raw) == (400, "DIGEST_INVALID")
    assert await driver.code_of(manifest_url(wrong)) == (404, "MANIFEST_UNKNOWN")


async def test_c05_without_media_type_and_with_unknown_members(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    value = tree(unknown={"deep": [1]})
    del value["mediaType"]
    value["config"] |= {"data": "e30=", "unknown": 1}
    raw = json.dumps(value, indent=3).encode()
    assert await put(driver, "v1", raw) == (201, "")
    answer = await driver("GET", manifest_url("v1"))
    assert (answer.body, answer.headers["Content-Type"]) == (raw, media_types.OCI_MANIFEST)


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        (tree(), media_types.DOCKER_MANIFEST),
        (tree(), media_types.OCI_INDEX),
        (tree(manifests=[]), media_types.OCI_MANIFEST),
        (tree(schemaVersion=1), media_types.OCI_MANIFEST),
        (tree(mediaType="application/vnd.test+json"), None),
        (tree(layers=[{"size": -1}]), media_types.OCI_MANIFEST),
        ([], media_types.OCI_MANIFEST),
    ],
)
async def test_c35_body_that_is_no_manifest_of_its_type(
    driver: Driver, value: Any, content_type: str | None
) -> None:
    await driver.push_blob(EMPTY_JSON)
    raw = json.dumps(value).encode()
    assert await put(driver, "v1", raw, content_type) == (400, "MANIFEST_INVALID")
    assert (await driver("GET", manifest_url("v1"))).status == 404


async def test_content_type_with_parameters_or_none(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    raw = json.dumps(tree()).encode()
    for content_type in (f"{media_types.OCI_MANIFEST}; charset=utf-8", "application/json", None):
        assert await put(driver, "v1", raw, content_type) == (201, "")
        answer = await driver("HEAD", manifest_url("v1"))
        assert answer.headers["Content-Type"] == media_types.OCI_MANIFEST


async def test_c22_large_manifest_is_taken_and_a_larger_one_is_413(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    large = Manifest.build(
        config=EMPTY, layers=(), artifact_type="a/b", annotations={"text": "x" * 3_900_000}
    )
    assert (await driver.push_document(large, "large")).status == 201
    await driver.expect_manifest("large", large)
    larger = b" " * MAX_MANIFEST_BYTES + large.raw
    assert await put(driver, "larger", larger) == (413, "MANIFEST_INVALID")


async def test_413_without_a_content_length(start: Start) -> None:
    driver = await start(max_manifest_bytes=1000)

    async def body() -> Any:
        for _ in range(11):
            yield b" " * 100

    answer = await driver("PUT", manifest_url("v1"), data=body())
    assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")


async def test_c35_references_must_be_there(driver: Driver) -> None:
    document = manifest(layers=("one", "two"))
    for text in (b"{}", b"one", b"two"):
        answer = await driver.push_document(document, "v1")
        assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
        await driver.push_blob(text)
    assert (await driver.push_document(document, "v1")).status == 201


async def test_c35_blob_of_another_size_is_not_the_one(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    digest = await driver.push_blob(b"layer")
    layer = Descriptor(media_type=media_types.OCI_LAYER_TAR, digest=digest, size=6)
    document = Manifest.build(config=EMPTY, layers=(layer,), artifact_type="a/b")
    answer = await driver.push_document(document, "v1")
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")


async def test_c35_foreign_layers_and_subject_are_exempt(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    away = Digest.of(b"elsewhere")
    layers = (
        Descriptor(media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                   digest=away, size=9),
        Descriptor(media_type=media_types.OCI_LAYER_TAR, digest=away, size=9,
                   urls=("https://example.org/x",)),
    )  # fmt: skip
    document = Manifest.build(
        config=EMPTY,
        layers=layers,
        artifact_type="a/b",
        subject=Descriptor(media_type=media_types.OCI_MANIFEST, digest=away, size=9),
    )
    answer = await driver.push_document(document, "v1")
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, away)


async def test_c35_embedded_data_is_no_blob(driver: Driver) -> None:
    """A descriptor's right ``data`` does not replace the blob, and wrong data is refused."""
    document = tree()
    document["config"]["data"] = "e30="
    raw = json.dumps(document).encode()
    assert await put(driver, "v1", raw) == (400, "MANIFEST_BLOB_UNKNOWN")
    await driver.push_blob(EMPTY_JSON)
    assert await put(driver, "v1", raw) == (201, "")
    for wrong in ("e30", "e3", "W10=", "e30=e30=", "*", 7):
        document["config"]["data"] = wrong
        raw = json.dumps(document).encode()
        assert await put(driver, "v2", raw) == (400, "MANIFEST_INVALID")
    assert (await driver("GET", manifest_url("v2"))).status == 404


async def test_c15_children_of_an_index_must_be_there(driver: Driver) -> None:
    child = manifest()
    index = Index.build(manifests=(child.descriptor,))
    answer = await driver.push_document(index, "v1")
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    await driver.push_manifest()
    assert (await driver.push_document(index, "v1")).status == 201
    await driver.expect_manifest("v1", index)


async def test_c15_sparse_content_is_taken_when_told(start: Start) -> None:
    driver = await start(sparse=True)
    child = manifest()
    index = Index.build(manifests=(child.descriptor,))
    for document, tag in ((index, "index"), (manifest(annotations={"a": "b"}), "image")):
        assert (await driver.push_document(document, tag)).status == 201
        await driver.expect_manifest(tag, document)
        assert (await driver("DELETE", manifest_url(document.digest))).status == 202
        assert (await driver("GET", manifest_url(tag))).status == 404


async def test_blob_is_no_manifest(driver: Driver) -> None:
    digest = await driver.push_blob(b'{"some": "json"}')
    for method in ("GET", "DELETE"):
        assert await driver.code_of(manifest_url(digest), method) == (404, "MANIFEST_UNKNOWN")
    assert (await driver("GET", blob_url(digest))).status == 200


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_c15_tag_parameters(driver: Driver, algorithm: str) -> None:
    document = await driver.push_manifest()
    digest = Digest.of(document.raw, algorithm)
    tags = [f"t{number}" for number in range(12)]
    query = "".join(f"&tag={tag}" for tag in tags)
    answer = await driver(
        "PUT", f"{manifest_url(digest)}?{query[1:]}&tag=t3", data=document.raw,
        headers={"Content-Type": document.media_type},
    )  # fmt: skip
    assert answer.status == 201
    assert answer.headers.getall("OCI-Tag") == tags
    listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
    assert listed == sorted(tags)
    # A tag answers with the digest it was set by (C-16).
    head = await driver("HEAD", manifest_url("t11"))
    assert head.headers["Docker-Content-Digest"] == digest


async def test_d80_too_many_tags_are_414_and_change_nothing(driver: Driver) -> None:
    await driver.push_manifest("v1")
    document = manifest(annotations={"n": "2"})
    tags = [f"tag={number}" for number in range(MAX_TAGS + 1)]
    for query, status in (("&".join(tags), 414), ("&".join([*tags[1:], tags[1]]), 201)):
        found = await put(driver, f"{document.digest}?{query}", document.raw)
        assert found[0] == status
        listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
        assert len(listed) == (1 if status == 414 else 1 + MAX_TAGS)
        assert "0" not in listed


async def test_bad_tag_parameter_changes_nothing(driver: Driver) -> None:
    document = manifest()
    await driver.push_manifest("v1")
    path = f"{document.digest}?tag=good&tag=.bad"
    assert await put(driver, path, document.raw) == (400, "MANIFEST_INVALID")
    assert (await driver("GET", manifest_url("good"))).status == 404


async def test_tag_moves_and_its_old_manifest_stays(driver: Driver) -> None:
    old = await driver.push_manifest("v1")
    new = await driver.push_manifest("v1", annotations={"n": "2"})
    await driver.expect_manifest("v1", new)
    await driver.expect_manifest(old.digest, old)


async def test_tags_set_by_many_at_once_are_all_there(driver: Driver) -> None:
    document = await driver.push_manifest()
    others = [manifest(annotations={"n": str(number)}) for number in range(5)]
    names = [f"t{number}" for number in range(15)]
    await asyncio.gather(
        *(driver.push_document(others[n % 5], name) for n, name in enumerate(names)),
        *(driver.push_document(document, "moving") for _ in range(3)),
    )
    listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
    assert listed == sorted([*names, "moving"])
    for number, name in enumerate(names):
        await driver.expect_manifest(name, others[number % 5])


async def test_docker_types_are_kept(driver: Driver) -> None:
    await driver.push_blob(EMPTY_JSON)
    raw = json.dumps(tree(mediaType=media_types.DOCKER_MANIFEST)).encode()
    assert await put(driver, "v1", raw, media_types.DOCKER_MANIFEST) == (201, "")
    answer = await driver("GET", manifest_url("v1"), headers={"Accept": media_types.OCI_MANIFEST})
    assert answer.headers["Content-Type"] == media_types.DOCKER_MANIFEST


async def test_damaged_manifest_is_an_error_of_the_server(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    document = await driver.push_manifest("v1")
    file = tmp_path / REPOSITORY / "blobs" / "sha256" / document.digest.encoded
    file.write_bytes(document.raw.replace(b"layer", b"lAyer"))
    assert (await driver("GET", manifest_url("v1"))).status == 500
