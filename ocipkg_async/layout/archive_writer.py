"""An oci-archive as a store to write to, once, from its first byte to its last.

The file appears when everything was written. ``oci-layout`` comes first, then the blobs in the
order in which they were pushed, ``index.json`` last, since its content is known last; the same
pushes in the same order give the same bytes on every machine (O-12).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

import anyio

from ..content import BlobReader, BytesSource, Source, finish_in_thread, run_in_thread, verified
from ..content.reader import READ_BYTES
from ..errors import ClosedError, NotFoundError, storage_errors
from ..spec import Descriptor, Digest, Digester, media_types
from ..spec.image_layout import INDEX, MARKER, MARKER_BYTES, blob_path
from . import index_file, names, tar_write
from .archive_reader import ArchiveReader, MemberStream
from .documents import children, read_document
from .entries import Entries
from .lookup import IndexedStore
from .random_file import RandomFile
from .staging import exists_error, staged_file


class ArchiveWriter(IndexedStore):
    """A new oci-archive. Open one with `ArchiveWriter.open`.

    Pushes may run at the same time; they wait for each other, since an archive is one sequence.

    Attributes:
        path: the file that appears at the end.
    """

    def __init__(self, path: Path, file: RandomFile) -> None:
        """Take an opened file; use `open` instead."""
        super().__init__()
        self.path = path
        self._file: RandomFile | None = file
        self._end = 0
        self._blobs: dict[Digest, tuple[int, int]] = {}
        self._tree = index_file.empty()
        self._turn = anyio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, overwrite: bool = False, append: bool = False, durable: bool = False
    ) -> AsyncIterator[Self]:
        """Write an archive in a block; after an exception in it nothing is left.

        Args:
            path: the file; its folder must exist.
            overwrite: replace an existing file.
            append: keep what an existing archive has: it is copied, verified, into the new one,
                which then replaces it (O-06). A missing file is no error.
            durable: flush the file to the disk before it gets its name.

        Raises:
            AlreadyExistsError: the file exists, and neither `overwrite` nor `append` is given.
            InvalidLayoutError, IntegrityError: the archive to append to is damaged.
            DiskFullError, StorageError: the file system refused.
        """
        with storage_errors(f"examine {path}"):
            there = await run_in_thread(path.exists)
        if there and not (overwrite or append):
            raise exists_error(path)
        async with staged_file(path.parent, make_folder=False, durable=durable) as staged:
            writer = cls(path, RandomFile(staged.fd, name=str(path)))
            try:
                await writer._add_bytes(MARKER, MARKER_BYTES)
                if append and there:
                    await writer._copy(path)
                yield writer
                await writer._finish()
            finally:
                await writer._close()
            await staged.publish(path, replace=overwrite or append)

    async def listing(self) -> Entries:
        """Return the entries of ``index.json`` so far, to be looked up."""
        return Entries(index_file.descriptors(self._tree))

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, or None if it was not written."""
        place = self._blobs.get(digest)
        return place[1] if place else None

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether content was written; a document must be listed too."""
        if await self.size_of(descriptor.digest) != descriptor.size:
            return False
        return not descriptor.is_document or await self._documents.is_listed(descriptor)

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content that was written, verified on the way.

        Raises:
            NotFoundError: it was not written.
            ClosedError: the archive is finished.
        """
        file = self._open_file()
        if descriptor.digest not in self._blobs:
            raise NotFoundError(f"{descriptor.digest} is not in {self.path}")
        yield BlobReader(MemberStream(file, *self._blobs[descriptor.digest]), descriptor)

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Write content, verified; a document is listed, untagged, in ``index.json``.

        Raises:
            IntegrityError: the source's bytes are not what `descriptor` says.
            InvalidDocumentError: it is no valid document of its media type.
            DiskFullError, StorageError: the file system refused.
        """
        if descriptor.is_document:
            await self._push_document(descriptor, source, None)
        else:
            await self._push_blob(descriptor, source)

    async def push_tagged(self, descriptor: Descriptor, source: Source, name: str) -> None:
        """Write a document and name it.

        Raises:
            InvalidReferenceError: `name` cannot be a name.
            IntegrityError, InvalidDocumentError, StorageError: as `push`.
        """
        await self._push_document(descriptor, source, names.check_name(name))

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Write a blob whose digest is not known before; return its descriptor.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        digester = Digester()
        async with self._turn, source.open() as stream:
            file = self._open_file()
            # The header holds the digest, so it is written when the data is there.
            start = self._end + tar_write.BLOCK

            def consume(data: bytes) -> None:
                file.write(start + digester.size, data)
                digester.update(data)

            while data := await stream.read(READ_BYTES):
                await run_in_thread(partial(consume, data))
            digest, size = digester.digest(), digester.size
            if digest not in self._blobs:
                await run_in_thread(partial(self._close_member, file, digest, size, start))
        return Descriptor(media_type=media_type, digest=digest, size=size)

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let `name` point to a document that was written, and to it alone (I-06).

        Raises:
            NotFoundError: it was not written.
            InvalidReferenceError: `name` cannot be a name.
        """
        names.check_name(name)
        self._open_file()
        if descriptor.digest not in self._blobs:
            raise NotFoundError(
                f"{descriptor.digest} is not in {self.path}", hint="push it before naming it"
            )
        self._tree = index_file.with_name(self._tree, descriptor, name)

    async def _push_document(
        self, descriptor: Descriptor, source: Source, name: str | None
    ) -> None:
        document = await read_document(source, descriptor)
        below = children(document)
        await self._push_blob(descriptor, BytesSource(document.raw))
        if name is not None:
            self._tree = index_file.with_name(self._tree, descriptor, name)
        self._tree = index_file.with_document(self._tree, descriptor, below)

    async def _push_blob(self, descriptor: Descriptor, source: Source) -> None:
        self._open_file()
        async with self._turn:
            if await self.size_of(descriptor.digest) != descriptor.size:
                async with source.open() as stream:
                    await self._add(verified(stream, descriptor))

    async def _add(self, reader: BlobReader) -> None:
        """Append what a reader verifies; only then does it become part of the archive."""
        file, digest, size = self._open_file(), reader.descriptor.digest, reader.size
        start = self._end + len(tar_write.header(blob_path(digest), size))
        position = start

        def write(data: bytes) -> None:
            nonlocal position
            file.write(position, data)
            position += len(data)

        await reader.drain(write)
        await run_in_thread(partial(self._close_member, file, digest, size, start))

    def _close_member(self, file: RandomFile, digest: Digest, size: int, start: int) -> None:
        """Write the header before data that is already at `start`, and the padding behind it."""
        header = tar_write.header(blob_path(digest), size)
        wanted = self._end + len(header)
        if wanted > start:
            file.move(start, size, wanted)
        file.write(self._end, header)
        padding = tar_write.padding(size)
        file.write(wanted + size, padding)
        self._blobs[digest] = (wanted, size)
        self._end = wanted + size + len(padding)

    async def _add_bytes(self, name: str, data: bytes) -> None:
        member = tar_write.header(name, len(data)) + data + tar_write.padding(len(data))
        await run_in_thread(partial(self._open_file().write, self._end, member))
        self._end += len(member)

    async def _copy(self, path: Path) -> None:
        async with ArchiveReader.open(path) as reader:
            for digest, size in reader.blobs:
                blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=size)
                async with reader.fetch(blob) as content:
                    await self._add(content)
            self._tree = reader.tree

    async def _finish(self) -> None:
        async with self._turn:
            file = self._open_file()
            await self._add_bytes(INDEX, index_file.encode(self._tree))
            await run_in_thread(partial(file.write, self._end, tar_write.END))
            # Whatever a failed push left behind the end goes.
            await run_in_thread(partial(file.truncate, self._end + len(tar_write.END)))

    async def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await finish_in_thread(file.detach)

    def _open_file(self) -> RandomFile:
        if self._file is None:
            raise ClosedError(f"the archive {self.path} is finished")
        return self._file
