"""How installed packages are named in the store's image layout.

The name is the full reference; where a platform was asked for, it follows behind a ``+``, which no
tag can hold: ``ghcr.io/org/pkg:v1+linux.arm64``. Both are valid ``ref.name`` values, so other
tools list and read the store's layout.
"""

from ..errors import InvalidPlatformError, InvalidReferenceError
from ..spec import Platform, Reference


def to_name(reference: Reference, platform: Platform | None) -> str:
    """Return the name of a package in the layout."""
    text = str(reference.with_default_tag())
    return text if platform is None else f"{text}+{str(platform).replace('/', '.')}"


def from_name(name: str) -> tuple[Reference, Platform | None] | None:
    """Return what a name stands for, or None if it is not one of ours."""
    text, plus, platform = name.rpartition("+")
    try:
        if plus and ":" in text.rpartition("/")[2]:
            os, arch, *variant = platform.split(".", 2)
            parsed = Platform.parse("/".join([os, arch, *variant]))
            return Reference.parse(text, strict=True), parsed
        return Reference.parse(name, strict=True), None
    except (InvalidReferenceError, InvalidPlatformError, ValueError):
        return None
