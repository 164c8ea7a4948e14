"""Whether a folder still holds what was unpacked into it; all of it blocks."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..package.file_digests import digest_of
from ..package.listing import Listed, ListedFile, ListedFolder, ListedLink
from .trees import Difference


def never() -> None:
    """Check for nothing."""


def differences(
    listing: ListedFolder,
    folder: Path,
    *,
    thorough: bool,
    check: Callable[[], None] = never,
) -> Iterator[Difference]:
    """Yield how a folder differs from what was unpacked into it.

    Args:
        listing: what was unpacked.
        folder: where; if it is missing, it differs as a whole.
        thorough: hash every file, and tell of what does not belong there. Else a file that has the
            time that it was written at counts as unchanged.
        check: called for each entry and between pieces; what it raises ends the work.

    Raises:
        InvalidDocumentError: the listing has a digest of an unknown kind.
        OSError: a file cannot be read.
    """
    if not folder.is_dir():
        yield Difference(str(folder), "is missing")
        return
    yield from _in_folder(listing, folder, "", thorough=thorough, check=check)


def _in_folder(
    listing: ListedFolder, folder: Path, above: str, *, thorough: bool, check: Callable[[], None]
) -> Iterator[Difference]:
    if thorough:
        for name in sorted(_names(folder) - listing.children.keys()):
            yield Difference(above + name, "does not belong there")
    for name, child in sorted(listing.children.items()):
        check()
        path = folder / name
        what = differs(child, path, thorough=thorough, check=check)
        if what is not None:
            yield Difference(above + name, what)
        elif isinstance(child, ListedFolder):
            yield from _in_folder(child, path, f"{above}{name}/", thorough=thorough, check=check)


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names are wanted, not paths
    except (FileNotFoundError, NotADirectoryError):
        return set()  # removed since it was looked at: so is all that should be in it


def differs(
    listed: Listed, path: Path, *, thorough: bool, check: Callable[[], None] = never
) -> str | None:
    """Return what is different about one path, not looking into folders; None if nothing is.

    Args:
        listed: what was unpacked.
        path: where.
        thorough: hash a file even if it has the time that it was written at.
        check: called between pieces.

    Raises:
        InvalidDocumentError, OSError: as `differences`.
    """
    try:
        return _differs(listed, path, path.lstat(), thorough=thorough, check=check)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"


def _differs(
    listed: Listed,
    path: Path,
    found: os.stat_result,
    *,
    thorough: bool,
    check: Callable[[], None],
) -> str | None:
    if isinstance(listed, ListedFolder):
        return None if stat.S_ISDIR(found.st_mode) else "is of another kind"
    if isinstance(listed, ListedLink):
        if not stat.S_ISLNK(found.st_mode):
            return "is of another kind"
        same = os.readlink(path) == listed.target  # noqa: PTH115 - a path would be normalised
        return None if same else "is a link to another place"
    if not stat.S_ISREG(found.st_mode):
        return "is of another kind"
    return _file_differs(listed, path, found, thorough=thorough, check=check)


def _file_differs(
    listed: ListedFile,
    path: Path,
    found: os.stat_result,
    *,
    thorough: bool,
    check: Callable[[], None],
) -> str | None:
    # On Windows a file is executable by its name.
    if os.name != "nt" and bool(found.st_mode & stat.S_IXUSR) != listed.executable:
        return "is not executable" if listed.executable else "is executable"
    if found.st_size != listed.size:
        return f"has {found.st_size} bytes instead of {listed.size}"
    if not thorough and found.st_mtime_ns == listed.mtime_ns:
        return None
    same = digest_of(path, listed.digest, check=check) == listed.digest
    return None if same else "has other content"
