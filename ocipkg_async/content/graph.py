"""Walking the graph of content below a manifest or index."""

from ..errors import LimitExceededError
from ..spec import Descriptor, Index, Manifest, parse_document
from .reader import MAX_DOCUMENT_BYTES, BlobReader, BytesStream
from .store import Fetcher

MAX_NODES = 1_000_000
"""How many pieces of content one graph may have; a hostile index lists them without end."""


async def fetch_document(
    fetcher: Fetcher, descriptor: Descriptor, *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> Manifest | Index:
    """Fetch a manifest or index, verified, and parse it.

    Raises:
        NotFoundError: the store does not have it.
        IntegrityError: its bytes are not what `descriptor` says.
        InvalidDocumentError: it is not a valid document of its media type.
        LimitExceededError: it is larger than `max_bytes`.
    """
    raw = await fetch_bytes(fetcher, descriptor, max_bytes=max_bytes)
    return parse_document(raw, media_type=descriptor.media_type, digest=descriptor.digest)


async def fetch_bytes(
    fetcher: Fetcher, descriptor: Descriptor, *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> bytes:
    """Fetch a small piece of content, verified; data embedded in the descriptor needs no fetch (D-36).

    Raises:
        NotFoundError, IntegrityError, LimitExceededError: as `fetch_document`.
    """
    if descriptor.data is not None:
        embedded = BlobReader(BytesStream(descriptor.data), descriptor)
        return await embedded.read_all(max_bytes=max_bytes)
    async with fetcher.fetch(descriptor) as reader:
        return await reader.read_all(max_bytes=max_bytes)


async def walk(
    fetcher: Fetcher, root: Descriptor, *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> list[tuple[Descriptor, Manifest | Index | None]]:
    """Return everything below `root`, itself last: what a node needs comes before it.

    Each piece of content appears once, so a graph with shared parts ends soon and one with cycles
    ends at all. Blobs come with None, documents with what was parsed. What one part of the graph
    calls a blob and another a document appears as both, since stores may keep them apart.

    Raises:
        NotFoundError, IntegrityError, InvalidDocumentError: as `fetch_document`.
        LimitExceededError: a document is too large, nested too deeply, or the graph has too many
            nodes.
    """
    found: list[tuple[Descriptor, Manifest | Index | None]] = []
    seen: set[tuple[str, bool]] = set()

    async def visit(descriptor: Descriptor, depth: int) -> None:
        node = (descriptor.digest, descriptor.is_document)
        if node in seen:
            return
        seen.add(node)
        if len(seen) > MAX_NODES:
            raise LimitExceededError(
                f"the graph below {root.digest} has more than {MAX_NODES} nodes"
            )
        document = None
        if descriptor.is_document:
            if depth > Index.MAX_DEPTH:
                raise LimitExceededError(
                    f"the indexes below {root.digest} are nested more than {Index.MAX_DEPTH} deep"
                )
            document = await fetch_document(fetcher, descriptor, max_bytes=max_bytes)
            for successor in document.successors:
                await visit(successor, depth + 1)
        found.append((descriptor, document))

    await visit(root, 0)
    return found
