"""Installed packages, as text and as JSON."""

from typing import Any

from ..store import Package
from .text import size_text, table


def package_json(package: Package) -> dict[str, Any]:
    """Return a package as JSON."""
    return {
        "reference": str(package.reference),
        "platform": str(package.platform) if package.platform else None,
        "digest": str(package.descriptor.digest),
        "size": package.size,
        "path": str(package.path),
    }


def package_table(packages: list[Package]) -> str:
    """Return packages as a table, or an empty text."""
    if not packages:
        return ""
    return table(
        [
            (
                str(p.reference) + (f" ({p.platform})" if p.platform else ""),
                p.descriptor.digest.short,
                size_text(p.size),
            )
            for p in packages
        ],
        header=("NAME", "DIGEST", "SIZE"),
    )
