"""Names and the marker file of an image layout (image-spec v1.1 ``image-layout.md``)."""

from typing import Any, cast

from ..errors import InvalidLayoutError
from .decoding import decode_json, encode_json
from .digest import Digest

MARKER = "oci-layout"
INDEX = "index.json"
BLOBS = "blobs"
VERSION = "1.0.0"
MARKER_BYTES = encode_json({"imageLayoutVersion": VERSION})


def blob_path(digest: Digest) -> str:
    """Return the path of a blob below the layout's root, with forward slashes (I-03)."""
    return f"{BLOBS}/{digest.algorithm}/{digest.encoded}"


def check_marker(data: bytes) -> None:
    """Check the content of the ``oci-layout`` file (I-01).

    Raises:
        InvalidLayoutError: another version, or none.
        InvalidDocumentError: it is not JSON.
    """
    tree = decode_json(data, what="oci-layout file")
    members = cast("dict[str, Any]", tree) if isinstance(tree, dict) else {}
    version = members.get("imageLayoutVersion")
    if version != VERSION:
        raise InvalidLayoutError(
            f"this image layout has version {version!r}; {VERSION} is understood"
        )
