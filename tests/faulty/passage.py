"""One request on its way through the proxy, its answer on the way back, and what goes wrong."""

import asyncio
import contextlib
import json
from dataclasses import dataclass

from .amending import Amender, content_range
from .exchange import Exchange, Made
from .faults import Corrupt, Cut, CutUpload, Drip, How, LoseAnswer, Shorten
from .wire import PIECE_BYTES, BodyReader, BodyWriter, BrokenError, Head, Line, read_head

_PADDING = b"\0" * 4096
LINGER_S = 2.0
"""How long a client that was refused may go on sending before it is hung up on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Both directions of a connection."""

    reader: asyncio.StreamReader
    line: Line


class _CutError(Exception):
    def __init__(self, how: How, *, hold_s: float | None = None) -> None:
        super().__init__(how)
        self.how: How = how
        self.hold_s = hold_s


class Passage:
    """One request and its answer.

    Args:
        client: who sent it.
        head: its head.
        exchange: where to note what happens.
        amender: the faults that hit it.
    """

    def __init__(self, client: Side, head: Head, exchange: Exchange, amender: Amender) -> None:
        self._client = client
        self._head = head
        self._exchange = exchange
        self._amender = amender
        self._keep = head.start.endswith("HTTP/1.1") and (
            (head.get("Connection") or "").lower() != "close"
        )

    async def say(self, made: Made) -> bool:
        """Answer without the registry; return whether the client's connection can go on."""
        body = BodyReader.of_request(self._client.reader, self._head)
        unread = self._head.chunked or bool(self._head.length)
        if made.read_body and unread:
            await self._continue()
            while data := await body.read():
                self._exchange.received += len(data)
            unread = False
        keep = self._keep and not unread
        document = {"errors": [{"code": made.code, "message": made.message}]}
        content = json.dumps(document).encode() if made.code else b""
        head = Head(f"HTTP/1.1 {made.status} By The Proxy", list(made.headers))
        head.set("Content-Type", "application/json")
        head.set("Content-Length", str(len(content)))
        if not keep:
            head.set("Connection", "close")
        self._exchange.status = made.status
        line = self._client.line
        await line.write(head.raw() + (b"" if self._exchange.method == "HEAD" else content))
        await line.flush()
        if unread:
            # Hanging up at once would take the answer away from a client that still sends.
            line.end()
            with contextlib.suppress(TimeoutError, BrokenError):
                async with asyncio.timeout(LINGER_S):
                    while data := await body.read():
                        self._exchange.received += len(data)
        return keep

    async def run(self, registry: Side, *, target: str, authorization: str | None = None) -> bool:
        """Send it on and the answer back; return whether the client's connection can go on.

        Args:
            registry: a fresh connection.
            target: what to ask the registry for.
            authorization: what to show to it, where the client did not.
        """
        try:
            await self._continue()
            head = self._amender.request(self._head, target=target, authorization=authorization)
            await registry.line.write(head.raw())
            answer = await self._answer_head(registry)
            return await self._pass_back(answer, registry)
        except _CutError as cut:
            await self._break_off(cut)
            return False

    async def _continue(self) -> None:
        if (self._head.get("Expect") or "").lower() == "100-continue":
            self._head.remove("Expect")
            await self._client.line.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _answer_head(self, registry: Side) -> Head:
        """Send the body until the registry answers."""
        sending = asyncio.create_task(self._send_body(registry))
        reading = asyncio.create_task(_final_head(registry.reader))
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            head = await reading
            # What the registry did not want is still to come, and would pass for a request.
            self._keep = self._keep and sending.done() and sending.result()
            return head
        finally:
            for task in (sending, reading):
                task.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)

    async def _send_body(self, registry: Side) -> bool:
        """Send the body; return whether the registry took all of it."""
        body = BodyReader.of_request(self._client.reader, self._head)
        out = BodyWriter(registry.line, chunked=self._head.chunked)
        cut = self._amender.one(CutUpload)
        while data := await body.read():
            before = self._exchange.received
            self._exchange.received += len(data)
            broken = cut is not None and self._exchange.received >= cut.at
            try:
                await out.write(data[: cut.at - before] if cut and broken else data)
            except ConnectionError:
                return False
            if cut is not None and broken:
                self._amender.hit(cut)
                raise _CutError(cut.how, hold_s=cut.hold_s)
        try:
            await out.end()
        except ConnectionError:
            return False
        return True

    async def _pass_back(self, head: Head, registry: Side) -> bool:
        body = BodyReader.of_response(registry.reader, head, method=self._exchange.method)
        if lose := self._amender.one(LoseAnswer):
            while await body.read():
                pass
            self._amender.hit(lose)
            raise _CutError("close")
        start = (content_range(head) or (0,))[0]
        padding = self._amender.answer(head)
        self._exchange.status = head.status
        bodyless = self._exchange.method == "HEAD" or head.status in {204, 304}
        chunked = not bodyless and (head.chunked or head.length is None)
        if chunked:
            head.set("Transfer-Encoding", "chunked")
        head.remove("Connection")
        if not self._keep:
            head.set("Connection", "close")
        await self._client.line.write(head.raw())
        out = BodyWriter(self._client.line, chunked=chunked)
        limit = None if chunked or bodyless else head.length
        if not bodyless:
            await self._copy(body, out, start=start, limit=limit, padding=padding)
        await out.end()
        return self._keep and (limit is None or self._exchange.sent == limit)

    async def _copy(
        self, body: BodyReader, out: BodyWriter, *, start: int, limit: int | None, padding: int
    ) -> None:
        """Let the body through, as far as the head announced it."""
        short = self._amender.one(Shorten)
        if short is not None:
            limit = short.at
        while data := await body.read():
            if limit is not None and self._exchange.sent + len(data) > limit:
                await self._write(out, data[: limit - self._exchange.sent], start=start)
                if short is not None:
                    self._amender.hit(short)
                return
            await self._write(out, data, start=start)
        while padding > 0:
            piece = _PADDING[:padding]
            await self._write(out, piece, start=start)
            padding -= len(piece)

    async def _write(self, out: BodyWriter, data: bytes, *, start: int) -> None:
        corrupt = self._amender.one(Corrupt)
        at = corrupt.offset - start - self._exchange.sent if corrupt else -1
        if corrupt is not None and 0 <= at < len(data):
            self._amender.hit(corrupt)
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        cut = self._amender.one(Cut)
        if cut is not None and self._exchange.sent + len(data) >= cut.at:
            await self._pace(out, data[: cut.at - self._exchange.sent])
            await self._client.line.flush()
            self._amender.hit(cut)
            raise _CutError(cut.how)
        await self._pace(out, data)

    async def _pace(self, out: BodyWriter, data: bytes) -> None:
        drip = self._amender.one(Drip)
        step = drip.piece if drip else max(1, len(data))
        for begin in range(0, len(data), step):
            if drip is not None:
                self._amender.hit(drip)
                await asyncio.sleep(drip.interval_s)
            piece = data[begin : begin + step]
            await out.write(piece)
            self._exchange.sent += len(piece)

    async def _break_off(self, cut: _CutError) -> None:
        line = self._client.line
        match cut.how:
            case "close":
                line.close()
            case "reset":
                line.reset()
            case "end":
                line.end()
                await line.until_left()
            case "stall":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(cut.hold_s):
                        await line.until_left()
                        return
                while await self._client.reader.read(PIECE_BYTES):
                    pass


async def _final_head(reader: asyncio.StreamReader) -> Head:
    while True:
        head = await read_head(reader)
        if head is None:
            raise BrokenError
        if head.status >= 200:
            return head
