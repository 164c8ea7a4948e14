"""What every store with an ``index.json`` can look up, once it can read its entries and blobs."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

from ..content import BlobReader
from ..spec import Descriptor, Digest
from . import names
from .documents import Documents
from .entries import Entries
from .relations import Referrer


class IndexedStore(ABC):
    """Base of layout, archive reader and archive writer."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._documents = Documents(self)

    @abstractmethod
    async def listing(self) -> Entries:
        """Return the entries of ``index.json``, to be looked up; the same object while it stays so."""

    @abstractmethod
    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a blob, unverified, or None if it is not there."""

    @abstractmethod
    def fetch(self, descriptor: Descriptor) -> AbstractAsyncContextManager[BlobReader]:
        """Open content for reading, verified on the way.

        Raises:
            NotFoundError: it is not there.
        """

    async def entries(self) -> list[Descriptor]:
        """Return the entries of ``index.json``, with their annotations.

        Raises:
            InvalidLayoutError: it is missing or not an image index.
        """
        return list(await self.listing())

    async def tags(self) -> list[str]:
        """Return one name for each named entry, sorted."""
        return names.listed(await self.listing())

    async def resolve(self, name: str) -> Descriptor:
        """Return what a tag, full name or digest points to.

        Raises:
            NotFoundError: there is no such name or content; the hint lists the names.
            InvalidLayoutError: several entries have this name (I-06).
            InvalidArgumentError: a tag that fits several full names.
        """
        return await self._documents.resolve(name)

    async def find_listed(self, name: str) -> Descriptor | None:
        """Return the document with exactly this name or digest that is listed, or None.

        Unlike `resolve` it takes no name for another one, and no content for a document that
        neither ``index.json`` nor an index below it lists. Whether its file is there is not looked at.

        Raises:
            InvalidLayoutError: several entries have this name (I-06).
            IntegrityError, InvalidDocumentError: an index is damaged.
        """
        return await self._documents.find_listed(name)

    async def only(self) -> Descriptor:
        """Return the entry that is meant when no name is given (O-03), annotations included.

        Raises:
            NotFoundError: there is none.
            InvalidArgumentError: there are several.
        """
        return names.only(await self.listing())

    async def referrers(
        self, subject: Digest, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the listed manifests whose subject is `subject` (I-11)."""
        return await self._documents.referrers(subject, artifact_type)

    async def briefly_referrers(self, subject: Digest) -> list[Referrer]:
        """Return the same of all artifact types; long annotations are left out, to be asked for."""
        return await self._documents.briefly(subject)

    async def whole_referrer(self, referrer: Referrer) -> Descriptor:
        """Return the entry of a referrer with all its annotations."""
        return await self._documents.whole(referrer)
