"""Opening a folder as an image layout: what it must hold, and what is made when it is empty.

Everything here blocks; `Layout.open` runs it in a worker thread.
"""

import io
import os
import stat
from pathlib import Path

from ..content.files import TEMP_PREFIX, atomic_file, write_all
from ..errors import InvalidLayoutError, NotFoundError, storage_errors
from ..spec.image_layout import BLOBS, INDEX, MARKER, MARKER_BYTES, check_marker
from . import index_file

LOCK = ".index.lock"
"""Held while ``index.json`` is changed. Other tools ignore files they do not know (I-03)."""
# A marker is some 30 bytes; nobody needs a long one.
_MAX_MARKER_BYTES = 64 << 10


def check_layout(path: Path, *, needs_marker: bool) -> None:
    """Check that `path` is a layout.

    Args:
        path: the folder.
        needs_marker: refuse a folder without ``oci-layout``; it is never written into (I-07).

    Raises:
        NotFoundError: there is nothing at `path`.
        InvalidLayoutError: it is not an image layout.
        InvalidDocumentError: ``oci-layout`` is not JSON.
        StorageError: it cannot be read.
    """
    with storage_errors(f"read {path}"):
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"there is no image layout at {path}") from error
        if not is_folder:
            raise InvalidLayoutError(
                f"{path} is not a folder", hint="an archive is written oci-archive:FILE"
            )
        try:
            check_marker(read_small(path / MARKER, max_bytes=_MAX_MARKER_BYTES))
        except FileNotFoundError as error:
            if needs_marker or not (path / INDEX).exists():
                raise InvalidLayoutError(
                    f"{path} is not an image layout: it has no {MARKER} file",
                    hint="choose a layout, or a new or empty folder",
                ) from error
        if not (path / INDEX).exists():
            raise InvalidLayoutError(f"{path} is not an image layout: it has no {INDEX}")


def is_blank(path: Path) -> bool:
    """Whether `path` is missing, an empty folder, or a layout whose making was interrupted.

    Raises:
        StorageError: it cannot be read.
    """
    with storage_errors(f"read {path}"):
        try:
            listed = os.listdir(path)  # noqa: PTH208 - the exceptions tell more than is_dir()
        except FileNotFoundError:
            return True
        except NotADirectoryError:
            return False
    names = {name for name in listed if not name.startswith(TEMP_PREFIX)} - {LOCK}
    if INDEX in names:
        return False
    # Who lists while another process makes the layout may miss the marker, which came first.
    return not names or MARKER in names or (LOCK in listed and names == {BLOBS})


def make_folder(path: Path) -> None:
    """Make the folder in which `initialise` works, and its parents.

    Raises:
        StorageError: the file system refused.
    """
    with storage_errors(f"make {path}"):
        path.mkdir(parents=True, exist_ok=True)


def initialise(path: Path) -> None:
    """Write an empty layout into a blank folder; the caller holds its lock.

    Raises:
        DiskFullError, StorageError: the file system refused.
    """
    if not is_blank(path):
        return  # another process was faster
    # The marker comes first: with it alone, the next `open` knows that this is ours to finish.
    if not (path / MARKER).exists():
        with atomic_file(path / MARKER) as file:
            write_all(file, MARKER_BYTES)
    with storage_errors(f"write in {path}"):
        (path / BLOBS / "sha256").mkdir(parents=True, exist_ok=True)
    with atomic_file(path / INDEX) as file:
        write_all(file, index_file.encode(index_file.empty()))


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """Read a small regular file whole.

    Raises:
        InvalidLayoutError: it is larger than `max_bytes`, or no regular file.
        OSError: as the system says it.
    """
    with open_regular(path) as file:
        return read_all(file, max_bytes=max_bytes, name=path)


def read_all(file: io.FileIO, *, max_bytes: int, name: Path) -> bytes:
    """Read an open file whole.

    Raises:
        InvalidLayoutError: it is larger than `max_bytes`.
        OSError: as the system says it.
    """
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise InvalidLayoutError(f"{name} is larger than {max_bytes} bytes")
    return data


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading, unbuffered; a pipe or device must not block or feed us.

    Raises:
        InvalidLayoutError: it is no regular file.
        OSError: as the system says it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidLayoutError(f"{path} is not a regular file")
    return io.FileIO(fd, "r")
