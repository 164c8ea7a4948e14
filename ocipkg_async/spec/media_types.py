"""Media types, and the questions asked of them.

OCI: image-spec v1.1 ``media-types.md``. Docker's own are treated like their OCI equals; nothing
converts between them, since that would change digests. ocipkg's are those of its V1 format.
"""

import re

from ..errors import InvalidDocumentError

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_TAR_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
# Removed before image-spec v1.1 was released, still met on registries.
OCI_ARTIFACT_MANIFEST = "application/vnd.oci.artifact.manifest.v1+json"

DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

OCIPKG_ARTIFACT = "application/vnd.ocipkg.v1.artifact"
OCIPKG_CONFIG = "application/vnd.ocipkg.v1.config+json"
OCIPKG_LAYER_TAR_GZIP = "application/vnd.ocipkg.v1.layer.tar+gzip"
# ocipkg itself writes and reads gzip only; this is ours, in its naming.
OCIPKG_LAYER_TAR_ZSTD = "application/vnd.ocipkg.v1.layer.tar+zstd"

UNKNOWN_ARTIFACT = "application/vnd.unknown.artifact.v1"
"""What ORAS writes as artifact type when none is given."""
OCTET_STREAM = "application/octet-stream"

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
_FOREIGN = re.compile(r"\.layer\.nondistributable\.|\.rootfs\.foreign\.", re.ASCII)
_TAR = re.compile(r"[./+]tar(?:[.+](?P<suffix>[a-z0-9]+))?\Z", re.ASCII)
_RFC6838_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_RFC6838 = re.compile(rf"{_RFC6838_NAME}/{_RFC6838_NAME}", re.ASCII)


def is_manifest(media_type: str) -> bool:
    """Whether it names a document that lists blobs (not an index)."""
    return media_type in MANIFESTS


def is_index(media_type: str) -> bool:
    """Whether it names a document that lists manifests."""
    return media_type in INDEXES


def is_document(media_type: str) -> bool:
    """Whether registries keep it under ``/manifests/`` rather than under ``/blobs/``."""
    return media_type in MANIFESTS or media_type in INDEXES


def is_foreign_layer(media_type: str) -> bool:
    """Whether it names a non-distributable layer, which is not pushed unless asked (D-68)."""
    return _FOREIGN.search(media_type) is not None


def tar_compression(media_type: str) -> str | None:
    """Return ``""``, ``"gzip"``, ``"zstd"`` or another suffix for a tar type, None for all others."""
    match = _TAR.search(media_type)
    return None if match is None else (match["suffix"] or "")


def check_media_type(text: str) -> str:
    """Return `text` if it has the form of RFC 6838, section 4.2.

    Raises:
        InvalidDocumentError: it has not.
    """
    if not _RFC6838.fullmatch(text):
        raise InvalidDocumentError(
            f"{text[:100]!r} is not a media type", hint="a media type looks like application/json"
        )
    return text


def without_parameters(content_type: str) -> str:
    """Return the media type of a ``Content-Type`` header, lower-cased, without parameters (D-07)."""
    return content_type.partition(";")[0].strip().lower()
