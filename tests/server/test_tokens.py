"""Tokens of the registry's own endpoint (Bearer): given, good for a while and for their scopes."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from ocipkg_async.server import Access, Limits
from ocipkg_async.server.access.tokens import Grant, Pool, Tokens
from ocipkg_async.spec import Digest
from ocipkg_async.transport.auth.scope import Scope
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest_url
from server.login import USERS, KnownDriver, basic, challenge, get_token, until, with_token

TAGS = f"/v2/{REPOSITORY}/tags/list"
UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
PULL = f"repository:{REPOSITORY}:pull"
ALL = f"repository:{REPOSITORY}:pull,push,delete"


@pytest.fixture
async def closed(start: Start) -> Driver:
    return await start(access=Access(users=USERS, tokens=True))


@pytest.fixture
async def public(start: Start) -> Driver:
    return await start(access=Access(users=USERS, tokens=True, anonymous_pull=True))


async def post(driver: Driver, **form: str) -> Any:
    answer = await driver("POST", "/token", data=urlencode(form).encode())
    return answer.status, answer.json


async def test_a06_challenge_leads_to_the_endpoint(closed: Driver) -> None:
    host = closed.url.removeprefix("http://")
    where = {"realm": f"{closed.url}/token", "service": host}
    for method, path, scope in (
        ("GET", TAGS, PULL),
        ("HEAD", manifest_url("v1"), PULL),
        ("PUT", manifest_url("v1"), f"repository:{REPOSITORY}:pull,push"),
        ("DELETE", manifest_url("v1"), f"repository:{REPOSITORY}:delete"),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("POST", f"{UPLOADS}?mount={Digest.of(b'x')}&from=c",
         f"repository:{REPOSITORY}:pull,push repository:c:pull"),
    ):  # fmt: skip
        answer = await closed(method, path)
        assert answer.status == 401
        assert challenge(answer) == ("bearer", {**where, "scope": scope})
    answer = await closed("GET", "/v2/")
    assert (answer.status, challenge(answer)) == (401, ("bearer", where))


async def test_host_of_the_challenge_is_the_clients_and_no_proxys(closed: Driver) -> None:
    headers = {
        "Host": "registry.example:8080",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example;proto=https",
    }
    answer = await closed("GET", "/v2/", headers=headers)
    _, parameters = challenge(answer)
    assert parameters["realm"] == "http://registry.example:8080/token"
    answer = await closed("GET", "/v2/", headers={"Host": 'a",realm="http://evil.example'})
    _, parameters = challenge(answer)
    assert parameters["realm"] == f"{closed.url}/token"


async def test_user_does_everything_with_tokens(closed: Driver) -> None:
    user = await with_token(closed, ALL, "registry:catalog:*", authorization=basic())
    document = await user.push_manifest("v1")
    assert (await user("GET", manifest_url("v1"))).body == document.raw
    assert (await user("GET", "/v2/_catalog")).json == {"repositories": [REPOSITORY]}
    assert (await user("GET", "/v2/")).status == 200
    assert (await user("DELETE", manifest_url("v1"))).status == 202


async def test_password_is_not_taken_in_place_of_a_token(closed: Driver) -> None:
    """But a browser has nothing else."""
    answer = await KnownDriver(closed, basic())("GET", TAGS)
    assert answer.status == 401
    assert challenge(answer)[0] == "bearer"
    answer = await closed("GET", "/")
    assert (answer.status, challenge(answer)[0]) == (401, "basic")
    assert (await KnownDriver(closed, basic())("GET", "/")).status == 200


async def test_answer_of_the_endpoint(closed: Driver) -> None:
    """A14, in both names of the token; a refresh token only where it is asked for."""
    before = datetime.now(UTC).replace(microsecond=0)
    answer = await closed("GET", f"/token?scope={PULL}", headers={"Authorization": basic()})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 300
    assert before <= datetime.fromisoformat(document["issued_at"]) <= datetime.now(UTC)
    assert "refresh_token" not in document
    other = await get_token(closed, PULL, authorization=basic())
    assert other["token"] != document["token"]


async def test_token_is_good_for_its_scopes_only(closed: Driver) -> None:
    reader = await with_token(closed, PULL, authorization=basic())
    assert (await reader("GET", TAGS)).status == 404
    answer = await reader("POST", UPLOADS)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    _, parameters = challenge(answer)
    assert parameters["error"] == "insufficient_scope"
    assert parameters["scope"] == f"repository:{REPOSITORY}:pull,push"
    assert (await reader("GET", "/v2/other/tags/list")).status == 401
    assert (await reader("GET", "/v2/_catalog")).status == 401


@pytest.mark.parametrize("query", [f"scope={PULL}&scope=repository:c:pull,push",
                                   f"scope={PULL}%20repository:c:pull,push"])  # fmt: skip
async def test_scopes_are_repeated_or_separated_by_blanks(closed: Driver, query: str) -> None:
    answer = await closed("GET", f"/token?{query}", headers={"Authorization": basic()})
    driver = KnownDriver(closed, f"Bearer {answer.json['token']}")
    assert (await driver("GET", TAGS)).status == 404
    assert (await driver("POST", "/v2/c/blobs/uploads/")).status == 202


async def test_too_many_scopes(closed: Driver) -> None:
    query = "&".join(f"scope=repository:r{number}:pull" for number in range(101))
    answer = await closed("GET", f"/token?{query}", headers={"Authorization": basic()})
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")


async def test_anonymous_clients_get_tokens_to_read_with(closed: Driver, public: Driver) -> None:
    assert (await closed("GET", f"/token?scope={PULL}")).status == 401
    writer = await with_token(public, ALL, authorization=basic())
    await writer.push_manifest("v1")
    assert (await public("GET", TAGS)).status == 401
    reader = await with_token(public, ALL, "registry:catalog:*")
    assert (await reader("GET", TAGS)).status == 200
    assert (await reader("GET", "/v2/_catalog")).status == 200
    for method, path in (("POST", UPLOADS), ("DELETE", manifest_url("v1"))):
        _, parameters = challenge(await reader(method, path))
        assert parameters["error"] == "insufficient_scope"
    assert (await public("GET", "/")).status == 200


@pytest.mark.parametrize("header", [basic("alice", "wrong"), basic("nobody", "x"), "Basic !"])
async def test_wrong_password_gets_no_token(public: Driver, header: str) -> None:
    answer = await public("GET", f"/token?scope={PULL}", headers={"Authorization": header})
    assert (answer.status, answer.code, challenge(answer)[0]) == (401, "UNAUTHORIZED", "basic")


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 4000])
async def test_made_up_tokens(public: Driver, token: str) -> None:
    answer = await KnownDriver(public, f"Bearer {token}")("GET", TAGS)
    _, parameters = challenge(answer)
    assert (answer.status, parameters["error"]) == (401, "invalid_token")


async def test_a12_oauth2_form(closed: Driver) -> None:
    user = {"username": "alice", "password": USERS["alice"]}
    form = {"grant_type": "password", "scope": f"{PULL} repository:c:pull,push", **user}
    status, document = await post(closed, **form, access_type="offline")
    assert status == 200
    driver = KnownDriver(closed, f"Bearer {document['access_token']}")
    assert (await driver("POST", "/v2/c/blobs/uploads/")).status == 202
    refresh = {"grant_type": "refresh_token", "refresh_token": document["refresh_token"]}
    status, document = await post(closed, **refresh, scope=ALL)
    assert status == 200
    driver = KnownDriver(closed, f"Bearer {document['access_token']}")
    assert (await driver("POST", UPLOADS)).status == 202
    # A refresh token is no token for requests, and such a token is none to get others with.
    refresh_token = refresh["refresh_token"]
    assert (await KnownDriver(closed, f"Bearer {refresh_token}")("GET", "/v2/")).status == 401
    wrong = {**refresh, "refresh_token": document["access_token"]}
    assert (await post(closed, **wrong))[0] == 401


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, 400),
        ({"grant_type": "magic"}, 400),
        ({"grant_type": "password"}, 401),
        ({"grant_type": "password", "username": "alice", "password": "wrong"}, 401),
        ({"grant_type": "password", "username": "alice\0", "password": USERS["alice"]}, 401),
        ({"grant_type": "refresh_token"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 401),
        ({"grant_type": "password", "scope": "x" * (64 << 10)}, 413),
    ],
)
async def test_forms_that_get_no_token(public: Driver, form: dict[str, str], expected: int) -> None:
    status, document = await post(public, **form)
    assert status == expected
    assert document["errors"]


async def test_form_that_comes_too_slowly(start: Start) -> None:
    driver = await start(access=Access(users=USERS, tokens=True), limits=Limits(stall_s=0.3))
    address, _, port = driver.url.removeprefix("http://").partition(":")
    async with await anyio.connect_tcp(address, int(port)) as stream:
        await stream.send(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant")
        with anyio.fail_after(60):
            assert (await stream.receive()).startswith(b"HTTP/1.1 408 ")


async def test_token_ends_after_its_lifetime(start: Start) -> None:
    driver = await start(access=Access(users=USERS, tokens=True, token_lifetime_s=0.2))
    user = await with_token(driver, PULL, authorization=basic())

    async def ended() -> bool:
        return (await user("GET", TAGS)).status == 401

    await until(ended)
    answer = await user("GET", TAGS)
    assert challenge(answer)[1]["error"] == "invalid_token"


def test_memory_of_tokens_is_bounded() -> None:
    now_s = 0.0
    pool = Pool(clock=lambda: now_s, lifetime_s=10, max_kept=4)
    one = Grant(name=None, stamp=None, scopes=(Scope.catalog(),))
    tokens = [pool.issue(one) for _ in range(3)]
    assert [pool.find(token) for token in tokens] == [None, one, one]
    now_s = 10.0
    assert pool.find(tokens[1]) is None
    assert pool.find(pool.issue(one)) is one


def test_tokens_of_nobody_do_not_drive_out_those_of_users() -> None:
    tokens = Tokens(clock=lambda: 0.0, lifetime_s=10)
    grant = Grant(name="alice", stamp=b"x")
    kept, refresh = tokens.issue(grant), tokens.issue_refresh(grant)
    for _ in range(30_000):
        tokens.issue(Grant(name=None, stamp=None))
    assert (tokens.find(kept), tokens.find_refresh(refresh)) == (grant, grant)


async def test_d71_mount_that_names_no_source_stays_within_the_token(closed: Driver) -> None:
    """Who may push to one repository cannot ask which blobs are in all the others."""
    other = await with_token(closed, "repository:c:pull,push", authorization=basic())
    digest = await other.push_blob(b"secret", "c")
    user = await with_token(closed, ALL, authorization=basic())
    answer = await user("POST", f"{UPLOADS}?mount={digest}")
    assert (answer.status, "/uploads/" in answer.location) == (202, True)
    assert (await user("POST", f"{UPLOADS}?mount={digest}&from=c")).status == 401
    both = await with_token(closed, ALL, "repository:c:pull", authorization=basic())
    assert (await both("POST", f"{UPLOADS}?mount={digest}&from=c")).status == 201
    assert (await user("GET", blob_url(digest))).body == b"secret"
    assert (await user("POST", f"{UPLOADS}?mount={digest}")).status == 201
