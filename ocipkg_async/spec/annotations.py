"""Annotation keys with a meaning here (image-spec v1.1 ``annotations.md``, ORAS)."""

CREATED = "org.opencontainers.image.created"
AUTHORS = "org.opencontainers.image.authors"
URL = "org.opencontainers.image.url"
DOCUMENTATION = "org.opencontainers.image.documentation"
SOURCE = "org.opencontainers.image.source"
VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
VENDOR = "org.opencontainers.image.vendor"
LICENSES = "org.opencontainers.image.licenses"
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
DESCRIPTION = "org.opencontainers.image.description"

# containerd and Docker put the full name here, beside a REF_NAME that is only the tag (I-05).
CONTAINERD_IMAGE_NAME = "io.containerd.image.name"

# ORAS marks a directory that was packed into one layer.
ORAS_UNPACK = "io.deis.oras.content.unpack"
ORAS_CONTENT_DIGEST = "io.deis.oras.content.digest"
