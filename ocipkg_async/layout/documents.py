"""What the documents of one layout say of each other: children, subjects, referrers.

A layout has no table of these; they are read from the manifests, which never change, so what was
read once is remembered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from ..content import Fetcher, Source, fetch_bytes, fetch_document, verified
from ..errors import InvalidDocumentError, NotFoundError, OCIError, UnsupportedError
from ..spec import Descriptor, Digest, Index, Manifest, media_types, parse_document
from . import names
from .entries import Entries
from .relations import Links, Referrer, Relations, only_documents, relations_of

MAX_DOCUMENT_BYTES = 8 << 20
"""Largest manifest or index that is kept. Registries take 4 MiB or somewhat more; a layout has to
hold what any of them gives."""
# Enough for every repository but the largest.
_REMEMBERED = 4096
_USUAL_BYTES = 8 << 10
"""How much is remembered of each, on average; the longest may have a thousand times as much."""


class Listed(Fetcher, Protocol):
    """A store with an ``index.json``."""

    async def listing(self) -> Entries:
        """Return the entries of ``index.json``; the same object while it has not changed."""
        ...

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, or None if it is not there."""
        ...


@dataclass(slots=True)
class _Below:
    """All documents in one state of ``index.json`` and below its indexes, each once."""

    entries: Entries
    documents: dict[Digest, Descriptor] = field(default_factory=dict[Digest, Descriptor])
    referrers: dict[Digest, list[Referrer]] | None = None
    complete: bool = True
    """False while a document is missing: what is below it may come without a change of the index."""


