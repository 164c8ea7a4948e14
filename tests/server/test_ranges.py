"""Byte ranges of blobs and chunks."""

import pytest

from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.ranges import ByteRange, requested_range, sent_range


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=500-1499", 500, 1500),
        ("bytes=500-", 500, 3000),
        ("bytes=-500", 2500, 3000),
        ("bytes=-5000", 0, 3000),
        ("bytes=2000-5000", 2000, 3000),
        ("bytes=0-0", 0, 1),
        ("bytes = 1 - 2", 1, 3),
    ],
)
def test_c13_part_of_a_blob(header: str, start: int, stop: int) -> None:
    assert requested_range(header, 3000) == ByteRange(start, stop)


@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=5000-10000", "bytes=3000-", "bytes=-0"])
def test_c13_range_without_a_byte_is_416_and_tells_the_size(header: str) -> None:
    with pytest.raises(RefusedError) as refused:
        requested_range(header, 3000)
    assert refused.value.status == 416
    assert refused.value.headers["Content-Range"] == "bytes */3000"


@pytest.mark.parametrize("header", [None, "", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"])
def test_other_ranges_are_answered_with_the_whole_blob(header: str | None) -> None:
    assert requested_range(header, 3000) is None


@pytest.mark.parametrize("header", ["0-9", "bytes 0-9/*", "bytes=0-9", "bytes 0-9/30"])
def test_d57_chunk_range_with_and_without_the_word(header: str) -> None:
    assert sent_range(header, 10) == ByteRange(0, 10)
    assert sent_range(header, None) == ByteRange(0, 10)


@pytest.mark.parametrize(
    ("header", "length", "code"),
    [
        ("0-9", 9, "SIZE_INVALID"),
        ("9-0", None, "BLOB_UPLOAD_INVALID"),
        ("x", None, "BLOB_UPLOAD_INVALID"),
        ("-5", None, "BLOB_UPLOAD_INVALID"),
    ],
)
def test_chunk_range_that_cannot_be(header: str, length: int | None, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        sent_range(header, length)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_no_chunk_range_goes_on_where_the_upload_stands() -> None:
    assert sent_range(None, 10) is None
