"""Platforms, target triples, and which entry of an index fits one.

image-spec v1.1 ``image-index.md`` (platform), with the normal forms and fall-back order that
containerd made common.
"""

import platform as _host
import re
import sys
from collections.abc import Sequence
from typing import Self

import msgspec

from ..errors import InvalidPlatformError

_WORD = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_TEXT = re.compile(
    r"(?P<os>[A-Za-z0-9_-]+)(?:\((?P<version>[^()/]+)\))?"
    r"/(?P<arch>[A-Za-z0-9_-]+)(?:/(?P<variant>[A-Za-z0-9_.-]+))?",
    re.ASCII,
)
_OS_ALIASES = {"macos": "darwin", "macosx": "darwin", "win32": "windows"}
_ARCH_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "x64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "80386": ("386", ""),
    "x86": ("386", ""),
    "powerpc64le": ("ppc64le", ""),
    "powerpc64": ("ppc64", ""),
    "loongarch64": ("loong64", ""),
    "mips64el": ("mips64le", ""),
    "mipsel": ("mipsle", ""),
    "riscv64gc": ("riscv64", ""),
    "wasm32": ("wasm", ""),
}
_KNOWN_OS = frozenset(
    [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "illumos",
        "ios",
        "js",
        "linux",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
    ]
)
# In this order: an Android triple says linux too.
_TRIPLE_OS = (
    ("android", "android"),
    ("linux", "linux"),
    ("darwin", "darwin"),
    ("macos", "darwin"),
    ("ios", "ios"),
    ("windows", "windows"),
    ("mingw", "windows"),
    ("freebsd", "freebsd"),
    ("netbsd", "netbsd"),
    ("openbsd", "openbsd"),
    ("illumos", "illumos"),
    ("solaris", "solaris"),
    ("wasi", "wasip1"),
)
_ATTESTATION = ("unknown", "unknown")
# The lengths bound what a hostile index can make us count.
_LEVEL = re.compile(r"v(?P<major>[0-9]{1,2})(?:\.(?P<minor>[0-9]{1,2}))?", re.ASCII)
_BASE_LEVELS = {"amd64": "v1", "arm64": "v8"}
_WINDOWS_VERSION = re.compile(r"(?P<build>\d+\.\d+\.\d+)\.(?P<revision>\d{1,18})", re.ASCII)
_ARM_TRIPLES = {
    "armv5te": "v5",
    "armv6": "v6",
    "arm": "v6",
    "armv7": "v7",
    "armv7a": "v7",
    "thumbv7neon": "v7",
}


class Platform(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=False
):
    """Where content runs. Field names and values are Go's ``GOOS`` and ``GOARCH``.

    Attributes:
        os: operating system, such as ``linux``.
        architecture: CPU, such as ``amd64``.
        variant: CPU variant, such as ``v7`` for 32-bit ARM; empty for the usual one.
        os_version: version the content needs, used by Windows.
        os_features: features the content needs.
    """

    architecture: str
    os: str
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``os[(version)]/arch[/variant]``; a single word is an OS or an architecture.

        The missing half of a single word comes from the host. The result is in normal form.

        Raises:
            InvalidPlatformError: the text has another form, such as that of a target triple.
        """
        if "-" in text and "/" not in text and text.lower() not in _ARCH_ALIASES:
            raise InvalidPlatformError(
                f"{text[:100]!r} is neither a platform nor a target triple of a known system",
                hint="write it as linux/amd64, linux/arm/v7 or aarch64-unknown-linux-gnu",
            )
        if _WORD.fullmatch(text):
            os = _OS_ALIASES.get(text.lower(), text.lower())
            if os in _KNOWN_OS:
                return cls(os=os, architecture=cls.host().architecture, variant=cls.host().variant)
            return cls(os=cls.host().os, architecture=text).normalised()
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InvalidPlatformError(
                f"{text[:100]!r} is not a platform", hint="write it as linux/amd64 or linux/arm/v7"
            )
        return cls(
            os=match["os"],
            architecture=match["arch"],
            variant=match["variant"] or "",
            os_version=match["version"] or "",
        ).normalised()

    @classmethod
    def from_target_triple(cls, triple: str) -> Self:
        """Return the platform of a compiler's target triple, such as ``aarch64-apple-darwin``.

        Raises:
            InvalidPlatformError: the triple names no operating system.
        """
        arch, *rest = triple.lower().split("-")
        tail = "-".join(rest)
        os = next((name for word, name in _TRIPLE_OS if word in tail), None)
        if os is None or not arch:
            what = "known operating system" if arch else "architecture"
            raise InvalidPlatformError(
                f"the target triple {triple!r} names no {what}",
                hint="give the platform itself, such as linux/amd64",
            )
        if arch in _ARM_TRIPLES:
            return cls(os=os, architecture="arm", variant=_ARM_TRIPLES[arch])
        return cls(os=os, architecture=arch).normalised()

    @classmethod
    def host(cls) -> Self:
        """Return the platform this process runs on."""
        os = {"darwin": "darwin", "win32": "windows"}.get(
            sys.platform, sys.platform.rstrip("0123456789")
        )
        machine = _host.machine().lower()
        if machine.startswith("armv"):
            return cls(os=os, architecture="arm", variant=f"v{machine[4:5]}")
        return cls(os=os, architecture=machine).normalised()

    def normalised(self) -> Self:
        """Return the same platform in containerd's normal form (spec check I-72)."""
        os = self.os.lower()
        arch, variant = self.architecture.lower(), self.variant.lower()
        if arch in _ARCH_ALIASES:
            arch, implied = _ARCH_ALIASES[arch]
            variant = implied or variant
        if arch == "arm" and variant in {"", "5", "6", "7", "8"}:
            variant = f"v{variant or 7}"
        if arch == "arm64" and variant in {"8", "v8", "v8.0"}:
            variant = ""
        if arch == "arm64" and variant in {"9", "9.0", "v9.0"}:
            variant = "v9"
        if arch == "amd64" and variant == "v1":
            variant = ""
        return type(self)(
            os=_OS_ALIASES.get(os, os),
            architecture=arch,
            variant=variant,
            os_version=self.os_version,
            os_features=self.os_features,
        )

    def __str__(self) -> str:
        version = f"({self.os_version})" if self.os_version else ""
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.os}{version}/{self.architecture}{variant}"


