"""What is known of how well-known registries take uploads, by host. Data only.

A host that is not listed is treated as the specification says, and what it turns out to do
otherwise is learnt (`Capabilities`). Registries that run under any name, such as distribution 2.8,
Harbor or zot, have no place here for that reason.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a registry takes uploads.

    Attributes:
        chunks: whether it takes a blob in several PATCH requests. Streams in one are another matter.
        chunk_bytes: best size of a chunk, or None: any.
        chunk_min_bytes: least size of a chunk that is not the last.
        chunk_max_bytes: largest size of a PATCH body that says its length, or None.
        max_chunks: how many there may be, or None.
        last_in_put: the last chunk must travel in the PUT, which is not to be empty.
        counts_right: the ``Range`` of its answers says how many bytes it has. Without, an upload
            cannot be taken up in its middle.
    """

    chunks: bool = True
    chunk_bytes: int | None = None
    chunk_min_bytes: int = 0
    chunk_max_bytes: int | None = None
    max_chunks: int | None = None
    last_in_put: bool = False
    counts_right: bool = True

    @property
    def resumes(self) -> bool:
        """Whether an upload that was cut off can be gone on with."""
        return self.chunks and self.counts_right


_NONE = Quirks()

# A PATCH with a Content-Length above 4 MiB is answered with 416 "request body is too large"; a PUT
# of the whole, or a PATCH in chunked encoding, has no such limit. rust-oci-client#35, #37;
# ocx#237; wash-archive#268.
_GHCR = Quirks(chunk_bytes=4 << 20, chunk_max_bytes=4 << 20)

# The Range of its answers stays at the first chunk though later ones are stored
# (aws/containers-roadmap#2831, chalk#682, mise#11376, sdk-container-builds#424). Parts have at least
# 5 MiB, at most 10 MiB by the quotas and 20 MiB by the description of the interface, and there are
# at most 4,200. An empty closing PUT was answered with 500 (tart#159).
_ECR = Quirks(
    chunk_bytes=10 << 20,
    chunk_min_bytes=5 << 20,
    chunk_max_bytes=20 << 20,
    max_chunks=4200,
    last_in_put=True,
    counts_right=False,
)

# Uploads in several PATCH requests do not work: skopeo#1101, kitops#777, sdk-container-builds#287
# for Google; oras-py#137 for Quay, which mounts only with `from` besides (ggcr), as we always do.
_NO_CHUNKS = Quirks(chunks=False)

# Range counts the bytes of each chunk alone: regclient#627.
_ALIYUN = Quirks(counts_right=False)

# JFrog once refused a PUT of the whole (buildkit#1130): that is learnt when it happens.
_BY_HOST: tuple[tuple[str, Quirks], ...] = (
    ("ghcr.io", _GHCR),
    ("*.dkr.ecr.*.amazonaws.com", _ECR),
    ("*.dkr.ecr.*.amazonaws.com.cn", _ECR),
    ("*.dkr.ecr-fips.*.amazonaws.com", _ECR),
    ("public.ecr.aws", _ECR),
    ("*.pkg.dev", _NO_CHUNKS),
    ("gcr.io", _NO_CHUNKS),
    ("*.gcr.io", _NO_CHUNKS),
    ("quay.io", _NO_CHUNKS),
    ("*.quay.io", _NO_CHUNKS),
    ("*.aliyuncs.com", _ALIYUN),
)


def quirks_of(registry: str) -> Quirks:
    """Return what is known of a registry.

    Args:
        registry: ``host[:port]``; a port other than that of https is somebody's own server.
    """
    host = registry.lower().removesuffix(":443")
    return next((known for pattern, known in _BY_HOST if fnmatchcase(host, pattern)), _NONE)
