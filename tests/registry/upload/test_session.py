"""The upload session by plain values: locations, ranges and chunk sizes of all kinds of registries."""

import pytest

from ocipkg_async.errors import ProtocolError, TransportError
from ocipkg_async.registry.upload.session import MAX_CHUNK_BYTES, UploadSession
from ocipkg_async.spec import Digest
from ocipkg_async.transport import Headers

POST = "https://reg.example/v2/org/pkg/blobs/uploads/"
DIGEST = Digest("sha256:" + "ab" * 32)


def session(offset: int = 0, location: str = "https://reg.example/v2/u/1?s=0") -> UploadSession:
    return UploadSession(location=location, offset=offset)


def headers(**values: str) -> Headers:
    return Headers([(name.replace("_", "-"), value) for name, value in values.items()])


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/org/pkg/blobs/uploads/1", "https://reg.example/v2/org/pkg/blobs/uploads/1"),
        ("https://reg.example/up/1?_state=a%2Fb~%3D", "https://reg.example/up/1?_state=a%2Fb~%3D"),
        ("https://storage.example:8443/u?sig=%2B%20", "https://storage.example:8443/u?sig=%2B%20"),
        ("//other.example/u/1", "https://other.example/u/1"),
        ("1?a=b&a=c", "https://reg.example/v2/org/pkg/blobs/uploads/1?a=b&a=c"),
        ("?session=1", "https://reg.example/v2/org/pkg/blobs/uploads/?session=1"),
        (" /u/1 ", "https://reg.example/u/1"),
        ("/u/a%2fb%c3%A4", "https://reg.example/u/a%2fb%c3%A4"),
        ("/u/1#part", "https://reg.example/u/1"),
    ],
)
def test_d50_a_location_of_any_form_is_resolved_byte_for_byte(location: str, expected: str) -> None:
    assert UploadSession.opened(POST, headers(Location=location)).location == expected


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://reg.example/u/1",
        "localhost:5000/u/1",
        "https://user:secret@reg.example/u",
        "https://[reg.example/u",
        "https://reg.example:port/u",
        "https:///u",
        "/u/1\x00",
    ],
)
def test_a_location_that_cannot_be_used_is_a_fault_of_the_registry(location: str) -> None:
    with pytest.raises(ProtocolError):
        UploadSession.opened(POST, headers(Location=location))


def test_an_upload_without_location_is_refused() -> None:
    with pytest.raises(ProtocolError, match="did not say where"):
        UploadSession.opened(POST, headers())


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://r/u/1", "https://r/u/1?digest=sha256%3A"),
        ("https://r/u/1?_state=a%2Fb%3D", "https://r/u/1?_state=a%2Fb%3D&digest=sha256%3A"),
        ("https://r/u/1?", "https://r/u/1?&digest=sha256%3A"),
    ],
)
def test_d51_the_digest_is_added_and_nothing_else_changed(location: str, expected: str) -> None:
    assert session(location=location).closing_url(DIGEST) == expected + "ab" * 32


def test_d52_the_newest_location_counts_and_a_missing_one_changes_nothing() -> None:
    first = session()
    second = first.accepted(first.location, headers(Location="/v2/u/1?s=1"), sent=10)
    assert second.location == "https://reg.example/v2/u/1?s=1"
    assert second.accepted(second.location, headers(), sent=10).location == second.location
    resumed = second.resumed(second.location, headers(Location="?s=2", Range="0-4"))
    assert resumed is not None
    assert resumed.location == "https://reg.example/v2/u/1?s=2"


def test_d57_content_range_has_both_ends_and_no_unit() -> None:
    assert session().content_range(10) == "0-9"
    assert session(10).content_range(1) == "10-10"


@pytest.mark.parametrize(
    ("offset", "answer", "expected"),
    [
        (0, "0-99", 100),
        (0, "bytes=0-99", 100),
        (0, " 0-99 ", 100),
        (0, "0-59", 60),  # part of the chunk
        (100, "0-199", 200),
        (100, "0-149", 150),
        (100, "0-99", 200),  # ECR: stuck at the first chunk; Aliyun: counts this chunk alone
        (100, "0-49", 200),
        (100, "0-0", 200),
        (0, None, 100),
        (0, "0--1", 100),
        (0, "rubbish", 100),
        (0, "1-99", 100),
        (0, "0-" + "9" * 5000, 100),
        (0, "0-٩", 100),
    ],
)
def test_d60_the_range_of_an_answer_tells_how_far_it_is(
    offset: int, answer: str | None, expected: int
) -> None:
    found = headers() if answer is None else headers(Range=answer)
    assert session(offset).accepted(POST, found, sent=100).offset == expected


def test_one_byte_that_was_sent_is_there() -> None:
    assert session().accepted(POST, headers(Range="0-0"), sent=1).offset == 1


def test_d62_nothing_or_one_byte_needs_a_new_session() -> None:
    with pytest.raises(TransportError, match="one byte") as caught:
        session().accepted(POST, headers(Range="0-0"), sent=100)
    assert not isinstance(caught.value, ProtocolError)  # which would not be tried again


@pytest.mark.parametrize(("offset", "answer"), [(0, "0-100"), (100, "0-200"), (5, "0-" + "9" * 19)])
def test_more_than_was_sent_is_a_fault_of_the_registry(offset: int, answer: str) -> None:
    with pytest.raises(ProtocolError, match="were sent"):
        session(offset).accepted(POST, headers(Range=answer), sent=100)


def test_what_is_said_of_a_whole_stream_is_left_to_the_digest() -> None:
    for answer in ("0-0", "0-5", "0-99", "0-1000"):
        assert session().streamed(POST, headers(Range=answer), sent=100).offset == 100


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("0-99", 100), ("bytes=0-99", 100), ("0-1", 2), ("0-0", None), ("0--1", None), (None, None)],
)
def test_d62_a_status_of_nothing_or_one_byte_does_not_resume(
    answer: str | None, expected: int | None
) -> None:
    found = headers() if answer is None else headers(Range=answer)
    resumed = session(50).resumed(POST, found)
    assert (resumed.offset if resumed else None) == expected


@pytest.mark.parametrize(
    ("minimum", "wanted", "expected"),
    [
        (None, 100, 100),
        (None, MAX_CHUNK_BYTES + 1, MAX_CHUNK_BYTES),
        ("0", 100, 100),
        ("99", 100, 100),
        ("5242880", 100, 5242880),
        (str(MAX_CHUNK_BYTES), 100, MAX_CHUNK_BYTES),
        (str(MAX_CHUNK_BYTES + 1), 100, None),
        ("9" * 19, 100, None),
        ("9" * 5000, 100, 100),
        ("-5", 100, 100),
        ("many", 100, 100),
        ("٩", 100, 100),
        ("1_000", 100, 100),
    ],
)
def test_d59_chunks_are_as_large_as_the_registry_wants(
    minimum: str | None, wanted: int, expected: int | None
) -> None:
    found = headers(Location="/u")
    if minimum is not None:
        found = headers(Location="/u", OCI_Chunk_Min_Length=minimum)
    assert UploadSession.opened(POST, found).held_chunk_bytes(wanted) == expected