def _fallbacks(wanted: Platform) -> list[tuple[str, str]]:
    """Architectures and variants that run on `wanted`, best first (I-73)."""
    arch, variant = wanted.architecture, wanted.variant
    older: list[tuple[str, str]] = []
    level = _LEVEL.fullmatch(variant or _BASE_LEVELS.get(arch, ""))
    if level is not None:
        major, minor = int(level["major"]), int(level["minor"] or 0)
        if arch == "arm":
            older = _arm(major - 1)
        elif arch == "amd64":
            older = [("amd64", f"v{n}" if n > 1 else "") for n in range(major - 1, 0, -1)]
            older.append(("386", ""))
        elif arch == "arm64":
            older = _arm64(major, minor) + _arm(8)
    return [(arch, variant), *older]


def _arm(top: int) -> list[tuple[str, str]]:
    return [("arm", f"v{n}") for n in range(top, 4, -1)]


def _arm64(major: int, minor: int) -> list[tuple[str, str]]:
    """What runs on ARMv`major`.`minor` besides itself; ARMv9.n has all of ARMv8.(n + 5)."""
    older = []
    if major > 8:
        older = [("arm64", f"v9.{n}" if n else "v9") for n in range(minor - 1, -1, -1)]
        minor += 6
    return [*older, *(("arm64", f"v8.{n}") for n in range(minor - 1, 0, -1)), ("arm64", "")]


def select(wanted: Platform, offered: Sequence[Platform | None]) -> int | None:
    """Return the position in `offered` that fits `wanted` best, or None.

    The first entry in order wins among equals; an entry without platform fits last; an entry of
    ``unknown/unknown`` (an attestation) never fits (I-73 to I-75).
    """
    wanted = wanted.normalised()
    normal = [None if one is None else one.normalised() for one in offered]
    if (wanted.os, wanted.architecture) == _ATTESTATION:
        return None
    for arch, variant in _fallbacks(wanted):
        fitting = [
            position
            for position, one in enumerate(normal)
            if one is not None
            and (one.os, one.architecture, one.variant) == (wanted.os, arch, variant)
            and _same_build(wanted.os_version, one.os_version)
        ]
        if fitting:
            return _newest_revision(fitting, normal)
    return next((position for position, one in enumerate(normal) if one is None), None)


def _same_build(wanted: str, offered: str) -> bool:
    return not wanted or not offered or wanted.split(".")[:3] == offered.split(".")[:3]


def _newest_revision(fitting: list[int], offered: Sequence[Platform | None]) -> int:
    """Take the first, or a newer servicing level of the same Windows build (I-75)."""
    first = offered[fitting[0]]
    match = _WINDOWS_VERSION.fullmatch(first.os_version if first else "")
    if first is None or first.os != "windows" or match is None:
        return fitting[0]
    best, newest = fitting[0], int(match["revision"])
    for position in fitting[1:]:
        one = offered[position]
        other = _WINDOWS_VERSION.fullmatch(one.os_version if one else "")
        if other and other["build"] == match["build"] and int(other["revision"]) > newest:
            best, newest = position, int(other["revision"])
    return best
