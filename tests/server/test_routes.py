"""Which paths and methods mean what."""

import pytest

from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.routes import Kind, find_route
from server.driving import Driver

HEX = "a" * 64


@pytest.mark.parametrize(
    ("method", "path", "kind", "repository", "target"),
    [
        ("GET", "/", Kind.PAGE, "", ""),
        ("POST", "/token", Kind.TOKEN, "", ""),
        ("GET", "/token?scope=repository:a:pull", Kind.TOKEN, "", ""),
        ("GET", "/v2/", Kind.BASE, "", ""),
        ("GET", "/v2", Kind.BASE, "", ""),
        ("GET", "/v2/_catalog?n=3", Kind.CATALOG, "", ""),
        ("HEAD", f"/v2/a/b/blobs/sha256:{HEX}", Kind.BLOB, "a/b", f"sha256:{HEX}"),
        ("GET", f"/v2/a/blobs/sha256%3A{HEX}", Kind.BLOB, "a", f"sha256:{HEX}"),
        ("POST", "/v2/a/blobs/uploads/", Kind.UPLOADS, "a", ""),
        ("POST", "/v2/a/blobs/uploads?digest=x", Kind.UPLOADS, "a", ""),
        ("PATCH", "/v2/a/blobs/uploads/0f", Kind.UPLOAD, "a", "0f"),
        ("PUT", "/v2/a/blobs/uploads/?session=0f&digest=x", Kind.UPLOAD, "a", "0f"),
        ("PUT", "/v2/a/manifests/v1", Kind.MANIFEST, "a", "v1"),
        # A name is matched greedily: words of the API can be its components (C-23).
        ("GET", "/v2/a/manifests/b/manifests/v1", Kind.MANIFEST, "a/manifests/b", "v1"),
        ("GET", "/v2/tags/list/tags/list", Kind.TAGS, "tags/list", ""),
        ("GET", "/v2/uploads/tags/list/", Kind.TAGS, "uploads", ""),
        ("GET", "/v2/a/referrers/sha256:0", Kind.REFERRERS, "a", "sha256:0"),
    ],
)
def test_c23_path_is_understood(
    method: str, path: str, kind: Kind, repository: str, target: str
) -> None:
    route = find_route(method, path)
    assert (route.kind, route.repository, route.target) == (kind, repository, target)


@pytest.mark.parametrize(
    "name",
    ["..", "a/..", "a/../b", "A", "a/blobs", "index.json", "a/oci-layout/b", "_uploads", "a//b",
     "index.json.tmp", "a\n", "é", ".hidden", "a/" + "b" * 260],
)  # fmt: skip
def test_c32_name_that_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        find_route("GET", f"/v2/{name}/tags/list")
    assert (refused.value.status, refused.value.code) == (400, "NAME_INVALID")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/token/", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v2/a", 404),
        ("GET", "/v2/blobs/sha256:0", 404),
        ("POST", "/v2/a/manifests/v1", 405),
        ("GET", "/v2/a/blobs/uploads/", 405),
        ("TRACE", "/v2/", 405),
        ("GET", "/v2/%ff/tags/list", 400),
        ("GET", "/v2/%2e%2e/%2e%2e/etc/tags/list", 400),
    ],
)
def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        find_route(method, path)
    assert refused.value.status == status


def test_405_tells_the_methods() -> None:
    with pytest.raises(RefusedError) as refused:
        find_route("PATCH", "/v2/a/manifests/v1")
    assert refused.value.headers["Allow"] == "GET, HEAD, PUT, DELETE"


def test_query_is_decoded_once_and_keeps_repeated_keys() -> None:
    route = find_route("PUT", "/v2/a/manifests/v1?tag=a&tag=b%2525&empty=")
    assert route.get_all("tag") == ["a", "b%25"]
    assert route.get("empty") == ""
    assert route.get("missing") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/manifests/v1"), ("DELETE", "/v2/a/x")],
)
async def test_web_pages_change_nothing(driver: Driver, method: str, path: str) -> None:
    """A page of any site may send a POST to a loopback address without being asked before."""
    page = {"Origin": "http://evil.example"}
    answer = await driver(method, path, headers=page)
    assert (answer.status, answer.code) == (403, "DENIED")
    assert (await driver("GET", "/v2/", headers=page)).status == 200
