"""The lock file: which digest each reference had when it was locked, for every platform.

::

    # Written by ocipkg-async: commit it, do not edit it.
    version = 1

    [[package]]
    reference = "ghcr.io/org/foo:1.2"
    digest = "sha256:…"                     what the tag pointed to
    [package.platforms]                     where that is an index: all of its manifests, in its order
    "linux/amd64" = "sha256:…"

One block for each reference, sorted, so that changes of different references merge. A manifest of
an index that is for no platform in particular is ``any``.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from ..errors import (
    InvalidDigestError,
    InvalidDocumentError,
    InvalidPlatformError,
    InvalidReferenceError,
    NotFoundError,
)
from ..spec import Digest, Platform, Reference
from ..spec.digest import VERIFIABLE
from ..spec.platform import select
from .names import to_name

FILE_NAME = "ocipkg.lock"
VERSION = 1
MAX_BYTES = 4 << 20
"""Ten thousand packages; TOML's reader takes long for what is made to take long."""

_HEADER = "# Written by ocipkg-async: commit it, do not edit it."
_ANY = "any"
# What no reader of ours can ask for is kept as what `select` never chooses.
_NEVER = "unknown/unknown"
_SECOND = f"{_NEVER}/again"
_BROKEN = (
    "take it from version control again, or remove it and lock anew; in a merge, keep the blocks"
    " of both sides"
)

# The memory that TOML's reader takes grows with the square of the parts of a key; ours have two.
_MOST_DOTS = 4
_QUOTED = re.compile(r"""\"(?:[^"\\\n]|\\[^\n])*"?|'[^'\n]*'?|#[^\n]*""")

Offered = tuple[Platform | None, Digest]
"""A manifest of an index, and the platform it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """What a reference was resolved to.

    Attributes:
        reference: the name, with a tag or digest.
        digest: what it pointed to, a manifest or an index.
        platforms: the manifests of the index; empty for a manifest.
    """

    reference: Reference
    digest: Digest
    platforms: tuple[Offered, ...] = ()

    @classmethod
    def of(cls, reference: Reference, digest: Digest, offered: Iterable[Offered] = ()) -> Self:
        """Build one from the manifests that an index lists, in its order.

        Of several for one platform the first counts, as where an index is read.
        """
        found: dict[str, Offered] = {}
        for platform, manifest in offered:
            key = _key(platform)
            if key in found and len(found) == 1:
                key = _SECOND  # that there is a choice counts as well
            found.setdefault(key, (_platform(key), manifest))
        full = reference.with_default_tag()
        return cls(reference=full, digest=digest, platforms=tuple(found.values()))

    @property
    def manifests(self) -> dict[str, Digest]:
        """The manifests of an index by platform, as they are written in the file."""
        return {_key(platform): digest for platform, digest in self.platforms}

    def manifest(self, platform: Platform | None) -> Digest:
        """Return the manifest for a platform, chosen as from the index itself.

        Args:
            platform: which one; None is the host's, but an index with one manifest needs no choice.

        Raises:
            NotFoundError: there was none for this platform.
        """
        if not self.platforms:
            return self.digest
        if platform is None and len(self.platforms) == 1:
            return self.platforms[0][1]
        wanted = platform or Platform.host()
        position = select(wanted, [one for one, _ in self.platforms])
        if position is None:
            raise NotFoundError(
                f"{self.reference} had no manifest for {wanted} when it was locked",
                hint=f"it had: {', '.join(self.manifests)}; if it has one"
                f" now, take it with: ocipkg-async lock --update {self.reference}",
            )
        return self.platforms[position][1]


@dataclass(frozen=True, slots=True)
class LockFile:
    """Locked packages, sorted by name. Read one with `LockFile.parse`; it is a value.

    Attributes:
        packages: one for each reference.
    """

    packages: tuple[LockedPackage, ...] = ()

    @classmethod
    def parse(cls, data: bytes, *, name: str = FILE_NAME) -> Self:
        """Read a lock file.

        Args:
            data: what the file holds.
            name: what messages call it.

        Raises:
            InvalidDocumentError: it is not a lock file, or of a version that is not known.
        """
        if len(data) > MAX_BYTES:
            raise _invalid(name, f"it has more than {MAX_BYTES >> 20} MiB")
        try:
            text = data.decode()
            tree = None if _is_costly(text) else tomllib.loads(text)
        # Numbers with too many digits and bytes that are no text are ValueErrors as well.
        except (ValueError, RecursionError) as error:
            raise _invalid(name, f"it is not TOML: {str(error)[:200]}") from error
        if tree is None:
            raise _invalid(name, "it has texts of several lines, or keys of many parts")
        if type(version := tree.pop("version", None)) is not int:
            raise _invalid(name, "it says no version")
        if version != VERSION:
            raise InvalidDocumentError(
                f"{name} has version {version}, and this program reads version {VERSION}",
                hint="update ocipkg-async",
            )
        blocks = _taken(tree, "package", list, name=name, default=[])
        _nothing_else(tree, name)
        found: dict[Reference, LockedPackage] = {}
        for block in cast("list[object]", blocks):
            if not isinstance(block, dict):
                raise _invalid(name, "a package is not a table")
            package = _package(cast("dict[str, Any]", block), name)
            if package.reference in found:
                raise _invalid(name, f"{package.reference} is there twice")
            found[package.reference] = package
        return cls().replacing(found.values())

    def __bytes__(self) -> bytes:
        """Return the file: the same packages give the same bytes.

        Raises:
            InvalidReferenceError: a reference could not be read again.
        """
        lines = [_HEADER, f"version = {VERSION}"]
        for package in self.packages:
            text = str(Reference.parse(str(package.reference), strict=True))
            lines += ["", "[[package]]", f"reference = {_string(text)}"]
            lines += [f"digest = {_string(package.digest)}"]
            if package.platforms:
                lines += ["[package.platforms]"]
                lines += [f"{_string(k)} = {_string(d)}" for k, d in package.manifests.items()]
        return ("\n".join(lines) + "\n").encode()

    def get(self, reference: Reference) -> LockedPackage | None:
        """Return what a reference was resolved to, or None where it is not locked."""
        wanted = reference.with_default_tag()
        return next((one for one in self.packages if one.reference == wanted), None)

    def find(self, reference: Reference) -> LockedPackage:
        """Return what a reference was resolved to.

        Raises:
            NotFoundError: it is not locked.
        """
        found = self.get(reference)
        if found is None:
            wanted = reference.with_default_tag()
            raise NotFoundError(
                f"{wanted} is not in the lock file", hint=f"add it with: ocipkg-async lock {wanted}"
            )
        return found

    def replacing(self, packages: Iterable[LockedPackage]) -> Self:
        """Return the same with packages added, or put in the place of those of the same name."""
        merged = {str(one.reference): one for one in (*self.packages, *packages)}
        return type(self)(tuple(one for _, one in sorted(merged.items(), key=lambda p: p[0])))

    def without(self, references: Sequence[Reference]) -> Self:
        """Return the same without some packages.

        Raises:
            NotFoundError: one of them is not locked.
        """
        gone = {self.find(reference).reference for reference in references}
        return type(self)(tuple(one for one in self.packages if one.reference not in gone))


def _is_costly(text: str) -> bool:
    """Whether TOML's reader could take all memory for it; no lock file has such keys."""
    if '"""' in text or "'''" in text:  # these could hide keys from the next line
        return True
    return any(line.count(".") > _MOST_DOTS for line in _QUOTED.sub("", text).split("\n"))


