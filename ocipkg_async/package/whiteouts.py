"""Names in a layer that stand for removals (I-61 to I-63); pure."""

from dataclasses import dataclass

from ..errors import InvalidPackageError
from .entry_names import Parts

_WHITEOUT = ".wh."
_AUFS = ".wh..wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whiteout:
    """A removal.

    Attributes:
        folder: where.
        hidden: what is removed of what lower layers have there; empty is nothing.
        all: all of it is.
    """

    folder: Parts
    hidden: str = ""
    all: bool = False


def parse_whiteout(parts: Parts) -> Whiteout | None:
    """Return what an entry removes, or None if it stands for itself.

    Raises:
        InvalidPackageError: the name is reserved, and stands for nothing.
    """
    if not any(part.startswith(_WHITEOUT) for part in parts):
        return None
    *parents, name = parts
    folder = tuple(parents)
    if name == _OPAQUE:
        return Whiteout(folder=folder, all=True)
    if any(part.startswith(_AUFS) for part in parts):
        return Whiteout(folder=folder)  # the book-keeping of a file system
    hidden = name.removeprefix(_WHITEOUT)
    inside = any(part.startswith(_WHITEOUT) for part in parents)
    if inside or hidden in {"", ".", ".."}:
        raise InvalidPackageError(f"{'/'.join(parts)[:200]!r} is not a valid whiteout")
    return Whiteout(folder=folder, hidden=hidden)
