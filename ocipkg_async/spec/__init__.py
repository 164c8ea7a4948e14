"""OCI values: pure, typed, without I/O."""

from .descriptor import EMPTY, EMPTY_JSON, Descriptor
from .digest import Digest, Digester
from .documents import Document, Index, Manifest, parse_document
from .platform import Platform
from .reference import Reference

__all__ = [
    "EMPTY",
    "EMPTY_JSON",
    "Descriptor",
    "Digest",
    "Digester",
    "Document",
    "Index",
    "Manifest",
    "Platform",
    "Reference",
    "parse_document",
]
