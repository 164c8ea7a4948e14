"""An OCI registry in this process: a server for tests, demonstrations and small networks."""

from .access import Access
from .application import OnRequest, RequestLog
from .connections import Limits, TLSFiles
from .embedded import EmbeddedRegistry
from .faults import Faults
from .storage import Collected

__all__ = [
    "Access",
    "Collected",
    "EmbeddedRegistry",
    "Faults",
    "Limits",
    "OnRequest",
    "RequestLog",
    "TLSFiles",
]
