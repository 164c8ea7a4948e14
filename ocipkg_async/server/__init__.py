"""An OCI registry in this process: a server for tests, demonstrations and small networks."""

from .access import Access
from .application import OnRequest, RequestLog
from .collecting import Collected
from .embedded import EmbeddedRegistry
from .faults import Faults
from .limits import Limits
from .tls import TLSFiles

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
