"""Each fault that can be switched on happens, and stops when it is switched off (C-40)."""

import contextlib
import os
from collections.abc import Callable

import aiohttp
import pytest

from ocipkg_async.server import Faults, sending
from ocipkg_async.spec import Digest, media_types
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest, manifest_url

DATA = os.urandom(3000)
TAGS = f"/v2/{REPOSITORY}/tags/list"
BIG = pytest.mark.parametrize("size", [3000, sending.SMALL_BYTES + 1000])


async def test_digest_header_missing_or_wrong(faulty: Driver, faults: Faults) -> None:
    document = await faulty.push_manifest("v1")
    faults.no_digest_header = True
    for path in (manifest_url("v1"), blob_url(document.layers[0].digest)):
        for method in ("HEAD", "GET"):
            answer = await faulty(method, path)
            assert answer.status == 200
            assert "Docker-Content-Digest" not in answer.headers
    assert "Docker-Content-Digest" not in (await faulty.push_document(document)).headers
    faults.no_digest_header = False
    faults.digest_header = Digest.of(b"other")
    answer = await faulty("GET", manifest_url("v1"))
    assert answer.headers["Docker-Content-Digest"] == Digest.of(b"other")
    faults.digest_header = None
    answer = await faulty("GET", manifest_url("v1"))
    assert answer.headers["Docker-Content-Digest"] == document.digest


@pytest.mark.parametrize("status", [429, 500, 503, 401, 403, 404])
async def test_burst_of_refusals_ends(faulty: Driver, faults: Faults, status: int) -> None:
    await faulty.push_manifest("v1")
    faults.refuse_next, faults.refuse_status, faults.retry_after = 2, status, "7"
    for _ in range(2):
        answer = await faulty("GET", manifest_url("v1"))
        assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
        assert answer.code
    assert (await faulty("GET", manifest_url("v1"))).status == 200


async def test_only_some_requests_are_affected(faulty: Driver, faults: Faults) -> None:
    await faulty.push_manifest("v1")
    faults.when = lambda method, path: method == "HEAD" and path.endswith("/v1")
    faults.refuse_next, faults.refuse_status = 1, 405
    assert (await faulty("GET", manifest_url("v1"))).status == 200
    assert (await faulty("HEAD", manifest_url("v1"))).status == 405


async def test_warnings(faulty: Driver, faults: Faults) -> None:
    faults.warnings = ('299 - "first"', '299 - "second"')
    answer = await faulty("GET", "/v2/")
    assert answer.headers.getall("Warning") == list(faults.warnings)


async def test_link_missing_or_wrong(faulty: Driver, faults: Faults) -> None:
    for tag in ("a", "b"):
        await faulty.push_manifest(tag)
    assert "Link" in (await faulty("GET", f"{TAGS}?n=1")).headers
    faults.link = '<https://example.org/>; rel="next"'
    assert (await faulty("GET", f"{TAGS}?n=1")).headers["Link"] == faults.link
    faults.no_link = True
    assert "Link" not in (await faulty("GET", f"{TAGS}?n=1")).headers


async def test_no_referrers(faulty: Driver, faults: Faults) -> None:
    subject = await faulty.push_manifest("v1")
    document = manifest(subject=subject)
    url = f"/v2/{REPOSITORY}/referrers/{subject.digest}"
    faults.no_subject_header = True
    assert "OCI-Subject" not in (await faulty.push_document(document)).headers
    assert (await faulty("GET", url)).status == 200
    faults.no_subject_header = False
    assert "OCI-Subject" in (await faulty.push_document(document)).headers
    faults.no_referrers = True
    assert "OCI-Subject" not in (await faulty.push_document(document)).headers
    assert (await faulty("GET", url)).status == 404


