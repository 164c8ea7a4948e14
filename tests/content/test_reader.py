"""Verified reading: three errors, and no last piece before the verdict."""

import threading
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocipkg_async.content import BlobReader, Meter
from ocipkg_async.content.reader import BytesStream, FileStream
from ocipkg_async.errors import (
    DigestMismatchError,
    IntegrityError,
    LimitExceededError,
    TooLongError,
    TooShortError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Progressed
from ocipkg_async.spec import Descriptor, Digest

MIB = 1 << 20
BIG = bytes(range(256)) * (9 * MIB // 256) + b"end"


class Pieces:
    """A stream that hands out what it was given, piece by piece, however much is asked for."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.left = list(pieces)

    async def read(self, max_bytes: int, /) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.left:
            return b""
        piece, rest = self.left[0][:max_bytes], self.left[0][max_bytes:]
        self.left[:1] = [rest] if rest else []
        return piece


def reader(data: bytes, said: bytes | None = None, algorithm: str = "sha256") -> BlobReader:
    said = data if said is None else said
    descriptor = Descriptor(media_type="a/b", digest=Digest.of(said, algorithm), size=len(said))
    return BlobReader(BytesStream(data), descriptor)


async def read_to_error(source: BlobReader, max_bytes: int) -> tuple[bytes, IntegrityError]:
    """Read to the error, and return what was handed out before it."""
    handed_out = b""
    try:
        while piece := await source.read(max_bytes):
            handed_out += piece
    except IntegrityError as error:
        return handed_out, error
    pytest.fail("the content passed for right")


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_d31_right_content(max_bytes: int, algorithm: str) -> None:
    source = reader(b"abcdefg", algorithm=algorithm)
    pieces = []
    while piece := await source.read(max_bytes):
        assert len(piece) <= max_bytes
        pieces.append(piece)
    assert b"".join(pieces) == b"abcdefg"
    assert await source.read() == b""
    assert source.size == 7


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 4, 6, 7, 8, 100])
async def test_s01_three_errors_and_the_last_piece_is_never_handed_out(max_bytes: int) -> None:
    handed_out, error = await read_to_error(reader(b"abcdef", b"abcdefg"), max_bytes)
    assert type(error) is TooShortError
    assert (error.expected, error.actual) == ("7", "6")
    assert len(handed_out) < 7

    handed_out, error = await read_to_error(reader(b"abcdefgh", b"abcdefg"), max_bytes)
    assert type(error) is TooLongError
    assert error.expected == "7"
    assert len(handed_out) < 7

    handed_out, error = await read_to_error(reader(b"abcdefG", b"abcdefg"), max_bytes)
    assert type(error) is DigestMismatchError
    assert error.expected == Digest.of(b"abcdefg")
    assert error.actual == Digest.of(b"abcdefG")
    assert len(handed_out) < 7


@pytest.mark.parametrize("wrong", [b"abcdef", b"abcdefgh", b"abcdefghijk", b"abcdefG"])
@pytest.mark.parametrize("max_bytes", [3, 7, 8])
async def test_s01_reading_on_after_an_error_gives_it_again(wrong: bytes, max_bytes: int) -> None:
    source = reader(wrong, b"abcdefg")
    _, error = await read_to_error(source, max_bytes)
    for _ in range(3):
        with pytest.raises(type(error)):
            await source.read(max_bytes)
    with pytest.raises(type(error)):
        await source.drain(lambda _: None)
    with pytest.raises(type(error)):
        await source.read_all()


async def test_s01_size_is_checked_before_the_digest() -> None:
    _, error = await read_to_error(reader(b"xyz", b"abcdefg"), 100)
    assert type(error) is TooShortError


async def test_d31_stops_as_soon_as_there_is_too_much() -> None:
    stream = Pieces([b"x"] * 1000)
    source = BlobReader(stream, Descriptor.of(b"abc", "a/b"))
    with pytest.raises(TooLongError):
        await source.read_all()
    assert len(stream.left) == 1000 - 4


async def test_d35_empty_content() -> None:
    source = reader(b"")
    assert await source.read() == b""
    assert await reader(b"").read_all() == b""
    written: list[bytes] = []
    await reader(b"").drain(written.append)
    assert written == []
    with pytest.raises(TooLongError):
        await reader(b"x", b"").read()
    wrong = Descriptor(media_type="a/b", digest=Digest.of(b"x"), size=0)
    with pytest.raises(DigestMismatchError):
        await BlobReader(BytesStream(b""), wrong).read()


def test_i25_unknown_algorithm_is_refused_before_a_byte_is_read() -> None:
    descriptor = Descriptor(media_type="a/b", digest=Digest("blake3:aa"), size=0)
    with pytest.raises(UnsupportedError):
        BlobReader(BytesStream(b""), descriptor)


async def test_drain_writes_all_in_order_in_worker_threads() -> None:
    written: list[tuple[bytes, threading.Thread]] = []
    await reader(BIG).drain(lambda data: written.append((data, threading.current_thread())))
    assert b"".join(data for data, _ in written) == BIG
    assert all(thread is not threading.current_thread() for _, thread in written)
    assert all(len(data) >= MIB for data, _ in written[:-1])


@pytest.mark.parametrize("wrong", [BIG[:-1], BIG + b"x", BIG[:-1] + b"x"])
async def test_drain_raises_at_the_end_of_wrong_content(wrong: bytes) -> None:
    with pytest.raises(IntegrityError):
        await reader(wrong, BIG).drain(lambda _: None)


async def test_drain_passes_on_what_write_raises() -> None:
    def write(_data: bytes) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await reader(BIG).drain(write)


async def test_s02_read_all_refuses_before_reading() -> None:
    stream = Pieces([b"abc"])
    with pytest.raises(LimitExceededError) as caught:
        await BlobReader(stream, Descriptor.of(b"abc", "a/b")).read_all(max_bytes=2)
    assert stream.left == [b"abc"]
    assert caught.value.hint
    assert await reader(b"abc").read_all(max_bytes=3) == b"abc"


async def test_s03_a_declared_size_allocates_nothing() -> None:
    huge = Descriptor(media_type="a/b", digest=Digest.of(b""), size=2**62)
    with pytest.raises(TooShortError):
        await BlobReader(BytesStream(b"abc"), huge).read_all(max_bytes=2**62)


async def test_the_meter_counts_on_the_event_loop() -> None:
    counted: list[Event] = []
    here = threading.current_thread()

    def count(event: Event) -> None:
        assert threading.current_thread() is here
        counted.append(event)

    source = reader(BIG)
    source.meter = Meter(count, descriptor=source.descriptor)
    await source.drain(lambda _: None)
    done = [event.done for event in counted if isinstance(event, Progressed)]
    assert done[-1] == len(BIG)
    assert done == sorted(set(done))


async def test_large_pieces_are_verified_too() -> None:
    """They are hashed in a worker thread, small ones on the loop."""
    source = reader(BIG)
    assert await source.read(len(BIG)) == BIG
    with pytest.raises(DigestMismatchError):
        await reader(BIG[:-1] + b"x", BIG).read(len(BIG))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 30), st.binary(max_size=3))
def test_s01_any_cut_into_pieces_gives_the_same(
    pieces: list[bytes], max_bytes: int, more: bytes
) -> None:
    said = b"".join(pieces)

    async def run() -> bytes:
        source = BlobReader(Pieces([*pieces, more] if more else pieces), Descriptor.of(said, "a/b"))
        found = b""
        while piece := await source.read(max_bytes):
            assert len(piece) <= max_bytes
            found += piece
        return found

    if more:
        with pytest.raises(TooLongError):
            anyio.run(run)
    else:
        assert anyio.run(run) == said


async def test_file_stream_reads_in_worker_threads() -> None:
    threads: list[threading.Thread] = []

    def read(max_bytes: int) -> bytes:
        threads.append(threading.current_thread())
        return b"x" * max_bytes

    assert await FileStream(read).read(3) == b"xxx"
    assert threads[0] is not threading.current_thread()
