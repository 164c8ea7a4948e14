"""Layers of an installed package that the store did not keep, from its registry."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..content import BlobReader, Meter
from ..errors import NotFoundError, TransportError
from ..spec import Descriptor, Reference

if TYPE_CHECKING:
    from ..registry import Repository


class LayerSource:
    """A repository to fetch from; its errors say how to do without it.

    Args:
        repository: where the package came from.
        reference: its name.
    """

    def __init__(self, repository: "Repository", reference: Reference) -> None:
        self._repository = repository
        self._reference = reference

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content for reading, verified on the way.

        Raises:
            NotFoundError: the registry does not have it, or cannot be reached.
        """
        async with AsyncExitStack() as stack:
            with self._needed(descriptor):
                opened = self._repository.fetch(descriptor)
                reader = await stack.enter_async_context(opened)
            yield reader

    async def download(
        self,
        descriptor: Descriptor,
        path: Path,
        *,
        meter: Meter | None = None,
        durable: bool = False,
    ) -> bool:
        """Write a blob to a file; see `Downloader`.

        Raises:
            NotFoundError: the registry does not have it, or cannot be reached.
        """
        with self._needed(descriptor):
            return await self._repository.download(descriptor, path, meter=meter, durable=durable)

    @contextmanager
    def _needed(self, descriptor: Descriptor) -> Iterator[None]:
        try:
            yield
        except (NotFoundError, TransportError) as error:
            raise NotFoundError(
                f"the store does not keep the layer {descriptor.digest.short}, and it cannot be"
                f" had from {self._reference.name}: {error}",
                hint="keep the layers, too, once there is a connection: ocipkg-async get"
                f" --keep-layers {self._reference}; or load --keep-layers what it came from",
            ) from error