def _package(block: dict[str, Any], name: str) -> LockedPackage:
    text = _taken(block, "reference", str, name=name)
    try:
        reference = Reference.parse(text, strict=True)
    except InvalidReferenceError as error:
        raise _invalid(name, f"{error}") from error
    if reference != reference.with_default_tag():
        raise _invalid(name, f"{reference} has neither tag nor digest")
    digest = _digest(_taken(block, "digest", str, name=name), reference, name)
    if reference.digest not in {None, digest}:
        raise _invalid(name, f"{reference} is locked to {digest}, which is another digest")
    listed = _taken(block, "platforms", dict, name=name, default={})
    _nothing_else(block, name)
    platforms: dict[str, Offered] = {}
    for key, value in cast("Mapping[str, object]", listed).items():
        try:
            platform = _platform(key)
        except InvalidPlatformError as error:
            raise _invalid(name, f"{reference}: {error}") from error
        if _key(platform) in platforms:
            raise _invalid(name, f"{reference} has {_key(platform)} twice")
        platforms[_key(platform)] = platform, _digest(value, reference, name)
    return LockedPackage(reference=reference, digest=digest, platforms=tuple(platforms.values()))


def _digest(value: object, reference: Reference, name: str) -> Digest:
    if not isinstance(value, str):
        raise _invalid(name, f"{reference} has a digest that is not text")
    try:
        digest = Digest(value)
    except InvalidDigestError as error:
        raise _invalid(name, f"{reference}: {error}") from error
    if digest.algorithm not in VERIFIABLE:
        raise _invalid(name, f"{reference}: {digest} cannot be verified")
    return digest


def _taken(
    table: dict[str, Any], key: str, kind: type[object], *, name: str, default: object = None
) -> Any:
    """Take a value of one kind out of a table."""
    value = table.pop(key, default)
    if not isinstance(value, kind):
        words = {"str": "a text", "dict": "a table", "list": "an array of tables"}
        raise _invalid(name, f"{key!r} is missing, or not {words[kind.__name__]}")
    return value


def _nothing_else(table: Mapping[str, object], name: str) -> None:
    if table:
        raise _invalid(name, f"it has {next(iter(table))[:100]!r}, which has no meaning there")


def _invalid(name: str, why: str) -> InvalidDocumentError:
    return InvalidDocumentError(f"{name} is not a lock file: {why}", hint=_BROKEN)


def _key(platform: Platform | None) -> str:
    """Return the key of a platform: text that `_platform` reads again."""
    if platform is None:
        return _ANY
    normal = platform.normalised()
    try:
        if str(_platform(str(normal))) == str(normal):
            return str(normal)
    except InvalidPlatformError:
        pass
    return _NEVER


def _platform(key: str) -> Platform | None:
    """Read the key of a platform.

    Raises:
        InvalidPlatformError: it is not one, or a package for it cannot be installed.
    """
    if key == _ANY:
        return None
    if "/" not in key:
        raise InvalidPlatformError(f"{key[:100]!r} is not a platform: it lacks the architecture")
    platform = Platform.parse(key)
    to_name(Reference(registry="host", repository="name"), platform)
    return platform


def _string(text: str) -> str:
    """Write a TOML basic string."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain) + '"'
