"""The proxy itself: listens for clients, has a second host for redirects, and counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

from accepting import streaming

from .amending import Amender, Sticky, parse_range
from .exchange import Exchange, Made
from .faults import Fault, Forget, PatchLimit, Plan, Redirect, Refuse, name_of
from .passage import Passage, Side
from .storage import Storage
from .when import Asked
from .wire import MAX_HEAD_BYTES, BrokenError, Head, Line, read_head

_UNKNOWN_UPLOAD = Made(status=404, code="BLOB_UPLOAD_UNKNOWN", message="no such upload")


class FaultyProxy:
    """A proxy in front of a registry that speaks plain HTTP. An async context manager.

    Args:
        upstream: the registry's ``host:port``, or its URL.
        faults: what goes wrong; `inject` adds more while it runs.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        storage_name: how redirects call the second host, which listens on another port.
        delay_s: how much later everything arrives, each way.
        bytes_per_s: how much goes through a connection, each way.
        on_exchange: called with each request when it is over.

    Attributes:
        exchanges: all requests, in the order they came.
        connections: how many clients' connections there were.
        open: how many there are now.
        most_open: how many there were at once.
    """

    def __init__(
        self,
        upstream: str,
        *faults: Fault,
        host: str = "127.0.0.1",
        port: int = 0,
        storage_name: str = "127.0.0.1",
        delay_s: float = 0,
        bytes_per_s: float | None = None,
        on_exchange: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        parts = urlsplit(upstream if "//" in upstream else f"//{upstream}")
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._plan = Plan(faults)
        self._address = (host, port)
        self._storage_name = storage_name
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._on_exchange = on_exchange
        self._sticky = Sticky()
        self._gone: set[str] = set()
        self._storage = Storage()
        self._busy: Counter[str] = Counter()
        self._listening = AsyncExitStack()
        self._idle = asyncio.Event()
        self._idle.set()
        self.host = ""
        self.storage_host = ""
        self.exchanges: list[Exchange] = []
        self.connections = self.open = self.most_open = 0

    @property
    def _upstream_host(self) -> str:
        return f"{self._upstream[0]}:{self._upstream[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def busy(self) -> int:
        """Requests in progress."""
        return self._busy.total()

    def inject(self, *faults: Fault) -> None:
        """Arm further faults."""
        self._plan.add(*faults)

    def clear(self) -> None:
        """Disarm all faults and forget all requests."""
        self._plan.clear()
        self.exchanges.clear()
        self.most_open = self.open

    @property
    def hits(self) -> Counter[str]:
        """How often each fault struck."""
        return Counter(name for one in self.exchanges for name in one.hits)

    def sent(self, path: str = "") -> int:
        """Bytes of bodies that went to clients, for targets that hold `path`."""
        return sum(one.sent for one in self.exchanges if path in one.target)

    def received(self, path: str = "") -> int:
        """Bytes of bodies that came from clients, for targets that hold `path`."""
        return sum(one.received for one in self.exchanges if path in one.target)

    async def settle(self) -> None:
        """Wait until no client is connected."""
        await self._idle.wait()

    async def __aenter__(self) -> Self:
        host, port = self._address

        async def registry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(reader, writer, storage=False)

        async def storage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(reader, writer, storage=True)

        ports: list[int] = []
        async with self._listening as listening:
            for accept, at in ((registry, port), (storage, 0)):
                ports.append(
                    await listening.enter_async_context(
                        streaming(accept, host=host, port=at, limit=MAX_HEAD_BYTES)
                    )
                )
            self._listening = listening.pop_all()
        self.host = f"{host}:{ports[0]}"
        self.storage_host = f"{self._storage_name}:{ports[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.aclose()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, storage: bool
    ) -> None:
        self.connections += 1
        self.open += 1
        self._idle.clear()
        self.most_open = max(self.most_open, self.open)
        client = Side(reader=reader, line=self._line(writer))
        try:
            if self._delay_s:
                await asyncio.sleep(2 * self._delay_s)  # what the handshake would take
            number = self.connections
            while (head := await read_head(reader)) is not None:
                if not await self._serve(client, head, number=number, storage=storage):
                    break
        except (OSError, BrokenError, asyncio.CancelledError):
            pass  # only `_close` cancels, and asyncio would report it
        finally:
            self.open -= 1
            if not self.open:
                self._idle.set()
            client.line.close()

    def _line(self, writer: asyncio.StreamWriter) -> Line:
        return Line(writer, delay_s=self._delay_s, bytes_per_s=self._bytes_per_s)

    async def _serve(self, client: Side, head: Head, *, number: int, storage: bool) -> bool:
        # A request whose last byte the client has already is over: let it end before it is counted.
        for _ in range(2):
            await asyncio.sleep(0)
        method, target, _ = head.start.split(" ")
        path = target.partition("?")[0]
        first, last = parse_range(head.get("Range")) or (None, None)
        asked = Asked(
            method=method,
            target=target,
            first=first,
            last=last,
            beside=self._busy[path],
            storage=storage,
        )
        exchange = Exchange(
            method=method,
            target=target,
            range=head.get("Range"),
            storage=storage,
            connection=number,
        )
        self.exchanges.append(exchange)
        self._busy[path] += 1
        try:
            return await self._answer(client, head, exchange, self._plan.due(asked))
        finally:
            self._busy[path] -= 1
            self._on_exchange(exchange)

    async def _answer(
        self, client: Side, head: Head, exchange: Exchange, due: list[tuple[Fault, int]]
    ) -> bool:
        places = (self._upstream_host, self.host)
        amender = Amender(due, exchange, self._sticky, places=places)
        passage = Passage(client, head, exchange, amender)
        target, authorization = exchange.target, None
        if exchange.storage:
            found = self._storage.take(exchange.target, head.get("Authorization"))
            if isinstance(found, int):
                exchange.hits.append(f"expired {found}")
                return await passage.say(Made(status=found))
            target, authorization = found
        made = await self._made(head, exchange, due)
        if made is not None:
            return await passage.say(made)
        async with self._registry() as registry:
            if registry is None:
                return await passage.say(Made(status=502))
            return await passage.run(registry, target=target, authorization=authorization)

    async def _made(
        self, head: Head, exchange: Exchange, due: list[tuple[Fault, int]]
    ) -> Made | None:
        """The answer to a request that does not get to the registry, or None."""
        path = exchange.target.partition("?")[0]
        for fault, _ in due:
            made = None
            match fault:
                case Forget():
                    await self._forget(head, exchange.target)
                    made = _UNKNOWN_UPLOAD
                case Refuse():
                    made = Made.of(fault)
                case Redirect():
                    made = self._storage.redirect(
                        fault, exchange.target, head.get("Authorization"), self.storage_host
                    )
                case PatchLimit() if (head.length or 0) > fault.max_bytes:
                    text = "request body is too large"
                    made = Made(status=416, code="BLOB_UPLOAD_INVALID", message=text)
                case _:
                    pass
            if made is not None:
                exchange.hits.append(name_of(fault))
                return made
        return _UNKNOWN_UPLOAD if path in self._gone else None

    async def _forget(self, head: Head, target: str) -> None:
        """Have the registry end an upload; its newest location is the one that was asked for."""
        self._gone.add(target.partition("?")[0])
        request = Head(f"DELETE {target} HTTP/1.1")
        request.set("Host", self._upstream_host)
        request.set("Connection", "close")
        if token := head.get("Authorization"):
            request.set("Authorization", token)
        async with self._registry() as registry:
            if registry is not None:
                await registry.line.write(request.raw())
                await read_head(registry.reader)

    @asynccontextmanager
    async def _registry(self) -> AsyncIterator[Side | None]:
        """A connection to the registry, or None if it takes none."""
        try:
            reader, writer = await asyncio.open_connection(*self._upstream, limit=MAX_HEAD_BYTES)
        except ConnectionError:
            yield None
            return
        line = self._line(writer)
        try:
            yield Side(reader=reader, line=line)
        finally:
            line.close()
