"""The blobs of a layout: files named by their digest, each complete or not there."""

import contextlib
import io
import math
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from ..content import BlobReader, SavingSource, Source, run_in_thread, verified
from ..content.files import atomic_file, make_folder, sync_folder, write_all
from ..content.reader import READ_BYTES, FileStream
from ..errors import NotFoundError, storage_errors
from ..spec import Descriptor, Digest, Digester, media_types
from . import opening
from .staging import staged_file

# Content that is found instead of written is as good as new to a collection that runs meanwhile;
# renewing its time this often keeps it far younger than any sensible grace.
_RENEW_AFTER_S = 60.0


class BlobFolder:
    """Files ``<algorithm>/<encoded>`` below one folder.

    Attributes:
        path: the folder.
        writable: whether files may be added, and their times renewed.
    """

    def __init__(self, path: Path, *, writable: bool, durable: bool) -> None:
        """Take a folder, which need not exist yet."""
        self.path = path
        self.writable = writable
        self._durable = durable

    def file(self, digest: Digest) -> Path:
        """Return the place of a blob.

        The parts of a parsed digest hold no separator and are never "..", so this stays inside
        (S-04); text that was not parsed is parsed here.
        """
        digest = Digest(digest)
        return self.path / digest.algorithm / digest.encoded

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, or None if it is not there."""
        return await run_in_thread(partial(self._size, self.file(digest)))

    async def has(self, descriptor: Descriptor) -> bool:
        """Whether there is a blob of this digest and size; its time is renewed."""
        return await run_in_thread(partial(self._has, descriptor))

    async def first_missing(self, descriptors: Iterable[Descriptor]) -> Descriptor | None:
        """Return the first that is not there in its size; the times of those before are renewed."""

        def look() -> Descriptor | None:
            return next((one for one in descriptors if not self._has(one)), None)

        return await run_in_thread(look)

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open a blob for reading.

        Raises:
            NotFoundError: it is not there.
            StorageError: it cannot be read.
        """
        path = self.file(descriptor.digest)
        with contextlib.ExitStack() as stack:
            file = await run_in_thread(lambda: stack.enter_context(_open(path, descriptor)))

            def read(max_bytes: int) -> bytes:
                with storage_errors(f"read {path}"):
                    return file.read(max_bytes)

            yield BlobReader(FileStream(read), descriptor)

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Store a blob unless it is there in its right size (I-08).

        Raises:
            IntegrityError: the source's bytes are not what `descriptor` says.
            DiskFullError, StorageError: the file system refused; nothing is visible.
        """
        if await self.has(descriptor):
            return
        path = self.file(descriptor.digest)
        if isinstance(source, SavingSource) and await source.save(path, durable=self._durable):
            return
        async with source.open() as stream:
            await self.store(verified(stream, descriptor))

    async def store(self, reader: BlobReader) -> None:
        """Store what a reader verifies.

        Raises:
            IntegrityError, DiskFullError, StorageError: as `push`.
        """
        path = self.file(reader.descriptor.digest)
        async with staged_file(path.parent, durable=self._durable) as file:
            await reader.drain(file.write)
            await file.publish(path)

    async def write(self, digest: Digest, data: bytes) -> None:
        """Store a small blob that has `digest`; one that is there and damaged is replaced.

        Raises:
            DiskFullError, StorageError: the file system refused; nothing is visible.
        """
        await run_in_thread(self._write, self.file(digest), data)

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Store a blob whose digest is known only at its end.

        Raises:
            DiskFullError, StorageError: the file system refused; nothing is visible.
        """
        digester = Digester()

        async with (
            staged_file(self.path / digester.algorithm, durable=self._durable) as file,
            source.open() as stream,
        ):

            def consume(data: bytes) -> None:
                digester.update(data)
                file.write(data)

            while data := await stream.read(READ_BYTES):
                await run_in_thread(partial(consume, data))
            digest = digester.digest()
            await file.publish(self.file(digest))
        return Descriptor(media_type=media_type, digest=digest, size=digester.size)

    async def adopt(self, digest: Digest, file: Path) -> None:
        """Take over a finished, verified file of the same file system.

        Raises:
            StorageError: it cannot be renamed.
        """
        await run_in_thread(partial(self._adopt, self.file(digest), file))

    async def link(self, digest: Digest, other: "BlobFolder") -> bool:
        """Take a blob over from another folder: a hard link, or a copy where that is impossible.

        Returns:
            False if it is not there.

        Raises:
            IntegrityError, DiskFullError, StorageError: as `push`.
        """
        size = await other.size_of(digest)
        if size is None:
            return False
        blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=size)
        if await self.has(blob):
            return True
        linked = await run_in_thread(partial(self._link, other.file(digest), self.file(digest)))
        if linked or await self.has(blob):  # somebody else was faster
            return True
        try:
            async with other.fetch(blob) as reader:
                await self.store(reader)
        except NotFoundError:
            return False
        return True

    def renew(self, *digests: Digest) -> None:
        """Make blobs that are found as good as new to a collection that runs later; blocks."""
        for digest in digests:
            renew(self.file(digest))

    def age_s(self, digest: Digest, now_s: float) -> float:
        """Return the seconds since a blob was written or renewed; endless for none. It blocks.

        Raises:
            OSError: as the system says it.
        """
        try:
            return now_s - self.file(digest).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return math.inf

    async def remove(self, digest: Digest) -> None:
        """Remove a blob if it is there.

        Raises:
            StorageError: the file system refused.
        """
        path = self.file(digest)
        with storage_errors(f"remove {path}"):
            await run_in_thread(lambda: path.unlink(missing_ok=True))

    def _size(self, path: Path) -> int | None:
        with storage_errors(f"examine {path}"):
            try:
                return path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _has(self, descriptor: Descriptor) -> bool:
        path = self.file(descriptor.digest)
        if self._size(path) != descriptor.size:
            return False
        return renew(path) if self.writable else True

    def _adopt(self, path: Path, file: Path) -> None:
        with storage_errors(f"move {file} to {path}"):
            make_folder(path.parent, durable=self._durable)
            if self._durable:
                with opening.open_regular(file) as opened:
                    os.fsync(opened.fileno())
            renew(file)
            file.replace(path)
            if self._durable:
                sync_folder(path.parent)

    def _link(self, source: Path, path: Path) -> bool:
        """Link `source` as `path`; False where that is impossible and a copy may do."""
        with storage_errors(f"make {path.parent}"):
            make_folder(path.parent, durable=self._durable)
        try:
            if source.is_symlink():
                return False  # it may lead elsewhere from another folder
            os.link(source, path, follow_symlinks=False)
        except (OSError, NotImplementedError):
            return False  # other file system, no hard links there, too many, or there already
        renew(path)
        if self._durable:
            with storage_errors(f"write {path}"):
                sync_folder(path.parent)
        return True

    def _write(self, path: Path, data: bytes) -> None:
        with storage_errors(f"write {path}"):
            if _kept(path, data, durable=self._durable):
                return
            make_folder(path.parent, durable=self._durable)
            with atomic_file(path, durable=self._durable) as file:
                write_all(file, data)


def _kept(path: Path, data: bytes, *, durable: bool) -> bool:
    """Whether a file has exactly these bytes, and stays: it is as good as new to a collection."""
    try:
        with opening.open_regular(path) as file:
            if os.fstat(file.fileno()).st_size != len(data) or file.readall() != data:
                return False
            if durable:
                # Who put it there may have been killed, or be about to flush it.
                os.fsync(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not renew(path):
        return False
    if durable:
        sync_folder(path.parent)
    return True


def _open(path: Path, descriptor: Descriptor) -> io.FileIO:
    with storage_errors(f"read {path}"):
        try:
            return opening.open_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"{descriptor.digest} is not in {path.parent.parent}") from error


def renew(path: Path) -> bool:
    """Make the file of a blob as good as new to a collection; blocks.

    Returns:
        False if a collection was faster and it is gone.
    """
    try:
        if time.time() - path.stat().st_mtime > _RENEW_AFTER_S:
            os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # somebody else's file
    return True
