"""What a package says about linking comes from a registry and must not say more than that."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidDocumentError
from ocipkg_async.native import LinkMetadata, packed_platform
from ocipkg_async.spec import Platform
from ocipkg_async.spec.decoding import encode_json

FULL = {
    "libraries": ["foo", "boost_system-vc140", "stdc++"],
    "systemLibraries": ["m"],
    "frameworks": ["CoreFoundation"],
    "include": [".", "include/foo", "my headers"],
    "defines": ["FOO", "FOO_LEVEL=1.5", 'FOO_NAME="a b"', "EMPTY="],
}


def config(**link: Any) -> bytes:
    return json.dumps({"layers": {}, "link": link}).encode()


def test_reads_what_was_written() -> None:
    metadata = LinkMetadata.from_config(config(**FULL))
    assert metadata.libraries == ("foo", "boost_system-vc140", "stdc++")
    assert metadata.include == (".", "include/foo", "my headers")
    assert json.loads(encode_json(metadata)) == FULL
    assert LinkMetadata.from_config(b'{"link":' + encode_json(metadata) + b"}") == metadata


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"layers":{},"other":1}', b'{"link":{}}', b'{"link":null}']
)
def test_nothing_said_is_the_default(raw: bytes) -> None:
    assert LinkMetadata.from_config(raw) == LinkMetadata()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a\ncargo:rustc-env=X=Y",
        'a"b',
        "a'b",
        "a/b",
        "a\\b",
        "..",
        "a..b",
        "-lfoo",
        "-Wl,--wrap=f",
        ":libfoo.a",
        "$(x)",
        "`x`",
        "a;b",
        "@file",
        "é",
        "a\0",
        "x" * 129,
    ],
)
@pytest.mark.parametrize("member", ["libraries", "systemLibraries", "frameworks"])
def test_names_that_are_none(name: str, member: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        LinkMetadata.from_config(config(**{member: ["ok", name]}))
    assert caught.value.hint
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "define",
    ["", "1A", "A B", "-DA", "A-B", "A=\n", "A=1\ncargo:rustc-env=X=Y", "A=\0", "A=" + "x" * 300],
)
def test_macros_that_are_none(define: str) -> None:
    with pytest.raises(InvalidDocumentError):
        LinkMetadata.from_config(config(defines=[define]))
    with pytest.raises(InvalidDocumentError):
        LinkMetadata(defines=(define,))


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "/usr/include",
        "..",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\nb",
        "a:b",
        "$HOME",
        "a;b",
        "C:\\x",
        "-a/" + "b/" * 40,
    ],
)
def test_folders_that_are_none(folder: str) -> None:
    with pytest.raises(InvalidDocumentError):
        LinkMetadata.from_config(config(include=[folder]))


def test_too_many_values() -> None:
    with pytest.raises(InvalidDocumentError, match="more than 256"):
        LinkMetadata.from_config(config(systemLibraries=["m"] * 257))


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"text", b'{"link":[]}', b'{"link":{"libraries":"foo"}}']
)
def test_other_documents(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        LinkMetadata.from_config(raw)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)), st.lists(st.text(max_size=12), max_size=3), max_size=5
    )
)
def test_nothing_that_is_accepted_breaks_a_line(link: dict[str, list[str]]) -> None:
    try:
        metadata = LinkMetadata.from_config(config(**link))
    except InvalidDocumentError:
        return
    values = json.loads(encode_json(metadata)).values()
    assert all(value.isprintable() for some in values for value in some)


def test_platform_of_a_config() -> None:
    assert packed_platform(b"{}") is None
    raw = b'{"platform":{"os":"macos","architecture":"aarch64"}}'
    assert packed_platform(raw) == Platform(os="darwin", architecture="arm64")
    with pytest.raises(InvalidDocumentError):
        packed_platform(b'{"platform":"linux"}')
