"""How installed packages are named in the store's image layout.

The name is the full reference; where a platform was asked for, it follows behind a ``+``, which no
tag can hold: ``ghcr.io/org/pkg:v1+linux+arm+v7``, ``…+windows:10.0.17763+amd64``. These are
``ref.name`` values, so other tools list and read the store's layout.
"""

import re

from ..errors import InvalidPlatformError, InvalidReferenceError
from ..spec import Platform, Reference

# What the image specification lets stand between two separators of a name.
_PART = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*", re.ASCII)


def to_name(reference: Reference, platform: Platform | None) -> str:
    """Return the name of a package in the layout.

    Raises:
        InvalidPlatformError: the platform has characters that a name cannot have.
    """
    text = str(reference.with_default_tag())
    if platform is None:
        return text
    parts = (platform.os, platform.os_version, platform.architecture, platform.variant)
    if not all(_PART.fullmatch(part) for part in parts if part):
        raise InvalidPlatformError(
            f"a package for {str(platform)!r} cannot be installed",
            hint="write the platform as linux/amd64 or linux/arm/v7",
        )
    system = ":".join(filter(None, parts[:2]))
    return "+".join([text, system, *filter(None, parts[2:])])


def from_name(name: str) -> tuple[Reference, Platform | None] | None:
    """Return what a name stands for, or None if it is not one of ours."""
    text, *rest = name.split("+")
    try:
        reference = Reference.parse(text, strict=True)
    except InvalidReferenceError:
        return None
    if not (reference.tag or reference.digest):
        return None
    if not rest:
        return reference, None
    if len(rest) not in {2, 3}:
        return None
    system, _, version = rest[0].partition(":")
    variant = rest[2] if len(rest) == 3 else ""
    return reference, Platform(os=system, os_version=version, architecture=rest[1], variant=variant)
