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
from ..content.reader import MAX_DOCUMENT_BYTES, BytesStream
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
                near = await self._near(stack, descriptor)
                if near is None:
                    near = await stack.enter_async_context(self._source.fetch(descriptor))
                reader = near
            yield reader

    async def _near(self, stack: AsyncExitStack, descriptor: Descriptor) -> BlobReader | None:
        """Open a blob of the layout; None if it is not there."""
        if await self._layout.size_of(descriptor.digest) != descriptor.size:
            return None
        try:
            return await stack.enter_async_context(self._layout.fetch(descriptor))
        except NotFoundError:
            return None  # another process found it damaged, and removed it just now

    async def _document(self, descriptor: Descriptor) -> bytes:
        index = media_types.is_index(descriptor.media_type)
        raw = await self._here(descriptor, index=index)
        if raw is None:
            raw = await fetch_bytes(self._source, descriptor)
            if index:
                await self._indexes.push(descriptor, BytesSource(raw))
        return raw

    async def mend(self, descriptor: Descriptor) -> None:
        """Remove a small blob from the layout if it is damaged, so that it can be pushed again.

        Raises:
            StorageError: the file system refused.
        """
        if descriptor.size <= MAX_DOCUMENT_BYTES:
            await self._here(descriptor, index=False)

    async def _here(self, descriptor: Descriptor, *, index: bool) -> bytes | None:
        """Return what the store has; what is damaged is removed, for its size may be right."""
        try:
            return await fetch_bytes(self._indexes if index else self._layout, descriptor)
        except NotFoundError:
            return None
        except IntegrityError:
            path = (
                self._indexes.file(descriptor.digest)
                if index
                else await run_in_thread(self._layout.local_path, descriptor)
            )
            if path is not None:
                with storage_errors(f"remove {path}"):
                    await run_in_thread(lambda: path.unlink(missing_ok=True))
            return None

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
