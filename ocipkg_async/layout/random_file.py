"""An open file that is read and written at offsets, by several threads at once."""

import os
import threading

from ..errors import InvalidLayoutError, storage_errors

_MOVE_BYTES = 4 << 20
_HAS_PREAD = hasattr(os, "pread") and hasattr(os, "pwrite")


class RandomFile:
    """A file descriptor. All methods block; it is closed by its owner.

    Args:
        fd: open for reading, and for writing if it is written.
        name: what it is, for errors.
        positioned: use the system's reads and writes at an offset; where it has none, a lock
            around seeking does the same.
    """

    def __init__(self, fd: int, *, name: str, positioned: bool = _HAS_PREAD) -> None:
        self.fd = fd
        self.name = name
        self._positioned = positioned
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def size(self) -> int:
        """Return the length of the file in bytes."""
        with storage_errors(f"examine {self.name}"):
            return os.fstat(self.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`, fewer only at the end of the file.

        Raises:
            StorageError: the file cannot be read.
        """
        pieces: list[bytes] = []
        with storage_errors(f"read {self.name}"):
            while length > 0:
                data = self._read(offset, length)
                if not data:
                    break
                pieces.append(data)
                offset += len(data)
                length -= len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_exactly(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`.

        Raises:
            InvalidLayoutError: the file ends before.
            StorageError: the file cannot be read.
        """
        data = self.read(offset, length)
        if len(data) != length:
            raise InvalidLayoutError(
                f"{self.name} is cut off after {offset + len(data)} bytes",
                hint="fetch or copy the archive again",
            )
        return data

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `offset`.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        view = memoryview(data)
        with storage_errors(f"write {self.name}"):
            while view:
                with self._writing:
                    written = self._write(offset, view)
                offset += written
                view = view[written:]

    def detach(self) -> None:
        """Let go of the descriptor, which its owner closes next, after a write that is running.

        Whoever still holds this object gets errors, and does not write into the file that is
        given the same number.
        """
        with self._writing:
            self.fd = -1

    def move(self, start: int, length: int, to: int) -> None:
        """Move `length` bytes from `start` to a place behind it; the two may overlap.

        Raises:
            InvalidLayoutError: the file ends before.
            DiskFullError, StorageError: the file system refused.
        """
        left = length
        while left > 0:
            piece = min(left, _MOVE_BYTES)
            left -= piece
            self.write(to + left, self.read_exactly(start + left, piece))

    def truncate(self, length: int) -> None:
        """Cut the file to `length` bytes.

        Raises:
            StorageError: the file system refused.
        """
        with storage_errors(f"write {self.name}"):
            os.ftruncate(self.fd, length)

    def _read(self, offset: int, length: int) -> bytes:
        if self._positioned:
            return os.pread(self.fd, length, offset)
        with self._lock:
            os.lseek(self.fd, offset, os.SEEK_SET)
            return os.read(self.fd, length)

    def _write(self, offset: int, data: memoryview) -> int:
        if self._positioned:
            return os.pwrite(self.fd, data, offset)
        with self._lock:
            os.lseek(self.fd, offset, os.SEEK_SET)
            return os.write(self.fd, data)
