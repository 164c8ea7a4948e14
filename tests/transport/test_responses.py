import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import (
    DeniedError,
    ErrorDetail,
    NotFoundError,
    RateLimitedError,
    RegistryError,
    RegistryNotFoundError,
    UnauthorizedError,
)
from ocipkg_async.transport import Headers
from ocipkg_async.transport.responses import error_for, parse_details, parse_warnings

URL = "https://r.example/v2/a/manifests/v1?sig=secret"


def error(status: int, body: bytes = b"", kind: str = "application/json") -> RegistryError:
    return error_for(
        status, method="GET", url=URL, headers=Headers([("Content-Type", kind)]), body=body
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, DeniedError),
        (404, RegistryNotFoundError),
        (429, RateLimitedError),
        (418, RegistryError),
        (503, RegistryError),
    ],
)
def test_each_status_has_its_class(status: int, kind: type[RegistryError]) -> None:
    found = error(status)
    assert type(found) is kind
    assert (found.status, found.method) == (status, "GET")
    assert found.url == "https://r.example/v2/a/manifests/v1"
    assert "secret" not in str(found)
    assert str(status) in str(found)


def test_d02_an_error_document_is_read() -> None:
    body = json.dumps(
        {
            "errors": [
                {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"a": [1]}},
                {"code": "SOMETHING_NEW"},
                {"message": "only text", "detail": 7},
                "nonsense",
            ]
        }
    ).encode()
    found = error(404, body)
    assert found.details == (
        ErrorDetail("MANIFEST_UNKNOWN", "manifest unknown"),
        ErrorDetail("SOMETHING_NEW"),
        ErrorDetail("", "only text"),
    )
    assert "manifest unknown (MANIFEST_UNKNOWN); SOMETHING_NEW; only text" in str(found)
    assert isinstance(found, NotFoundError)
    assert "tag or digest" in (found.hint or "")


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", ()),
        (b"null", ()),
        (b"[]", ()),
        (b'{"errors": {}}', ()),
        (b'{"errors": [[], null, 3]}', ()),
        (b'{"errors": [{"code": 3, "message": null}]}', ()),
        (b"{", ()),
        (b"\xff\xfe", ()),
        (b"[" * 60000, ()),
        (b'{"details": "incorrect username"}', (ErrorDetail("", "incorrect username"),)),
        (
            b'{"error": "invalid_grant", "error_description": "expired"}',
            (ErrorDetail("invalid_grant", "expired"),),
        ),
    ],
)
def test_d01_any_body_is_tolerated(body: bytes, details: tuple[ErrorDetail, ...]) -> None:
    assert parse_details(body) == details
    assert error(500, body).details == details


def test_d01_html_becomes_a_short_text() -> None:
    page = b"<html><script>var x = 1</script><body><h1>502</h1>\n<p>Bad gateway</p>" + b"x" * 9999
    text = str(error(502, page, "text/html"))
    assert "502 Bad gateway" in text
    assert "<" not in text
    assert "var x" not in text
    assert len(text) < 600


def test_s18_control_and_direction_characters_are_stripped() -> None:
    evil = "a\x1b[2Jb\u202ec\r\nd\x9b"
    body = json.dumps({"errors": [{"code": "X", "message": evil}]}).encode()
    for found in (error(400, body), error(400, evil.encode(), "text/plain")):
        assert str(found).isprintable()
        assert "a[2Jbc d" in str(found)


def test_binary_bodies_are_not_shown() -> None:
    assert str(error(500, b"\x00\x01abc", "application/octet-stream")).endswith("v1")


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/html", "", "a/b"]))
def test_any_error_body_gives_one_printable_line(body: bytes, kind: str) -> None:
    assert str(error(500, body, kind)).isprintable()


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ('299 - "old version"', ["old version"]),
        (r'299 - "a \"b\" c\\"', ['a "b" c\\']),
        ('199 - "other code"', []),
        ('299 agent "other agent"', []),
        ('299 - "with date" "Wed, 21 Oct 2015 07:28:00 GMT"', []),
        ('299 - "two", 299 - "values"', []),
        ('299 - "unclosed', []),
        ('299 - "', []),
        ('299 - ""', []),
        ('299 - "control \x1b[0m"', []),
        ("299 - unquoted", []),
        (r'299 - "ends in backslash\"', []),
    ],
)
def test_d04_only_one_form_of_warning_is_honoured(value: str, texts: list[str]) -> None:
    assert parse_warnings([value]) == texts


def test_d04_warnings_have_a_limit_together() -> None:
    lines = [f'299 - "{"x" * 1000}{number}"' for number in range(9)]
    assert len(parse_warnings(lines)) == 4
