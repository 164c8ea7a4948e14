"""What takes longer than the deadline of its operation, whatever it waits for."""

import asyncio

import anyio
import pytest

from ocipkg_async.errors import TimedOutError
from ocipkg_async.transport import RetryPolicy, Transport
from transport.servers import RawServer, Script, get, ok, quick, read_head, serve_raw

LIMITED = RetryPolicy(attempts=1000, first_wait_s=0.001, longest_wait_s=0.001, deadline_s=0.2)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_head(reader)
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("script", [silent, drips])
async def test_one_request_ends_with_its_deadline(script: Script) -> None:
    async with serve_raw(script) as server, Transport(quick(retry=LIMITED)) as transport:
        with pytest.raises(TimedOutError, match=r"not finished within 0\.2 s") as caught:
            await transport.fetch(get(server), max_bytes=1 << 20)
    assert caught.value.hint


async def read_all(transport: Transport, server: RawServer) -> None:
    async with transport.send(get(server)) as response:
        while await response.body.read(1 << 20):
            pass


async def test_what_takes_several_requests_ends_with_one_deadline() -> None:
    async with (
        serve_raw(drips) as server,
        Transport(quick(retry=LIMITED)) as transport,
    ):
        budget = transport.budget()
        with (
            pytest.raises(TimedOutError, match=r"the download was not finished within 0\.2 s") as e,
            transport.limited(budget, what="the download"),
        ):
            await read_all(transport, server)
        # It is the end: there is no other try.
        assert not await transport.again(budget, e.value, action="download")


async def test_a_deadline_that_passed_before_ends_at_once() -> None:
    async with serve_raw(silent) as server, Transport(quick(retry=LIMITED)) as transport:
        budget = transport.budget()
        with pytest.raises(TimedOutError), transport.limited(budget):
            await anyio.sleep_forever()
        with pytest.raises(TimedOutError), transport.limited(budget):
            await read_all(transport, server)


async def test_what_ends_before_and_what_has_no_deadline_is_left_alone() -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(ok(b"all"))
        await writer.drain()

    for retry in (RetryPolicy(), RetryPolicy(deadline_s=60)):
        async with serve_raw(answers) as server, Transport(quick(retry=retry)) as transport:
            with transport.limited(transport.budget()):
                await read_all(transport, server)
            with pytest.raises(ZeroDivisionError), transport.limited(transport.budget()):
                raise ZeroDivisionError


async def test_a_cancelled_task_is_cancelled_and_not_late() -> None:
    async with serve_raw(silent) as server, Transport() as transport:
        with anyio.move_on_after(0.05) as scope, transport.limited(transport.budget()):
            await read_all(transport, server)
        assert scope.cancelled_caught
