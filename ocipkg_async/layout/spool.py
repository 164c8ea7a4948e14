"""A compressed archive, decompressed once into a private file that has no name."""

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import IO, cast

from isal import igzip, isal_zlib

from ..content import run_in_thread
from ..content.files import write_all
from ..errors import InvalidLayoutError, LimitExceededError, storage_errors
from .random_file import RandomFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
MAX_RATIO = 250
"""Decompressed bytes for one compressed byte. Real archives stay far below; bombs reach 1,000."""
_RATIO_GRACE_BYTES = 256 << 20
MAX_BYTES = 64 << 30
"""Decompressed size of one archive; the spool file takes as much of the temporary folder."""
_PIECE_BYTES = 4 << 20
# The format allows windows up to 2 GiB, held in memory; 128 MiB is what the zstd command accepts.
_ZSTD_WINDOW_LOG = 27
_IsalError: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]  # its stub has no base


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with `head` is compressed in a way that is read here."""
    return head.startswith((GZIP, ZSTD))


def open_decompressed(file: IO[bytes], head: bytes) -> IO[bytes]:
    """Return a stream of the decompressed bytes of `file`, which stands at its first byte."""
    if head.startswith(GZIP):
        return cast("IO[bytes]", igzip.IGzipFile(fileobj=file, mode="rb"))  # type: ignore[no-untyped-call]
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    return cast("IO[bytes]", zstd.ZstdFile(file, "rb", options=options))


def read_decompressed(stream: IO[bytes], length: int, *, name: str) -> bytes:
    """Read from what `open_decompressed` returned.

    Raises:
        InvalidLayoutError: the compressed data is damaged or cut off.
        OSError: the file cannot be read.
    """
    try:
        return stream.read(length)
    except (EOFError, igzip.BadGzipFile, _IsalError, zstd.ZstdError) as error:
        raise InvalidLayoutError(
            f"{name} is damaged or cut off: {error}", hint="fetch or copy the archive again"
        ) from error


@asynccontextmanager
async def spooled(
    file: IO[bytes], head: bytes, *, name: str, max_bytes: int
) -> AsyncIterator[RandomFile]:
    """Decompress `file` into a temporary file that vanishes with the block.

    Args:
        file: the compressed archive, at its first byte.
        head: its first bytes.
        name: what it is, for errors.
        max_bytes: how large the result may be.

    Raises:
        InvalidLayoutError: the compressed data is damaged or cut off.
        LimitExceededError: it expands too far.
        DiskFullError, StorageError: the temporary folder is full or cannot be written.
    """
    with storage_errors(f"read {name}"):
        compressed = os.fstat(file.fileno()).st_size
        limit = min(max_bytes, MAX_RATIO * compressed + _RATIO_GRACE_BYTES)
        stream = open_decompressed(file, head)
        with ExitStack() as stack:
            spool = await run_in_thread(
                lambda: stack.enter_context(tempfile.TemporaryFile(buffering=0))
            )

            def step() -> int:
                data = read_decompressed(stream, _PIECE_BYTES, name=name)
                with storage_errors(f"decompress {name} into the temporary folder"):
                    write_all(spool, data)
                return len(data)

            done = 0
            while length := await run_in_thread(step):
                done += length
                if done > limit:
                    raise LimitExceededError(
                        f"{name} expands to more than {limit} bytes",
                        hint="decompress it yourself if you trust it",
                    )
            yield RandomFile(spool.fileno(), name=name)
