"""Sources opened in their middle."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ocipkg_async.content import BytesSource, FileSource, ProducerSource, Source, StreamSource
from ocipkg_async.content.sources import open_at
from ocipkg_async.errors import StorageError

DATA = bytes(range(256)) * 20_000


def _produce(write: Callable[[bytes], None]) -> None:
    for start in range(0, len(DATA), 70_001):
        write(DATA[start : start + 70_001])


async def _rest(source: Source, offset: int) -> bytes:
    pieces = []
    async with open_at(source, offset) as stream:
        while data := await stream.read(1 << 20):
            pieces.append(data)
    return b"".join(pieces)


@pytest.mark.parametrize(
    "offset", [0, 1, 70_001, 1 << 20, len(DATA) - 1, len(DATA), len(DATA) + 10]
)
async def test_any_source_can_be_opened_at_an_offset(tmp_path: Path, offset: int) -> None:
    (tmp_path / "file").write_bytes(DATA)
    pieces = iter([DATA, b""])
    for source in (
        BytesSource(DATA),
        FileSource(tmp_path / "file"),
        ProducerSource(_produce),
    ):
        assert await _rest(source, offset) == DATA[offset:]
        assert await _rest(source, offset) == DATA[offset:]
    if offset == 0:
        assert await _rest(StreamSource(lambda _: next(pieces)), 0) == DATA


async def test_a_file_is_not_read_up_to_there(tmp_path: Path) -> None:
    """A hole of a terabyte would take minutes."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
        file.seek((1 << 40) - 3)
        file.write(b"end")
    assert await _rest(FileSource(tmp_path / "file"), (1 << 40) - 3) == b"end"


async def test_a_file_that_cannot_be_opened_there_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        await _rest(FileSource(tmp_path / "missing"), 5)
