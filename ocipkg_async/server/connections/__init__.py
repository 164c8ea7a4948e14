"""The socket side of the registry: connections, TLS, and what clients may take."""

from .connection import UNSENT_BYTES, Connection, limit_unsent
from .incoming import Incoming
from .limits import Limits
from .listening import listening
from .tls import TLSFiles, server_tls

__all__ = [
    "UNSENT_BYTES",
    "Connection",
    "Incoming",
    "Limits",
    "TLSFiles",
    "limit_unsent",
    "listening",
    "server_tls",
]
