"""The names and the marker of an image layout."""

import json

import pytest

from ocipkg_async.errors import InvalidDocumentError, InvalidLayoutError
from ocipkg_async.spec import Digest
from ocipkg_async.spec.image_layout import MARKER_BYTES, blob_path, check_marker


def test_i01_marker() -> None:
    assert json.loads(MARKER_BYTES) == {"imageLayoutVersion": "1.0.0"}
    check_marker(MARKER_BYTES)
    check_marker(b' {"x": [1], "imageLayoutVersion": "1.0.0"}\n')


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"null",
        b'"1.0.0"',
        b'{"imageLayoutVersion": "1.0.1"}',
        b'{"imageLayoutVersion": "2.0.0"}',
        b'{"imageLayoutVersion": 1}',
        b'{"imageLayoutVersion": null}',
    ],
)
def test_i01_other_versions_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidLayoutError):
        check_marker(data)


@pytest.mark.parametrize("data", [b"", b"1.0.0", b"\xff"])
def test_i01_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        check_marker(data)


def test_i03_blob_path() -> None:
    assert blob_path(Digest("sha256:" + 64 * "a")) == "blobs/sha256/" + 64 * "a"
    assert blob_path(Digest("sha256+b64u:a=_-")) == "blobs/sha256+b64u/a=_-"
