"""Which names and link targets an unpacked package may have; pure (S-21, S-22, S-24, S-30)."""

import re
import unicodedata

from ..errors import UnsafeArchiveError
from .limits import UnpackLimits, exceeded

Parts = tuple[str, ...]
"""A path below the root, as its components; empty for the root itself."""

# How image layers say that something of a layer before is gone (I-62).
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
# What every file system in use takes for one component.
_COMPONENT_BYTES = 255
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:[ .].*)?", re.IGNORECASE
)
_ROOTFS_HINT = "such names are kept with mode='rootfs', where the system allows them"


def split_name(name: str, limits: UnpackLimits, *, portable: bool) -> Parts:
    """Return the components of an entry's name; one leading slash and every ``.`` are dropped (I-61).

    Args:
        name: as the archive has it.
        limits: how long and how deep it may be.
        portable: refuse what another system could not keep, or would read as something else.

    Raises:
        UnsafeArchiveError: the name is absolute after one slash, climbs with ``..``, has a NUL, or
            is not portable.
        LimitExceededError: it is too long or too deep.
    """
    if len(name.encode("utf-8", "surrogateescape")) > limits.path_bytes:
        raise exceeded("path_bytes", f"a name of more than {limits.path_bytes} bytes")
    rest = name.removeprefix("/")
    if not name or "\0" in name or rest.startswith("/"):
        raise _unsafe(name, "is empty, absolute or has a NUL in it")
    parts = tuple(part for part in rest.split("/") if part not in {"", "."})
    if len(parts) > limits.depth:
        raise exceeded("depth", f"more than {limits.depth} folders inside each other")
    for part in parts:
        _check_component(name, part, portable=portable)
    return parts


def split_title(title: str, limits: UnpackLimits) -> Parts:
    """Return the components of a layer's title, a path of somebody else (S-24).

    Raises:
        UnsafeArchiveError, LimitExceededError: as `split_name`, for portable names; and a title
            may not begin with a slash.
    """
    if title.startswith("/"):
        raise _unsafe(title, "is absolute")
    return split_name(title, limits, portable=True)


def _check_component(name: str, part: str, *, portable: bool) -> None:
    if part == "..":
        raise _unsafe(name, "leads out of its folder")
    if not part.isascii() and len(part.encode("utf-8", "surrogateescape")) > _COMPONENT_BYTES:
        raise exceeded("path_bytes", f"a name with a part of more than {_COMPONENT_BYTES} bytes")
    if len(part) > _COMPONENT_BYTES:
        raise exceeded("path_bytes", f"a name with a part of more than {_COMPONENT_BYTES} bytes")
    if portable:
        _check_portable(name, part)


def _check_portable(name: str, part: str) -> None:
    if "\\" in part or ":" in part:
        raise _unsafe(name, "has a backslash or colon, a separator on Windows", _ROOTFS_HINT)
    if part[-1] in " .":
        raise _unsafe(name, "has a part that ends in a blank or dot", _ROOTFS_HINT)
    if _RESERVED.fullmatch(part):
        raise _unsafe(name, "is the name of a device on Windows", _ROOTFS_HINT)
    if not part.isascii() and not _is_unicode(part):
        raise _unsafe(name, "is not UTF-8", _ROOTFS_HINT)


def _is_unicode(part: str) -> bool:
    try:
        part.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_link_target(target: str, folder: Parts, limits: UnpackLimits) -> None:
    """Check that a symbolic link in `folder` cannot lead out of the root, whatever else is there.

    ``..`` is allowed only at the front: behind the name of another link it would climb from where
    that link leads, which is how links are chained out of a root (CVE-2025-4330).

    Raises:
        UnsafeArchiveError: it is absolute, climbs out, climbs behind a name, or is not portable.
        LimitExceededError: it is too long.
    """
    if len(target.encode("utf-8", "surrogateescape")) > limits.path_bytes:
        raise exceeded("path_bytes", f"a link target of more than {limits.path_bytes} bytes")
    parts = [part for part in target.split("/") if part not in {"", "."}]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if not target or "\0" in target or target.startswith("/"):
        raise _unsafe(target, "is a link target that is empty or absolute", _LINK_HINT)
    if climbs > len(folder):
        raise _unsafe(target, "is a link target that may lead out of the package", _LINK_HINT)
    for part in parts[climbs:]:
        _check_component(target, part, portable=True)  # refuses a ".." behind a name


_LINK_HINT = "links of images are kept as they are with mode='rootfs'"


def folded(part: str) -> str:
    """Return what names share that a file system may take for the same (S-30)."""
    if part.isascii():
        return part.lower()
    once = unicodedata.normalize("NFD", part).casefold()
    return unicodedata.normalize("NFC", once)


def _unsafe(name: str, why: str, hint: str | None = None) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        f"{name[:200]!r} {why}", hint=hint or "do not trust this package, or ask its author"
    )
