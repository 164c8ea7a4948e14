"""Remote repositories as stores (distribution-spec v1.1)."""

from typing import TYPE_CHECKING

from .._late import late_name

if TYPE_CHECKING:
    from .memory import RegistryMemory
    from .options import TransferOptions
    from .registry import catalog, ping
    from .repository import DEFAULT_MAX_MANIFEST_BYTES, Repository

# As in transport: options alone load nothing of what moves blobs.
_HOMES = {
    "DEFAULT_MAX_MANIFEST_BYTES": "repository",
    "RegistryMemory": "memory",
    "Repository": "repository",
    "TransferOptions": "options",
    "catalog": "registry",
    "ping": "registry",
}

__all__ = [
    "DEFAULT_MAX_MANIFEST_BYTES",
    "RegistryMemory",
    "Repository",
    "TransferOptions",
    "catalog",
    "ping",
]


def __getattr__(name: str) -> object:
    return late_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
