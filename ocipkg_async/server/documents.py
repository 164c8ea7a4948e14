"""What a pushed manifest must be, and what must be there before it (C-35)."""

from collections.abc import Iterable

from ..errors import InvalidDocumentError, UnsupportedError
from ..spec import Descriptor, Digest, Index, Manifest, media_types, parse_document
from .failures import RefusedError


def accept_document(
    raw: bytes, *, content_type: str | None, digest: Digest | None
) -> Manifest | Index:
    """Check the body of a manifest push.

    Args:
        raw: the body.
        content_type: the request's header.
        digest: from the path, when pushed by digest.

    Raises:
        RefusedError: 400, it is no manifest, its types contradict each other, or it does not
            have its digest.
    """
    name = digest or Digest.of(raw)
    if digest is not None and Digest.of(raw, digest.algorithm) != digest:
        raise RefusedError(400, "DIGEST_INVALID", f"the manifest does not have the digest {digest}")
    try:
        return parse_document(raw, media_type=content_type, digest=name)
    except (InvalidDocumentError, UnsupportedError) as error:
        raise RefusedError(400, "MANIFEST_INVALID", str(error)) from error


def needed_blobs(document: Manifest | Index) -> list[Descriptor]:
    """Return what must be in the repository as blobs.

    Non-distributable layers and those with other places to be fetched from are exempt. An index
    may list content that is no manifest (build caches do); that is a blob, too.
    """
    if isinstance(document, Index):
        found = [one for one in document.manifests if not one.is_document and not one.urls]
    else:
        found = [
            one
            for one in document.successors
            if not one.urls and not media_types.is_foreign_layer(one.media_type)
        ]
    return _each_once(found)


def needed_manifests(document: Manifest | Index) -> list[Descriptor]:
    """Return what must be in the repository as manifests: the children of an index."""
    if not isinstance(document, Index):
        return []
    return _each_once(one for one in document.manifests if one.is_document)


def _each_once(found: Iterable[Descriptor]) -> list[Descriptor]:
    """Leave out repetitions: 4 MiB have room for some 27,000, each looked for on the disk."""
    return list({(one.digest, one.size): one for one in found}.values())


def missing(found: Descriptor) -> RefusedError:
    """Return the answer for a manifest that needs `found`, which is not there."""
    return RefusedError(
        400,
        "MANIFEST_BLOB_UNKNOWN",
        f"{found.digest} with {found.size} bytes is not in the repository; push it first",
    )
