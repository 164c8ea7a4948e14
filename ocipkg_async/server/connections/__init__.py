"""The socket side of the registry: connections, TLS, and what clients may take."""

from .connection import Connection
from .incoming import Incoming
from .limits import Limits
from .listening import listening
from .tls import TLSFiles, server_tls

__all__ = ["Connection", "Incoming", "Limits", "TLSFiles", "listening", "server_tls"]
