"""What a password file may hold, and how its faults are told."""

from pathlib import Path

import pytest

from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.server.access.htpasswd import parse_htpasswd

HASH = "$2y$04$QUIihW/LZOYJj2X6HzdE8ugSncWEZrFE3.BgGZlghYzVHyR2mdT9y"
FILE = Path("/etc/registry/htpasswd")


def parsed(text: str) -> dict[str, str]:
    return parse_htpasswd(text.encode(), FILE)


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_bcrypt_of_each_version(version: str) -> None:
    hashed = HASH.replace("2y", version)
    assert parsed(f"alice:{hashed}\n") == {"alice": hashed}


def test_blank_lines_comments_and_other_line_ends() -> None:
    text = f"# users\n\n  \nalice:{HASH}\r\n # more\nbjørn:{HASH}"
    assert parsed(text) == {"alice": HASH, "bjørn": HASH}


@pytest.mark.parametrize(
    "line",
    [
        "alice", "alice:", f":{HASH}", f"alice:{HASH}:more", f"alice {HASH}",
        "alice:secret", "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "alice:$apr1$jLSiH3V0$ruJvbWhTpGSaZJ.asex3f1", "alice:PhKvBVFirW4N6",
        "alice:$6$djcTdwheQxxtIgWS$RGMmT0NlaFF0i8YV9ODO5nXDvqEQS1BfgQlPvp0w60KsJcINKOCN9AWitWiVLoj8",
        f"alice:{HASH[:-1]}", f"alice:{HASH}x", f"alice:{HASH.replace('2y', '2x')}",
        f"alice:{HASH.replace('$04$', '$03$')}", f"alice:{HASH.replace('$04$', '$31$')}",
        # The last letter of a salt carries two bits only; the library refuses others.
        f"alice:$2y$04${'a' * 53}",
        f"bob:{HASH}",
    ],
)  # fmt: skip
def test_line_that_cannot_be_used_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parsed(f"bob:{HASH}\n\n{line}\n")
    assert f"line 3 of the password file {FILE} " in str(caught.value)
    assert f"htpasswd -B {FILE} USER" in str(caught.value.hint)
    for secret in ("alice", "bob", "$2", "secret", "SHA", "apr1"):
        assert secret not in str(caught.value)


def test_what_is_not_text_is_not_shown() -> None:
    with pytest.raises(InvalidArgumentError, match=r"line 1 .* not UTF-8") as caught:
        parse_htpasswd(b"alice:\xff\xfe\n", FILE)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("text", ["", "\n", "# nobody\n"])
def test_file_without_users(text: str) -> None:
    assert parse_htpasswd(text.encode(), FILE) == {}
