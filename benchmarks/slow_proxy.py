"""A TCP proxy that is far away and narrow: it delays what it passes on, and caps each connection.

Run it as ``python slow_proxy.py HOST:PORT --delay-ms 40 --mib-per-s 24``; it prints where it listens.
Every byte is passed on so long after it came, in either direction, and each direction of each
connection passes so much a second, evenly. Connections share nothing, as downloads from a large
service do. What it does not imitate: packet loss, slow start, and the round trip that opening a
connection takes.
"""

import argparse
import asyncio
import contextlib
import socket
from collections import deque

# What one read takes: 5 ms of a connection of 24 MiB/s.
PIECE_BYTES = 128 << 10
# A late wake-up is made up for, so that the mean is right; a pause is not.
CATCH_UP_S = 0.02


class Line:
    """The bytes under way in one direction of a connection."""

    def __init__(self, *, delay_s: float, bytes_per_s: float) -> None:
        self._delay_s = delay_s
        # What the delay holds, and as much again for a receiver that is late.
        self._room = int(2 * delay_s * bytes_per_s) + (1 << 20)
        self._under_way = 0
        self._pieces: deque[tuple[float, bytearray, int]] = deque()
        self._spare: list[bytearray] = []
        self._changed = asyncio.Event()

    def buffer(self) -> bytearray:
        return self._spare.pop() if self._spare else bytearray(PIECE_BYTES)

    def put(self, sent_s: float, piece: bytearray, count: int) -> None:
        """Send a piece off at a time; a count of 0 is the end."""
        self._pieces.append((sent_s + self._delay_s, piece, count))
        self._under_way += count
        self._changed.set()

    async def room(self) -> None:
        while self._under_way > self._room:
            self._changed.clear()
            await self._changed.wait()

    async def take(self) -> tuple[float, bytearray, int]:
        """The next piece, and when it arrives."""
        while not self._pieces:
            self._changed.clear()
            await self._changed.wait()
        return self._pieces.popleft()

    def give_back(self, piece: bytearray, count: int) -> None:
        self._spare.append(piece)
        self._under_way -= count
        self._changed.set()


async def receive(source: socket.socket, line: Line, *, bytes_per_s: float) -> None:
    """Read from a connection into the line, at no more than its speed."""
    loop = asyncio.get_running_loop()
    free_s = 0.0
    count = -1
    while count:
        piece = line.buffer()
        count = await loop.sock_recv_into(source, piece)
        now_s = loop.time()
        free_s = max(free_s, now_s - CATCH_UP_S) + count / bytes_per_s
        line.put(max(now_s, free_s), piece, count)
        await line.room()
        await asyncio.sleep(free_s - loop.time())


async def deliver(line: Line, target: socket.socket) -> None:
    """Write what arrives at the end of the line to a connection."""
    loop = asyncio.get_running_loop()
    while True:
        due_s, piece, count = await line.take()
        if (early_s := due_s - loop.time()) > 0:
            await asyncio.sleep(early_s)
        if not count:
            target.shutdown(socket.SHUT_WR)
            return
        await loop.sock_sendall(target, memoryview(piece)[:count])
        line.give_back(piece, count)


async def connect(
    client: socket.socket, upstream: tuple[str, int], *, delay_s: float, bytes_per_s: float
) -> None:
    """Serve one connection until both sides ended it, or one broke it off."""
    with client, socket.socket() as server:
        server.setblocking(False)  # noqa: FBT003 - the name of the method says it
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(server, upstream)
            async with asyncio.TaskGroup() as tasks:
                for source, target in ((client, server), (server, client)):
                    line = Line(delay_s=delay_s, bytes_per_s=bytes_per_s)
                    tasks.create_task(receive(source, line, bytes_per_s=bytes_per_s))
                    tasks.create_task(deliver(line, target))
        except* OSError:
            pass  # closing both sides tells the other one


async def serve(upstream: str, port: int, *, delay_s: float, bytes_per_s: float) -> None:
    host, _, number = upstream.rpartition(":")
    address = (host, int(number))
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the name of the method says it
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        async with asyncio.TaskGroup() as tasks:
            while True:
                client, _ = await loop.sock_accept(listener)
                tasks.create_task(
                    connect(client, address, delay_s=delay_s, bytes_per_s=bytes_per_s)
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("upstream", metavar="HOST:PORT", help="the server that it stands before")
    parser.add_argument("--port", type=int, default=0, help="where it listens; 0 is a free one")
    parser.add_argument("--delay-ms", type=float, default=40.0, help="each way")
    parser.add_argument("--mib-per-s", type=float, default=24.0, help="of each connection")
    given = parser.parse_args()
    bytes_per_s = given.mib_per_s * (1 << 20)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                given.upstream,
                given.port,
                delay_s=given.delay_ms / 1000,
                bytes_per_s=bytes_per_s,
            )
        )


if __name__ == "__main__":
    main()
