"""Remote repositories as stores (distribution-spec v1.1)."""

from .memory import RegistryMemory
from .options import TransferOptions
from .registry import catalog, ping
from .repository import DEFAULT_MAX_MANIFEST_BYTES, Repository

__all__ = [
    "DEFAULT_MAX_MANIFEST_BYTES",
    "RegistryMemory",
    "Repository",
    "TransferOptions",
    "catalog",
    "ping",
]