class Documents:
    """The documents of one store.

    Args:
        store: the store.
        remembered: of how many documents it is remembered what they point to.
    """

    def __init__(self, store: Listed, *, remembered: int = _REMEMBERED) -> None:
        self._store = store
        self._max = remembered
        self._links: dict[tuple[Digest, str], Links] = {}
        self._bytes = 0
        self._relations: dict[tuple[Digest, str], Relations] = {}
        self._below: _Below | None = None
        self._turn = anyio.Lock()

    async def resolve(self, name: str) -> Descriptor:
        """Return what a name or digest points to, as `names.find`.

        A digest that is not listed is looked for among the blobs; a document is told from a blob
        by its content.

        Raises:
            NotFoundError, InvalidLayoutError, InvalidArgumentError, IntegrityError
        """
        digest = names.as_digest(name)
        entries = await self._store.listing()
        if digest is None:
            return names.find(entries, name).plain()
        size = await self._store.size_of(digest)
        if size is None:
            raise NotFoundError(f"{digest} is not in this layout")
        listed = entries.by_digest.get(digest)
        return listed.plain() if listed else await self._describe(digest, size)

    async def _describe(self, digest: Digest, size: int) -> Descriptor:
        blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=size)
        if size > MAX_DOCUMENT_BYTES:
            return blob
        raw = await fetch_bytes(self._store, blob, max_bytes=MAX_DOCUMENT_BYTES)
        try:
            return parse_document(raw, digest=digest).descriptor
        except (InvalidDocumentError, UnsupportedError):
            return blob

    async def find_listed(self, name: str) -> Descriptor | None:
        """Return the document with exactly this name or digest, or None.

        Raises:
            InvalidLayoutError: several entries have this name (I-06).
            IntegrityError, InvalidDocumentError: an index is damaged.
        """
        digest = names.as_digest(name)
        entries = await self._store.listing()
        if digest is None:
            found = names.find_exact(entries, name)
        else:
            found = entries.by_digest.get(digest)
            if found is None or not found.is_document:
                found = (await self._listed(entries)).get(digest)
        return found.plain() if found and found.is_document else None

    async def is_listed(self, descriptor: Descriptor) -> bool:
        """Whether a document is in ``index.json``, or below an index that is."""
        entries = await self._store.listing()
        if descriptor.digest in entries.by_digest:
            return True
        try:
            return descriptor.digest in await self._listed(entries)
        except OCIError:
            return False  # a damaged index lists nothing; pushing once more does no harm

    async def referrers(self, subject: Digest, artifact_type: str | None) -> list[Descriptor]:
        """Return the listed manifests whose subject is `subject` (I-11)."""
        found = await self.briefly(subject)
        wanted = [one for one in found if artifact_type in {None, one.entry.artifact_type}]
        return [await self.whole(one) for one in wanted]

    async def briefly(self, subject: Digest) -> list[Referrer]:
        """Return the same of all artifact types; long annotations are left out."""
        entries = await self._store.listing()
        below = await self._all_below(entries)
        if below.referrers is None:
            async with self._turn:  # many ask at once; one of them reads all manifests
                if below.referrers is None:
                    below.referrers = await self._by_subject(below)
        return [
            one
            for one in below.referrers.get(subject, ())
            # A child that was deleted is still listed by its index.
            if one.entry.digest in entries.by_digest or await self._store.size_of(one.entry.digest)
        ]

    async def whole(self, referrer: Referrer) -> Descriptor:
        """Return the entry of a referrer with all its annotations; they may be gone with it."""
        links = None if referrer.whole else await self.links(referrer.entry)
        return referrer.entry if links is None else links.referrer

    async def _by_subject(self, below: _Below) -> dict[Digest, list[Referrer]]:
        found: dict[Digest, list[Referrer]] = {}
        for descriptor in below.documents.values():
            relations = await self._related(descriptor)
            if relations is None:
                below.complete = False
            elif relations.subject is not None and relations.referrer is not None:
                found.setdefault(relations.subject, []).append(relations.referrer)
        return found

    async def reachable(
        self,
        roots: Iterable[Descriptor],
        *,
        subjects: bool,
        found: dict[Digest, Descriptor] | None = None,
    ) -> dict[Digest, Descriptor]:
        """Return everything that `roots` need; with `subjects` also what they refer to.

        It is added to `found`, below which is not looked again.
        """
        found = {} if found is None else found
        todo = list(roots)
        while todo:
            descriptor = todo.pop()
            known = found.setdefault(descriptor.digest, descriptor)
            # The same digest may be met first as a blob, then as a document.
            if known is not descriptor and (known.is_document or not descriptor.is_document):
                continue
            found[descriptor.digest] = descriptor
            links = await self.links(descriptor)
            if links is not None:
                todo.extend(links.successors)
                if subjects and links.subject is not None:
                    todo.append(links.subject)
        return found

    async def is_needed(self, digest: Digest, roots: Iterable[Descriptor]) -> bool:
        """Whether a document below `roots` lists `digest` among its parts."""
        return digest in await self.reachable(roots, subjects=False)

    async def links(self, descriptor: Descriptor) -> Links | None:
        """Return what a document points to; None for a blob, or a document that is not there."""
        if not descriptor.is_document:
            return None
        key = (descriptor.digest, descriptor.media_type)
        if key not in self._links:
            try:
                document = await fetch_document(
                    self._store, descriptor, max_bytes=MAX_DOCUMENT_BYTES
                )
            except NotFoundError:
                return None  # a layout may be thin (I-03)
            links = Links(document.successors, document.subject, document.referrer_descriptor)
            self._remember(key, links)
            return links
        return self._links[key]

    def _remember(self, key: tuple[Digest, str], links: Links) -> None:
        if key in self._links:
            return  # another task was faster
        self._links[key] = links
        self._bytes += links.referrer.size
        while len(self._links) > self._max or self._bytes > self._max * _USUAL_BYTES:
            self._bytes -= self._links.pop(next(iter(self._links))).referrer.size

    async def _related(self, descriptor: Descriptor) -> Relations | None:
        """Return the relations of a document; None if it is not there."""
        key = (descriptor.digest, descriptor.media_type)
        known = self._relations.get(key)
        if known is None:
            links = await self.links(descriptor)
            if links is None:
                return None
            known = relations_of(descriptor, links)
            self._relations[key] = known
        return known

    async def _listed(self, entries: Entries) -> Mapping[Digest, Descriptor]:
        """Return the documents in ``index.json`` and below its indexes, each once."""
        return (await self._all_below(entries)).documents

    async def _all_below(self, entries: Entries) -> _Below:
        known = self._below
        if known is not None and known.entries is entries and known.complete:
            return known
        below = _Below(entries)
        todo = list(only_documents(entries))[::-1]
        while todo:
            descriptor = todo.pop()
            if descriptor.digest in below.documents:
                continue
            below.documents[descriptor.digest] = descriptor
            if media_types.is_index(descriptor.media_type):
                relations = await self._related(descriptor)
                if relations is None:
                    below.complete = False
                else:
                    todo.extend(relations.children[::-1])
        self._forget_all_but(below.documents)
        self._below = below
        return below

    def _forget_all_but(self, documents: Mapping[Digest, Descriptor]) -> None:
        if len(self._relations) > 2 * len(documents) + self._max:
            self._relations = {k: v for k, v in self._relations.items() if k[0] in documents}


async def read_document(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """Read a document that is pushed, verified, and parse it.

    Raises:
        IntegrityError: the source's bytes are not what `descriptor` says.
        InvalidDocumentError: they are no valid document of its media type.
        LimitExceededError: it is larger than `MAX_DOCUMENT_BYTES`.
    """
    async with source.open() as stream:
        raw = await verified(stream, descriptor).read_all(max_bytes=MAX_DOCUMENT_BYTES)
    return parse_document(raw, media_type=descriptor.media_type, digest=descriptor.digest)


def children(document: Manifest | Index) -> list[Digest]:
    """Return the digests of the manifests that an index lists; none for a manifest."""
    return [d.digest for d in document.manifests] if isinstance(document, Index) else []
