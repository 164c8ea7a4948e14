"""An OCI registry in this process: a server for tests, demonstrations and small networks."""

from .application import OnRequest, RequestLog
from .embedded import EmbeddedRegistry
from .faults import Faults

__all__ = ["EmbeddedRegistry", "Faults", "OnRequest", "RequestLog"]
