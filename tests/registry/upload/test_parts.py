"""Sources sent in parts: opened as rarely as can be, and read on only where they stand for certain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from ocipkg_async.content import BytesSource, ByteStream, Source
from ocipkg_async.errors import TooLongError, TooShortError
from ocipkg_async.registry.upload.parts import Part, Parts
from registry.driving import blob
from registry.upload.samples import Unsized


async def _read(part: Part) -> bytes:
    pieces = []
    async with part.open() as stream:
        while data := await stream.read(1 << 20):
            pieces.append(data)
    return b"".join(pieces)


@pytest.mark.parametrize("seeks", [True, False])
async def test_parts_lie_end_to_end_and_can_be_read_again(seeks: bool) -> None:
    descriptor, data = blob(100_000)
    unsized = Unsized(data)
    source: Source = BytesSource(data) if seeks else unsized
    async with Parts(source, descriptor) as parts:
        made = [
            parts.part(start, min(30_000, 100_000 - start)) for start in range(0, 100_000, 30_000)
        ]
        for part in made:
            await parts.seek(part.offset)
            assert await _read(part) == data[part.offset : part.offset + 30_000]
            assert part.sent == part.length
        assert unsized.opened == (0 if seeks else 1)
        assert await _read(made[-1]) == data[90_000:]
        assert await _read(parts.part(10, 20)) == data[10:30]


async def test_a_read_that_was_cancelled_takes_nothing_from_the_next_part() -> None:
    descriptor, data = blob(1000)
    taken = anyio.Event()

    class Losing(Unsized):
        """Takes bytes from where they are, and is cancelled before it hands them on."""

        @asynccontextmanager
        async def open(self) -> AsyncIterator[ByteStream]:
            async with super().open() as stream:
                self._stream = stream
                yield self

        async def read(self, max_bytes: int, /) -> bytes:
            got = await self._stream.read(max_bytes)
            if not taken.is_set():
                taken.set()
                await anyio.sleep_forever()
            return got

    async with Parts(Losing(data), descriptor) as parts:
        await parts.seek(0)
        async with anyio.create_task_group() as group:
            group.start_soon(_read, parts.part(0, 500))
            await taken.wait()
            group.cancel_scope.cancel()
        await parts.seek(0)
        assert await _read(parts.part(0, 500)) == data[:500]


@pytest.mark.parametrize(
    ("found", "error"),
    [(999, TooShortError), (400, TooShortError), (1001, TooLongError)],
)
async def test_a_source_of_another_size_is_found_out(found: int, error: type[Exception]) -> None:
    descriptor, _ = blob(1000)
    async with Parts(Unsized(bytes(found)), descriptor) as parts:
        with pytest.raises(error):
            await _read(parts.part(500, 500))
        assert isinstance(parts.failure, error)