@pytest.mark.parametrize("form", ["path", "absolute", "relative", "query", "state"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_location_forms_lead_to_the_upload(
    faulty: Driver, faults: Faults, form: str, slash: str
) -> None:
    faults.location = form  # type: ignore[assignment]
    url = f"{faulty.url}/v2/{REPOSITORY}/blobs/uploads{slash}"
    for method, data in (("POST", b""), ("PATCH", DATA[:1000]), ("PATCH", DATA[1000:])):
        answer = await faulty(method, url, data=data)
        assert answer.status == 202
        if form != "query" or method == "POST":
            url = joined(url, answer.location)
    url += ("&" if "?" in url else "?") + f"digest={Digest.of(DATA)}"
    assert (await faulty("PUT", url)).status == 201


def joined(url: str, location: str) -> str:
    """Resolve a Location as RFC 3986 says."""
    if location.startswith("http"):
        return location
    base = url.partition("?")[0]
    if location.startswith("?"):
        return base + location
    if location.startswith("/"):
        return "/".join(base.split("/")[:3]) + location
    return base.rpartition("/")[0] + "/" + location


async def test_changed_query_of_a_location_is_noticed(faulty: Driver, faults: Faults) -> None:
    faults.location = "state"
    location = await faulty.start()
    assert (await faulty("PATCH", location.replace("%7E", "~"), data=b"x")).status == 400
    assert (await faulty("PATCH", location, data=b"x")).status == 202


async def test_location_by_a_function(faulty: Driver, faults: Faults) -> None:
    faults.location = lambda path: f"https://example.org{path}"
    assert (await faulty.start()).startswith("https://example.org/v2/")


async def test_chunk_min_length(faulty: Driver, faults: Faults) -> None:
    faults.chunk_min_bytes = 1000
    answer = await faulty("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    assert answer.headers["OCI-Chunk-Min-Length"] == "1000"


async def test_single_post_only_opens_an_upload(faulty: Driver, faults: Faults) -> None:
    faults.no_single_post = True
    digest = Digest.of(DATA)
    path = f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"
    answer = await faulty("POST", path, data=DATA)
    assert answer.status == 202
    answer = await faulty("PUT", f"{answer.location}?digest={digest}", data=DATA)
    assert answer.status == 201


async def test_no_patch(faulty: Driver, faults: Faults) -> None:
    faults.no_patch = True
    location = await faulty.start()
    assert (await faulty("PATCH", location, data=DATA)).status == 405
    answer = await faulty("PUT", f"{location}?digest={Digest.of(DATA)}", data=DATA)
    assert answer.status == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_upload_is_dropped_and_can_go_on(faulty: Driver, faults: Faults, method: str) -> None:
    faults.drop_upload_at, faults.times = 1000, 1
    location = await faulty.start()
    query = f"?digest={Digest.of(DATA)}"
    with pytest.raises(aiohttp.ClientError):
        await faulty(method, location + query, data=DATA)
    assert (await faulty("GET", location)).headers["Range"] == "0-999"
    assert (await faulty("PATCH", location, data=DATA[1000:])).status == 202
    assert (await faulty("PUT", location + query)).status == 201


async def test_part_of_a_chunk_is_kept(faulty: Driver, faults: Faults) -> None:
    faults.keep_of_chunk, faults.times = 1000, 1
    location = await faulty.start()
    answer = await faulty("PATCH", location, data=DATA, headers={"Content-Range": "0-2999"})
    assert (answer.status, answer.headers["Range"]) == (202, "0-999")
    rest = {"Content-Range": "1000-2999"}
    assert (await faulty("PATCH", location, data=DATA[1000:], headers=rest)).status == 202
    assert (await faulty("PUT", f"{location}?digest={Digest.of(DATA)}")).status == 201


@BIG
async def test_blob_is_dropped(faulty: Driver, faults: Faults, size: int) -> None:
    data = os.urandom(size)
    digest = await faulty.push_blob(data)
    faults.drop_blob_at, faults.times = 1500, 1
    received = b""
    async with faulty.session.get(faulty.url + blob_url(digest)) as answer:
        assert answer.headers["Content-Length"] == str(size)
        with contextlib.suppress(aiohttp.ClientPayloadError):
            while piece := await answer.content.readany():
                received += piece
    assert received == data[:1500]
    rest = await faulty("GET", blob_url(digest), headers={"Range": "bytes=1500-"})
    assert received + rest.body == data


def shorter(faults: Faults) -> None:
    faults.short_blob_at = 10


def wrong(faults: Faults) -> None:
    faults.wrong_bytes = True


@pytest.mark.parametrize(("switch", "length"), [(shorter, 10), (wrong, 3000)])
async def test_blob_is_other_than_it_should_be(
    faulty: Driver, faults: Faults, switch: Callable[[Faults], None], length: int
) -> None:
    digest = await faulty.push_blob(DATA)
    switch(faults)
    faults.times = 1
    answer = await faulty("GET", blob_url(digest))
    assert (answer.status, len(answer.body)) == (200, length)
    assert answer.body != DATA
    assert (await faulty("GET", blob_url(digest))).body == DATA


async def test_manifest_is_other_than_it_should_be(faulty: Driver, faults: Faults) -> None:
    document = await faulty.push_manifest("v1")
    faults.wrong_bytes = True
    answer = await faulty("GET", manifest_url("v1"))
    assert (len(answer.body), answer.body != document.raw) == (document.size, True)
    assert answer.headers["Content-Type"] == media_types.OCI_MANIFEST


async def test_ranges_are_ignored_or_answered_wrongly(faulty: Driver, faults: Faults) -> None:
    digest = await faulty.push_blob(DATA)
    asked = {"Range": "bytes=100-199"}
    faults.content_range = "bytes 0-99/3000"
    answer = await faulty("GET", blob_url(digest), headers=asked)
    assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 0-99/3000")
    assert answer.body == DATA[100:200]
    faults.ignore_range = True
    answer = await faulty("GET", blob_url(digest), headers=asked)
    assert (answer.status, answer.body) == (200, DATA)
    assert "Accept-Ranges" not in answer.headers


async def test_content_encoding_that_is_not_there(faulty: Driver, faults: Faults) -> None:
    digest = await faulty.push_blob(DATA)
    faults.content_encoding = "gzip"
    answer = await faulty("GET", blob_url(digest))
    assert (answer.headers["Content-Encoding"], answer.body) == ("gzip", DATA)


async def test_blobs_are_redirected(faulty: Driver, faults: Faults, start: Start) -> None:
    other = await start()
    digest = await other.push_blob(DATA)
    faults.redirect_blobs_to = other.url
    for method in ("GET", "HEAD"):
        answer = await faulty(method, blob_url(digest))
        assert (answer.status, answer.location) == (307, other.url + blob_url(digest))
    assert (await other("GET", blob_url(digest))).body == DATA


async def test_registry_without_faults_keeps_all_headers(driver: Driver) -> None:
    """The hook that amends answers is not there at all."""
    document = await driver.push_manifest("v1")
    answer = await driver("GET", manifest_url("v1"))
    assert answer.headers["Docker-Content-Digest"] == document.digest
    assert "Warning" not in answer.headers
