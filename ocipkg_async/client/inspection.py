"""Looking at content without installing it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..content import ReadStore, fetch_document
from ..errors import IntegrityError, InvalidDocumentError, LimitExceededError, NotFoundError
from ..spec import Descriptor, Index, Manifest, media_types
from ..spec.decoding import decode_json

_IMAGE_CONFIGS = frozenset({media_types.OCI_CONFIG, media_types.DOCKER_CONFIG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a target points to.

    Attributes:
        target: the target, as text.
        descriptor: the document it points to.
        document: that document.
        annotations: those of the document, or where a manifest has none, the labels of the image:
            ocipkg before 0.3 wrote its annotations there.
        name: what an archive or layout calls it, where `push` sends it; None if it has no name
            there, and in registries.
        size: bytes of everything it lists directly.
    """

    target: str
    descriptor: Descriptor
    document: Manifest | Index
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str | None = None

    @property
    def size(self) -> int:
        """Bytes of everything the document lists directly."""
        return sum(descriptor.size for descriptor in self.document.successors)


async def inspect(
    store: ReadStore,
    descriptor: Descriptor,
    *,
    target: str,
    max_bytes: int,
    name: str | None = None,
) -> Inspection:
    """Read a document.

    Raises:
        NotFoundError, IntegrityError, InvalidDocumentError: as `fetch_document`.
    """
    document = await fetch_document(store, descriptor, max_bytes=max_bytes)
    notes: Mapping[str, str] = document.annotations
    if not notes and isinstance(document, Manifest):
        notes = await _labels(store, document, max_bytes=max_bytes)
    return Inspection(
        target=target, descriptor=descriptor, document=document, annotations=notes, name=name
    )


async def _labels(store: ReadStore, manifest: Manifest, *, max_bytes: int) -> Mapping[str, str]:
    """Return the labels of an image, none where its config is not there or not one."""
    config = manifest.config
    if config is None or config.media_type not in _IMAGE_CONFIGS or config.size > max_bytes:
        return {}
    try:
        async with store.fetch(config) as reader:
            return labels_of(await reader.read_all(max_bytes=max_bytes))
    except (NotFoundError, IntegrityError, InvalidDocumentError, LimitExceededError):
        return {}  # who needs the config fails on this; the manifest can be looked at without


def labels_of(config: bytes) -> Mapping[str, str]:
    """Return the labels in the config of an image; a config that says none gives none.

    Raises:
        InvalidDocumentError: it is no JSON.
    """
    tree = decode_json(config, what="config")
    settings = cast("dict[str, Any]", tree).get("config") if isinstance(tree, dict) else None
    labels = cast("dict[str, Any]", settings).get("Labels") if isinstance(settings, dict) else None
    if not isinstance(labels, dict):
        return {}
    known = cast("dict[str, Any]", labels)
    return {key: value for key, value in known.items() if isinstance(value, str)}
