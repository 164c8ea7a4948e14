"""What a registry has after it was started again: all that was acknowledged, no open upload."""

from pathlib import Path

import aiohttp
import pytest

from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest, Index
from server.driving import REPOSITORY, Driver, blob_url, manifest_url, referrers_url


async def everything(driver: Driver, paths: list[str]) -> dict[str, tuple[int, str | None, bytes]]:
    """Answers to GET, as far as they must be the same again."""
    seen = {}
    for path in ("/v2/_catalog", *paths):
        answer = await driver("GET", path)
        seen[path] = answer.status, answer.headers.get("Docker-Content-Digest"), answer.body
    return seen


async def test_c31_all_is_there_after_a_restart(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """Also what no tag leads to, what was deleted, and what has a digest of another kind."""
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        tagged = await driver.push_manifest("v1")
        await driver.push_document(tagged, "v2")
        untagged = await driver.push_manifest(annotations={"n": "untagged"})
        moved = await driver.push_manifest("moving", annotations={"n": "old"})
        await driver.push_manifest("moving", annotations={"n": "new"})
        long = Digest.of(tagged.raw, "sha512")
        query = f"{manifest_url(long)}?tag=long"
        await driver("PUT", query, data=tagged.raw, headers={"Content-Type": tagged.media_type})
        child = await driver.push_manifest(annotations={"n": "child"})
        index = Index.build(manifests=(child.descriptor,))
        await driver.push_document(index, "all")
        await driver("DELETE", manifest_url(index.digest))
        referrer = await driver.push_manifest(subject=tagged, annotations={"n": "referrer"})
        gone = await driver.push_manifest("gone", subject=tagged, annotations={"n": "gone"})
        await driver("DELETE", manifest_url(gone.digest))
        await driver.push_document(tagged, "deleted")
        await driver("DELETE", manifest_url("deleted"))
        blob = await driver.push_blob(b"alone", algorithm="sha512")
        mounted = f"/v2/other/name/blobs/uploads/?mount={blob}&from={REPOSITORY}"
        assert (await driver("POST", mounted)).status == 201

        digests = [one.digest for one in (tagged, untagged, moved, index, child, referrer, gone)]
        paths = [
            f"/v2/{REPOSITORY}/tags/list",
            *(manifest_url(name) for name in ("v1", "v2", "moving", "long", "all", "deleted")),
            *map(manifest_url, [*digests, long]),
            *map(referrers_url, [tagged.digest, untagged.digest, long]),
            blob_url(blob),
            blob_url(blob, "other/name"),
            blob_url(Digest.of(b"layer")),
        ]
        before = await everything(driver, paths)
        # It is not a comparison of errors.
        assert [path for path, (status, *_) in before.items() if status != 200] == [
            manifest_url(name) for name in ("all", "deleted", index.digest, gone.digest)
        ]
        assert referrer.digest.encode() in before[referrers_url(tagged.digest)][2]
    for _ in range(2):
        async with EmbeddedRegistry(tmp_path) as registry:
            assert await everything(Driver(http, registry.url), paths) == before


@pytest.mark.parametrize("sent", [b"", b"half of it"])
async def test_c33_open_uploads_are_gone_after_a_restart(
    tmp_path: Path, http: aiohttp.ClientSession, sent: bytes
) -> None:
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        location = await driver.start()
        if sent:
            assert (await driver("PATCH", location, data=sent)).status == 202
            assert len(list((tmp_path / UPLOADS).iterdir())) == 1
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        assert list((tmp_path / UPLOADS).iterdir()) == []
        query = f"?digest={Digest.of(sent)}"
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            found = await driver.code_of(location + query, method)
            assert found == (404, "BLOB_UPLOAD_UNKNOWN")
        assert (await driver("GET", blob_url(Digest.of(sent)))).status == 404
        # The client begins anew.
        await driver.push_blob(sent)
