"""The lock file: what is written is read again, and what is odd is refused."""

import re
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocipkg_async.content.select import choose
from ocipkg_async.errors import (
    InvalidDocumentError,
    InvalidPlatformError,
    InvalidReferenceError,
    NotFoundError,
    OCIError,
)
from ocipkg_async.spec import Descriptor, Digest, Index, Platform, Reference
from ocipkg_async.spec.media_types import OCI_MANIFEST
from ocipkg_async.store import LockedPackage, LockFile
from ocipkg_async.store.lock_file import MAX_BYTES

A, B, C = (Digest("sha256:" + char * 64) for char in "abc")
FOO = Reference.parse("ghcr.io/org/foo:1.2")
BAR = Reference.parse("docker.io/library/bar")

TEXT = f"""\
# Written by ocipkg-async: commit it, do not edit it.
version = 1

[[package]]
reference = "docker.io/library/bar:latest"
digest = "{A}"

[[package]]
reference = "ghcr.io/org/foo:1.2"
digest = "{A}"
[package.platforms]
"linux/arm/v7" = "{B}"
"linux/amd64" = "{C}"
"any" = "{B}"
"""
PLATFORMS = [
    *("linux/amd64", "linux/386", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "darwin/arm64"),
    *("windows(10.0.17763.1)/amd64", "windows(10.0.17763.2)/amd64", "unknown/unknown"),
]


def locked(*offered: tuple[str | None, Digest], reference: Reference = FOO) -> LockedPackage:
    return LockedPackage.of(
        reference, A, [(Platform.parse(text) if text else None, digest) for text, digest in offered]
    )


def block(reference: str = str(FOO), digest: str = A, rest: str = "") -> str:
    return f'[[package]]\nreference = "{reference}"\ndigest = "{digest}"\n{rest}\n'


def test_written_as_it_is_documented_and_read_again() -> None:
    foo = locked(("linux/arm/v7", B), ("linux/amd64", C), (None, B))
    file = LockFile().replacing([foo, LockedPackage.of(BAR, A)])
    assert bytes(file).decode() == TEXT
    assert LockFile.parse(TEXT.encode()) == file
    assert LockFile.parse(TEXT.replace("\n", "\r\n").encode()) == file


def test_empty_file_is_read_again() -> None:
    assert LockFile.parse(bytes(LockFile())) == LockFile()


def test_order_does_not_count() -> None:
    header, bar, foo = TEXT.split("\n\n")
    assert bytes(LockFile.parse(f"{header}\n\n{foo}\n\n{bar}".encode())).decode() == TEXT


def test_replacing_and_removing() -> None:
    file = LockFile.parse(TEXT.encode())
    changed = file.replacing([LockedPackage.of(FOO, B)])
    assert changed.find(FOO).digest == B
    assert [one.reference.repository for one in changed.packages] == ["library/bar", "org/foo"]
    assert changed.without([BAR]).packages == (LockedPackage.of(FOO, B),)
    assert file.find(BAR) == file.find(BAR.with_default_tag()) == LockedPackage.of(BAR, A)
    other = Reference.parse("ghcr.io/org/other:1")
    assert file.get(other) is None
    for call in (lambda: file.find(other), lambda: file.without([other])):
        with pytest.raises(NotFoundError, match="is not in the lock file") as caught:
            call()
        assert caught.value.hint == "add it with: ocipkg-async lock ghcr.io/org/other:1"


@pytest.mark.parametrize(
    ("wanted", "digest"),
    [("linux/amd64", A), ("linux/arm/v7", B), ("linux/arm64", B), ("linux/arm/v8", B)],
)
def test_platform_is_chosen_with_its_fallbacks(wanted: str, digest: Digest) -> None:
    package = locked(("linux/amd64", A), ("linux/arm/v6", C), ("linux/arm/v7", B))
    assert package.manifest(Platform.parse(wanted)) == digest


