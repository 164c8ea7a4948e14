"""Descriptors: what points to content (image-spec v1.1 ``descriptor.md``)."""

from typing import Annotated, Self

import msgspec

from ..errors import InvalidDocumentError, UnsupportedError
from . import media_types
from .digest import Digest
from .platform import Platform

MAX_SIZE = 2**63 - 1
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
Annotations = dict[str, str]


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Type, digest and size of some content, and what is said about it.

    Attributes:
        media_type: RFC 6838 media type.
        digest: digest of the content.
        size: length of the content in bytes.
        urls: other places that have it; never fetched by default (S-09).
        annotations: string keys and values.
        platform: where it runs, in an index.
        artifact_type: type of the artifact it points to.
        data: the content itself, when embedded; checked by `check`.
    """

    media_type: str
    digest: Digest
    size: Size
    urls: tuple[str, ...] | None = None
    annotations: Annotations | None = None
    platform: Platform | None = None
    artifact_type: str | None = None
    data: bytes | None = None

    @classmethod
    def of(
        cls,
        data: bytes,
        media_type: str,
        *,
        annotations: Annotations | None = None,
        embed: bool = False,
    ) -> Self:
        """Return the descriptor of `data`; with `embed` it carries the data too."""
        return cls(
            media_type=media_type,
            digest=Digest.of(data),
            size=len(data),
            annotations=annotations,
            data=data if embed else None,
        )

    @property
    def is_document(self) -> bool:
        """Whether it points to a manifest or an index."""
        return media_types.is_document(self.media_type)

    @property
    def title(self) -> str | None:
        """The file name in ``org.opencontainers.image.title``. Untrusted: a path of somebody else."""
        return (self.annotations or {}).get("org.opencontainers.image.title")

    def check(self, where: str) -> Self:
        """Return itself if its values hold together (I-20, I-21).

        Raises:
            InvalidDocumentError: the media type has a wrong form, or embedded data is not what
                size and digest say.
        """
        try:
            media_types.check_media_type(self.media_type)
        except InvalidDocumentError as error:
            raise InvalidDocumentError(f"{where}: {error}") from error
        if self.data is not None:
            if len(self.data) != self.size:
                raise InvalidDocumentError(
                    f"{where}: its data has {len(self.data)} bytes, its size says {self.size}"
                )
            try:
                actual = Digest.of(self.data, self.digest.algorithm)
            except UnsupportedError:
                return self  # kept as it is; whoever uses the data verifies it and is refused
            if actual != self.digest:
                raise InvalidDocumentError(
                    f"{where}: its data does not have its digest {self.digest}"
                )
        return self

    def plain(self) -> Self:
        """Return type, digest and size alone: the identity of the content."""
        return type(self)(media_type=self.media_type, digest=self.digest, size=self.size)


def check_annotations(annotations: Annotations | None) -> None:
    """Check what is about to be written; a reader lets odd keys of others pass (I-45).

    Raises:
        InvalidDocumentError: an empty key, or a value that is not text.
    """
    for key, value in (annotations or {}).items():
        if not key or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise InvalidDocumentError(f"the annotation {key!r} has no key or no text value")


EMPTY_JSON = b"{}"
EMPTY = Descriptor.of(EMPTY_JSON, media_types.OCI_EMPTY)
"""The empty config or layer of an artifact (I-32)."""
