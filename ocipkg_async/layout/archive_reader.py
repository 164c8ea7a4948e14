"""An oci-archive as a store to read from: nothing is unpacked, blobs are read at their offsets.

Read are archives with and without ``./`` before the names, compressed as a whole with gzip or
zstd, and ocipkg's, which have no ``oci-layout`` file (O-04).
"""

import io
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

from ..content import BlobReader, run_in_thread
from ..errors import ClosedError, InvalidLayoutError, NotFoundError, storage_errors
from ..spec import Descriptor, Digest
from ..spec.image_layout import check_marker
from . import archive_table, index_file, opening, spool, tar_scan
from .archive_table import Table
from .entries import Entries
from .lookup import IndexedStore
from .random_file import RandomFile
from .tar_scan import Member

_MAX_MARKER_BYTES = 64 << 10


class ArchiveReader(IndexedStore):
    """An oci-archive. Open one with `ArchiveReader.open`.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, file: RandomFile, table: Table, tree: index_file.Tree) -> None:
        """Take an opened archive; use `open` instead."""
        super().__init__()
        self.path = path
        self._file: RandomFile | None = file
        self._table = table
        self._tree = tree
        self._entries = Entries(index_file.descriptors(tree))

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, max_spool_bytes: int = spool.MAX_BYTES
    ) -> AsyncIterator[Self]:
        """Open an archive for the length of a block.

        Args:
            path: the file.
            max_spool_bytes: how much a compressed archive may expand to, in the temporary folder.

        Raises:
            NotFoundError: there is no such file.
            InvalidLayoutError: it is not an oci-archive, is cut off, or breaks a rule of O-10.
            UnsupportedError: it is a docker-archive.
            LimitExceededError: it has too many members or expands too far.
            StorageError: it cannot be read.
        """
        with ExitStack() as stack:
            file = await run_in_thread(lambda: stack.enter_context(_open(path)))
            head = await run_in_thread(
                partial(RandomFile(file.fileno(), name=str(path)).read, 0, 4)
            )
            if not spool.is_compressed(head):
                async with cls._opened(path, RandomFile(file.fileno(), name=str(path))) as reader:
                    yield reader
            else:
                async with (
                    spool.spooled(file, head, name=str(path), max_bytes=max_spool_bytes) as plain,
                    cls._opened(path, plain) as reader,
                ):
                    yield reader

    @classmethod
    @asynccontextmanager
    async def _opened(cls, path: Path, file: RandomFile) -> AsyncIterator[Self]:
        table, tree = await run_in_thread(partial(_read_table, file))
        reader = cls(path, file, table, tree)
        try:
            yield reader
        finally:
            reader._file = None

    @property
    def tree(self) -> index_file.Tree:
        """The raw ``index.json``."""
        return self._tree

    @property
    def blobs(self) -> list[tuple[Digest, int]]:
        """Digest and size of every blob, in the order of the archive."""
        return [(digest, member.size) for digest, member in self._table.blobs.items()]

    async def listing(self) -> Entries:
        """Return the entries of ``index.json``, to be looked up."""
        return self._entries

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, unverified, or None if it is not there."""
        member = self._table.blobs.get(digest)
        return member.size if member else None

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether content of this digest and size is there."""
        return await self.size_of(descriptor.digest) == descriptor.size

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content for reading, verified on the way.

        Raises:
            NotFoundError: it is not there.
            ClosedError: the archive was closed.
            StorageError: it cannot be read.
        """
        if self._file is None:
            raise ClosedError(f"the archive {self.path} was closed")
        member = self._table.blobs.get(descriptor.digest)
        if member is None:
            raise NotFoundError(f"{descriptor.digest} is not in {self.path}")
        yield BlobReader(MemberStream(self._file, member.offset, member.size), descriptor)


class MemberStream:
    """A `ByteStream` over a part of a file."""

    def __init__(self, file: RandomFile, offset: int, size: int) -> None:
        """Read `size` bytes at `offset`."""
        self._file = file
        self._offset = offset
        self._left = size

    async def read(self, max_bytes: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            StorageError: the file cannot be read.
        """
        length = min(max_bytes, self._left)
        if length == 0:
            return b""
        data = await run_in_thread(partial(self._file.read, self._offset, length))
        self._offset += len(data)
        self._left -= len(data)
        return data


def _open(path: Path) -> io.FileIO:
    with storage_errors(f"read {path}"):
        try:
            return opening.open_regular(path)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {path}") from error


def _read_table(file: RandomFile) -> tuple[Table, index_file.Tree]:
    if file.size() == 0:
        raise InvalidLayoutError(f"{file.name} is empty")
    table = archive_table.build(tar_scan.scan(file), where=file.name)
    if table.marker is not None:
        check_marker(_read_small(file, table.marker, max_bytes=_MAX_MARKER_BYTES))
    data = _read_small(file, table.index, max_bytes=index_file.MAX_BYTES)
    return table, index_file.decode(data, where=file.name)


def _read_small(file: RandomFile, member: Member, *, max_bytes: int) -> bytes:
    if member.size > max_bytes:
        raise InvalidLayoutError(f"{member.name} in {file.name} is larger than {max_bytes} bytes")
    return file.read_exactly(member.offset, member.size)