def test_missing_platform() -> None:
    package = locked(("linux/amd64", A), ("linux/arm64", B))
    with pytest.raises(NotFoundError, match="no manifest for darwin/arm64 when it") as caught:
        package.manifest(Platform.parse("darwin/arm64"))
    assert "linux/amd64, linux/arm64" in (caught.value.hint or "")
    assert f"ocipkg-async lock --update {FOO}" in (caught.value.hint or "")


def test_manifest_is_for_every_platform() -> None:
    package = LockedPackage.of(FOO, A)
    assert package.manifest(None) == package.manifest(Platform.parse("darwin/arm64")) == A


@given(
    st.lists(st.sampled_from([None, *PLATFORMS]), min_size=1, max_size=6),
    st.sampled_from([None, *PLATFORMS, "linux/arm/v8", "windows/amd64"]),
)
@example(["darwin/arm64"], None)
@example(["darwin/arm64", "darwin/arm64"], None)
@example(["darwin/arm64", "unknown/unknown"], None)
@example(["unknown/unknown", "unknown/unknown"], None)
def test_choice_is_that_of_the_index(offered: list[str | None], wanted: str | None) -> None:
    entries = [
        Descriptor(
            media_type=OCI_MANIFEST,
            digest=Digest.of(bytes([position])),
            size=1,
            platform=Platform.parse(text) if text else None,
        )
        for position, text in enumerate(offered)
    ]
    package = LockedPackage.of(FOO, A, [(one.platform, one.digest) for one in entries])
    (package,) = LockFile.parse(bytes(LockFile((package,)))).packages
    platform = Platform.parse(wanted) if wanted else None
    assert outcome(package.manifest, platform) == outcome(
        lambda one: choose(Index.build(manifests=tuple(entries)), one).digest, platform
    )


def outcome(choice: Any, platform: Platform | None) -> object:
    try:
        return choice(platform)
    except NotFoundError:
        return NotFoundError


HOSTILE = st.text(max_size=20) | st.sampled_from(['"', "\\", '"\n[[package]]\n', "a'b", "\x7f"])


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@example("linux", 'x"]\n[[package]]\nreference = "evil', "amd64", "")
@example("linux", 'a"b', "amd64", "")
@example("linux", "\ud800", "amd64", "")
def test_platforms_of_others_do_no_harm(os: str, version: str, arch: str, variant: str) -> None:
    platform = Platform(os=os, os_version=version, architecture=arch, variant=variant)
    package = LockedPackage.of(FOO, A, [(platform, B), (Platform.parse("linux/amd64"), C)])
    file = LockFile((package,))
    assert LockFile.parse(bytes(file)) == file
    assert package.manifest(Platform.parse("linux/amd64")) in {C, B}
    assert LockFile.parse(bytes(LockFile((LockedPackage.of(FOO, A, [(platform, B)]),)))).packages


