"""Pushing blobs: C-03, C-11, C-12, C-14, C-16, C-33, C-34 over HTTP."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator

import pytest

from ocipkg_async.server import EmbeddedRegistry, receiving
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest
from server.driving import REPOSITORY, Driver, Start, blob_url
from server.lines import until

OCTETS = {"Content-Type": "application/octet-stream"}
ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def chunk(start: int, data: bytes) -> dict[str, str]:
    return {"Content-Range": f"{start}-{start + len(data) - 1}", **OCTETS}


async def expect_blob(driver: Driver, digest: str, data: bytes) -> None:
    head = await driver("HEAD", blob_url(digest))
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))
    assert head.headers["Docker-Content-Digest"] == digest
    assert (await driver("GET", blob_url(digest))).body == data


@ALGORITHMS
async def test_c11_post_then_put(driver: Driver, algorithm: str) -> None:
    data = os.urandom(100_000)
    digest = Digest.of(data, algorithm)
    location = await driver.start()
    answer = await driver("PUT", f"{location}?digest={digest}", data=data, headers=OCTETS)
    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.location == blob_url(digest)
    await expect_blob(driver, digest, data)


@ALGORITHMS
async def test_c11_post_only(driver: Driver, algorithm: str) -> None:
    data = os.urandom(100_000)
    digest = Digest.of(data, algorithm)
    path = f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"
    answer = await driver("POST", path, data=data, headers=OCTETS)
    assert (answer.status, answer.location) == (201, blob_url(digest))
    await expect_blob(driver, digest, data)


@ALGORITHMS
async def test_c11_stream_without_content_range(driver: Driver, algorithm: str) -> None:
    """Pieces beyond one gathering arrive in order; a sha512 digest comes without a hint (C-16)."""
    pieces = [os.urandom(700_000) for _ in range(9)]
    data = b"".join(pieces)
    digest = Digest.of(data, algorithm)
    location = await driver.start()
    answer = await driver("PATCH", location, data=stream(*pieces), headers=OCTETS)
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(data) - 1}")
    answer = await driver("PUT", f"{answer.location}?digest={digest}")
    assert answer.status == 201
    await expect_blob(driver, digest, data)


async def test_d66_algorithm_told_at_the_beginning(driver: Driver) -> None:
    digest = Digest.of(b"data", "sha512")
    location = await driver.start(query="?digest-algorithm=sha512")
    await driver("PATCH", location, data=b"data")
    assert (await driver("PUT", f"{location}?digest={digest}")).status == 201
    await expect_blob(driver, digest, b"data")


async def test_unknown_algorithm_is_refused(driver: Driver) -> None:
    path = f"/v2/{REPOSITORY}/blobs/uploads/?digest-algorithm=md5"
    assert await driver.code_of(path, "POST") == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("last_in_put", [False, True])
async def test_c12_chunks(driver: Driver, last_in_put: bool) -> None:
    data = os.urandom(3000)
    digest = Digest.of(data)
    location = await driver.start()
    for start in (0, 1000) if last_in_put else (0, 1000, 2000):
        part = data[start : start + 1000]
        answer = await driver("PATCH", location, data=part, headers=chunk(start, part))
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{start + 999}")
        location = answer.location
    part = data[2000:] if last_in_put else b""
    headers = chunk(2000, part) if last_in_put else OCTETS
    answer = await driver("PUT", f"{location}?digest={digest}", data=part, headers=headers)
    assert answer.status == 201
    await expect_blob(driver, digest, data)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_c12_gap_is_416_and_the_upload_goes_on(driver: Driver, method: str) -> None:
    data = os.urandom(2000)
    digest = Digest.of(data)
    location = await driver.start()
    await driver("PATCH", location, data=data[:1000], headers=chunk(0, data[:1000]))
    query = f"?digest={digest}" if method == "PUT" else ""
    answer = await driver(method, location + query, data=b"x" * 10, headers=chunk(1500, b"x" * 10))
    assert (answer.status, answer.headers["Range"]) == (416, "0-999")
    # The same URL, with the query still on it, tells where to go on.
    status = await driver("GET", location + query)
    assert (status.status, status.headers["Range"], status.location) == (204, "0-999", location)
    answer = await driver(
        "PUT", f"{location}?digest={digest}", data=data[1000:], headers=chunk(1000, data[1000:])
    )
    assert answer.status == 201
    await expect_blob(driver, digest, data)


async def test_chunk_sent_twice_is_416(driver: Driver) -> None:
    location = await driver.start()
    for status in (202, 416):
        answer = await driver("PATCH", location, data=b"0123", headers=chunk(0, b"0123"))
        assert answer.status == status


async def test_chunk_that_is_longer_or_shorter_than_it_says(driver: Driver) -> None:
    for body in (b"01234567", b"01"):
        location = await driver.start()
        answer = await driver(
            "PATCH", location, data=stream(body), headers={"Content-Range": "0-3"}
        )
        assert (answer.status, answer.code) == (400, "SIZE_INVALID")


@ALGORITHMS
async def test_c11_cancel(driver: Driver, embedded: EmbeddedRegistry, algorithm: str) -> None:
    location = await driver.start(query=f"?digest-algorithm={algorithm}")
    await driver("PATCH", location, data=b"some data")
    assert (await driver("DELETE", location)).status == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        query = f"?digest={Digest.of(b'', algorithm)}"
        assert await driver.code_of(location + query, method) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert files_below_uploads(embedded) == []


def files_below_uploads(registry: EmbeddedRegistry) -> list[str]:
    return [path.name for path in (registry.root / UPLOADS).iterdir()]


@pytest.mark.parametrize("size", [0, 2])
@ALGORITHMS
async def test_c14_empty_and_tiny_blob(driver: Driver, size: int, algorithm: str) -> None:
    digest = await driver.push_blob(b"{}"[:size], algorithm=algorithm)
    await expect_blob(driver, digest, b"{}"[:size])


@pytest.mark.parametrize(
    "text",
    ["sha256:totallywrong", "sha256:" + "A" * 64, "sha512:" + "a" * 64, "sha256", "", "md5:abcd",
     "sha256:" + "a" * 64 + "/..", "sha256:" + "0" * 64],
)  # fmt: skip
@pytest.mark.parametrize("single", [True, False])
async def test_c14_bad_digest(driver: Driver, embedded: EmbeddedRegistry, text: str, single: bool) -> None:  # fmt: skip
    if single:
        path = f"/v2/{REPOSITORY}/blobs/uploads/?digest={text}"
        answer = await driver("POST", path, data=b"data")
    else:
        location = await driver.start()
        answer = await driver("PUT", f"{location}?digest={text}", data=b"data")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await driver("GET", blob_url(Digest.of(b"data")))).status == 404
    assert files_below_uploads(embedded) == []


@ALGORITHMS
async def test_c34_wrong_digest_closes_the_upload(driver: Driver, algorithm: str) -> None:
    location = await driver.start()
    await driver("PATCH", location, data=b"data")
    wrong = Digest.of(b"other", algorithm)
    answer = await driver("PUT", f"{location}?digest={wrong}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await driver("GET", location)).status == 404
    for digest in (wrong, Digest.of(b"data", algorithm)):
        assert (await driver("GET", blob_url(digest))).status == 404


@ALGORITHMS
async def test_c11_mount(driver: Driver, algorithm: str) -> None:
    digest = await driver.push_blob(b"shared", "one/source", algorithm=algorithm)
    for number, query in enumerate((f"?mount={digest}&from=one/source", f"?mount={digest}")):
        target = f"two/target{number}"
        answer = await driver("POST", f"/v2/{target}/blobs/uploads/{query}")
        assert (answer.status, answer.location) == (201, blob_url(digest, target))
        assert (await driver("GET", answer.location)).body == b"shared"
        # Repeating it is no error, and deleting it here leaves it there.
        assert (await driver("POST", f"/v2/{target}/blobs/uploads/{query}")).status == 201
        assert (await driver("DELETE", blob_url(digest, target))).status == 202
        assert (await driver("GET", blob_url(digest, target))).status == 404
    assert (await driver("GET", blob_url(digest, "one/source"))).body == b"shared"


@pytest.mark.parametrize("source", ["&from=one/source", "&from=no/where", ""])
async def test_c11_mount_of_a_missing_blob_opens_an_upload(driver: Driver, source: str) -> None:
    await driver.push_blob(b"other", "one/source")
    digest = Digest.of(b"data")
    location = await driver.start(query=f"?mount={digest}{source}")
    assert (await driver("PUT", f"{location}?digest={digest}", data=b"data")).status == 201
    await expect_blob(driver, digest, b"data")


async def test_mount_with_bad_names_is_refused(driver: Driver) -> None:
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    bad = f"{uploads}?mount={Digest.of(b'x')}&from=../../etc"
    assert await driver.code_of(bad, "POST") == (400, "NAME_INVALID")
    assert await driver.code_of(f"{uploads}?mount=x", "POST") == (400, "DIGEST_INVALID")


async def break_off(
    driver: Driver, location: str, method: str, data: bytes, announced: int
) -> None:
    """Send the beginning of a body, then close the connection."""
    host, _, path = location.removeprefix("http://").partition("/")
    address, _, port = host.partition(":")
    _, writer = await asyncio.open_connection(address, int(port))
    head = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {announced}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("size", [1000, 3 * receiving.GATHER_BYTES])
async def test_interrupted_upload_leaves_no_blob_and_can_be_resumed(
    driver: Driver, method: str, size: int
) -> None:
    data = os.urandom(2 * size)
    digest = Digest.of(data)
    location = await driver.start()
    query = f"?digest={digest}" if method == "PUT" else ""
    await break_off(driver, driver.url + location + query, method, data[:size], len(data))
    assert (await driver("GET", blob_url(digest))).status == 404
    # Bytes may still be on their way to the file: 416 tells the place as often as it moves.
    answer = await driver("GET", location)
    assert answer.status == 204
    have = 0
    for _ in range(20):
        last = int(answer.headers["Range"].removeprefix("0-"))
        have = last + 1 if last else 0
        rest = data[have:]
        answer = await driver(
            "PUT", f"{location}?digest={digest}", data=rest, headers=chunk(have, rest)
        )
        if answer.status != 416:
            break
    assert (answer.status, have <= size) == (201, True)
    await expect_blob(driver, digest, data)


async def test_what_arrived_of_a_long_body_is_kept(driver: Driver) -> None:
    data = os.urandom(3 * receiving.GATHER_BYTES)
    location = await driver.start()
    await break_off(driver, driver.url + location, "PATCH", data, 2 * len(data))
    have = 0

    async def most_arrived() -> bool:
        nonlocal have
        have = int((await driver("GET", location)).headers["Range"].removeprefix("0-")) + 1
        return have >= 2 * receiving.GATHER_BYTES

    await until(most_arrived)
    assert have <= len(data)


async def test_interrupted_single_post_leaves_nothing(
    driver: Driver, embedded: EmbeddedRegistry
) -> None:
    digest = Digest.of(b"0123456789")
    url = f"{driver.url}/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"
    await break_off(driver, url, "POST", b"01234", 10)
    await until(lambda: not files_below_uploads(embedded))
    assert (await driver("GET", blob_url(digest))).status == 404


async def test_same_blob_pushed_by_many_at_once(driver: Driver, embedded: EmbeddedRegistry) -> None:
    data = os.urandom(300_000)
    digests = await asyncio.gather(*(driver.push_blob(data) for _ in range(12)))
    assert set(digests) == {Digest.of(data)}
    await expect_blob(driver, digests[0], data)
    assert files_below_uploads(embedded) == []


async def test_two_requests_never_mix_in_one_upload(driver: Driver) -> None:
    """Streams that are sent at once are added one after the other, whole."""
    location = await driver.start()
    bodies = [bytes([value]) * 200_000 for value in range(4)]
    answers = await asyncio.gather(*(driver("PATCH", location, data=body) for body in bodies))
    assert {answer.status for answer in answers} == {202}
    orders = {
        Digest.of(b"".join(order)): b"".join(order) for order in itertools.permutations(bodies)
    }
    closed = [await driver("GET", location)]
    assert closed[0].headers["Range"] == "0-799999"
    answer = await driver("PUT", f"{location}?digest={Digest.of(b'')}")
    actual = next(digest for digest in orders if str(digest) in answer.json["errors"][0]["message"])
    assert len(orders[actual]) == 800_000


async def test_body_with_content_encoding_is_kept_as_it_is(driver: Driver) -> None:
    data = b"\x1f\x8b not really gzip"
    location = await driver.start()
    answer = await driver(
        "PUT",
        f"{location}?digest={Digest.of(data)}",
        data=data,
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status == 201


async def test_expect_100_continue(driver: Driver) -> None:
    location = await driver.start()
    answer = await driver(
        "PUT",
        f"{location}?digest={Digest.of(b'data')}",
        data=b"data",
        headers={"Expect": "100-continue"},
    )
    assert answer.status == 201


async def test_c33_too_many_uploads_are_429(start: Start) -> None:
    driver = await start(max_uploads=3)
    for _ in range(3):
        await driver.start()
    answer = await driver("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_c33_an_upload_whose_file_was_removed_is_unknown(
    driver: Driver, embedded: EmbeddedRegistry, method: str
) -> None:
    """Its client begins again, instead of sending the rest for ever."""
    location = await driver.start()
    assert (await driver("PATCH", location, data=b"a")).status == 202
    for path in embedded.root.glob("_uploads/*"):
        path.unlink()
    answer = await driver(method, f"{location}?digest={Digest.of(b'ab')}", data=b"b")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    await driver.push_blob(b"ab")
