"""Reading and deleting blobs: C-02, C-13, C-20 over HTTP."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from ocipkg_async.server import sending
from ocipkg_async.spec import Digest
from server.driving import REPOSITORY, Driver, Start, blob_url

SIZES = pytest.mark.parametrize("size", [3000, sending.SMALL_BYTES, sending.SMALL_BYTES + 1])


@SIZES
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=500-1499", 500, 1500),
        ("bytes=500-", 500, None),
        ("bytes=-500", -500, None),
        ("bytes=2000-99999999", 2000, None),
    ],
)
async def test_c13_range(
    driver: Driver, size: int, header: str, start: int, stop: int | None
) -> None:
    data = os.urandom(size)
    digest = await driver.push_blob(data)
    answer = await driver("GET", blob_url(digest), headers={"Range": header})
    first, last = range(size)[start:stop][0], range(size)[start:stop][-1]
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert answer.body == data[start:stop]
    assert answer.headers["Docker-Content-Digest"] == digest


@SIZES
@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=99999999-"])
async def test_c13_range_outside_is_416(driver: Driver, size: int, header: str) -> None:
    digest = await driver.push_blob(os.urandom(size))
    answer = await driver("GET", blob_url(digest), headers={"Range": header})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("size", [0, 2, sending.SMALL_BYTES + 1])
async def test_c20_head_tells_the_length_even_of_nothing(driver: Driver, size: int) -> None:
    digest = await driver.push_blob(bytes(size))
    answer = await driver("HEAD", blob_url(digest))
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(size))
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_get_of_many_at_once(driver: Driver) -> None:
    data = os.urandom(2_000_000)
    digest = await driver.push_blob(data)
    answers = await asyncio.gather(*(driver("GET", blob_url(digest)) for _ in range(8)))
    assert all(answer.body == data for answer in answers)


async def test_reader_that_goes_away_leaves_the_registry_working(driver: Driver) -> None:
    data = os.urandom(8_000_000)
    digest = await driver.push_blob(data)
    async with driver.session.get(driver.url + blob_url(digest)) as answer:
        await answer.content.read(1000)
        answer.close()
    assert (await driver("GET", blob_url(digest))).body == data


@pytest.mark.parametrize(
    ("digest", "status", "code"),
    [
        (Digest.of(b"unknown"), 404, "BLOB_UNKNOWN"),
        ("sha256:totallywrong", 400, "DIGEST_INVALID"),
        ("multihash+base58:QmRZxt2b1F", 400, "DIGEST_INVALID"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_c02_unknown_and_bad_digests(
    driver: Driver, method: str, digest: str, status: int, code: str
) -> None:
    await driver.push_blob(b"data")
    assert await driver.code_of(blob_url(digest), method) == (status, code)


async def test_unknown_repository(driver: Driver) -> None:
    digest = await driver.push_blob(b"data")
    assert await driver.code_of(blob_url(digest, "no/where")) == (404, "NAME_UNKNOWN")


async def test_c39_delete(driver: Driver) -> None:
    digest = await driver.push_blob(b"data")
    assert (await driver("DELETE", blob_url(digest))).status == 202
    assert await driver.code_of(blob_url(digest)) == (404, "BLOB_UNKNOWN")
    assert await driver.code_of(blob_url(digest), "DELETE") == (404, "BLOB_UNKNOWN")


async def test_manifest_is_not_deleted_as_a_blob(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    answer = await driver("DELETE", blob_url(document.digest))
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert (await driver("GET", f"/v2/{REPOSITORY}/manifests/v1")).body == document.raw


async def test_c39_delete_switched_off(start: Start) -> None:
    driver = await start(delete=False)
    digest = await driver.push_blob(b"data")
    assert await driver.code_of(blob_url(digest), "DELETE") == (405, "UNSUPPORTED")
    assert (await driver("GET", blob_url(digest))).body == b"data"


async def test_s04_a_link_out_of_the_root_is_no_blob(start: Start, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not to be shown")
    driver = await start(tmp_path / "root")
    there = await driver.push_blob(b"there")
    blobs = tmp_path / "root" / REPOSITORY / "blobs/sha256"
    outside, inside = Digest.of(b"outside"), Digest.of(b"inside")
    (blobs / outside.encoded).symlink_to(tmp_path / "secret")
    (blobs / inside.encoded).symlink_to(blobs / there.encoded)
    for method in ("GET", "HEAD"):
        assert (await driver(method, blob_url(outside))).status == 404
    assert (await driver("GET", blob_url(inside))).body == b"there"


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="there is no sendfile")
@pytest.mark.parametrize("after", [0, 100_000])
async def test_blob_of_a_file_system_without_sendfile(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Some have none, and say so only when it is tried."""
    sendfile = os.sendfile

    def refuse(out: int, file: int, offset: int, count: int) -> int:
        if offset >= after:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return sendfile(out, file, offset, min(count, after - offset))

    monkeypatch.setattr(os, "sendfile", refuse)
    data = os.urandom(3_000_000)
    digest = await driver.push_blob(data)
    assert (await driver("GET", blob_url(digest))).body == data
    part = await driver("GET", blob_url(digest), headers={"Range": "bytes=99000-2500000"})
    assert (part.status, part.body) == (206, data[99_000:2_500_001])