@given(HOSTILE, HOSTILE, HOSTILE)
@example("ghcr.io", 'x"\ndigest = "', "v1")
@example("ghcr.io", "x", 'v1"\n[[package]]')
def test_references_that_are_none_are_not_written(registry: str, name: str, tag: str) -> None:
    reference = Reference(registry=registry, repository=name, tag=tag)
    try:
        data = bytes(LockFile((LockedPackage.of(reference, A),)))
    except InvalidReferenceError:
        return
    assert [one.reference for one in LockFile.parse(data).packages] == [
        Reference.parse(str(reference), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it says no version"),
        ("version = true", "it says no version"),
        ('version = "1"', "it says no version"),
        ("version = 1\nextra = 1", "'extra', which has no meaning"),
        ("version = 1\npackage = 1", "'package' is missing, or not an array"),
        ("version = 1\npackage = [1]", "a package is not a table"),
        ("version = 1\n[package]\nreference = 1", "'package' is missing, or not an array"),
        ("version = 1\n" + block("ghcr.io/a/b"), "has neither tag nor digest"),
        ("version = 1\n" + block("a/b:1"), "the registry must be given|not a valid reference"),
        ("version = 1\n" + block(digest="sha256:1"), "is not a sha256 digest"),
        ("version = 1\n" + block(digest="md5:1"), "cannot be verified"),
        ("version = 1\n" + block(rest="more = 1"), "'more', which has no meaning"),
        ("version = 1\n" + block() + block(), "foo:1.2 is there twice"),
        ("version = 1\n" + block(f"a.io/b@{B}"), "is locked to .*, which is another"),
        ("version = 1\n" + block(rest="platforms = 1"), "not a table"),
        ("version = 1\n" + block(rest='[package.platforms]\n"linux/amd64" = 1'), "not text"),
        ("version = 1\n" + block(rest=f'[package.platforms]\nlinux = "{A}"'), "architecture"),
        (
            "version = 1\n"
            + block(rest=f'[package.platforms]\n"linux/x86_64"="{A}"\n"linux/amd64"="{A}"'),
            "linux/amd64 twice",
        ),
        ("version = 1\n<<<<<<< HEAD\n" + block(), "it is not TOML"),
        ("version = " + "1" * 5000, "it is not TOML"),
        ("version = 1\nx = " + "[" * 5000, "it is not TOML"),
        ("version = 1\n" + "#" * MAX_BYTES, "more than 4 MiB"),
    ],
)
def test_what_is_no_lock_file(text: str, message: str) -> None:
    with pytest.raises(InvalidDocumentError, match=message) as caught:
        LockFile.parse(text.encode(), name="x/ocipkg.lock")
    assert str(caught.value).startswith("x/ocipkg.lock is not a lock file: ")
    assert "in a merge, keep the blocks of both sides" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 200_000) + "=1",
        "[" + " . ".join(['"a"'] * 200_000) + "]",
        'x = {y="""\n""" , ' + ".".join(["a"] * 200_000) + '=1, b="c"}',
    ],
)
def test_keys_that_would_take_all_memory(text: str) -> None:
    with pytest.raises(InvalidDocumentError, match="many parts"):
        LockFile.parse(f"version = 1\n{text}".encode())


def test_other_version() -> None:
    with pytest.raises(InvalidDocumentError, match=r"has version 2, and .* reads version 1") as got:
        LockFile.parse(b"version = 2\n[other]\nthings = 1\n")
    assert got.value.hint == "update ocipkg-async"


JUNK = st.recursive(
    st.none() | st.integers() | st.sampled_from([str(FOO), str(A), "linux/amd64"]) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "package", "reference", "digest", "platforms", "any"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def toml(value: object) -> str:
    """Write a value inline, and what TOML has no word for as it never is."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return '"' + re.sub(r'["\\\n]', "-", value) + '"'
        case _:
            return str(value)


@given(st.binary(max_size=200) | JUNK.map(lambda value: f"version = 1\npackage = {toml(value)}"))
@example(b"\xff")
def test_hostile_files_raise_our_errors_alone(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode(errors="surrogatepass")
    try:
        file = LockFile.parse(raw)
    except OCIError as error:
        assert isinstance(error, InvalidDocumentError)  # noqa: PT017 - others raise nothing
    else:
        assert LockFile.parse(bytes(file)) == file


@given(st.text(alphabet='abc"=[]\n:1', max_size=10), st.integers(0, len(TEXT)))
def test_spoilt_files_raise_our_errors_alone(junk: str, position: int) -> None:
    spoilt = TEXT[:position] + junk + TEXT[position:]
    try:
        file = LockFile.parse(spoilt.encode())
    except InvalidDocumentError:
        return
    assert tomllib.loads(bytes(file).decode())["version"] == 1


def test_platform_that_cannot_be_asked_for_is_not_chosen() -> None:
    odd = Platform(os="li nux", architecture="amd64")
    package = LockedPackage.of(FOO, A, [(odd, B), (Platform.parse("linux/amd64"), C)])
    assert package.manifests == {"unknown/unknown": B, "linux/amd64": C}
    with pytest.raises(NotFoundError):
        package.manifest(Platform.parse("unknown/unknown"))
    with pytest.raises(InvalidPlatformError):
        Platform.parse(str(odd))
