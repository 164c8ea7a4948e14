"""What the documents of one layout say of each other: children, subjects, referrers.

A layout has no table of these; they are read from the manifests, which never change, so what was
read once is remembered.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..content import Fetcher, Source, fetch_bytes, fetch_document, verified
from ..errors import InvalidDocumentError, NotFoundError, OCIError, UnsupportedError
from ..spec import Descriptor, Digest, Index, Manifest, media_types, parse_document
from . import names

MAX_DOCUMENT_BYTES = 8 << 20
"""Largest manifest or index that is kept. Registries take 4 MiB or somewhat more; a layout has to
hold what any of them gives."""
# Some kilobytes each; enough for every repository but the largest.
_REMEMBERED = 4096


class Listed(Fetcher, Protocol):
    """A store with an ``index.json``."""

    async def entries(self) -> list[Descriptor]:
        """Return the entries of ``index.json``."""
        ...

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, or None if it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Links:
    """What one document points to, and its entry in a list of referrers."""

    successors: tuple[Descriptor, ...]
    subject: Descriptor | None
    referrer: Descriptor


class Documents:
    """The documents of one store."""

    def __init__(self, store: Listed) -> None:
        self._store = store
        self._links: dict[tuple[Digest, str], Links] = {}

    async def resolve(self, name: str) -> Descriptor:
        """Return what a name or digest points to, as `names.find`.

        A digest that is not listed is looked for among the blobs; a document is told from a blob
        by its content.

        Raises:
            NotFoundError, InvalidLayoutError, InvalidArgumentError, IntegrityError
        """
        digest = names.as_digest(name)
        entries = await self._store.entries()
        if digest is None:
            return names.find(entries, name).plain()
        size = await self._store.size_of(digest)
        if size is None:
            raise NotFoundError(f"{digest} is not in this layout")
        listed = next((entry for entry in entries if entry.digest == digest), None)
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

    async def is_listed(self, descriptor: Descriptor) -> bool:
        """Whether a document is in ``index.json``, or below an index that is."""
        entries = await self._store.entries()
        if any(entry.digest == descriptor.digest for entry in entries):
            return True
        try:
            listed = await self._listed(entries)
        except OCIError:
            return False  # a damaged index lists nothing; pushing once more does no harm
        return any(entry.digest == descriptor.digest for entry in listed)

    async def referrers(self, subject: Digest, artifact_type: str | None) -> list[Descriptor]:
        """Return the listed manifests whose subject is `subject` (I-11)."""
        found: list[Descriptor] = []
        for descriptor in await self._listed(await self._store.entries()):
            links = await self.links(descriptor)
            if links is None or links.subject is None or links.subject.digest != subject:
                continue
            if artifact_type in {None, links.referrer.artifact_type}:
                found.append(links.referrer)
        return found

    async def reachable(
        self, roots: Iterable[Descriptor], *, subjects: bool
    ) -> dict[Digest, Descriptor]:
        """Return everything that `roots` need; with `subjects` also what they refer to."""
        found: dict[Digest, Descriptor] = {}
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
            if len(self._links) >= _REMEMBERED:
                del self._links[next(iter(self._links))]
            self._links[key] = Links(
                document.successors, document.subject, document.referrer_descriptor
            )
        return self._links[key]

    async def _listed(self, entries: Iterable[Descriptor]) -> list[Descriptor]:
        """Return the documents in ``index.json`` and below its indexes, each once."""
        found: dict[Digest, Descriptor] = {}
        todo = list(_documents(entries))[::-1]
        while todo:
            descriptor = todo.pop()
            if descriptor.digest in found:
                continue
            found[descriptor.digest] = descriptor
            if media_types.is_index(descriptor.media_type):
                links = await self.links(descriptor)
                todo.extend(list(_documents(links.successors if links else ()))[::-1])
        return list(found.values())


def _documents(descriptors: Iterable[Descriptor]) -> Iterator[Descriptor]:
    return (descriptor for descriptor in descriptors if descriptor.is_document)


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
