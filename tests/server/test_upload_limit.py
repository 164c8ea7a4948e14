"""How many uploads may be open at once, and what makes room for another one: C-33 over HTTP."""

import asyncio
from collections import Counter

import pytest

from ocipkg_async.spec import Digest
from server.driving import REPOSITORY, Driver, Start, blob_url

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
DIGEST = Digest.of(b"data")


async def expect_full(driver: Driver) -> None:
    answer = await driver("POST", UPLOADS)
    assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("PUT", f"?digest={DIGEST}", 201),
        ("PUT", f"?digest={Digest.of(b'other')}", 400),
        ("DELETE", "", 204),
    ],
)
async def test_c33_upload_that_ends_makes_room(
    start: Start, method: str, query: str, status: int
) -> None:
    driver = await start(max_uploads=2)
    first, second = await driver.start(), await driver.start()
    await expect_full(driver)
    # What is open goes on.
    assert (await driver("PATCH", second, data=b"data")).status == 202
    answer = await driver(method, first + query, data=b"data" if method == "PUT" else None)
    assert answer.status == status
    third = await driver.start()
    await expect_full(driver)
    for location in (second, third):
        assert (await driver("DELETE", location)).status == 204
    await driver.push_blob(b"data")


async def test_c33_single_post_needs_room_and_a_mount_does_not(start: Start) -> None:
    driver = await start(max_uploads=1)
    await driver.push_blob(b"data", "source")
    location = await driver.start()
    answer = await driver("POST", f"{UPLOADS}?digest={DIGEST}", data=b"data")
    assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS")
    assert (await driver("GET", blob_url(DIGEST))).status == 404
    answer = await driver("POST", f"{UPLOADS}?mount={DIGEST}&from=source")
    assert (answer.status, answer.location) == (201, blob_url(DIGEST))
    await driver("DELETE", location)
    for _ in range(3):
        answer = await driver("POST", f"{UPLOADS}?digest={DIGEST}", data=b"data")
        assert answer.status == 201


async def test_c33_many_clients_get_no_more_than_there_is(start: Start) -> None:
    driver = await start(max_uploads=5)
    answers = await asyncio.gather(*(driver("POST", UPLOADS) for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {202: 5, 429: 15}
    opened = [answer.location for answer in answers if answer.status == 202]
    assert len(set(opened)) == 5
    for location in opened:
        answer = await driver("PUT", f"{location}?digest={DIGEST}", data=b"data")
        assert answer.status == 201
