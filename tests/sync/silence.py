"""A server that takes connections and says nothing."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TIME_LIMIT_S = 60


@dataclass(frozen=True)
class Silence:
    listener: socket.socket

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        """Wait for a connection and its request."""
        connection, _ = self.listener.accept()
        connection.settimeout(TIME_LIMIT_S)
        assert connection.recv(1)
        return connection


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes its connection."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return True


@contextmanager
def silent_server() -> Iterator[Silence]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIME_LIMIT_S)
        yield Silence(listener)
