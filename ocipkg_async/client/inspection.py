"""Looking at content without installing it."""

from dataclasses import dataclass

from ..content import ReadStore, fetch_document
from ..spec import Descriptor, Index, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a target points to.

    Attributes:
        target: the target, as text.
        descriptor: the document it points to.
        document: that document.
        size: bytes of everything it lists directly.
    """

    target: str
    descriptor: Descriptor
    document: Manifest | Index

    @property
    def size(self) -> int:
        """Bytes of everything the document lists directly."""
        return sum(descriptor.size for descriptor in self.document.successors)


async def inspect(
    store: ReadStore, descriptor: Descriptor, *, target: str, max_bytes: int
) -> Inspection:
    """Read a document.

    Raises:
        NotFoundError, IntegrityError, InvalidDocumentError: as `fetch_document`.
    """
    document = await fetch_document(store, descriptor, max_bytes=max_bytes)
    return Inspection(target=target, descriptor=descriptor, document=document)
