"""What a person is told of repositories, tags and manifests, as values; pure."""

import enum
from dataclasses import dataclass

from ...errors import (
    IntegrityError,
    InvalidDocumentError,
    InvalidLayoutError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    StorageError,
    UnsupportedError,
)
from ...spec import Descriptor, Index, Manifest, annotations, media_types, parse_document

MAX_NAMES = 6
"""How many platforms, file names or tags are listed one by one."""
_IMAGE_CONFIGS = frozenset({media_types.OCI_CONFIG, media_types.DOCKER_CONFIG})
_PACKAGE_TYPES = frozenset({media_types.OCIPKG_ARTIFACT, media_types.OCIPKG_CONFIG})
_ATTESTATION = "unknown/unknown"


class ContentKind(enum.Enum):
    """What a manifest is to people; the value is what they call it."""

    PACKAGE = "package"
    IMAGE = "image"
    ARTIFACT = "artifact"
    INDEX = "index"
    PACKAGE_INDEX = "package index"
    IMAGE_INDEX = "image index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a manifest says of itself. All text is somebody else's.

    Attributes:
        kind: what it is.
        type: artifact type, or the media type that stands for it; empty where the kind says it.
        parts: names of platforms or files, as far as there are any; at most `MAX_NAMES`.
        part_count: how many platforms, files, layers or manifests there are.
        size: bytes of its config and layers; None for an index, which does not say.
        subject: digest of the manifest that it refers to, or empty.
        created: when it was made, or empty.
        description: what its maker says of it, or empty.
    """

    kind: ContentKind
    type: str
    parts: tuple[str, ...]
    part_count: int
    size: int | None
    subject: str
    created: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a sorted list a page shows.

    Attributes:
        start: position of the first entry, from 0.
        total: length of the whole list.
        next: name behind which the next page starts, or None on the last page.
    """

    start: int
    total: int
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRow:
    """One repository in the list.

    Attributes:
        name: its name.
        tags: its first tags, at most `MAX_NAMES`.
        tag_count: how many it has.
        untagged: how many manifests have no tag.
        problem: why its content is not known, or empty.
    """

    name: str
    tags: tuple[str, ...] = ()
    tag_count: int = 0
    untagged: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRow:
    """One tag of a repository.

    Attributes:
        tag: the tag.
        digest: digest of its manifest, or empty.
        summary: what the manifest says, or None.
        problem: why there is no summary, or empty.
    """

    tag: str
    digest: str = ""
    summary: Summary | None = None
    problem: str = ""


def summarise(raw: bytes, descriptor: Descriptor) -> Summary:
    """Return what a manifest says of itself.

    Args:
        raw: its bytes, verified.
        descriptor: what points to it.

    Raises:
        InvalidDocumentError, UnsupportedError: it cannot be read.
    """
    document = parse_document(raw, media_type=descriptor.media_type, digest=descriptor.digest)
    if isinstance(document, Index):
        kind, said = _index_kind(document)
        named = [str(one.platform) for one in document.manifests if one.platform]
        parts = [one for one in named if one != _ATTESTATION]
        count, size = len(parts) or len(document.manifests), None
    else:
        kind, said = _manifest_kind(document)
        parts = [one.title for one in document.layers if one.title]
        count = len(document.layers)
        size = sum({one.digest: one.size for one in document.successors}.values())
    return Summary(
        kind=kind,
        type=said,
        parts=tuple(parts[:MAX_NAMES]),
        part_count=count,
        size=size,
        subject=document.subject.digest if document.subject else "",
        created=document.annotations.get(annotations.CREATED, ""),
        description=document.annotations.get(annotations.DESCRIPTION, ""),
    )


def _manifest_kind(manifest: Manifest) -> tuple[ContentKind, str]:
    config = manifest.config.media_type if manifest.config else ""
    said = manifest.artifact_type or config
    if said in _PACKAGE_TYPES:
        return ContentKind.PACKAGE, ""
    if manifest.artifact_type is None and config in _IMAGE_CONFIGS:
        # Signatures of cosign have an image's config, and layers that are none.
        types = [one.media_type for one in manifest.layers]
        odd = [one for one in types if media_types.tar_compression(one) is None]
        return (ContentKind.ARTIFACT, odd[0]) if odd else (ContentKind.IMAGE, "")
    return ContentKind.ARTIFACT, said


def _index_kind(index: Index) -> tuple[ContentKind, str]:
    types = {index.artifact_type} - {None} or {one.artifact_type for one in index.manifests}
    if types & _PACKAGE_TYPES:
        return ContentKind.PACKAGE_INDEX, ""
    if types <= {None} and any(one.platform for one in index.manifests):
        return ContentKind.IMAGE_INDEX, ""
    return ContentKind.INDEX, index.artifact_type or ""


def why_not(error: OCIError) -> str:
    """Say in a few words why a manifest or a layout cannot be shown, without paths of this machine."""
    return next((text for kind, text in _PROBLEMS if isinstance(error, kind)), "cannot be read")


# The first that fits decides.
_PROBLEMS: tuple[tuple[type[OCIError], str], ...] = (
    (LimitExceededError, "too large to be shown here"),
    (NotFoundError, "missing"),
    (InvalidLayoutError, "damaged: its index.json is no image index"),
    (InvalidDocumentError, "damaged: it is no manifest"),
    (UnsupportedError, "of a kind that is not known here"),
    (IntegrityError, "damaged: its bytes are not those of its digest"),
    (StorageError, "cannot be read from the disk"),
)
