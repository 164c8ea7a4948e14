"""Files that are counted while they are pushed, from any place on."""

from pathlib import Path

import pytest

from ocipkg_async.content import FileSource, Meter
from ocipkg_async.content.sources import open_at
from ocipkg_async.events import Event, Progressed
from ocipkg_async.package.file_progress import CountedSource

DATA = bytes(range(250)) * 4


@pytest.mark.parametrize("offset", [0, 1, 400, len(DATA)])
async def test_what_is_before_the_place_counts_and_is_not_read(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    events: list[Event] = []
    meter = Meter(events.append, name="file", total=len(DATA))
    read = b""
    async with open_at(CountedSource(FileSource(path, size=len(DATA)), meter), offset) as stream:
        while data := await stream.read(300):
            read += data
    assert read == DATA[offset:]
    last = events[-1]
    assert isinstance(last, Progressed)
    assert (last.done, last.moved) == (len(DATA), len(DATA) - offset)
