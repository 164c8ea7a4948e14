"""Telling whether a file is the one that was read, without reading it again."""

import os
import time
from typing import NamedTuple

# A file that was changed within one tick of the file system's clock shows no new time.
_TICK_S = 0.1


class FileState(NamedTuple):
    """What is another after each replacement of a file, and after each change in place."""

    inode: int
    mtime_ns: int
    size: int


def settled_state(status: os.stat_result) -> FileState | None:
    """Return the state of a file, or None while it is so young that other content may have the same."""
    if time.time() - status.st_mtime <= _TICK_S:
        return None
    return FileState(status.st_ino, status.st_mtime_ns, status.st_size)
