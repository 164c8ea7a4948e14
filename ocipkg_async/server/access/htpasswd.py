"""The password file, as ``htpasswd -B`` writes it: from bytes to hashes by user name."""

import re
from pathlib import Path
from shlex import quote

from ...errors import InvalidArgumentError

# Cost, salt of 128 bits, hash of 184 bits. The salt's last letter has four bits that are always 0.
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
MIN_COST = 4
MAX_COST = 17
"""What ``htpasswd -C`` takes at most; it keeps a processor busy for ten seconds."""


def parse_htpasswd(data: bytes, path: Path) -> dict[str, str]:
    """Read a password file. Empty lines and those that begin with ``#`` are skipped.

    Args:
        data: its content.
        path: its name, for errors; they never show what is in it.

    Returns:
        bcrypt hashes by user name.

    Raises:
        InvalidArgumentError: there is a user who stands there twice, a line of another form, or a
            hash that is not bcrypt.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = _decoded(line)
        if text is None:
            raise _broken(path, number, "is not UTF-8")
        if not text or text.startswith("#"):
            continue
        name, colon, hashed = text.partition(":")
        if not name or not colon:
            raise _broken(path, number, "is not NAME:HASH")
        match = _BCRYPT.fullmatch(hashed)
        if match is None:
            raise _broken(path, number, "has no bcrypt hash; other kinds are not safe any more")
        if not MIN_COST <= int(match["cost"]) <= MAX_COST:
            raise _broken(path, number, f"has a cost that is not between {MIN_COST} and {MAX_COST}")
        if name in found:
            raise _broken(path, number, "names a user who is there already")
        found[name] = hashed
    return found


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        return None  # and no error, which would hold the line


def _broken(path: Path, number: int, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"line {number} of the password file {path} {what}", hint=_hint(path)
    )


def _hint(path: Path) -> str:
    return f"set a user's password with: htpasswd -B {quote(str(path))} USER"


def without_users(path: Path) -> InvalidArgumentError:
    """Return the error for a password file that lets nobody in."""
    return InvalidArgumentError(f"no user is in the password file {path}", hint=_hint(path))


def missing(path: Path, reason: str) -> InvalidArgumentError:
    """Return the error for a password file that cannot be read."""
    return InvalidArgumentError(
        f"cannot read the password file {path}: {reason}",
        hint=f"make one with: htpasswd -B -c {quote(str(path))} USER",
    )
