"""The journal of a download: what it says is what was written, and whatever is odd says nothing."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.registry.download import journal
from ocipkg_async.spec import Descriptor, Digest

SIZE = 1000
DIGEST = Digest("sha256:" + "ab" * 32)
BLOB = Descriptor(media_type="a/b", digest=DIGEST, size=SIZE)
HEAD = journal.encode(BLOB)


def parsed(data: bytes, *, blob: Descriptor = BLOB, length: int = SIZE) -> journal.Ranges:
    return journal.parse(data, blob, length=length)


def test_the_format_is_lines_of_json() -> None:
    """Later versions read it, so it does not change by accident."""
    text = journal.encode(BLOB, [(0, 10), (20, SIZE)])
    assert text == HEAD + b"[0,10]\n[20,1000]\n"
    assert [json.loads(line) for line in text.splitlines()] == [
        {"version": 1, "digest": str(DIGEST), "size": SIZE},
        [0, 10],
        [20, 1000],
    ]


stretches = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).filter(lambda s: s[0] < s[1])
)


@given(stretches)
def test_what_is_read_covers_what_was_written_and_no_more(found: list[tuple[int, int]]) -> None:
    ranges = parsed(journal.encode(BLOB, found))
    assert {n for start, stop in ranges for n in range(start, stop)} == {
        n for start, stop in found for n in range(start, stop)
    }
    assert all(start < stop for start, stop in ranges)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(ranges))


@given(stretches, st.data())
def test_a_journal_that_is_cut_anywhere_claims_nothing_that_was_not_written(
    found: list[tuple[int, int]], data: st.DataObject
) -> None:
    text = journal.encode(BLOB, found)
    cut = text[: data.draw(st.integers(0, len(text)))]
    whole = cut.removeprefix(HEAD).count(b"\n") if cut.startswith(HEAD) else 0
    assert parsed(cut) == journal.merged(found[:whole])


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    assert parsed(data) == ()
    for start, stop in parsed(HEAD + data):
        assert 0 <= start < stop <= SIZE


@pytest.mark.parametrize(
    "tail",
    [b"[10,20", b"[10,20]", b"[10", b"x", b"\0" * 40, b"\xff\xfe", b"\0\0\n", b"[5,\n", b""],
    ids=repr,
)
def test_a_torn_last_line_is_ignored(tail: bytes) -> None:
    assert parsed(HEAD + b"[0,10]\n" + tail) == ((0, 10),)


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"",
        b"[10,20",
        b"[ 10,20]",
        b"[10, 20]",
        b"[10,20] ",
        b"[10,20]\r",
        b"[010,20]",
        b"[+1,20]",
        b"[1e1,20]",
        b"[1_0,20]",
        b"[10.0,20]",
        b"[true,20]",
        b"[-5,20]",
        b"[0,0]",
        b"[10,20,30]",
        b"{}",
        "[\u0661,20]".encode(),
        b"\xff",
    ],
    ids=repr,
)
def test_garbage_before_the_last_line_spoils_it_all(line: bytes) -> None:
    assert parsed(HEAD + b"[0,10]\n" + line + b"\n[30,40]\n") == ()


@pytest.mark.parametrize(
    "line",
    [b"[0,1001]", b"[1000,1001]", b"[5,5]", b"[6,5]", b"[0,%d]" % 10**18],
    ids=repr,
)
def test_an_impossible_stretch_spoils_it_all_wherever_it_is(line: bytes) -> None:
    assert parsed(HEAD + b"[0,10]\n" + line + b"\n[30,40]\n") == ()
    assert parsed(HEAD + b"[0,10]\n" + line + b"\n") == ()


def test_a_number_that_is_too_long_is_not_converted() -> None:
    assert parsed(HEAD + b"[0," + b"9" * 100_000 + b"]\n[0,1]\n") == ()


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b":1,", b":2,", 1),
        HEAD.replace(b":1,", b":1.0,", 1),
        HEAD.replace(b"ab" * 32, b"cd" * 32),
        HEAD.replace(b"1000", b"1001"),
        HEAD.replace(b",", b", "),
        HEAD.replace(b"}", b',"more":1}'),
        HEAD.removesuffix(b"\n") + b"\r\n",
        b"\xef\xbb\xbf" + HEAD,
        b"\n" + HEAD,
        b"",
    ],
    ids=repr,
)
def test_another_version_blob_or_size_says_nothing(head: bytes) -> None:
    assert head != HEAD
    assert parsed(head + b"[0,10]\n") == ()


def test_a_file_of_another_length_than_the_journal_claims() -> None:
    text = journal.encode(BLOB, [(0, 10), (20, 30)])
    assert parsed(text, length=30) == ((0, 10), (20, 30))
    assert parsed(text, length=29) == ()
    assert parsed(text, length=SIZE + 1) == ()
    assert parsed(text, length=0) == ()


def test_one_that_is_too_long_is_none_of_ours() -> None:
    line = b"[0,10]\n"
    fitting = (journal.MAX_BYTES - len(HEAD)) // len(line)
    assert parsed(HEAD + line * fitting) == ((0, 10),)
    assert parsed(HEAD + line * (fitting + 1)) == ()
