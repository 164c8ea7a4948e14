"""Blobs from a registry: decided by a plan without I/O, fetched in ranges, kept in a file or passed on."""

from .blob import is_saved, open_blob, save_blob

__all__ = ["is_saved", "open_blob", "save_blob"]
