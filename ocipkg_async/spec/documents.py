"""Manifests and indexes: typed views on the exact bytes they came from.

image-spec v1.1 ``manifest.md`` and ``image-index.md``. Digest and size always come from the
bytes, never from serialising again (D-43).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import msgspec

from ..errors import InvalidDocumentError, UnsupportedError
from . import media_types
from .decoding import convert, decode_json, encode_json
from .descriptor import Annotations, Descriptor, check_annotations
from .digest import Digest


class _ManifestFields(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"
):
    # The order is that of ocipkg's serialiser, so that a manifest survives passing through it.
    schema_version: int = 0
    media_type: str | None = None
    artifact_type: str | None = None
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None
    blobs: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    annotations: Annotations | None = None


class _IndexFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    schema_version: int = 0
    media_type: str | None = None
    artifact_type: str | None = None
    manifests: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    annotations: Annotations | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What manifests and indexes share.

    Attributes:
        raw: the bytes as received or built.
        media_type: type of the document.
        digest: digest of `raw`.
        artifact_type: what kind of artifact this is, if said.
        subject: the manifest this one refers to, if any; it need not exist.
        annotations: string keys and values.
    """

    raw: bytes
    media_type: str
    digest: Digest
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: Annotations

    @property
    def size(self) -> int:
        """Length of the document in bytes."""
        return len(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """Type, digest and size of this document."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)

    @property
    def successors(self) -> tuple[Descriptor, ...]:
        """The content this document needs: what must be pushed before it. Not the subject."""
        raise NotImplementedError

    @property
    def referrer_descriptor(self) -> Descriptor:
        """The entry of this document in its subject's list of referrers (D-86)."""
        return Descriptor(
            media_type=self.media_type,
            digest=self.digest,
            size=self.size,
            artifact_type=self._kind,
            annotations=self.annotations or None,
        )

    @property
    def _kind(self) -> str | None:
        return self.artifact_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Document):
    """A manifest: one config and some layers. Build one with `Manifest.build`.

    Attributes:
        config: descriptor of the config; None only in the removed OCI artifact manifest.
        layers: descriptors of the layers (of the ``blobs`` in an OCI artifact manifest).
    """

    config: Descriptor | None
    layers: tuple[Descriptor, ...]

    @classmethod
    def build(
        cls,
        *,
        config: Descriptor,
        layers: tuple[Descriptor, ...],
        artifact_type: str | None = None,
        subject: Descriptor | None = None,
        annotations: Annotations | None = None,
    ) -> Self:
        """Build an OCI image manifest; the same values give the same bytes.

        Raises:
            InvalidDocumentError: an artifact type is missing where the config is the empty
                descriptor, or has a wrong form (I-31); or a descriptor or annotation is not valid.
        """
        _check_written(artifact_type, annotations, subject, config, *layers)
        if artifact_type is None and config.media_type == media_types.OCI_EMPTY:
            raise InvalidDocumentError("a manifest with the empty config needs an artifact type")
        fields = _ManifestFields(
            schema_version=2,
            media_type=media_types.OCI_MANIFEST,
            artifact_type=artifact_type,
            config=config,
            layers=layers,
            subject=subject,
            annotations=annotations or None,
        )
        raw = encode_json(fields, sort_maps=True)
        return cls.from_fields(raw, fields, media_types.OCI_MANIFEST, None)

    @classmethod
    def from_fields(
        cls, raw: bytes, fields: _ManifestFields, media_type: str, digest: Digest | None
    ) -> Self:
        """Join bytes and what was parsed from them; for `parse_document` and `build`."""
        layers = fields.blobs if media_type == media_types.OCI_ARTIFACT_MANIFEST else fields.layers
        return cls(
            raw=raw,
            media_type=media_type,
            digest=digest or Digest.of(raw),
            artifact_type=fields.artifact_type,
            subject=fields.subject,
            annotations=fields.annotations or {},
            config=fields.config,
            layers=layers or (),
        )

    @property
    def successors(self) -> tuple[Descriptor, ...]:
        """Config and layers."""
        return ((self.config,) if self.config else ()) + self.layers

    @property
    def _kind(self) -> str | None:
        return self.artifact_type or (self.config.media_type if self.config else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Document):
    """An index: a list of manifests, one for each platform or kind. Build one with `Index.build`.

    Attributes:
        manifests: descriptors of manifests and further indexes.
    """

    manifests: tuple[Descriptor, ...]

    MAX_DEPTH: ClassVar[int] = 8  # indexes inside indexes; nothing real goes past three

    @classmethod
    def build(
        cls,
        *,
        manifests: tuple[Descriptor, ...],
        artifact_type: str | None = None,
        subject: Descriptor | None = None,
        annotations: Annotations | None = None,
    ) -> Self:
        """Build an OCI image index; the same values give the same bytes.

        Raises:
            InvalidDocumentError: the artifact type, a descriptor or an annotation is not valid.
        """
        _check_written(artifact_type, annotations, subject, *manifests)
        fields = _IndexFields(
            schema_version=2,
            media_type=media_types.OCI_INDEX,
            artifact_type=artifact_type,
            manifests=manifests,
            subject=subject,
            annotations=annotations or None,
        )
        raw = encode_json(fields, sort_maps=True)
        return cls.from_fields(raw, fields, media_types.OCI_INDEX, None)

    @classmethod
    def from_fields(
        cls, raw: bytes, fields: _IndexFields, media_type: str, digest: Digest | None
    ) -> Self:
        """Join bytes and what was parsed from them; for `parse_document` and `build`."""
        return cls(
            raw=raw,
            media_type=media_type,
            digest=digest or Digest.of(raw),
            artifact_type=fields.artifact_type,
            subject=fields.subject,
            annotations=fields.annotations or {},
            manifests=fields.manifests or (),
        )

    @property
    def successors(self) -> tuple[Descriptor, ...]:
        """The manifests it lists."""
        return self.manifests


