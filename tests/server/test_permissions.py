"""What requests need, what tokens give, and what refusals ask for, as plain values."""

import pytest

from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.server import Access
from ocipkg_async.server.access.permissions import (
    ANONYMOUS,
    Identity,
    allows,
    bearer_challenge,
    granted,
    is_host,
    needed,
)
from ocipkg_async.server.routes import find_route
from ocipkg_async.transport.auth.scope import parse_scopes

DIGEST = "sha256:" + "a" * 64
UPLOADS = "/v2/a/b/blobs/uploads/"


@pytest.mark.parametrize(
    ("method", "path", "needs", "reads"),
    [
        ("GET", "/v2/", "", False),
        ("GET", "/", "registry:catalog:*", True),
        ("GET", "/v2/_catalog", "registry:catalog:*", True),
        ("HEAD", f"/v2/a/b/blobs/{DIGEST}", "repository:a/b:pull", True),
        ("GET", "/v2/a/b/manifests/v1", "repository:a/b:pull", True),
        ("GET", "/v2/a/b/tags/list", "repository:a/b:pull", True),
        ("GET", f"/v2/a/b/referrers/{DIGEST}", "repository:a/b:pull", True),
        ("PUT", "/v2/a/b/manifests/v1", "repository:a/b:pull,push", False),
        ("DELETE", "/v2/a/b/manifests/v1", "repository:a/b:delete", False),
        ("DELETE", f"/v2/a/b/blobs/{DIGEST}", "repository:a/b:delete", False),
        ("POST", UPLOADS, "repository:a/b:pull,push", False),
        ("GET", f"{UPLOADS}0", "repository:a/b:pull,push", False),
        ("PATCH", f"{UPLOADS}0", "repository:a/b:pull,push", False),
        ("DELETE", f"{UPLOADS}0", "repository:a/b:pull,push", False),
        ("POST", f"{UPLOADS}?mount={DIGEST}", "repository:a/b:pull,push", False),
        ("POST", f"{UPLOADS}?mount={DIGEST}&from=a/b", "repository:a/b:pull,push", False),
        ("POST", f"{UPLOADS}?mount={DIGEST}&from=c",
         "repository:a/b:pull,push repository:c:pull", False),
        ("POST", f"{UPLOADS}?mount={DIGEST}&from=%22%2cx=%0d%0a", "repository:a/b:pull,push", False),
    ],
)  # fmt: skip
def test_a23_requests_need_scopes(method: str, path: str, needs: str, *, reads: bool) -> None:
    found = needed(method, find_route(method, path))
    assert found == parse_scopes(needs)
    assert not allows(ANONYMOUS, found, anonymous_pull=False)
    assert allows(ANONYMOUS, found, anonymous_pull=True) is reads
    assert allows(Identity("alice"), found, anonymous_pull=False)
    assert allows(Identity("alice", found), found, anonymous_pull=False)
    # A token without scopes is good for the ping alone.
    assert allows(Identity("alice", ()), found, anonymous_pull=True) is (not needs)


@pytest.mark.parametrize(
    ("have", "need", "allowed"),
    [
        ("repository:a:pull", "repository:a:pull,push", False),
        ("repository:a:push", "repository:a:pull,push", False),
        ("repository:a:delete,pull,push", "repository:a:pull,push", True),
        ("repository:a:*", "repository:a:delete", True),
        ("repository:a:*", "repository:b:pull", False),
        ("repository:a:pull,push", "repository:a:pull,push repository:b:pull", False),
        ("repository:b:pull repository:a:push repository:a:pull",
         "repository:a:pull,push repository:b:pull", True),
    ],
)  # fmt: skip
def test_token_is_good_for_its_scopes(have: str, need: str, *, allowed: bool) -> None:
    identity = Identity("alice", parse_scopes(have))
    assert allows(identity, parse_scopes(need), anonymous_pull=False) is allowed


@pytest.mark.parametrize(
    ("asked", "user", "anybody"),
    [
        ("repository:a:pull,push,delete", "repository:a:delete,pull,push", "repository:a:pull"),
        ("repository:a:*", "repository:a:*", "repository:a:pull"),
        ("repository:a:push", "repository:a:push", ""),
        ("repository:a:fly", "", ""),
        ("registry:catalog:*", "registry:catalog:*", "registry:catalog:*"),
        ("registry:other:*", "", ""),
        ("repository(plugin):a:pull", "", ""),
        ("nonsense", "", ""),
    ],
)
def test_a18_tokens_are_given_less_where_less_is_allowed(
    asked: str, user: str, anybody: str
) -> None:
    assert granted(parse_scopes(asked), known=True) == parse_scopes(user)
    assert granted(parse_scopes(asked), known=False) == parse_scopes(anybody)


def test_a06_challenge_is_exact() -> None:
    needs = parse_scopes("repository:a/b:pull,push repository:c:pull")
    assert bearer_challenge("https://r.example:5000", needs, error="invalid_token") == (
        'Bearer realm="https://r.example:5000/token",service="r.example:5000",'
        'scope="repository:a/b:pull,push repository:c:pull",error="invalid_token"'
    )
    assert bearer_challenge("http://[::1]:5000", ()) == (
        'Bearer realm="http://[::1]:5000/token",service="[::1]:5000"'
    )


@pytest.mark.parametrize("host", ["a", "a.example:5000", "127.0.0.1", "[::1]", "[fe80::1]:80"])
def test_host_for_a_challenge(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize("host", ["", 'a"', "a,b", "a b", "a/b", "a@b", "a:b", "[a", "a" * 300])
def test_host_that_is_kept_out_of_a_challenge(host: str) -> None:
    assert not is_host(host)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tokens": True},
        {"users": {"": "x"}},
        {"users": {"a:b": "x"}},
        {"users": {"a": "x\n"}},
        {"anonymous_pull": True, "token_lifetime_s": 0},
        {"anonymous_pull": True, "token_lifetime_s": float("nan")},
    ],
)
def test_access_that_makes_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        Access(**options)  # type: ignore[arg-type]


def test_access_shows_no_password_and_cannot_be_changed_later() -> None:
    users = {"alice": "secret"}
    access = Access(users=users)
    users["eve"] = "x"
    assert dict(access.users) == {"alice": "secret"}
    assert "secret" not in repr(access)
