"""A file of an artifact as it is named on a command line, and what ORAS makes of it. No I/O."""

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..errors import InvalidArgumentError, InvalidDocumentError
from ..spec import media_types
from .entry import Entry, link_target

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """A file or directory of an artifact.

    Attributes:
        path: where it is.
        title: its name in the artifact: a relative, slash-separated path.
        media_type: of its layer; None for ORAS's default.
        annotations: further ones of its layer.
    """

    path: Path
    title: str
    media_type: str | None = None
    annotations: dict[str, str] | None = None

    @classmethod
    def parse(cls, text: str, *, windows: bool = os.name == "nt") -> Self:
        """Read ``PATH[:TYPE]`` as ORAS does: the last colon separates.

        A path that has a colon itself is written with one more at its end. On Windows the colon of
        a drive does not separate.

        Raises:
            InvalidArgumentError: no path, not a media type behind the colon, or a path that
                cannot be a title.
        """
        path, media_type = split_type(text, windows=windows)
        return cls(path=Path(path), title=clean_title(path, windows=windows), media_type=media_type)


def split_type(text: str, *, windows: bool = os.name == "nt") -> tuple[str, str | None]:
    """Split ``PATH[:TYPE]`` at its last colon.

    Raises:
        InvalidArgumentError: there is no path, or what follows is no media type.
    """
    path, colon, media_type = text.rpartition(":")
    if not colon or (windows and _DRIVE.fullmatch(path + colon)):
        path, media_type = text, ""
    if not path:
        raise InvalidArgumentError(f"{text!r} has no path", hint="write it as PATH or PATH:TYPE")
    if not media_type:
        return path, None
    try:
        return path, media_types.check_media_type(media_type)
    except InvalidDocumentError as error:
        raise InvalidArgumentError(
            f"{media_type[:100]!r} in {text[:200]!r} is not a media type",
            hint="a media type looks like application/json; end a path that has a colon with another",
        ) from error


def clean_title(path: str, *, windows: bool = os.name == "nt") -> str:
    """Return the title of a path as typed: shortened, with slashes.

    Raises:
        InvalidArgumentError: it is not UTF-8; or it is absolute, leaves the current folder or is
            that folder, and whoever pulls must not be told to write there.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{path!a} is not UTF-8", hint="rename the file") from error
    slashed = path.replace("\\", "/") if windows else path
    title = posixpath.normpath(slashed)
    absolute = title.startswith("/") or (windows and _DRIVE.match(title) is not None)
    if absolute or title in {".", ".."} or title.startswith("../"):
        raise InvalidArgumentError(
            f"{path!r} cannot be the title of a file",
            hint="run it in the folder that holds the files, and give relative paths",
        )
    return title


def refused_by_oras(entries: Sequence[Entry]) -> list[Entry]:
    """Return the symlinks that ORAS refuses to unpack: out of the directory, or to or through a link."""
    links = {entry.name for entry in entries if entry.kind == "symlink"}
    refused: list[Entry] = []
    for entry in entries:
        if entry.kind != "symlink":
            continue
        target = link_target(entry)
        parts = [] if target is None else target.split("/")
        if target is None or any("/".join(parts[:n]) in links for n in range(1, len(parts) + 1)):
            refused.append(entry)
    return refused
