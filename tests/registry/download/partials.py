"""What the tests of unfinished downloads share: a blob, its place, and looks at what is there."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio

from ocipkg_async.registry.download.partial import PartialFile
from ocipkg_async.spec import Descriptor

SIZE = 300_000
DATA = random.Random(7).randbytes(SIZE)  # noqa: S311 - the same in all processes
BLOB = Descriptor.of(DATA, "a/b")
PARTIAL = f".partial-sha256-{BLOB.digest.encoded}"
JOURNAL, LOCK = PARTIAL + ".journal", PARTIAL + ".lock"

P = ParamSpec("P")
T = TypeVar("T")


async def work(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks in a thread, as the engine does."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))


def place(folder: Path) -> Path:
    """Where the blob is to be, in a folder that is still missing."""
    return folder / "some" / "folder" / "blob"


def names(path: Path) -> list[str]:
    """What lies in the folder of a blob."""
    return sorted(p.name for p in path.parent.iterdir())


async def write(file: PartialFile, *stretches: tuple[int, int], record: bool = True) -> None:
    for start, stop in stretches:
        await work(file.write, start, [DATA[start:stop]])
        if record:
            await work(file.record, start, stop)


async def read(file: PartialFile, start: int = 0, stop: int = SIZE) -> bytes:
    buffer = memoryview(bytearray(stop - start))
    got = 0
    while length := await work(file.read_into, start + got, buffer[got:]):
        got += length
    return bytes(buffer[:got])


async def finish(file: PartialFile, *, durable: bool = False) -> None:
    """Do what is missing, as a download does, and check that what was there is right."""
    await work(file.reserve)
    for start, stop in file.done:
        assert await read(file, start, stop) == DATA[start:stop]
    ends = [0, *(stop for _, stop in file.done)]
    starts = [*(start for start, _ in file.done), SIZE]
    await write(file, *zip(ends, starts, strict=True))
    assert await read(file) == DATA
    await work(file.publish, durable=durable)
