"""Content from the store where it is there, else from where the package comes from."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ..content import (
    BlobReader,
    BytesSource,
    Downloader,
    Fetcher,
    LocalFiles,
    Meter,
    fetch_bytes,
    run_in_thread,
)
from ..content.reader import BytesStream
from ..errors import IntegrityError, NotFoundError, storage_errors
from ..layout import Layout
from ..layout.blob_folder import BlobFolder
from ..spec import Descriptor, media_types


class Nearest:
    """A store to read from: the layout of a local store before another one.

    Args:
        layout: has documents, and perhaps layers.
        indexes: where indexes are kept, which no layout lists: only one manifest of each is here.
        source: has everything.
    """

    def __init__(self, layout: Layout, indexes: BlobFolder, source: Fetcher) -> None:
        self._layout = layout
        self._indexes = indexes
        self._source = source

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content for reading, verified on the way.

        Raises:
            NotFoundError: nobody has it.
            OCIError: what the source raises.
        """
        async with AsyncExitStack() as stack:
            if descriptor.is_document:
                raw = await self._document(descriptor)
                reader = BlobReader(BytesStream(raw), descriptor)
            else:
                near = await self._layout.size_of(descriptor.digest) == descriptor.size
                opened = (self._layout if near else self._source).fetch(descriptor)
                reader = await stack.enter_async_context(opened)
            yield reader

    async def _document(self, descriptor: Descriptor) -> bytes:
        index = media_types.is_index(descriptor.media_type)
        place = self._indexes if index else self._layout
        try:
            return await fetch_bytes(place, descriptor)
        except NotFoundError:
            pass
        except IntegrityError:
            # Damaged, and in the way of the right one, whose size it may have.
            path = (
                self._indexes.file(descriptor.digest)
                if index
                else await run_in_thread(self._layout.local_path, descriptor)
            )
            if path is not None:
                with storage_errors(f"remove {path}"):
                    await run_in_thread(lambda: path.unlink(missing_ok=True))
        raw = await fetch_bytes(self._source, descriptor)
        if index:
            await self._indexes.push(descriptor, BytesSource(raw))
        return raw

    async def download(
        self,
        descriptor: Descriptor,
        path: Path,
        *,
        meter: Meter | None = None,
        durable: bool = False,
    ) -> bool:
        """Let the source write a blob to a file, if it is not here; see `Downloader`."""
        if not isinstance(self._source, Downloader):
            return False
        if await self._layout.size_of(descriptor.digest) == descriptor.size:
            return False
        return await self._source.download(descriptor, path, meter=meter, durable=durable)

    def local_path(self, descriptor: Descriptor) -> Path | None:
        """Return the file that holds a blob, here or at the source, or None; blocks."""
        here = self._layout.local_path(descriptor)
        if here is None and isinstance(self._source, LocalFiles):
            return self._source.local_path(descriptor)
        return here
