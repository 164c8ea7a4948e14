"""Compression of a stream in threads, with bytes that do not depend on their number. Blocking.

gzip: the stream is cut into blocks of one size. Each is compressed on its own, with the last
32 KiB before it as dictionary, up to a byte boundary; joined they are one raw deflate stream
(RFC 1951), framed as a single gzip member (RFC 1952), since many readers stop after the first
member. zstd: one frame from the library's own threads, whose job size is fixed.
"""

import os
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from isal import isal_zlib

from ..errors import InvalidArgumentError, UnsupportedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Algorithm = Literal["gzip", "zstd", "none"]
Piece = bytes | bytearray | memoryview

BLOCK_BYTES = 1 << 20
"""What one gzip job takes. Part of the format: another size is another digest.

Half of it costs speed, twice of it memory, and neither gains a thousandth in size.
"""
_WINDOW_BYTES = 32 << 10
# isal chooses code by CPU. Levels 0 to 2 give the same bytes on all x86-64 with SSE4.2 (since 2008),
# and on all ARM64, though other ones; level 3 changes with AVX2 and AVX-512.
_MAX_ISAL_LEVEL = 2
_DEFAULT_GZIP_LEVEL = 2
# Deflate blocks end, and Huffman tables start anew, when isal's buffer is full. The small one
# gives 2 % smaller results than the default at the same speed.
_ISAL_MEMORY_LEVEL = 3
_DEFAULT_ZSTD_LEVEL = 3
# Larger jobs give little; this bounds memory and decides the bytes, so it must not follow threads.
_ZSTD_JOB_BYTES = 2 << 20
_MAX_DEFAULT_THREADS = 16
_OUTPUT_BYTES = 1 << 20  # each piece handed on costs the reader a hop between threads

# Magic, deflate, no flags, no time, no extra flags, unknown system: nothing of this machine.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_DEFLATE_BLOCK = b"\x03\x00"  # final, fixed Huffman codes, empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How a layer is compressed.

    Attributes:
        algorithm: ``gzip``, ``zstd`` or ``none``.
        level: None for the default. gzip: 0 to 2 are fast, and for one version of isal give the
            same bytes on every x86-64 since 2008, and others on every ARM64; 3 to 9 are smaller,
            about ten times slower, and give the same bytes everywhere for one version of the zlib
            that Python was built with. zstd: 1 to 22, the same everywhere for one version.
        threads: how many compress at once; None for the number of CPUs. It never changes bytes.

    Raises:
        InvalidArgumentError: an unknown algorithm, or a level or number outside its range.
    """

    algorithm: Algorithm = "gzip"
    level: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        ranges = {"gzip": range(10), "zstd": range(1, 23), "none": range(0)}
        if self.algorithm not in ranges:
            raise InvalidArgumentError(
                f"{self.algorithm!r} is not a compression", hint="use gzip, zstd or none"
            )
        levels = ranges[self.algorithm]
        if self.level is not None and self.level not in levels:
            span = f"from {levels[0]} to {levels[-1]}" if levels else "none"
            raise InvalidArgumentError(
                f"{self.algorithm} has no level {self.level}", hint=f"its levels: {span}"
            )
        if self.threads is not None and self.threads < 1:
            raise InvalidArgumentError(f"{self.threads} threads cannot compress anything")


DEFAULT = Compression()


class Sink(Protocol):
    """Takes the bytes to compress."""

    def write(self, data: Piece, /) -> None:
        """Add `data`, which must not change afterwards: it may be read later."""
        ...


@contextmanager
def compress_to(compression: Compression, write: Callable[[bytes], object]) -> Iterator[Sink]:
    """Compress what is written to the sink, and hand it to `write` in the caller's thread.

    Memory is bounded by two blocks for each thread, whatever the length of the stream. Leaving
    the block writes the end of the stream; after an exception it does not, and in both cases all
    threads have ended.

    Args:
        compression: how.
        write: takes the compressed bytes, in pieces of about a megabyte.

    Raises:
        UnsupportedError: this Python's zstd library was built without threads.
    """
    output = _Output(write)
    threads = compression.threads or min(_cpus(), _MAX_DEFAULT_THREADS)
    if compression.algorithm == "none":
        yield output
    elif compression.algorithm == "zstd":
        zstd_sink = _Zstd(output, level=compression.level or _DEFAULT_ZSTD_LEVEL, threads=threads)
        yield zstd_sink
        zstd_sink.finish()
    else:
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(threads, thread_name_prefix="compress")
            stack.callback(pool.shutdown, cancel_futures=True)
            level = _DEFAULT_GZIP_LEVEL if compression.level is None else compression.level
            gzip_sink = _Gzip(output, pool, level=level, ahead=threads + 2)
            yield gzip_sink
            gzip_sink.finish()
    output.flush()


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Output:
    """Gathers small pieces."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._pieces: list[Piece] = []
        self._length = 0

    def write(self, data: Piece, /) -> None:
        if not data:
            return
        self._pieces.append(data)
        self._length += len(data)
        if self._length >= _OUTPUT_BYTES:
            self.flush()

    def flush(self) -> None:
        pieces, self._pieces, self._length = self._pieces, [], 0
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            self._write(pieces[0])
        elif pieces:
            self._write(b"".join(pieces))


