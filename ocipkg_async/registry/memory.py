"""What one client learns about registries while it runs, shared by all their repositories."""

from collections import OrderedDict
from dataclasses import dataclass, field

from ..spec import Digest
from .capabilities import Capabilities

MAX_BLOBS = 4096
"""How many blobs of one registry are remembered: some hundred bytes each."""

STREAM_BYTES = 32 << 20
"""Four parts in memory, whatever the blobs' size; of several blobs each has a share."""


class SeenBlobs:
    """In which repository of a registry a blob was seen last."""

    def __init__(self, *, max_blobs: int = MAX_BLOBS) -> None:
        self._places: OrderedDict[Digest, str] = OrderedDict()
        self._max = max_blobs

    def add(self, digest: Digest, repository: str) -> None:
        """Remember that a blob is there."""
        self._places[digest] = repository
        self._places.move_to_end(digest)
        if len(self._places) > self._max:
            self._places.popitem(last=False)

    def forget(self, digest: Digest, repository: str) -> None:
        """Forget that a blob is there: it is not, or cannot be had from there."""
        if self._places.get(digest) == repository:
            del self._places[digest]

    def elsewhere(self, digest: Digest, repository: str) -> str | None:
        """Return another repository that has the blob, or None."""
        place = self._places.get(digest)
        return None if place == repository else place


class StreamWindow:
    """How far all blobs that are read as streams may run ahead of their readers, in memory together.

    Attributes:
        open: how many such blobs there are now.
    """

    def __init__(self, *, size: int = STREAM_BYTES) -> None:
        self.open = 0
        self._size = size

    def share(self) -> int:
        """Return the bytes for one of them."""
        return self._size // max(1, self.open)


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What is known of one registry.

    Attributes:
        capabilities: how it takes uploads; see `upload.plan`.
        blobs: where its blobs are.
        window: memory for blobs that are fetched ahead of their readers.
    """

    capabilities: Capabilities = field(default_factory=Capabilities)
    blobs: SeenBlobs = field(default_factory=SeenBlobs)
    window: StreamWindow = field(default_factory=StreamWindow)


class RegistryMemory:
    """What is known of each registry."""

    def __init__(self) -> None:
        self._hosts: dict[str, HostMemory] = {}

    def of(self, registry: str) -> HostMemory:
        """Return what is known of a registry, to be read and added to.

        Args:
            registry: ``host[:port]`` that is contacted.
        """
        return self._hosts.setdefault(registry, HostMemory())
