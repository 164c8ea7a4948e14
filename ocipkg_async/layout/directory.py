"""An image-layout directory as a store (image-spec v1.1 ``image-layout.md``).

Blobs are written beside their final place and renamed; ``index.json`` is changed under a lock
that holds between processes, as it then is, and replaced by rename. Reading needs no lock.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal, Self

from ..content import BlobReader, Source, run_in_thread
from ..content.locks import file_lock
from ..errors import NotFoundError, UnsupportedError
from ..spec import Descriptor, Digest, Index, Manifest
from ..spec.image_layout import BLOBS
from . import index_file, names, opening, sweeping
from .blob_folder import BlobFolder
from .collecting import Collection
from .documents import children, read_document
from .entries import Entries
from .index_json import Edit, IndexJson
from .lookup import IndexedStore

Flush = Literal["all", "index", "none"]


class Layout(IndexedStore):
    """A folder with ``oci-layout``, ``index.json`` and blobs. Open one with `Layout.open`.

    It holds nothing open, needs no closing, and may be used by many tasks and processes at once.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, blobs: BlobFolder, index: IndexJson, *, shared: bool) -> None:
        """Take an opened folder; use `open` instead."""
        super().__init__()
        self.path = path
        self._blobs = blobs
        self._shared = shared
        self._index = index

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        read_only: bool = False,
        blobs: Path | None = None,
        flush: Flush = "index",
    ) -> Self:
        """Open a layout.

        Args:
            path: its folder.
            create: make it if the folder is missing or empty.
            read_only: refuse every change; then the ``oci-layout`` file may be missing.
            blobs: a folder of blobs shared with other layouts, ``<blobs>/sha256/<hex>`` (I-10).
                Nothing is ever removed from it.
            flush: what is on the disk when a call returns, should the power fail: ``all``; the
                names in ``index.json``, while a blob that was cut short is noticed and fetched
                again; or ``none``, for layouts that are thrown away.

        Raises:
            NotFoundError: there is nothing at `path`.
            InvalidLayoutError: it is not an image layout, or has content but no ``oci-layout``.
            StorageError: the file system refused.
        """
        if create and not read_only and await run_in_thread(partial(opening.is_blank, path)):
            await run_in_thread(partial(opening.make_folder, path))
            async with file_lock(path / opening.LOCK):
                await run_in_thread(partial(opening.initialise, path))
        await run_in_thread(lambda: opening.check_layout(path, needs_marker=not read_only))
        folder = BlobFolder(blobs or path / BLOBS, writable=not read_only, durable=flush == "all")
        index = IndexJson(path, durable=flush != "none", flushed=flush != "all")
        return cls(path, folder, index, shared=blobs is not None)

    async def listing(self) -> Entries:
        """Return the entries of ``index.json``, to be looked up; the same object while it stays so.

        Raises:
            InvalidLayoutError: it is missing or not an image index.
        """
        return await self._index.entries()

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob's file, unverified, or None if there is none."""
        return await self._blobs.size_of(digest)

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether content of this digest and size is there; a document must be listed too."""
        if not await self._blobs.has(descriptor):
            return False
        return not descriptor.is_document or await self._documents.is_listed(descriptor)

    async def first_missing_blob(self, blobs: Iterable[Descriptor]) -> Descriptor | None:
        """Return the first of some blobs, whatever they hold, that is not there in its size."""
        return await self._blobs.first_missing(blobs)

    def fetch(self, descriptor: Descriptor) -> AbstractAsyncContextManager[BlobReader]:
        """Open content for reading, verified on the way.

        Raises:
            NotFoundError: it is not there.
            StorageError: it cannot be read.
        """
        return self._blobs.fetch(descriptor)

    def local_path(self, descriptor: Descriptor) -> Path | None:
        """Return the file that holds a blob, or None, unverified. It looks at the disk, so it blocks."""
        path = self._blobs.file(descriptor.digest)
        return path if path.is_file() else None

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Store content, verified; a document is listed, untagged, in ``index.json``.

        Raises:
            IntegrityError: the source's bytes are not what `descriptor` says.
            InvalidDocumentError: it is no valid document of its media type.
            DiskFullError, StorageError: the file system refused; nothing is visible.
        """
        self._check_writable()
        if descriptor.is_document:
            await self.put(await read_document(source, descriptor))
        else:
            await self._blobs.push(descriptor, source)

    async def push_tagged(self, descriptor: Descriptor, source: Source, name: str) -> None:
        """Store a document and name it, in one change of ``index.json``.

        Raises:
            InvalidReferenceError: `name` cannot be a name.
            IntegrityError, InvalidDocumentError, StorageError: as `push`.
        """
        self._check_writable()
        await self.put(await read_document(source, descriptor), name)

    async def put(self, document: Manifest | Index, *named: str) -> None:
        """Store a parsed document under any number of names, in one change of ``index.json``.

        Raises:
            InvalidReferenceError, StorageError: as `push_tagged`.
        """
        self._check_writable()
        below, named = children(document), tuple(map(names.check_name, named))
        await self._blobs.write(document.digest, document.raw)
        await self._edit(
            lambda tree: index_file.with_document(tree, document.descriptor, below, named), *named
        )

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Store a blob whose digest is not known before; return its descriptor.

        Raises:
            DiskFullError, StorageError: the file system refused; nothing is visible.
        """
        self._check_writable()
        return await self._blobs.push_stream(media_type, source)

    async def adopt(self, digest: Digest, file: Path) -> None:
        """Take over a finished, verified blob of the same file system, by rename.

        A document is not listed by this; `tag` or `push` lists it.

        Raises:
            StorageError: it cannot be renamed.
        """
        self._check_writable()
        await self._blobs.adopt(digest, file)

    async def link_blob(self, digest: Digest, other: "Layout") -> bool:
        """Take a blob over from another layout: a hard link, or a copy where that is impossible.

        Returns:
            False if it is not there.

        Raises:
            IntegrityError: a copied blob was not what its digest says.
            DiskFullError, StorageError: the file system refused.
        """
        self._check_writable()
        return await self._blobs.link(digest, other._blobs)  # noqa: SLF001 - of the same class

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let `name` point to a document, and to it alone (I-06).

        Raises:
            NotFoundError: the document is not here.
            InvalidReferenceError: `name` cannot be a name.
        """
        names.check_name(name)
        self._check_writable()
        if not await self._blobs.has(descriptor):
            raise NotFoundError(
                f"{descriptor.digest} is not in the layout {self.path}", hint="push it first"
            )
        await self._edit(lambda tree: index_file.with_name(tree, descriptor, name), name)

    async def untag(self, name: str) -> None:
        """Remove a name; its content and other names of it stay.

        Raises:
            NotFoundError: no entry has exactly this name.
        """
        self._check_writable()
        await self._edit(lambda tree: index_file.without_name(tree, name), name)

    async def delete(
        self, descriptor: Descriptor, *, force: bool = False, keep: Sequence[Descriptor] = ()
    ) -> None:
        """Remove a blob, or a document with all its names.

        The file of a document stays while another document lists it; what the document itself
        lists goes with `collect`.

        Args:
            descriptor: what to remove.
            force: remove a document's file even if another document lists it.
            keep: documents to list in its place, as far as they are there (C-36).

        Raises:
            NotFoundError: it is not there.
            UnsupportedError: it is a blob in a shared folder.
        """
        self._check_writable()
        if self._shared and not descriptor.is_document:
            raise UnsupportedError("nothing is removed from a shared folder of blobs")
        digest = descriptor.digest
        async with self._index.locked():
            before = await self.listing()
            if digest not in before.by_digest and await self.size_of(digest) is None:
                raise NotFoundError(f"{digest} is not in the layout {self.path}")
            rest = (entry for entry in before if entry.digest != digest)
            stays = descriptor.is_document and not force
            stays = stays and await self._documents.is_needed(digest, rest)
            kept = [one for one in keep if await self._blobs.has(one)]
            await self._index.change(
                lambda tree: index_file.without_digests(tree, {digest}, keep=kept)
            )
            if not stays and not self._shared:
                await self._blobs.remove(digest)

    async def collect(
        self,
        *,
        grace_s: float = 3600.0,
        partials_grace_s: float | None = None,
        untagged: bool = False,
        dry_run: bool = False,
        held: AbstractAsyncContextManager[object] | None = None,
    ) -> list[tuple[Digest, int]]:
        """Remove blobs that nothing in ``index.json`` needs, and unfinished files (I-09).

        Kept are all entries with what they list and refer to, and everything younger than
        `grace_s` seconds, which a push in progress may be about to list.

        Args:
            grace_s: age counts from when a blob was written, was found by a push, or lost a name.
            partials_grace_s: seconds for unfinished downloads that nobody works on (None: `grace_s`).
            untagged: remove documents without a name, too, that are no part of one that stays and
                refer to none that does.
            dry_run: remove nothing.
            held: entered before the layout may not change any more; most is read before.

        Returns:
            digest and size of what was removed, or would be with `dry_run`.

        Raises:
            IntegrityError, InvalidDocumentError: a document is damaged, so what it needs is not
                known; nothing was removed.
            UnsupportedError: the blobs are in a shared folder.
        """
        self._check_writable()
        if self._shared:
            raise UnsupportedError("nothing is removed from a shared folder of blobs")
        return await Collection(self, self._index, self._blobs, untagged=untagged).run(
            held or nullcontext(),
            older_than_s=grace_s,
            partials_older_than_s=grace_s if partials_grace_s is None else partials_grace_s,
            dry_run=dry_run,
        )

    async def verify(self) -> list[sweeping.Problem]:
        """Hash every blob again, and look for every piece that ``index.json`` needs."""
        blobs = await run_in_thread(partial(sweeping.list_blobs, self._blobs.path))
        return await sweeping.verify(self, blobs, await self.entries())

    async def _edit(self, edit: Edit, *moved: str) -> None:
        """Edit the index; a document that loses a name is as young as one that was just pushed."""

        def renew(was: Entries) -> None:
            self._blobs.renew(*(one.digest for name in moved for one in was.by_name.get(name, ())))

        await self._index.change_soon(edit, then=renew)

    def _check_writable(self) -> None:
        if not self._blobs.writable:
            raise UnsupportedError(f"the layout {self.path} was opened for reading only")
