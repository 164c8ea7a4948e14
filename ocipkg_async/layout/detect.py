"""Telling what a path is: an image-layout folder, an oci-archive, or neither."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from ..content import run_in_thread
from ..errors import OCIError
from ..spec.image_layout import INDEX, MARKER
from . import archive_table, opening, spool, tar_scan
from .random_file import RandomFile

# Every writer of archives puts a part of the layout among its first members, behind a few folders.
_LOOKED_AT = 16
_HEAD_BYTES = 64 << 10


async def detect(path: Path) -> Literal["layout", "archive"] | None:
    """Return what is at `path`, from a look at its beginning; None for everything else.

    Damage further on is found when it is opened. Nothing is raised for a path that is missing or
    cannot be read.
    """
    return await run_in_thread(partial(_detect, path))


def _detect(path: Path) -> Literal["layout", "archive"] | None:
    try:
        if path.is_dir():
            return "layout" if (path / MARKER).is_file() or (path / INDEX).is_file() else None
        with opening.open_regular(path) as file:
            head = file.read(4)
            file.seek(0)
            if not spool.is_compressed(head):
                return _look(RandomFile(file.fileno(), name=str(path)))
            plain = spool.read_decompressed(
                spool.open_decompressed(file, head), _HEAD_BYTES, name=str(path)
            )
            return _look(_Head(plain, name=str(path)))
    except (OSError, OCIError):
        return None


def _look(file: RandomFile) -> Literal["archive"] | None:
    first = islice(tar_scan.scan(file), _LOOKED_AT)
    return "archive" if any(map(archive_table.is_layout_part, first)) else None


class _Head(RandomFile):
    """The first bytes of a decompressed archive, as if all that follows were there too."""

    def __init__(self, data: bytes, *, name: str) -> None:
        super().__init__(-1, name=name)
        self._data = data

    def size(self) -> int:
        return tar_scan.MAX_SIZE

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]
