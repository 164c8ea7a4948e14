"""One file, directory or symlink on its way into a package; no I/O."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidPackageError
from .entry_names import WHITEOUT, split_name
from .limits import UnpackLimits

Kind = Literal["file", "directory", "symlink"]
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symlink to be packed.

    Attributes:
        name: slash-separated path inside the package, without a slash at its end.
        kind: what it is.
        path: where it is on this machine.
        size: bytes of a file's content, when it was found.
        executable: whether a file's owner may run it.
        link: target of a symlink, with slashes.
        followed: whether a symlink led here, so that it is opened through it.
    """

    name: str
    kind: Kind
    path: str
    size: int = 0
    executable: bool = False
    link: str = ""
    followed: bool = False


def top_level(entries: Iterable[Entry]) -> list[str]:
    """Return the names at the top of a package, sorted."""
    return sorted({entry.name.partition("/")[0] for entry in entries})


def leaving_links(entries: Iterable[Entry]) -> list[Entry]:
    """Return the symlinks that point out of the package; safe unpackers refuse or drop these."""
    return [entry for entry in entries if entry.kind == "symlink" and link_target(entry) is None]


def lost_names(entries: Iterable[Entry], *, portable: bool) -> list[Entry]:
    """Return what an unpacker refuses for its name, or takes for the removal of something.

    Args:
        entries: what is packed.
        portable: whether names are refused that not every system can keep.
    """
    limits = UnpackLimits()
    return [entry for entry in entries if _is_lost(entry.name, limits, portable=portable)]


def _is_lost(name: str, limits: UnpackLimits, *, portable: bool) -> bool:
    try:
        return any(p.startswith(WHITEOUT) for p in split_name(name, limits, portable=portable))
    except InvalidPackageError:
        return True


def link_target(entry: Entry) -> str | None:
    """Return the path inside the package that a symlink points to, None if it points outside."""
    if entry.link.startswith("/") or _DRIVE.match(entry.link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), entry.link))
    return None if target == ".." or target.startswith("../") else target
