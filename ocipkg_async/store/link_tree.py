"""Making a package's folder of another one's that has the same files; all of it blocks."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..package.listing import ListedFile, ListedFolder, ListedLink
from .checking import differs, never


class ChangedError(Exception):
    """The other folder does not hold what was unpacked into it; it never leaves this room."""


def link_tree(
    listing: ListedFolder, source: Path, folder: Path, *, check: Callable[[], None] = never
) -> None:
    """Make a folder with hard links to the files of another, or copies where that is impossible.

    A file counts as unchanged while it has the size and time that it was written with.

    Args:
        listing: what was unpacked into `source`.
        source: the other folder.
        folder: the new one; nothing may be there.
        check: called for each entry; what it raises ends the work.

    Raises:
        ChangedError: something is missing or was changed in `source`.
        OSError: the file system refused.
    """
    if differs(listing, source, thorough=False) is not None:
        raise ChangedError(source)
    folder.mkdir()
    for name, child in listing.children.items():
        check()
        old, new = source / name, folder / name
        if isinstance(child, ListedFolder):
            link_tree(child, old, new, check=check)
            continue
        if differs(child, old, thorough=False, check=check) is not None:
            raise ChangedError(old)
        if isinstance(child, ListedLink):
            new.symlink_to(child.target)
        else:
            _link(child, old, new, check)
    shutil.copymode(source, folder)


def _link(listed: ListedFile, old: Path, new: Path, check: Callable[[], None]) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except (OSError, NotImplementedError):  # no hard links here, or too many
        shutil.copy2(old, new, follow_symlinks=False)
        if differs(listed, new, thorough=True, check=check) is not None:
            raise ChangedError(old) from None
