"""Transfers through faulty proxies, and what they leave: bytes moved, files, sessions, tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from faulty.faults import Fault, name_of
from faulty.proxy import FaultyProxy
from ocipkg_async import Client, ClientOptions
from ocipkg_async.errors import NotFoundError, OCIError
from ocipkg_async.package import ArtifactFile
from ocipkg_async.registry import TransferOptions
from ocipkg_async.spec import Reference
from ocipkg_async.transport import Credential, RetryPolicy, StaticCredentials, TransportOptions
from registries import RunningRegistry

PART_BYTES = 256 << 10
CONNECTIONS = 4
LARGE_BYTES = 2 * (1 << 20) + 12_345
"""Many parts, and the last one not full."""
SMALL_BYTES = 16 << 10
SMALL_COUNT = 24
SILENCE_S = 1.0
"""How long a connection is waited for where one stalls; elsewhere a busy machine has its time."""
ANSWER_S = 2.0
"""How long an answer to an upload is waited for, there."""
NET_S = 60.0
"""Nothing takes so long that does not hang."""

MINE = {"mine.txt": b"mine"}
"""What lies in the output folder before."""

RETRY = RetryPolicy(attempts=5, first_wait_s=0.01, longest_wait_s=0.02, deadline_s=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An artifact that the registries hold.

    Attributes:
        name: its repository; the tag is ``v1``.
        files: by name.
    """

    name: str
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))

    def write(self, folder: Path) -> list[ArtifactFile]:
        """Write the files, to be pushed."""
        folder.mkdir()
        made = []
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
            made.append(ArtifactFile(path=folder / name, title=name))
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A registry, and how to look into it.

    Attributes:
        registry: where it is.
        uploads: what a repository's open upload sessions are found by.
    """

    registry: RunningRegistry
    uploads: Callable[[str], Iterable[Path]]

    @property
    def host(self) -> str:
        return self.registry.host


def credentials(registry: RunningRegistry, *hosts: str) -> StaticCredentials | None:
    """What a registry wants to see, for each host that leads to it."""
    if registry.username is None:
        return None
    credential = Credential(username=registry.username, password=registry.password or "")
    return StaticCredentials(dict.fromkeys((registry.host, *hosts), credential))


@dataclass(slots=True, kw_only=True)
class Scene:
    """A proxy before a registry, and a folder to work in."""

    place: Place
    proxy: FaultyProxy
    clean: FaultyProxy
    folder: Path
    chunk_bytes: int | None = None
    stalls: bool = False

    @asynccontextmanager
    async def client(self, *, connections_per_host: int = 16) -> AsyncIterator[Client]:
        options = ClientOptions(
            store=self.folder / "store",
            transfer=TransferOptions(
                part_bytes=PART_BYTES, connections=CONNECTIONS, chunk_bytes=self.chunk_bytes
            ),
            transport=TransportOptions(
                retry=RETRY,
                connections_per_host=connections_per_host,
                read_timeout_s=SILENCE_S if self.stalls else NET_S,
                answer_timeout_s=ANSWER_S if self.stalls else NET_S,
            ),
        )
        known = credentials(self.place.registry, self.proxy.host, self.clean.host)
        async with Client(options, credentials=known) as client:
            yield client

    def through(self, name: str) -> str:
        """A repository's reference through the proxy."""
        return f"{self.proxy.host}/{name}:v1"

    def around(self, name: str) -> str:
        """A repository's reference through a proxy that does nothing wrong."""
        return f"{self.clean.host}/{name}:v1"

    def direct(self, name: str) -> str:
        """A repository's reference at the registry itself."""
        return f"{self.place.host}/{name}:v1"

    @property
    def brought(self) -> int:
        """Bytes of blobs that came through the proxy, error documents left aside."""
        good = (one for one in self.proxy.exchanges if one.status in {200, 206})
        return sum(one.sent for one in good if "/blobs/sha256:" in one.target)

    def left_open(self, name: str) -> tuple[int, int]:
        """Upload sessions that are open, and how many of them the client could not end.

        Distribution 2.8 takes no DELETE for a session whose newest state was lost in a cut, and
        nobody knows a session whose POST was not answered.
        """
        lost = sum(
            (one.method, one.status) in {("DELETE", 404), ("POST", 0)} or "forget" in one.hits
            for one in self.proxy.exchanges + self.clean.exchanges
        )
        return len(list(self.place.uploads(name))), lost

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def visible(self) -> dict[str, bytes]:
        """What a user finds in the output folder."""
        if not self.out.exists():
            return {}
        files = (path for path in self.out.rglob("*") if path.is_file())
        shown = {str(path.relative_to(self.out)): path.read_bytes() for path in files}
        return {name: data for name, data in shown.items() if not name.startswith(".")}

    async def at(self, name: str) -> dict[str, bytes] | None:
        """The files of the artifact that the registry has, or None: it has no such tag."""
        async with Client(credentials=credentials(self.place.registry)) as client:
            repository = client.repository(Reference.parse(self.direct(name)))
            try:
                root = await repository.resolve("v1")
            except NotFoundError:
                return None
            target = self.folder / "check"
            await client.pull(self.direct(name), target)
        assert root.size
        return {path.name: path.read_bytes() for path in target.iterdir()}


@asynccontextmanager
async def opened(
    place: Place, folder: Path, *faults: Fault, chunk_bytes: int | None = None
) -> AsyncIterator[Scene]:
    """A scene that, when it ends, has no connection and no task more than when it began."""
    async with FaultyProxy(place.host, *faults) as proxy, FaultyProxy(place.host) as clean:
        before = asyncio.all_tasks()
        yield Scene(
            place=place,
            proxy=proxy,
            clean=clean,
            folder=folder,
            chunk_bytes=chunk_bytes,
            stalls=any("stall" in name_of(fault) for fault in faults),
        )
        with anyio.fail_after(20):
            await proxy.settle()
            await clean.settle()
            while asyncio.all_tasks() - before:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)


async def attempt(action: Callable[[], object]) -> OCIError | None:
    """Await what `action` returns; return the error of ours that it failed with, if it did."""
    with anyio.fail_after(NET_S):
        try:
            await action()  # type: ignore[misc]
        except OCIError as error:
            return error
    return None


def ended(scene: Scene, name: str, *, given_up: int = 0) -> None:
    """Check that no upload session is open that the client could have ended.

    Args:
        scene: what happened.
        name: the repository.
        given_up: blobs that may have been about to open one when another blob failed.
    """
    left, lost = scene.left_open(name)
    assert left <= lost + given_up, [str(one) for one in scene.proxy.exchanges]
