"""A store in memory, for documents in flight and for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import NotFoundError
from ..spec import Descriptor, Digest, parse_document
from .reader import BlobReader, BytesStream, ByteStream, verified
from .store import Source


class MemoryStore:
    """Keeps content and tags in dictionaries. It does all that needs no second repository and no files."""

    def __init__(self) -> None:
        self._content: dict[Digest, tuple[Descriptor, bytes]] = {}
        self._tags: dict[str, Digest] = {}

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content for reading."""
        _, data = self._get(descriptor.digest)
        yield BlobReader(BytesStream(data), descriptor)

    async def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest points to."""
        digest = self._tags.get(name) or next((d for d in self._content if d == name), None)
        if digest is None:
            raise NotFoundError(f"there is no {name!r} in this store")
        return self._get(digest)[0]

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether the content is there."""
        return descriptor.digest in self._content

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Keep content, verified."""
        async with source.open() as stream:
            data = await verified(stream, descriptor).read_all(max_bytes=descriptor.size)
        self._content[descriptor.digest] = (descriptor.plain(), data)

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Keep a blob whose digest is not known before."""
        async with source.open() as stream:
            data = await _read_all(stream)
        descriptor = Descriptor.of(data, media_type)
        self._content[descriptor.digest] = (descriptor, data)
        return descriptor

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let a tag point to a document."""
        self._get(descriptor.digest)
        self._tags[name] = descriptor.digest

    async def tags(self) -> list[str]:
        """Return all tags, sorted."""
        return sorted(self._tags)

    async def untag(self, name: str) -> None:
        """Remove a tag."""
        if self._tags.pop(name, None) is None:
            raise NotFoundError(f"there is no tag {name!r} in this store")

    async def delete(self, descriptor: Descriptor) -> None:
        """Remove content and the tags that point to it."""
        self._get(descriptor.digest)
        del self._content[descriptor.digest]
        self._tags = {t: d for t, d in self._tags.items() if d != descriptor.digest}

    async def referrers(
        self, subject: Digest, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to a subject."""
        found: list[Descriptor] = []
        for descriptor, data in self._content.values():
            if not descriptor.is_document:
                continue
            document = parse_document(data, media_type=descriptor.media_type)
            if document.subject is not None and document.subject.digest == subject:
                entry = document.referrer_descriptor
                if artifact_type in {None, entry.artifact_type}:
                    found.append(entry)
        return found

    def _get(self, digest: Digest) -> tuple[Descriptor, bytes]:
        try:
            return self._content[digest]
        except KeyError:
            raise NotFoundError(f"{digest} is not in this store") from None


async def _read_all(stream: ByteStream) -> bytes:
    pieces: list[bytes] = []
    while data := await stream.read(1 << 20):
        pieces.append(data)
    return b"".join(pieces)
