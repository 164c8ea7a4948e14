"""Platforms: text, normal form, target triples, and the choice from an index."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.errors import InvalidPlatformError
from ocipkg_async.spec import Platform
from ocipkg_async.spec.decoding import convert, encode_json
from ocipkg_async.spec.platform import select


def p(text: str) -> Platform:
    return Platform.parse(text)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform(os="linux", architecture="amd64")),
        ("linux/arm/v7", Platform(os="linux", architecture="arm", variant="v7")),
        (
            "windows(10.0.17763.5)/amd64",
            Platform(os="windows", architecture="amd64", os_version="10.0.17763.5"),
        ),
        (
            "linux(1.2)/arm64/v9.2",
            Platform(os="linux", architecture="arm64", variant="v9.2", os_version="1.2"),
        ),
    ],
)
def test_i70_i71_text_form(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform
    assert str(platform) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "linux/",
        "/amd64",
        "linux/amd64/",
        "a/b/c/d",
        "linux amd64",
        "linux/amd64\n",
        "é",
        "linux()/amd64",
        "linux(1/2)/amd64",
        "linux(1.0)",
        "lin\nux",
        "x86_64-unknown-linxu-gnu",
        "aarch64-unknown-linux-gnu",
    ],
)
def test_i71_not_a_platform(text: str) -> None:
    with pytest.raises(InvalidPlatformError):
        Platform.parse(text)


def test_i71_one_word_is_system_or_architecture() -> None:
    host = Platform.host()
    assert p("linux").os == "linux"
    assert (p("windows").architecture, p("windows").variant) == (host.architecture, host.variant)
    assert p("macos").os == "darwin"
    assert p("aarch64") == Platform(os=host.os, architecture="arm64")
    assert p("s390x") == Platform(os=host.os, architecture="s390x")
    assert p("arm").variant == "v7"
    assert p("X86-64").architecture == "amd64"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm64/v8.2", "linux/arm64/v8.2"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/i486", "linux/386"),
        ("linux/80386", "linux/386"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/5", "linux/arm/v5"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/8", "linux/arm/v8"),
        ("macos/arm64", "darwin/arm64"),
        ("macOS/ARM64/V8", "darwin/arm64"),
        ("Linux/AMD64", "linux/amd64"),
    ],
)
def test_i72_normal_form(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


_OS = ["linux", "macos", "Windows", "win32", "darwin", "unknown"]
_ARCH = ["amd64", "x86_64", "arm", "armhf", "armel", "arm64", "aarch64", "386", "i386", "unknown"]
_VARIANT = ["", "v1", "v2", "5", "v6", "V7", "8", "v8", "v8.0", "v8.3", "9", "v9", "v9.2", "x"]
_VERSION = [
    "",
    "10.0.17763.5",
    "10.0.17763.9",
    "10.0.20348.1",
    "10.0.17763.\u00b2",
    "x",
    "1.2.3.4.5",
]
PLATFORMS = st.builds(
    Platform,
    os=st.sampled_from(_OS),
    architecture=st.sampled_from(_ARCH),
    variant=st.sampled_from(_VARIANT),
    os_version=st.sampled_from(_VERSION),
)


@settings(deadline=None, max_examples=80)
@given(PLATFORMS)
def test_i72_normalising_twice_is_normalising_once(platform: Platform) -> None:
    once = platform.normalised()
    assert once.normalised() == once
    assert once.os_version == platform.os_version


@settings(deadline=None, max_examples=40)
@given(PLATFORMS)
def test_i70_members_are_those_of_the_image_specification(platform: Platform) -> None:
    tree = {"os": platform.os, "architecture": platform.architecture}
    if platform.variant:
        tree["variant"] = platform.variant
    if platform.os_version:
        tree["os.version"] = platform.os_version
    assert convert(tree, Platform, what="x") == platform
    assert encode_json(platform).count(b":") == len(tree)


@pytest.mark.parametrize(
    ("triple", "platform"),
    [
        ("x86_64-unknown-linux-gnu", "linux/amd64"),
        ("x86_64-unknown-linux-musl", "linux/amd64"),
        ("aarch64-unknown-linux-gnu", "linux/arm64"),
        ("aarch64-apple-darwin", "darwin/arm64"),
        ("x86_64-apple-darwin", "darwin/amd64"),
        ("x86_64-pc-windows-msvc", "windows/amd64"),
        ("x86_64-pc-windows-gnu", "windows/amd64"),
        ("i686-w64-mingw32", "windows/386"),
        ("i686-unknown-linux-gnu", "linux/386"),
        ("armv7-unknown-linux-gnueabihf", "linux/arm/v7"),
        ("arm-unknown-linux-gnueabihf", "linux/arm/v6"),
        ("arm-unknown-linux-gnueabi", "linux/arm/v6"),
        ("armv5te-unknown-linux-gnueabi", "linux/arm/v5"),
        ("aarch64-linux-android", "android/arm64"),
        ("aarch64-apple-ios", "ios/arm64"),
        ("riscv64gc-unknown-linux-gnu", "linux/riscv64"),
        ("powerpc64le-unknown-linux-gnu", "linux/ppc64le"),
        ("s390x-unknown-linux-gnu", "linux/s390x"),
        ("loongarch64-unknown-linux-gnu", "linux/loong64"),
        ("x86_64-unknown-freebsd", "freebsd/amd64"),
        ("wasm32-wasip1", "wasip1/wasm"),
    ],
)
def test_target_triples(triple: str, platform: str) -> None:
    assert str(Platform.from_target_triple(triple)) == platform


@pytest.mark.parametrize(
    "triple", ["", "linux", "-linux", "wasm32-unknown-unknown", "thumbv7em-none-eabihf"]
)
def test_triples_without_a_system_or_architecture(triple: str) -> None:
    with pytest.raises(InvalidPlatformError) as caught:
        Platform.from_target_triple(triple)
    assert caught.value.hint


def test_host_is_normal() -> None:
    assert Platform.host().normalised() == Platform.host()


def choose(wanted: str, *offered: str | None) -> int | None:
    return select(p(wanted), [None if one is None else p(one) for one in offered])


@pytest.mark.parametrize(
    ("wanted", "offered", "position"),
    [
        # I-73: the first that matches, in index order
        ("linux/amd64", ["linux/arm64", "linux/amd64", "linux/amd64"], 1),
        ("linux/x86_64", ["linux/amd64/v1"], 0),
        ("linux/amd64", ["windows/amd64", "darwin/amd64"], None),
        ("linux/amd64", [], None),
        # I-73: fall-back order
        ("linux/arm/v8", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], 2),
        ("linux/arm/v7", ["linux/arm/v8", "linux/arm/v5", "linux/arm/v6"], 2),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm", ["linux/arm/v7"], 0),
        ("linux/amd64/v4", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"], 2),
        ("linux/amd64/v3", ["linux/amd64/v4", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64", ["linux/386"], 0),
        ("linux/amd64", ["linux/386", "linux/amd64"], 1),
        ("linux/386", ["linux/amd64"], None),
        ("linux/arm64", ["linux/arm/v7", "linux/arm/v8"], 1),
        ("linux/arm64", ["linux/arm64/v8.1"], None),
        ("linux/arm64/v8.2", ["linux/arm64", "linux/arm64/v8.1", "linux/arm64/v8.3"], 1),
        ("linux/arm64/v9", ["linux/arm64", "linux/arm64/v8.5", "linux/arm64/v8.6"], 1),
        ("linux/arm64/v9.2", ["linux/arm64/v8.7", "linux/arm64/v9", "linux/arm64/v9.1"], 2),
        ("linux/arm64/v9.2", ["linux/arm64"], 0),
        ("linux/arm64/v9.2", ["linux/arm64/v9.2", "linux/arm64/v9.3"], 0),
        ("linux/riscv64", ["linux/riscv64"], 0),
        ("linux/riscv64", ["linux/amd64"], None),
        ("linux/amd64/v99999999999", ["linux/amd64/v99999999999"], 0),
        # I-74: an entry without platform last, attestations never
        ("linux/amd64", [None, "linux/amd64"], 1),
        ("linux/amd64", ["linux/arm64", None, None], 1),
        ("linux/amd64", [None, "linux/386"], 1),
        ("linux/amd64", ["unknown/unknown"], None),
        ("unknown/unknown", ["unknown/unknown"], None),
        # I-75: builds and revisions of Windows
        (
            "windows(10.0.17763.1)/amd64",
            ["windows(10.0.20348.9)/amd64", "windows(10.0.17763.5)/amd64"],
            1,
        ),
        (
            "windows(10.0.17763.1)/amd64",
            ["windows(10.0.17763.2)/amd64", "windows(10.0.17763.10)/amd64"],
            1,
        ),
        ("windows(10.0.17763.1)/amd64", ["windows(10.0.20348.9)/amd64"], None),
        ("windows(10.0.17763.1)/amd64", ["windows/amd64"], 0),
        (
            "windows/amd64",
            [
                "windows(10.0.17763.5)/amd64",
                "windows(10.0.20348.9)/amd64",
                "windows(10.0.17763.7)/amd64",
            ],
            2,
        ),
        ("linux/amd64", ["linux(1.2.3.1)/amd64", "linux(1.2.3.2)/amd64"], 0),
        # versions that are no numbers are compared as text and counted for nothing
        ("windows/amd64", ["windows(10.0.1.\u00b2)/amd64", "windows(10.0.1.2)/amd64"], 0),
        ("windows/amd64", [f"windows(10.0.1.{'9' * 5000})/amd64"], 0),
    ],
)
def test_i73_i74_i75_choice(wanted: str, offered: list[str | None], position: int | None) -> None:
    assert choose(wanted, *offered) == position


def test_i77_of_two_for_one_platform_the_first() -> None:
    """One of them may be the zstd variant: it is taken only if it stands first."""
    assert choose("linux/amd64", "linux/amd64", "linux/amd64") == 0


_OFFERS = st.lists(st.none() | PLATFORMS, max_size=6)


@settings(deadline=None, max_examples=150)
@given(PLATFORMS, _OFFERS)
def test_i73_laws_of_the_choice(wanted: Platform, offered: list[Platform | None]) -> None:
    position = select(wanted, offered)
    assert select(wanted.normalised(), [one and one.normalised() for one in offered]) == position
    if position is None:
        assert None not in offered or (wanted.os, wanted.architecture) == ("unknown", "unknown")
        assert wanted not in offered or "unknown" in {wanted.os, wanted.architecture}
        return
    chosen = offered[position]
    # The choice holds against fewer offers and against worse ones.
    assert select(wanted, [chosen]) == 0
    assert select(wanted, [*offered, None]) == position
    if chosen is None:
        assert offered.index(None) == position
    else:
        assert chosen.normalised().os == wanted.normalised().os
        assert (chosen.os, chosen.architecture) != ("unknown", "unknown")
        assert select(wanted, [None, *offered]) == position + 1


@settings(deadline=None, max_examples=80)
@given(PLATFORMS, _OFFERS)
def test_i73_an_exact_offer_is_never_passed_over(
    wanted: Platform, offered: list[Platform | None]
) -> None:
    wanted = Platform(os="linux", architecture=wanted.architecture, variant=wanted.variant)
    position = select(wanted, [*offered, wanted])
    assert position is not None
    chosen = [*offered, wanted][position]
    assert chosen is not None
    assert str(chosen.normalised()).replace(f"({chosen.os_version})", "") == str(
        wanted.normalised()
    )
