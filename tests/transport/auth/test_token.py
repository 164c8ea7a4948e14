import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import CredentialError, ProtocolError
from ocipkg_async.transport import Credential, Scope
from ocipkg_async.transport.auth.token import (
    basic,
    get_request,
    parse_token,
    post_request,
)

ALICE = Credential(username="alice", password="p\u00e4ss:word")
SCOPES = (Scope.repository("team/app", "pull", "push"), Scope.repository("other", "pull"))


def query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def test_a10_the_get_form() -> None:
    request = get_request("https://a.example/t", service="r", scopes=SCOPES, credential=ALICE)
    assert request.method == "GET"
    assert query(request.url) == [
        ("service", "r"),
        ("scope", "repository:team/app:pull,push"),
        ("scope", "repository:other:pull"),
        ("client_id", "ocipkg-async"),
        ("account", "alice"),
    ]
    kind, _, text = request.headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(text)) == ("Basic", "alice:p\u00e4ss:word".encode())
    assert request.body is None


def test_a10_anonymous() -> None:
    request = get_request("https://a.example/t", service="", scopes=(), credential=None)
    assert query(request.url) == [("client_id", "ocipkg-async")]
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("realm", ["https://a.example/t?x=%2F&y", "https://a.example/t?"])
def test_a11_the_realms_own_query_is_kept(realm: str) -> None:
    url = get_request(realm, service="r", scopes=(), credential=None).url
    assert url.startswith(realm)
    assert ("service", "r") in query(url)
    assert "??" not in url
    assert "?&" not in url


def test_a12_the_oauth2_form() -> None:
    request = post_request("https://a.example/t", service="r", scopes=SCOPES, refresh_token="s&=t")
    assert request.method == "POST"
    assert request.url == "https://a.example/t"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl((request.body or b"").decode())) == {
        "grant_type": "refresh_token",
        "refresh_token": "s&=t",
        "service": "r",
        "client_id": "ocipkg-async",
        "scope": "repository:team/app:pull,push repository:other:pull",
    }


def test_a30_a_user_name_with_a_colon_cannot_be_sent() -> None:
    with pytest.raises(CredentialError):
        basic(Credential(username="a:b", password="c"))


def test_s17_requests_and_tokens_show_no_secret() -> None:
    request = post_request("https://a.example/t", service="", scopes=(), refresh_token="secret")
    token = parse_token(b'{"token": "secret"}', server="a.example")
    basic_request = get_request("https://a.example/t", service="", scopes=(), credential=ALICE)
    assert "secret" not in repr(request) + repr(token)
    assert "Basic" not in repr(basic_request)


def parse(date: str | None = None, **answer: object) -> tuple[str, float]:
    token = parse_token(json.dumps(answer).encode(), server="a.example", date=date)
    return token.value, token.life_s


def test_a14_either_field_holds_the_token() -> None:
    assert parse(token="t")[0] == "t"
    assert parse(access_token="t")[0] == "t"
    assert parse(token="", access_token="t")[0] == "t"


@pytest.mark.parametrize(
    ("expires_in", "life_s"),
    [(300, 300), (60, 60), (1, 60), (0, 60), (-5, 60), (None, 60), ("300", 60), (True, 60), (10**12, 86400)],
)  # fmt: skip
def test_a14_lifetimes(expires_in: object, life_s: float) -> None:
    assert parse(token="t", expires_in=expires_in)[1] == life_s
    assert parse(token="t")[1] == 60


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("issued_at", "life_s"),
    [
        ("2026-01-02T03:04:05Z", 300),
        ("2026-01-02T03:02:05Z", 180),
        ("2026-01-02T03:02:05.123456789Z", 180.123456),
        ("2026-01-02T05:02:05+02:00", 180),
        ("2026-01-02T03:02:05", 180),
        ("2020-01-01T00:00:00Z", 0),
        ("2030-01-01T00:00:00Z", 300),
        ("yesterday", 300),
        ("", 300),
        (17, 300),
    ],
)
def test_a14_the_age_of_a_token_is_told_by_the_servers_clock(
    issued_at: object, life_s: float
) -> None:
    found = parse(token="t", expires_in=300, issued_at=issued_at, date=DATE)[1]
    assert found == pytest.approx(life_s)
    assert parse(token="t", expires_in=300, issued_at=issued_at)[1] == 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"secret",
        b"[]",
        b"{}",
        b'{"token": 3, "secret": 1}',
        b'{"token": "sec\\nret"}',
        b'{"token": "sec ret"}',
        b'{"token": "secr\xc3\xa9t"}',
        b'{"token": "' + b"x" * 70_000 + b'"}',
        b"[" * 50_000,
    ],
)
def test_a15_an_answer_without_token_names_the_server_and_never_the_body(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"a\.example") as caught:
        parse_token(body, server="a.example")
    assert "sec" not in str(caught.value)


@given(st.binary(max_size=60), st.text(max_size=20))
def test_any_answer_is_a_token_or_our_error(body: bytes, date: str) -> None:
    try:
        token = parse_token(body, server="a.example", date=date)
    except ProtocolError:
        return
    assert token.value
