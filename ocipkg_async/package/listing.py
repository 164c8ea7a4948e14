"""What a folder of unpacked files holds: as values, and as lines of text; pure.

A line is a JSON array: the depth and the name of a folder; of a link also its target; of a file its
size, whether it is executable, its time and its digest. What a folder holds follows it, one deeper.
So the text grows with names, not with paths, of which a hostile package could make gigabytes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidDocumentError
from .limits import Budget, UnpackLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file.

    Attributes:
        size: its bytes, holes included.
        executable: whether its owner may execute it.
        mtime_ns: when it was written, in nanoseconds since 1970.
        digest: of its content, as `file_digests` makes them.
    """

    size: int
    executable: bool
    mtime_ns: int
    digest: str


@dataclass(frozen=True, slots=True)
class ListedLink:
    """A symbolic link, and where it points to."""

    target: str


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """A folder, and what is in it by name."""

    children: "dict[str, Listed]" = field(default_factory=dict[str, "Listed"])

    @property
    def entries(self) -> int:
        """How many files, links and folders there are below it."""
        return sum(1 for _ in _lines(self, 0))


Listed = ListedFile | ListedLink | ListedFolder


def encode(listing: ListedFolder) -> Iterator[bytes]:
    """Yield the lines of a listing, each with its end."""
    for line in _lines(listing, 0):
        # ASCII: names may hold bytes that are no UTF-8, as lone surrogates.
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _lines(folder: ListedFolder, depth: int) -> Iterator[list[Any]]:
    for name, child in sorted(folder.children.items()):
        if isinstance(child, ListedFile):
            yield [depth, name, child.size, child.executable, child.mtime_ns, child.digest]
        elif isinstance(child, ListedLink):
            yield [depth, name, child.target]
        else:
            yield [depth, name]
            yield from _lines(child, depth + 1)


def decode(lines: Iterable[bytes], limits: UnpackLimits) -> ListedFolder:
    """Return the listing that lines stand for.

    Args:
        lines: as `encode` makes them.
        limits: how much they may list.

    Raises:
        InvalidDocumentError: they are damaged.
        LimitExceededError: they list more than the limits allow.
    """
    budget = Budget(limits)
    open_folders = [ListedFolder()]
    for line in lines:
        budget.entry()
        depth, name, child = _parsed(line)
        if depth >= len(open_folders) or name in open_folders[depth].children:
            raise _damaged()
        if isinstance(child, ListedFile):
            budget.file(name, child.size)
        open_folders[depth].children[name] = child
        del open_folders[depth + 1 :]
        if isinstance(child, ListedFolder):
            open_folders.append(child)
    return open_folders[0]


def _parsed(line: bytes) -> tuple[int, str, Listed]:
    try:
        match json.loads(line):
            case [int(depth), str(name)]:
                found: Listed = ListedFolder()
            case [int(depth), str(name), str(target)]:
                found = ListedLink(target)
            case [int(depth), str(name), int(size), bool(executable), int(time), str(digest)]:
                found = ListedFile(size=size, executable=executable, mtime_ns=time, digest=digest)
            case _:
                raise _damaged()
    except (ValueError, RecursionError) as error:
        raise _damaged() from error
    # It is looked for on the disk by its name.
    if depth < 0 or name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise _damaged()
    return depth, name, found


def _damaged() -> InvalidDocumentError:
    return InvalidDocumentError("the list of unpacked files is damaged")
