"""Comparing two folders, file by file."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Difference:
    """A path below the folders, and what is different about it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def compare(expected: Path, actual: Path) -> list[Difference]:
    """Return how the folder `actual` differs: kinds, contents, link targets, executability.

    A folder that is not there differs as a whole.

    Args:
        expected: a folder, or a file that should be alone in the other one.
        actual: a folder.

    Raises:
        OSError: a file cannot be read.
    """
    if expected.is_dir():
        left = _entries(expected)
    else:
        left = {expected.name: expected.stat()}
        expected = expected.parent
    if not actual.is_dir():
        return [Difference(str(actual), "is missing")]
    right = _entries(actual)
    found = [Difference(name, "is missing") for name in left.keys() - right.keys()]
    found += [Difference(name, "does not belong there") for name in right.keys() - left.keys()]
    for name in left.keys() & right.keys():
        what = _differs(expected / name, actual / name, left[name], right[name])
        if what:
            found.append(Difference(name, what))
    return sorted(found, key=lambda d: d.path)


def _entries(root: Path) -> dict[str, os.stat_result]:
    found: dict[str, os.stat_result] = {}
    stack = [""] if root.is_dir() else []
    while stack:
        folder = stack.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                found[name] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(name)
    return found


def _differs(
    left: Path, right: Path, left_stat: os.stat_result, right_stat: os.stat_result
) -> str | None:
    if stat.S_IFMT(left_stat.st_mode) != stat.S_IFMT(right_stat.st_mode):
        return "is of another kind"
    if stat.S_ISLNK(left_stat.st_mode):
        return None if left.readlink() == right.readlink() else "is a link to another place"
    return _files_differ(left, right) if stat.S_ISREG(left_stat.st_mode) else None


def _files_differ(left: Path, right: Path) -> str | None:
    left_stat, right_stat = left.stat(), right.stat()
    if (left_stat.st_mode ^ right_stat.st_mode) & stat.S_IXUSR:
        return "is executable in one and not in the other"
    if left_stat.st_size != right_stat.st_size:
        return f"has {right_stat.st_size} bytes instead of {left_stat.st_size}"
    with left.open("rb") as one, right.open("rb") as other:
        while piece := one.read(_PIECE_BYTES):
            if piece != other.read(_PIECE_BYTES):
                return "has other content"
    return None