def parse_document(
    raw: bytes, *, media_type: str | None = None, digest: Digest | None = None
) -> Manifest | Index:
    """Parse a manifest or index, refusing what two readers could take for two things.

    Args:
        raw: the document's bytes.
        media_type: what the descriptor or the ``Content-Type`` header says; the body's own
            ``mediaType`` must agree where both are there (D-41).
        digest: the digest that `raw` was verified against, if known.

    Raises:
        InvalidDocumentError: not JSON, a wrong type somewhere, or contradicting types (D-42, S-08).
        UnsupportedError: a Docker schema 1 manifest, or a media type that is no manifest.
    """
    tree = decode_json(raw, what="manifest")
    if not isinstance(tree, dict):
        raise InvalidDocumentError("the manifest is not a JSON object")
    kind = _media_type(cast("dict[str, Any]", tree), media_type)
    if media_types.is_index(kind):
        index = convert(tree, _IndexFields, what="index")
        _require(index.schema_version == 2, "index", "schemaVersion is not 2")
        _require(index.manifests is not None, "index", "it has no list of manifests")
        _check_read("manifests", index.manifests or ())
        if index.subject:
            index.subject.check("$.subject")
        return Index.from_fields(raw, index, kind, digest)
    manifest = convert(tree, _ManifestFields, what="manifest")
    if kind == media_types.OCI_ARTIFACT_MANIFEST:
        _require(manifest.artifact_type is not None, "manifest", "it has no artifactType")
    else:
        _require(manifest.schema_version == 2, "manifest", "schemaVersion is not 2")
        _require(manifest.config is not None, "manifest", "it has no config")
        _require(manifest.layers is not None, "manifest", "it has no list of layers")
    document = Manifest.from_fields(raw, manifest, kind, digest)
    _check_read("layers", document.layers)
    if document.config:
        document.config.check("$.config")
    if document.subject:
        document.subject.check("$.subject")
    return document


def _require(holds: bool, what: str, message: str) -> None:  # noqa: FBT001
    if not holds:
        raise InvalidDocumentError(f"the {what} is not valid: {message}")


def _media_type(tree: dict[str, Any], outer: str | None) -> str:
    """Decide the type of a document from its body and from what came with it."""
    inner = tree.get("mediaType")
    if inner is not None and not isinstance(inner, str):
        raise InvalidDocumentError("the manifest's mediaType is not text")
    looks_index = tree.get("manifests") is not None
    looks_manifest = any(tree.get(key) is not None for key in ("config", "layers", "fsLayers"))
    if looks_index and looks_manifest:
        raise InvalidDocumentError(
            "the document has both manifests and layers: it could be read as two different things"
        )
    outer = media_types.without_parameters(outer) if outer else None
    if (
        outer is not None
        and not media_types.is_document(outer)
        and outer not in media_types.DOCKER_SCHEMA1
    ):
        outer = None  # application/json and the like say nothing
    if inner and outer and inner != outer:
        raise InvalidDocumentError(
            f"the manifest says it is {inner}, but it came as {outer}",
            hint="the registry or the layout is broken; push the content again",
        )
    kind = inner or outer
    if kind in media_types.DOCKER_SCHEMA1 or tree.get("schemaVersion") == 1:
        raise UnsupportedError(
            "this is a Docker schema 1 manifest, a format that registries gave up",
            hint="push the image again with a current tool",
        )
    if kind is None:
        kind = media_types.OCI_INDEX if looks_index else media_types.OCI_MANIFEST
    if not media_types.is_document(kind):
        raise UnsupportedError(f"{kind!r} is neither a manifest nor an index")
    if media_types.is_index(kind) and looks_manifest:
        raise InvalidDocumentError("the document is typed as an index but looks like a manifest")
    if media_types.is_manifest(kind) and looks_index:
        raise InvalidDocumentError("the document is typed as a manifest but looks like an index")
    return kind


def _check_read(member: str, descriptors: tuple[Descriptor, ...]) -> None:
    for position, one in enumerate(descriptors):
        one.check(f"$.{member}[{position}]")


def _check_written(
    artifact_type: str | None, annotations: Annotations | None, *descriptors: Descriptor | None
) -> None:
    """Check more strictly what is built here than what others built (I-31, I-45)."""
    if artifact_type is not None:
        media_types.check_media_type(artifact_type)
    check_annotations(annotations)
    for one in descriptors:
        if one is not None:
            check_annotations(one.check(one.digest).annotations)
