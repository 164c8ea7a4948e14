"""Blobs to a registry: the session decides without I/O, the rest sends."""

from .blob import mount, upload, upload_stream
from .session import UploadSession

__all__ = ["UploadSession", "mount", "upload", "upload_stream"]
