"""Faults of the token endpoint and of tokens, for tests of clients (C-40)."""

from typing import Any
from urllib.parse import urlencode

import pytest

from ocipkg_async import Client, Credential, StaticCredentials
from ocipkg_async.errors import UnauthorizedError
from ocipkg_async.server import Access, Faults, RequestLog
from server.driving import REPOSITORY, Driver, Start, blob_url
from server.login import USERS, basic, challenge, with_token

TAGS = f"/v2/{REPOSITORY}/tags/list"
PULL = f"repository:{REPOSITORY}:pull"
ALL = f"repository:{REPOSITORY}:pull,push"


async def post(driver: Driver, **form: str) -> Any:
    answer = await driver("POST", "/token", data=urlencode(form).encode())
    return answer.status, answer.json


@pytest.fixture
async def faulty_endpoint(start: Start, faults: Faults) -> tuple[Driver, list[RequestLog]]:
    logs: list[RequestLog] = []
    access = Access(users=USERS, tokens=True)
    return await start(access=access, faults=faults, on_request=logs.append), logs


async def test_faults_of_the_endpoint(
    faulty_endpoint: tuple[Driver, list[RequestLog]], faults: Faults
) -> None:
    driver, _ = faulty_endpoint
    user = {"Authorization": basic()}
    form = {"grant_type": "password", "username": "alice", "password": USERS["alice"]}
    faults.token_methods = ("GET",)
    assert (await post(driver, **form))[0] == 405
    assert (await driver("GET", "/token", headers=user)).status == 200
    faults.token_methods = ("POST",)
    assert (await post(driver, **form))[0] == 200
    assert (await driver("GET", "/token", headers=user)).status == 405

    faults.token_fields, faults.token_announced_s = ("access_token",), 7
    _, document = await post(driver, **form)
    assert (document.keys() & {"token", "access_token"}) == {"access_token"}
    assert document["expires_in"] == 7
    faults.token_announced_s = 0
    assert "expires_in" not in (await post(driver, **form))[1]

    faults.refuse_next, faults.refuse_status = 1, 503
    faults.when = lambda _, path: path == "/token"
    assert (await driver("GET", "/v2/")).status == 401
    assert (await post(driver, **form))[0] == 503
    assert (await post(driver, **form))[0] == 200


async def test_token_that_ends_early_and_challenge_that_says_something_else(
    faulty_endpoint: tuple[Driver, list[RequestLog]], faults: Faults
) -> None:
    driver, _ = faulty_endpoint
    faults.token_uses = 2
    user = await with_token(driver, PULL, authorization=basic())
    for expected in (404, 404, 401):
        assert (await user("GET", TAGS)).status == expected
    answer = await user("GET", TAGS)
    assert challenge(answer)[1]["error"] == "invalid_token"
    faults.challenge = 'Basic realm="x"'
    assert challenge(await user("GET", TAGS)) == ("basic", {"realm": "x"})


async def test_faults_do_not_open_what_is_closed(
    faulty_endpoint: tuple[Driver, list[RequestLog]], faults: Faults
) -> None:
    """A blob that is sent wrongly is sent to those who may have it."""
    driver, _ = faulty_endpoint
    user = await with_token(driver, ALL, authorization=basic())
    digest = await user.push_blob(b"secret")
    faults.wrong_bytes, faults.redirect_blobs_to = True, "http://elsewhere.example"
    assert (await driver("GET", blob_url(digest))).status == 401
    assert (await user("GET", blob_url(digest))).status == 307


async def test_our_client_gets_a_new_token_when_one_ends(
    faulty_endpoint: tuple[Driver, list[RequestLog]], faults: Faults
) -> None:
    driver, logs = faulty_endpoint
    host = driver.url.removeprefix("http://")
    writer = await with_token(driver, ALL, authorization=basic())
    await writer.push_manifest("v1")
    credentials = StaticCredentials({host: Credential(username="alice", password=USERS["alice"])})
    faults.token_uses = 1
    logs.clear()
    async with Client(credentials=credentials) as client:
        for _ in range(3):
            assert await client.tags(f"{host}/{REPOSITORY}") == ["v1"]
    assert [log.status for log in logs if log.path == "/token"] == [200, 200, 200]
    faults.token_uses = 0
    async with Client(credentials=credentials) as client:
        with pytest.raises(UnauthorizedError):
            await client.tags(f"{host}/{REPOSITORY}")
