"""Blobs to a registry: session and plan decide without I/O, the rest sends."""

from .blob import mount, upload, upload_stream
from .opening import is_there
from .session import UploadSession

__all__ = ["UploadSession", "is_there", "mount", "upload", "upload_stream"]
