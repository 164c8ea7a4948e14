"""Plain HTTP that comes to a registry with TLS: it is told so, where a broken handshake tells nothing."""

import asyncio  # anyio has no sending on a socket that is not its own
import socket

import anyio

from ..failures import JSON, error_body

_BODY = error_body("UNKNOWN", "this registry has TLS: use https, not plain http")
_ANSWER = (
    f"HTTP/1.1 400 Bad Request\r\nContent-Type: {JSON}\r\n"
    f"Content-Length: {len(_BODY)}\r\nConnection: close\r\n\r\n"
).encode("ascii") + _BODY
_LINGER_S = 1.0
_READ_BYTES = 64 << 10


async def is_plain_http(accepted: socket.socket) -> bool:
    """Wait for the first byte of a connection, and leave it there; closes it if that fails.

    A request begins with a letter, and a TLS handshake with the byte 22.
    """
    try:
        accepted.settimeout(0)
        while True:
            await anyio.wait_readable(accepted)
            try:
                return accepted.recv(1, socket.MSG_PEEK).isalpha()
            except BlockingIOError:
                continue
    except BaseException:
        accepted.close()
        raise


async def refuse_plain_http(accepted: socket.socket) -> None:
    """Answer a request, whatever it is, and close the connection.

    Raises:
        OSError: the client has gone.
    """
    loop = asyncio.get_running_loop()
    with accepted, anyio.move_on_after(_LINGER_S):
        await loop.sock_sendall(accepted, _ANSWER)
        accepted.shutdown(socket.SHUT_WR)
        # Closed with bytes unread, it would be reset, which may overtake the answer.
        while await loop.sock_recv(accepted, _READ_BYTES):
            pass
