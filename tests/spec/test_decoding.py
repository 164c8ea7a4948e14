"""Strict JSON: what is refused, and that nothing but our error comes out (I-37)."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.spec import Descriptor, Digest
from ocipkg_async.spec.decoding import convert, decode_json, encode_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"{} {}", "JSON"),
        (b"{'a': 1}", "JSON"),
        (b'{"a": 1,}', "JSON"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b'"\xff"', "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": 1, "a": 1}', "'a' stands twice"),
        (b'{"a": {"b": 1, "b": 2}}', "'b' stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
        (b"NaN", "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "too large"),
        (b"9" * 5000, "JSON"),
        (b'"\\ud800"', "surrogates"),
        (b'{"\\uDC00": 1}', "surrogates"),
        (b"[" * 200_000, "deep"),
        (b'{"a":' * 200_000, "deep"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_i37_refused(data: bytes, word: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        decode_json(data, what="token answer")
    assert "the token answer" in str(caught.value)
    assert word in str(caught.value)
    assert len(str(caught.value)) < 300


def test_i37_a_pair_of_surrogates_is_one_character() -> None:
    assert decode_json(b'"\\ud83d\\ude00"', what="x") == "\U0001f600"
    assert decode_json(b'"\\\\ud800"', what="x") == "\\ud800"


def test_i37_the_twice_given_key_is_found_in_linear_time() -> None:
    """With one pass per key, this takes hours."""
    members = b",".join(b'"%d":0' % n for n in range(200_000))
    with pytest.raises(InvalidDocumentError, match="'199999' stands twice"):
        decode_json(b"{" + members + b',"199999":0}', what="x")


@settings(deadline=None, max_examples=60)
@given(JSON)
def test_i37_accepts_all_other_json(tree: Any) -> None:
    assert decode_json(json.dumps(tree).encode(), what="x") == tree
    assert decode_json(json.dumps(tree, ensure_ascii=False).encode(), what="x") == tree


@settings(deadline=None, max_examples=150)
@given(st.binary() | st.text(alphabet='{}[]",:\\udDcC80eE+-.19 nulltrue').map(str.encode))
def test_i37_never_another_error(data: bytes) -> None:
    try:
        tree = decode_json(data, what="x")
    except InvalidDocumentError:
        return
    # What came through can be sent again.
    assert decode_json(json.dumps(tree, ensure_ascii=False).encode(), what="x") == tree


@settings(deadline=None, max_examples=60)
@given(JSON)
def test_convert_never_another_error(tree: Any) -> None:
    try:
        found = convert(tree, Descriptor, what="x")
    except InvalidDocumentError:
        return
    assert isinstance(found.digest, Digest)


def test_convert_says_where() -> None:
    tree = [{"mediaType": "a/b", "digest": "sha256:abc", "size": 1}]
    with pytest.raises(InvalidDocumentError, match=r"\$\[0\]\.digest") as caught:
        convert(tree, tuple[Descriptor, ...], what="index")
    assert "the index" in str(caught.value)
    with pytest.raises(InvalidDocumentError, match=r"\$\[0\]\.digest"):
        convert([{"mediaType": "a/b", "digest": 5, "size": 1}], tuple[Descriptor, ...], what="x")


class Deep(msgspec.Struct):
    inner: Any = None


def test_convert_deep_trees() -> None:
    tree: Any = 1
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(InvalidDocumentError, match="deep"):
        convert({"inner": tree}, Deep, what="x")
    while isinstance(tree, list):  # one level after the other, since freeing recurses too
        tree = tree.pop()


def test_encode_is_compact_and_can_sort() -> None:
    assert encode_json({"b": [1, "é"], "a": None}) == '{"b":[1,"é"],"a":null}'.encode()
    assert encode_json({"b": {"d": 1, "c": 2}, "a": 3}, sort_maps=True) == (
        b'{"a":3,"b":{"c":2,"d":1}}'
    )
