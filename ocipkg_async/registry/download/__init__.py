"""Blobs from a registry."""

from .whole import open_blob

__all__ = ["open_blob"]
