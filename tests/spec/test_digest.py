"""Digests: grammar, registered algorithms, hashing."""

import copy
import hashlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidDigestError, UnsupportedError
from ocipkg_async.spec import Digest, Digester

H = "a" * 64
S = "b" * 128


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{H}",
        f"sha512:{S}",
        f"blake3:{H}",
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "a.b_c-d+e:Z=_-",
    ],
)
def test_i23_i24_i25_valid(text: str) -> None:
    digest = Digest(text)
    assert str(digest) == text
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert digest == text
    assert hash(digest) == hash(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        f":{H}",
        "sha256:abc",
        f"sha256:{H}a",
        f"sha256:{H[:-1]}",
        "sha256:" + 64 * "A",
        "sha256:" + 63 * "a" + "g",
        f"sha512:{H}",
        "sha512:" + 128 * "B",
        f"SHA256:{H}",
        f"sha256:{H}\n",
        f"\nsha256:{H}",
        f" sha256:{H}",
        f"+sha256:{H}",
        f"sha256+:{H}",
        f"sha++256:{H}",
        "sha256:../../etc/passwd",
        "x:a/b",
        "x:a:b",
        "x:a.b",
        "../x:a",
        "x:é",
        "sha256:" + "٣" * 64,
        "x:" + "a" * 600,
    ],
)
def test_i23_i24_i25_i26_invalid(text: str) -> None:
    with pytest.raises(InvalidDigestError) as caught:
        Digest(text)
    assert caught.value.hint
    assert len(str(caught.value)) < 300


def test_i25_unknown_algorithm_cannot_be_verified() -> None:
    with pytest.raises(UnsupportedError) as caught:
        Digester(Digest(f"blake3:{H}").algorithm)
    assert "sha256" in (caught.value.hint or "")
    with pytest.raises(UnsupportedError):
        Digest.of(b"", "md5")


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["sha256", "sha512"]))
def test_i24_digest_of_bytes(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert Digest(digest) is digest
    assert digest.short == digest.encoded[:12]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=50)), st.sampled_from(["sha256", "sha512"]))
def test_digester_in_pieces_equals_the_whole(pieces: list[bytes], algorithm: str) -> None:
    digester = Digester(algorithm)
    for piece in pieces:
        digester.update(memoryview(bytearray(piece)))
    whole = b"".join(pieces)
    assert digester.size == len(whole)
    assert digester.digest() == Digest.of(whole, algorithm)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80) | st.from_regex(r"[a-z0-9+._-]{0,9}:[A-Za-z0-9=_-]{0,70}"))
def test_i23_either_a_digest_or_our_error(text: str) -> None:
    try:
        digest = Digest(text)
    except InvalidDigestError:
        return
    assert Digest(str(digest)) == digest
    assert digest.isascii()
    assert "/" not in digest
    assert digest.count(":") == 1


def test_digest_keeps_its_type_when_copied() -> None:
    digest = Digest(f"sha256:{H}")
    for other in (pickle.loads(pickle.dumps(digest)), copy.deepcopy(digest)):  # noqa: S301
        assert type(other) is Digest
        assert other == digest
