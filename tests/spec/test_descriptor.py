"""Descriptors: needed and optional members, embedded data."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Platform
from ocipkg_async.spec.decoding import convert, decode_json, encode_json
from ocipkg_async.spec.descriptor import check_annotations

H = "sha256:" + "a" * 64
BARE: dict[str, Any] = {"mediaType": "application/json", "digest": H, "size": 3}


def parse(tree: object) -> Descriptor:
    return convert(decode_json(json.dumps(tree).encode(), what="x"), Descriptor, what="x").check(
        "x"
    )


@pytest.mark.parametrize("size", [0, 1, 2**63 - 1])
def test_i20_sizes(size: int) -> None:
    assert parse({**BARE, "size": size}).size == size


@pytest.mark.parametrize("size", [-1, 2**63, 10**30, True, False, 3.0, 1.5, "3", None, []])
def test_i20_no_sizes(size: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse({**BARE, "size": size})


@pytest.mark.parametrize("missing", ["mediaType", "digest", "size"])
def test_i20_needed_members(missing: str) -> None:
    for tree in ({k: v for k, v in BARE.items() if k != missing}, {**BARE, missing: None}):
        with pytest.raises(InvalidDocumentError, match=missing):
            parse(tree)


@pytest.mark.parametrize("media_type", ["", "json", "a/b; c=d", "a b/c", "a/b\n", 5])
def test_i20_media_type_form(media_type: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse({**BARE, "mediaType": media_type})


@pytest.mark.parametrize("digest", ["", "abc", "sha256:abc", "sha256:" + "A" * 64, "x:../..", 5])
def test_i20_digest_form(digest: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse({**BARE, "digest": digest})


def test_i21_optional_members() -> None:
    found = parse(
        {
            **BARE,
            "urls": ["https://example.io/x"],
            "annotations": {"org.opencontainers.image.title": "a/b", "empty": ""},
            "artifactType": "application/vnd.example",
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7", "features": ["x"]},
            "unknown": {"deep": [1]},
        }
    )
    assert found.urls == ("https://example.io/x",)
    assert found.title == "a/b"
    assert found.annotations is not None
    assert found.annotations["empty"] == ""
    assert found.artifact_type == "application/vnd.example"
    assert found.platform == Platform(os="linux", architecture="arm", variant="v7")


@pytest.mark.parametrize(
    "member",
    ["urls", "annotations", "data", "artifactType", "platform"],
)
def test_i37_null_is_absent(member: str) -> None:
    assert parse({**BARE, member: None}) == parse(BARE)


def test_i37_null_is_absent_inside_a_platform() -> None:
    platform = {"os": "linux", "architecture": "amd64", "variant": None, "os.features": None}
    assert parse({**BARE, "platform": platform}).platform == Platform(
        os="linux", architecture="amd64"
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("urls", "https://example.io"),
        ("urls", [1]),
        ("annotations", []),
        ("annotations", {"a": 1}),
        ("annotations", {"a": None}),
        ("annotations", {"a": {"b": "c"}}),
        ("artifactType", 1),
        ("platform", "linux/amd64"),
        ("platform", {"os": "linux"}),
        ("data", 1),
        ("data", "e30"),
        ("data", "??=="),
    ],
)
def test_i21_wrong_types(member: str, value: object) -> None:
    with pytest.raises(InvalidDocumentError):
        parse({**BARE, member: value})


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=100), st.sampled_from(["sha256", "sha512"]))
def test_i21_data_that_is_right(data: bytes, algorithm: str) -> None:
    tree = {
        "mediaType": "a/b",
        "digest": Digest.of(data, algorithm),
        "size": len(data),
        "data": base64.b64encode(data).decode(),
    }
    assert parse(tree).data == data


@pytest.mark.parametrize(
    ("data", "size", "digest", "word"),
    [
        (b"abc", 4, Digest.of(b"abc"), "3 bytes"),
        (b"abc", 2, Digest.of(b"abc"), "3 bytes"),
        (b"", 1, Digest.of(b""), "0 bytes"),
        (b"abd", 3, Digest.of(b"abc"), "digest"),
        (b"abd", 3, Digest.of(b"abc", "sha512"), "digest"),
    ],
)
def test_i21_i22_data_that_is_wrong(data: bytes, size: int, digest: str, word: str) -> None:
    encoded = base64.b64encode(data).decode()
    with pytest.raises(InvalidDocumentError, match=word):
        parse({"mediaType": "a/b", "digest": digest, "size": size, "data": encoded})


def test_i25_data_under_an_unknown_algorithm_is_kept_but_not_believed() -> None:
    found = parse({"mediaType": "a/b", "digest": "blake3:aa", "size": 2, "data": "e30="})
    assert found.data == b"{}"


def test_i32_empty_descriptor() -> None:
    assert (
        Descriptor(
            media_type="application/vnd.oci.empty.v1+json",
            digest=Digest(
                "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            ),
            size=2,
        )
        == EMPTY
    )
    assert json.loads(encode_json(Descriptor.of(EMPTY_JSON, EMPTY.media_type, embed=True))) == {
        "mediaType": EMPTY.media_type,
        "digest": EMPTY.digest,
        "size": 2,
        "data": "e30=",
    }


def test_i45_annotations_that_are_written() -> None:
    check_annotations(None)
    check_annotations({"a": ""})
    with pytest.raises(InvalidDocumentError):
        check_annotations({"": "a"})
    with pytest.raises(InvalidDocumentError):
        check_annotations({"a": 1})  # type: ignore[dict-item]


def test_plain_keeps_the_identity_alone() -> None:
    full = Descriptor.of(b"abc", "a/b", annotations={"x": "y"}, embed=True)
    assert full.plain() == Descriptor(media_type="a/b", digest=Digest.of(b"abc"), size=3)
    assert full.check("x") is full


@pytest.mark.parametrize(
    ("media_type", "document"),
    [
        ("application/vnd.oci.image.index.v1+json", True),
        ("application/vnd.docker.distribution.manifest.v2+json", True),
        ("application/vnd.oci.image.config.v1+json", False),
    ],
)
def test_is_document(media_type: str, document: bool) -> None:
    assert Descriptor.of(b"", media_type).is_document is document