def deflate_block(data: Piece, dictionary: Piece, level: int) -> tuple[bytes, bytes]:
    """Return one block as raw deflate that ends on a byte boundary and is not the last.

    It comes in two pieces, to be joined with others: joining these too would be one more copy.

    Args:
        data: the block.
        dictionary: up to 32 KiB before it.
        level: 0 to 2 for isal, above for zlib.
    """
    if level <= _MAX_ISAL_LEVEL:
        fast = isal_zlib.compressobj(
            level, wbits=-15, memLevel=_ISAL_MEMORY_LEVEL, zdict=dictionary
        )
        return fast.compress(data), fast.flush(isal_zlib.Z_SYNC_FLUSH)
    slow = zlib.compressobj(level, wbits=-15, zdict=dictionary)
    return slow.compress(data), slow.flush(zlib.Z_SYNC_FLUSH)


class _Gzip:
    def __init__(
        self, output: _Output, pool: ThreadPoolExecutor, *, level: int, ahead: int
    ) -> None:
        self._output = output
        self._pool = pool
        self._level = level
        self._ahead = ahead
        self._jobs: deque[Future[tuple[tuple[bytes, bytes], int, int]]] = deque()
        self._partial = bytearray()
        self._window: Piece = b""
        self._crc = 0
        self._size = 0
        output.write(_GZIP_HEADER)

    def write(self, data: Piece, /) -> None:
        view = memoryview(data)
        while view:
            if not self._partial and len(view) >= BLOCK_BYTES:
                self._submit(view[:BLOCK_BYTES])
                view = view[BLOCK_BYTES:]
                continue
            taken = BLOCK_BYTES - len(self._partial)
            self._partial += view[:taken]
            view = view[taken:]
            if len(self._partial) == BLOCK_BYTES:
                block, self._partial = self._partial, bytearray()
                self._submit(memoryview(block))

    def finish(self) -> None:
        if self._partial:
            self._submit(memoryview(self._partial))
        while self._jobs:
            self._collect()
        size = self._size & 0xFFFFFFFF
        self._output.write(_LAST_DEFLATE_BLOCK)
        self._output.write(self._crc.to_bytes(4, "little") + size.to_bytes(4, "little"))

    def _submit(self, block: memoryview) -> None:
        while len(self._jobs) >= self._ahead:
            self._collect()
        self._jobs.append(self._pool.submit(_deflate, block, self._window, self._level))
        self._window = block[-_WINDOW_BYTES:]

    def _collect(self) -> None:
        pieces, crc, size = self._jobs.popleft().result()
        self._crc = isal_zlib.crc32_combine(self._crc, crc, size)
        self._size += size
        for piece in pieces:
            self._output.write(piece)


def _deflate(
    block: memoryview, dictionary: Piece, level: int
) -> tuple[tuple[bytes, bytes], int, int]:
    return deflate_block(block, dictionary, level), isal_zlib.crc32(block), len(block)


class _Zstd:
    def __init__(self, output: _Output, *, level: int, threads: int) -> None:
        option = zstd.CompressionParameter
        most = option.nb_workers.bounds()[1]
        if most < 1:
            raise UnsupportedError(
                "this Python's zstd library has no threads, and would write other bytes than others",
                hint="use gzip",
            )
        # With one worker the library cuts jobs as it does with many; without, it does not.
        self._compressor = zstd.ZstdCompressor(
            options={
                option.compression_level: level,
                option.nb_workers: min(threads, most),
                option.job_size: _ZSTD_JOB_BYTES,
            }
        )
        self._output = output

    def write(self, data: Piece, /) -> None:
        self._output.write(self._compressor.compress(data))

    def finish(self) -> None:
        self._output.write(self._compressor.flush())
