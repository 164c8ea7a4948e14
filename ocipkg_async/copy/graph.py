"""Copying a graph of content between any two stores.

First the documents are read and the destination is asked what it has; then all missing blobs move
at once, under one limit; then the documents follow, children before parents. So a document is at
the destination only when everything it needs is there, whatever interrupts the copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import anyio

from ..content import (
    BytesSource,
    Fetcher,
    FetchSource,
    Meter,
    Mounter,
    Source,
    Store,
    TaggedPusher,
    fetch_bytes,
)
from ..content.graph import MAX_NODES
from ..content.reader import MAX_DOCUMENT_BYTES
from ..errors import LimitExceededError, NotFoundError, OCIError, RegistryError, single_error
from ..events import Action, Finished, OnEvent, Planned, Skipped, Started, ignore
from ..spec import Descriptor, Digest, Document, Index, media_types, parse_document
from .sides import NotedSource, side

DEFAULT_CONCURRENCY = 6
"""Pieces of content in flight; more helps small blobs only, and each holds some megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did.

    Attributes:
        root: what was copied.
        copied: content that was moved.
        skipped: content that the destination had, or took over from another repository.
        bytes_copied: bytes moved.
    """

    root: Descriptor
    copied: tuple[Descriptor, ...]
    skipped: tuple[Descriptor, ...]

    @property
    def bytes_copied(self) -> int:
        """Bytes moved."""
        return sum(descriptor.size for descriptor in self.copied)


async def copy_graph(
    source: Fetcher,
    destination: Store,
    root: Descriptor,
    *,
    names: Sequence[str] = (),
    concurrency: int = DEFAULT_CONCURRENCY,
    deep: bool = False,
    foreign_layers: bool = False,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    action: Action = "copy",
    on_event: OnEvent = ignore,
) -> CopyReport:
    """Copy `root` and everything below it; each digest moves once.

    Args:
        source: where it is.
        destination: where it goes; what exists there is not moved again.
        root: a manifest, an index or a blob.
        names: tags that the root gets at the destination.
        concurrency: pieces of content in flight.
        deep: look below documents that exist at the destination too, to repair a partial copy. A
            destination that misses something when all is there makes it so by itself, once.
        foreign_layers: move non-distributable layers as well.
        max_document_bytes: largest manifest or index that is read.
        action: what the events call it.
        on_event: called with what happens.

    Raises:
        NotFoundError: the source lacks something.
        IntegrityError: the source gave wrong bytes; the destination shows nothing of them.
        OCIError: either side failed; a note says which.
    """

    def copying(*, deep: bool) -> _Copy:
        return _Copy(
            source,
            destination,
            concurrency,
            deep,
            foreign_layers,
            max_document_bytes,
            action,
            on_event,
        )

    copy = copying(deep=deep)
    try:
        return await copy.run(root, names)
    except OCIError as error:
        if not copy.lost_something(error):
            raise
    return await copying(deep=True).run(root, names)


@dataclass(slots=True)
class _Copy:
    source: Fetcher
    destination: Store
    concurrency: int
    deep: bool
    foreign_layers: bool
    max_bytes: int
    action: Action
    on_event: OnEvent
    documents: dict[Digest, Document] = field(default_factory=dict[Digest, Document])
    blobs: dict[Digest, Descriptor] = field(default_factory=dict[Digest, Descriptor])
    present: set[Digest] = field(default_factory=set[Digest])
    copied: list[Descriptor] = field(default_factory=list[Descriptor])
    skipped: list[Descriptor] = field(default_factory=list[Descriptor])
    naming: bool = False
    """Everything is there, and gets its names."""

    async def run(self, root: Descriptor, names: Sequence[str]) -> CopyReport:
        """Do all of it."""
        with single_error():
            await self.read(root)
            self.on_event(Planned(action=self.action, total=self.total))
            await self.move_blobs()
            await self.move_documents(root, names)
        return CopyReport(root=root, copied=tuple(self.copied), skipped=tuple(self.skipped))

    def lost_something(self, error: OCIError) -> bool:
        """Whether the destination misses what it had, as it said: somebody removed it."""
        if isinstance(error, RegistryError):
            codes = {detail.code for detail in error.details}
            if "MANIFEST_BLOB_UNKNOWN" in codes:
                return True
        return isinstance(error, NotFoundError) and self.naming

    @property
    def total(self) -> int:
        """Bytes of all blobs, and of the documents that have to move."""
        moving = (d.size for digest, d in self.documents.items() if digest not in self.present)
        return sum(blob.size for blob in self.blobs.values()) + sum(moving)

    async def read(self, root: Descriptor) -> None:
        """Read the documents level by level, and note what has to move."""
        level, depth = [root], 0
        while level:
            documents = [d for d in level if d.is_document and d.digest not in self.documents]
            if documents and depth > Index.MAX_DEPTH:
                raise LimitExceededError(f"the indexes below {root.digest} are nested too deeply")
            self.blobs.update((d.digest, d) for d in level if not d.is_document and self._moves(d))
            if len(self.blobs) + len(self.documents) > MAX_NODES:
                raise LimitExceededError(f"the graph below {root.digest} is too large")
            limit = anyio.CapacityLimiter(self.concurrency)
            found: dict[Digest, Document] = {}
            async with anyio.create_task_group() as group:
                for descriptor in {d.digest: d for d in documents}.values():
                    group.start_soon(self._read_one, descriptor, found, limit)
            self.documents.update(found)
            level = [s for document in found.values() for s in document.successors]
            depth += 1

    def _moves(self, blob: Descriptor) -> bool:
        return self.foreign_layers or not media_types.is_foreign_layer(blob.media_type)

    async def _read_one(
        self,
        descriptor: Descriptor,
        found: dict[Digest, Document],
        limit: anyio.CapacityLimiter,
    ) -> None:
        async with limit:
            with side("destination"):
                exists = await self.destination.exists(descriptor)
            if exists:
                self.present.add(descriptor.digest)
                self._skip(descriptor, "exists")
                if not self.deep:
                    return
            with side("source"):
                raw = await fetch_bytes(self.source, descriptor, max_bytes=self.max_bytes)
            found[descriptor.digest] = parse_document(
                raw, media_type=descriptor.media_type, digest=descriptor.digest
            )

    async def move_blobs(self) -> None:
        """Move all blobs that the destination lacks."""
        limit = anyio.CapacityLimiter(self.concurrency)
        async with anyio.create_task_group() as group:
            # The largest first: the last one to end decides how long everything takes.
            # Among equals the digest decides, so that one at a time gives one order.
            for blob in sorted(self.blobs.values(), key=lambda b: (-b.size, b.digest)):
                group.start_soon(self._move_blob, blob, limit)

    async def _move_blob(self, blob: Descriptor, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            with side("destination"):
                if await self.destination.exists(blob):
                    self._skip(blob, "exists")
                    return
                if isinstance(self.destination, Mounter):
                    origin = self.destination.can_mount_from(self.source)
                    if origin and await self.destination.mount(blob, origin):
                        self._skip(blob, "mounted")
                        return
            await self._push(blob, self._blob_source(blob))

    def _blob_source(self, blob: Descriptor) -> Source:
        if blob.data is not None:
            return BytesSource(blob.check("the descriptor").data or b"")
        meter = Meter(self.on_event, action=self.action, descriptor=blob)
        return NotedSource(FetchSource(self.source, blob, meter=meter))

    async def _push(self, descriptor: Descriptor, source: Source, tag: str | None = None) -> None:
        name = descriptor.title or descriptor.digest.short
        self.on_event(
            Started(action=self.action, descriptor=descriptor, name=name, total=descriptor.size)
        )
        with side("destination"):
            if tag is not None and isinstance(self.destination, TaggedPusher):
                await self.destination.push_tagged(descriptor, source, tag)
            else:
                await self.destination.push(descriptor, source)
        self.copied.append(descriptor)
        self.on_event(
            Finished(action=self.action, descriptor=descriptor, name=name, done=descriptor.size)
        )

    async def move_documents(self, root: Descriptor, names: Sequence[str]) -> None:
        """Move documents, children before parents, the root and its names last."""
        for document in self._post_order(root):
            if document.digest == root.digest or document.digest in self.present:
                continue
            await self._push(document.descriptor, BytesSource(document.raw))
        await self._finish(root, names)

    async def _finish(self, root: Descriptor, names: Sequence[str]) -> None:
        document = self.documents.get(root.digest)
        rest = list(names)
        if document is not None and root.digest not in self.present:
            first = rest.pop(0) if rest and isinstance(self.destination, TaggedPusher) else None
            await self._push(document.descriptor, BytesSource(document.raw), first)
        with side("destination"):
            self.naming = True
            for name in rest:
                await self.destination.tag(root, name)

    def _post_order(self, root: Descriptor) -> Iterator[Document]:
        seen: set[Digest] = set()
        stack: list[tuple[Digest, bool]] = [(root.digest, False)]
        while stack:
            digest, ready = stack.pop()
            document = self.documents.get(digest)
            if document is None or (digest in seen and not ready):
                continue
            if ready:
                yield document
                continue
            seen.add(digest)
            stack.append((digest, True))
            stack.extend((s.digest, False) for s in document.successors)

    def _skip(self, descriptor: Descriptor, reason: str) -> None:
        self.skipped.append(descriptor)
        self.on_event(
            Skipped(
                action=self.action,
                descriptor=descriptor,
                name=descriptor.title or descriptor.digest.short,
                reason="exists" if reason == "exists" else "mounted",
            )
        )
