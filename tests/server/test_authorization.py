"""What is read from an Authorization header."""

import base64

import pytest

from ocipkg_async.server.access.authorization import Basic, Bearer, Unusable, parse_authorization


def header(pair: bytes) -> str:
    return f"Basic {base64.b64encode(pair).decode()}"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], None),
        ([header(b"alice:secret")], Basic("alice", "secret")),
        (["bAsIc  YTpi "], Basic("a", "b")),
        ([header(b"a:b:c")], Basic("a", "b:c")),
        ([header("é:ü".encode())], Basic("é", "ü")),
        ([header(b"a:")], Basic("a", "")),
        # What skopeo and podman send when they have no credentials.
        ([header(b":")], None),
        (["Bearer abc"], Bearer("abc")),
        (["bearer abc"], Bearer("abc")),
    ],
)
def test_a30_header_is_understood(values: list[str], found: object) -> None:
    assert parse_authorization(values) == found


@pytest.mark.parametrize(
    "values",
    [
        [""], ["Basic"], ["Basic "], ["Basic !!!"], ["Basic YTp"], ["Digest x"], ["Bearer"],
        [header(b"no colon")], [header(b":secret")], [header(b"\xff:x")],
        [header(b"a\0b:c")], [header(b"a:b\0c")], [header(b"a:b\n")],
        [header(b"a:b"), header(b"a:b")],
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_taken_for_anonymous(values: list[str]) -> None:
    assert parse_authorization(values) == Unusable()


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(parse_authorization([header(b"alice:secret")]))
    assert "secret" not in repr(parse_authorization(["Bearer secret"]))
