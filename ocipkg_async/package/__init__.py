"""Files to packages and artifacts, and back."""

from .builder import LayerInfo, pack, source_date_epoch
from .compress import Compression

__all__ = [
    "Compression",
    "LayerInfo",
    "pack",
    "source_date_epoch",
]
