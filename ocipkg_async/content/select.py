"""Choosing the manifest for one platform from an index (I-73 to I-76)."""

from ..errors import InvalidDocumentError, LimitExceededError, NotFoundError
from ..spec import Descriptor, Index, Manifest, Platform
from ..spec.platform import select
from .graph import fetch_document
from .reader import MAX_DOCUMENT_BYTES
from .store import Fetcher


async def select_manifest(
    fetcher: Fetcher,
    root: Descriptor,
    platform: Platform | None = None,
    *,
    max_bytes: int = MAX_DOCUMENT_BYTES,
) -> Manifest:
    """Return the manifest that `root` is, or the one for `platform` inside the index that it is.

    Args:
        fetcher: has the documents.
        root: a manifest or an index.
        platform: which one; None is the host's, but an index with one manifest needs no choice.
        max_bytes: largest document that is read.

    Raises:
        NotFoundError: the index has nothing for this platform; the hint lists what it has.
        InvalidDocumentError: `root` is a blob.
        LimitExceededError: indexes are nested too deeply.
    """
    if not root.is_document:
        raise InvalidDocumentError(
            f"{root.digest} is a blob of type {root.media_type}, not a package",
            hint="name the tag, or the digest of a manifest",
        )
    current = root
    for _ in range(Index.MAX_DEPTH):
        document = await fetch_document(fetcher, current, max_bytes=max_bytes)
        if isinstance(document, Manifest):
            return document
        current = choose(document, platform)
    raise LimitExceededError(f"the indexes below {root.digest} are nested too deeply")


def choose(index: Index, platform: Platform | None) -> Descriptor:
    """Return the entry of `index` for a platform, or its only one.

    Raises:
        NotFoundError: there is none; the hint lists what there is.
    """
    entries = [entry for entry in index.manifests if entry.is_document]
    if platform is None and len(entries) == 1:
        return entries[0]
    wanted = platform or Platform.host()
    position = select(wanted, [entry.platform for entry in entries])
    if position is None:
        offered = ", ".join(str(e.platform) for e in entries if e.platform) or "nothing"
        raise NotFoundError(
            f"the index {index.digest} has no manifest for {wanted}",
            hint=f"it has: {offered}; choose with --platform or --target",
        )
    return entries[position]
