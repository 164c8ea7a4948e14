import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from ocipkg_async.errors import ProtocolError
from ocipkg_async.transport.urls import (
    is_internal,
    is_local,
    join_location,
    origin_of,
    redacted,
    same_origin,
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://r.example/v2/", "https://r.example:443/x", True),
        ("http://r.example", "http://R.EXAMPLE:80/x?y", True),
        ("https://r.example/", "http://r.example/", False),
        ("https://r.example/", "https://r.example:8443/", False),
        ("https://r.example/", "https://a.r.example/", False),
        ("https://r.example./", "https://r.example/", True),
        ("http://[::1]:5000/", "http://[::1]:5000/v2/", True),
    ],
)
def test_d53_origins_compare_with_default_ports(one: str, other: str, same: bool) -> None:
    assert same_origin(one, other) is same


@pytest.mark.parametrize(
    "url",
    [
        "ftp://r.example/",
        "//r.example/",
        "https:///v2/",
        "https://user:pw@r.example/",
        "https://r.example:99999/",
        "https://r.example/a b",
        "https://r.example/\u00e9",
        "https://x[::1]/",
        "https://`]=)[::1",
        "https://[::1]x/",
        "javascript:alert(1)",
        "",
    ],
)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        origin_of(url)
    assert "pw" not in str(caught.value)


BASE = "https://r.example/v2/a%2Fb/blobs/uploads/?old=1"


@pytest.mark.parametrize(
    ("location", "joined"),
    [
        ("https://s.example/x%2Fy%7E?sig=a%2Bb+c=&d", "https://s.example/x%2Fy%7E?sig=a%2Bb+c=&d"),
        ("/v2/a%2Fb/u?s=%7E", "https://r.example/v2/a%2Fb/u?s=%7E"),
        ("next", "https://r.example/v2/a%2Fb/blobs/uploads/next"),
        ("../u2", "https://r.example/v2/a%2Fb/blobs/u2"),
        ("//s.example/x", "https://s.example/x"),
        ("?state=%3D%3d", "https://r.example/v2/a%2Fb/blobs/uploads/?state=%3D%3d"),
        ("https://s.example/a/../b", "https://s.example/a/../b"),
        ("https://s.example/a#frag", "https://s.example/a"),
        ("https://s.example/a b\u00e9", "https://s.example/a%20b%C3%A9"),
    ],
)
def test_d50_a_location_is_resolved_and_no_byte_is_quoted_anew(location: str, joined: str) -> None:
    assert join_location(BASE, location) == joined


@pytest.mark.parametrize(
    "location", ["", " ", "/a\r\nX: y", "/a\x00", "file:///etc/passwd", "http://"]
)
def test_a_location_that_is_no_url_is_refused(location: str) -> None:
    with pytest.raises(ProtocolError):
        join_location(BASE, location)


@given(st.text(max_size=60))
def test_any_location_gives_an_http_url_or_our_error(text: str) -> None:
    try:
        joined = join_location(BASE, text)
    except ProtocolError:
        return
    assert URL(joined, encoded=True).host == origin_of(joined).host
    assert joined.startswith(("https://", "http://"))
    assert joined.isascii()
    assert joined.isprintable()
    assert " " not in joined


@given(st.text(alphabet="htps:/[]@.%1af-_\\?#x", max_size=30).map(lambda rest: f"https://{rest}"))
def test_the_http_library_sees_the_host_that_was_judged(url: str) -> None:
    try:
        origin = origin_of(url)
    except ProtocolError:
        return
    seen = URL(url, encoded=True)
    assert ((seen.raw_host or "").removesuffix("."), seen.port) == (origin.host, origin.port)


def test_s17_a_url_in_a_message_shows_neither_query_nor_user() -> None:
    shown = redacted("https://user:secret@s.example/path?X-Amz-Signature=secret#secret")
    assert shown == "https://s.example/path"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "a.localhost",
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",  # noqa: S104
        "224.0.0.1", "::1", "[::1]", "::", "fe80::1", "fe80::1%eth0", "fd00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_s13_internal_addresses_are_recognised_in_every_form(host: str) -> None:
    assert is_internal(host)


@pytest.mark.parametrize("prefix", ["::", "64:ff9b::", "64:ff9b:1::"])
def test_s13_an_address_that_a_network_translates_is_judged_by_what_it_stands_for(
    prefix: str,
) -> None:
    assert is_internal(f"{prefix}169.254.169.254")
    assert is_internal(f"{prefix}127.0.0.1")
    assert not is_internal(f"{prefix}8.8.8.8")


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "r.example", "auth", "10.example"])
def test_names_and_public_addresses_are_not_internal(host: str) -> None:
    assert not is_internal(host)


def test_this_machine_is_told_from_other_internal_hosts() -> None:
    assert all(map(is_local, ["localhost", "127.0.0.1", "::1", "127.9.9.9"]))
    assert not any(map(is_local, ["10.0.0.1", "169.254.169.254", "r.example"]))
