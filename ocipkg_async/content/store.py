"""What a store is: the smallest interfaces, each with one or two methods.

Registries, layouts, archives and the memory store offer some of these; `copy` and `package`
know nothing else of them. Optional powers are asked for at run time with ``isinstance``.

All methods raise only `OCIError`. Content is identified by `Descriptor`; a store decides from
its media type whether it is a document (manifest or index) or a blob.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..spec import Descriptor, Digest
from .meter import Meter
from .reader import BlobReader, ByteStream


@runtime_checkable
class Source(Protocol):
    """Bytes to push, that can be opened again when a push has to be repeated."""

    @property
    def size(self) -> int | None:
        """Length in bytes, or None where it is not known before the end."""
        ...

    @property
    def reopenable(self) -> bool:
        """Whether `open` can be called a second time and gives the same bytes."""
        ...

    def open(self) -> AbstractAsyncContextManager[ByteStream]:
        """Open a stream at the first byte."""
        ...


@runtime_checkable
class Fetcher(Protocol):
    """Gives content."""

    def fetch(self, descriptor: Descriptor) -> AbstractAsyncContextManager[BlobReader]:
        """Open verified content for reading.

        The reader raises `IntegrityError` before it hands out the last byte of wrong content.

        Raises:
            NotFoundError: the store does not have it.
        """
        ...


@runtime_checkable
class Downloader(Protocol):
    """Gives blobs as files: in parts at once, and going on with what an earlier run left."""

    async def download(
        self,
        descriptor: Descriptor,
        path: Path,
        *,
        meter: Meter | None = None,
        durable: bool = False,
    ) -> bool:
        """Write a blob to `path`, where it appears by rename when it is whole and verified.

        What is unfinished lies near `path` under hidden names, and is kept there for the next call,
        of this process or another. While another process works on the same file, this waits.

        Args:
            descriptor: the blob.
            path: its place; the folder is made if missing.
            meter: counts what arrives.
            durable: flush the file to the disk before it gets its name.

        Returns:
            False, and nothing was done, if the blob is to be streamed instead: it is small.

        Raises:
            NotFoundError: the store does not have it.
            IntegrityError: the store's bytes are not what `descriptor` says; nothing was kept.
            DiskFullError, StorageError: the file system refused.
        """
        ...


@runtime_checkable
class SavingSource(Protocol):
    """A source that can write itself to a file, faster than by being read."""

    async def save(self, path: Path, *, durable: bool = False) -> bool:
        """Do what `Downloader.download` does, with the source's own content."""
        ...


@runtime_checkable
class Resolver(Protocol):
    """Knows names."""

    async def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest points to.

        Raises:
            NotFoundError: there is no such tag or content.
        """
        ...


class ReadStore(Fetcher, Resolver, Protocol):
    """A store to read from."""


@runtime_checkable
class Pusher(Protocol):
    """Takes content."""

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether the content is there already, under its digest."""
        ...

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Store content; when this returns it is there, verified, under its digest.

        Pushing what exists is no error. When this raises, or is cancelled, nothing is visible.

        Raises:
            IntegrityError: the source's bytes are not what `descriptor` says.
        """
        ...


@runtime_checkable
class Tagger(Protocol):
    """Gives names."""

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let `name` point to a document that was pushed; an earlier meaning of it is replaced.

        Raises:
            NotFoundError: the document is not in this store.
        """
        ...


class Store(ReadStore, Pusher, Tagger, Protocol):
    """A store to read from and write to."""


@runtime_checkable
class StreamPusher(Protocol):
    """Takes blobs whose digest is known only at their end."""

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Store a blob, computing its digest on the way; return its descriptor."""
        ...


@runtime_checkable
class TaggedPusher(Protocol):
    """Stores a document and names it in one step."""

    async def push_tagged(self, descriptor: Descriptor, source: Source, name: str) -> None:
        """Do what `Pusher.push` and `Tagger.tag` do, in one step."""
        ...


@runtime_checkable
class TagLister(Protocol):
    """Lists names."""

    async def tags(self) -> list[str]:
        """Return all names, sorted."""
        ...


@runtime_checkable
class Untagger(Protocol):
    """Takes names away."""

    async def untag(self, name: str) -> None:
        """Remove a name; its content and other names of it stay.

        Raises:
            NotFoundError: there is no such name.
            UnsupportedError: the store cannot do this without removing the content.
        """
        ...


@runtime_checkable
class Deleter(Protocol):
    """Removes content."""

    async def delete(self, descriptor: Descriptor) -> None:
        """Remove content; names of a removed document vanish too.

        Raises:
            NotFoundError: it is not there.
            UnsupportedError: the store does not allow it.
        """
        ...


@runtime_checkable
class Mounter(Protocol):
    """Takes blobs over from another repository of the same registry."""

    def can_mount_from(self, other: object) -> str | None:
        """Return the name to mount from if `other` is a repository beside this one, else None."""
        ...

    async def mount(self, descriptor: Descriptor, from_repository: str) -> bool:
        """Try to take a blob over; return whether it is here now."""
        ...


@runtime_checkable
class ReferrersLister(Protocol):
    """Knows which manifests refer to a subject."""

    async def referrers(
        self, subject: Digest, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests whose subject has this digest; of one artifact type if given."""
        ...


@runtime_checkable
class LocalFiles(Protocol):
    """Has blobs as files of their own."""

    def local_path(self, descriptor: Descriptor) -> Path | None:
        """Return the file that holds a blob, or None. Its content is not verified by this."""
        ...
