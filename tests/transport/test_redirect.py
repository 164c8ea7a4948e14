import pytest

from ocipkg_async.errors import RedirectError
from ocipkg_async.transport.redirect import Hop, check_place, next_hop
from ocipkg_async.transport.urls import origin_of

REGISTRY = origin_of("https://r.example/")


def hop(method: str = "GET", url: str = "https://r.example/v2/a", **headers: str) -> Hop:
    return Hop(
        method,
        url,
        {name.replace("_", "-"): value for name, value in headers.items()},
        with_body=method in {"PUT", "POST", "PATCH"},
        trusted=True,
    )


def follow(
    start: Hop,
    location: str | None,
    *,
    status: int = 307,
    registry: str = "https://r.example/",
    limit: int = 10,
    allowed: frozenset[str] = frozenset(),
) -> Hop:
    return next_hop(
        start,
        status,
        location,
        registry=origin_of(registry),
        max_redirects=limit,
        allowed_hosts=allowed,
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"])
def test_d06_method_and_body_stay(status: int, method: str) -> None:
    moved = follow(hop(method), "/elsewhere", status=status)
    assert (moved.method, moved.url) == (method, "https://r.example/elsewhere")
    assert moved.with_body == hop(method).with_body


@pytest.mark.parametrize(
    ("method", "then"), [("GET", "GET"), ("HEAD", "HEAD"), ("PUT", "GET"), ("POST", "GET")]
)
def test_d06_see_other_makes_a_get_without_body(method: str, then: str) -> None:
    moved = follow(hop(method, Content_Type="text/x", Accept="text/y"), "/done", status=303)
    assert (moved.method, moved.with_body) == (then, False)
    assert ("Content-Type" in moved.headers) is (then == method)
    assert moved.headers["Accept"] == "text/y"


@pytest.mark.parametrize(
    "location",
    ["https://s.example/x", "https://r.example:8443/x", "https://cdn.r.example/x", "//s.example/x"],
)
def test_s10_another_origin_gets_no_secret_headers(location: str) -> None:
    start = hop(
        Authorization="Basic x", Cookie="c", Proxy_Authorization="p", X_Own="o", Range="bytes=0-1"
    )
    moved = follow(start, location)
    assert dict(moved.headers) == {"Range": "bytes=0-1"}
    assert not moved.trusted


@pytest.mark.parametrize("location", ["/x", "https://r.example/x", "https://r.example:443/x"])
def test_s10_the_same_origin_keeps_everything(location: str) -> None:
    moved = follow(hop(X_Own="o"), location)
    assert dict(moved.headers) == {"X-Own": "o"}
    assert moved.trusted


def test_s12_trust_does_not_come_back_with_a_redirect_home() -> None:
    away = follow(hop(X_Own="o"), "https://s.example/x")
    home = follow(away, "https://r.example/v2/a")
    assert not home.trusted
    assert not home.headers


def test_s10_https_never_becomes_http() -> None:
    with pytest.raises(RedirectError, match="https to http"):
        follow(hop(), "http://r.example/v2/a")


def test_http_may_become_https_without_trust() -> None:
    moved = follow(
        hop(url="http://r.example/v2/a"), "https://r.example/v2/a", registry="http://r.example/"
    )
    assert not moved.trusted


def test_s10_hops_are_limited() -> None:
    at = hop()
    for number in range(3):
        at = follow(at, f"/{number}", limit=3)
    with pytest.raises(RedirectError, match="number 4"):
        follow(at, "/again", limit=3)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:8000", "169.254.169.254", "10.1.2.3", "[::1]", "2130706433"]
)
def test_s10_internal_addresses_are_refused(host: str) -> None:
    with pytest.raises(RedirectError, match="internal") as caught:
        follow(hop(), f"https://{host}/latest?token=secret")
    assert "secret" not in str(caught.value)
    assert "redirect_hosts" in (caught.value.hint or "")


@pytest.mark.parametrize("place", ["http://r.example/u/1", "https://169.254.169.254/u/1"])
def test_s11_uploads_obey_the_rules_of_redirects(place: str) -> None:
    with pytest.raises(RedirectError):
        check_place(place, registry_url="https://r.example")


@pytest.mark.parametrize(
    ("place", "registry"),
    [
        ("https://r.example/u/1", "https://r.example"),
        ("https://storage.example/u/1", "https://r.example"),
        ("https://10.0.0.2/u/1", "https://r.example"),
        ("http://127.0.0.1:9/u/1", "http://127.0.0.1:5000"),
    ],
)
def test_s11_places_for_uploads(place: str, registry: str) -> None:
    check_place(place, registry_url=registry, allowed_hosts=frozenset({"10.0.0.2"}))


def test_internal_addresses_that_are_allowed() -> None:
    target = "https://10.1.2.3:9000/x"
    for allowed in ("10.1.2.3", "10.1.2.3:9000"):
        assert follow(hop(), target, allowed=frozenset({allowed})).url == target
    local = hop(url="http://127.0.0.1:5000/v2/")
    assert follow(local, "http://127.0.0.1:9000/x", registry="http://127.0.0.1:5000/").url
    own = hop(url="https://10.0.0.9/v2/")
    assert follow(own, "https://10.0.0.9:9000/x", registry="https://10.0.0.9/").url
    with pytest.raises(RedirectError):
        follow(own, "https://10.0.0.8/x", registry="https://10.0.0.9/")


@pytest.mark.parametrize(
    "location", [None, "", "ftp://s.example/", "https://u:p@s.example/", "/a\nb"]
)
def test_a_redirect_to_nowhere_is_refused(location: str | None) -> None:
    with pytest.raises(RedirectError):
        follow(hop(), location)


def test_a_hop_shows_no_header_value() -> None:
    assert "secret" not in repr(hop(Authorization="secret"))
