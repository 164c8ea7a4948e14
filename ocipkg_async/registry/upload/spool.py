"""Learning digest and size of a source before it is sent, for registries that take whole blobs only."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

from ...content import FileSource, Source, finish_in_thread, run_in_thread
from ...content.files import write_all
from ...content.sources import SeekableSource
from ...errors import storage_errors
from ...spec import Descriptor, Digester

_PIECE_BYTES = 4 << 20


@asynccontextmanager
async def measured(media_type: str, source: Source) -> AsyncIterator[tuple[Descriptor, Source]]:
    """Read a source to its end, and give what it is and where to read it again.

    What is not in memory or a file goes to a temporary file meanwhile.

    Raises:
        DiskFullError, StorageError: it cannot be written.
    """
    digester = Digester()
    async with AsyncExitStack() as stack:
        file: IO[bytes] | None = None
        again = source
        if not isinstance(source, SeekableSource):
            file, path = await _temporary(stack)
            again = FileSource(path)

        def take(data: bytes) -> None:
            digester.update(data)
            if file is not None:
                with storage_errors("write a temporary file"):
                    write_all(file, data)

        async with source.open() as stream:
            while data := await stream.read(_PIECE_BYTES):
                await run_in_thread(take, data)
        yield (
            Descriptor(media_type=media_type, digest=digester.digest(), size=digester.size),
            again,
        )


async def _temporary(stack: AsyncExitStack) -> tuple[IO[bytes], Path]:
    """Open a new file that is removed with `stack`."""
    made = ExitStack()
    stack.push_async_callback(finish_in_thread, made.close)

    def make() -> tuple[IO[bytes], Path]:
        with storage_errors("make a temporary file"):
            fd, name = tempfile.mkstemp(prefix="ocipkg-upload-")
            made.callback(partial(Path(name).unlink, missing_ok=True))
            return made.enter_context(os.fdopen(fd, "wb", buffering=0)), Path(name)

    return await run_in_thread(make)
