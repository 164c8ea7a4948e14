"""Targets: the text that names a place for content, and what it stands for.

A target is a reference, ``oci:DIR[:name]`` (image layout) or ``oci-archive:FILE[:name]``. A bare
path that exists is recognised as one of the latter two. Opening what it names is done elsewhere.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import anyio

from ..errors import InvalidArgumentError, InvalidReferenceError, NotFoundError
from ..layout import detect
from ..spec import Reference

Kind = Literal["registry", "layout", "archive"]

_PREFIX = re.compile(r"(?P<kind>oci|oci-archive|docker):(?P<rest>.+)", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
# How no reference begins: absolute, relative to here, home.
_PATH = re.compile(rf"[/\\~]|\.{{1,2}}(?:[/\\]|$)|{_DRIVE.pattern}")
_COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.zst")
_ARCHIVE_SUFFIXES = (".tar", *_COMPRESSED_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place for content.

    Attributes:
        kind: what it is.
        reference: the reference, for a registry.
        path: the folder or file, for a layout or archive.
        name: the name inside a layout or archive, or None.
        guessed: the text names no registry, and could be a path that is not there.
    """

    kind: Kind
    reference: Reference | None = None
    path: Path | None = None
    name: str | None = None
    guessed: bool = field(default=False, compare=False)

    @classmethod
    async def parse(cls, text: str, *, output: bool = False) -> Self:
        """Parse a target.

        Args:
            text: what the user wrote.
            output: it is to be written: a path need not exist, and a reference must name its
                registry, so that a mistyped path is not taken for a Docker Hub repository.

        Raises:
            InvalidReferenceError: neither a path that is a layout or archive nor a reference.
            InvalidArgumentError: a path to something else.
            NotFoundError: a path to nothing.
        """
        prefixed = _PREFIX.fullmatch(text)
        if prefixed and prefixed["kind"] == "docker" and prefixed["rest"].startswith("//"):
            return cls(kind="registry", reference=Reference.parse(prefixed["rest"][2:]))
        if prefixed and prefixed["kind"] != "docker":
            path, name = _split_name(prefixed["rest"])
            kind: Kind = "layout" if prefixed["kind"] == "oci" else "archive"
            return cls(kind=kind, path=path, name=name)
        path = Path(text)
        found = await detect(path) if text else None
        if found is not None:
            return cls(kind=found, path=path)
        if output:
            if _looks_like_archive(text):
                return cls(kind="archive", path=_uncompressed(path))
        elif text and await anyio.Path(path).exists():
            # It may have come, whole, since it was looked for.
            found = await detect(path)
            if found is not None:
                return cls(kind=found, path=path)
            raise InvalidArgumentError(
                f"{text} is neither an image layout nor an oci-archive",
                hint="pack it first, or name what is inside it",
            )
        elif _looks_like_path(text):
            raise NotFoundError(f"there is no file or folder {text}", hint="check the path")
        reference = _reference(text, output=output)
        return cls(kind="registry", reference=reference, guessed=_is_guessed(text, reference))

    @property
    def names(self) -> list[str]:
        """What content from here is called in an archive or layout."""
        if self.reference is not None:
            return [str(self.reference.with_default_tag())]
        return [self.name] if self.name else []

    def __str__(self) -> str:
        if self.reference is not None:
            return str(self.reference)
        prefix = "oci" if self.kind == "layout" else "oci-archive"
        return f"{prefix}:{self.path}" + (f":{self.name}" if self.name else "")


def _split_name(text: str) -> tuple[Path, str | None]:
    """Split at the first colon that is not a drive's (O-01)."""
    start = 2 if _DRIVE.match(text) else 0
    path, _, name = text[start:].partition(":")
    return Path(text[:start] + path), name or None


def _looks_like_archive(text: str) -> bool:
    rest = text[2:] if _DRIVE.match(text) else text
    return rest.endswith(_ARCHIVE_SUFFIXES) and ":" not in re.split(r"[/\\]", rest)[-1]


def _looks_like_path(text: str) -> bool:
    """Whether a text that names nothing on this disk was meant to."""
    return _PATH.match(text) is not None or (
        _looks_like_archive(text) and not _is_full_reference(text)
    )


def _is_full_reference(text: str) -> bool:
    try:
        Reference.parse(text, strict=True)
    except InvalidReferenceError:
        return False
    return True


def _is_guessed(text: str, reference: Reference) -> bool:
    """Whether a text without registry is a reference only because no path of this name exists."""
    return ":" not in text and not _is_full_reference(text) and reference.digest is None


def _uncompressed(path: Path) -> Path:
    """Return the path of an archive to write.

    Raises:
        InvalidArgumentError: its name promises compression.
    """
    if path.name.endswith(_COMPRESSED_SUFFIXES):
        raise InvalidArgumentError(
            f"{path}: archives are written without compression, since their layers have it",
            hint="give it a name that ends in .tar",
        )
    return path


def _reference(text: str, *, output: bool) -> Reference:
    try:
        return Reference.parse(text, strict=output)
    except InvalidReferenceError as error:
        if output:
            error.hint = (
                f"{error.hint}; or write FILE.tar for an archive, oci:DIR for an image layout"
            )
        raise
