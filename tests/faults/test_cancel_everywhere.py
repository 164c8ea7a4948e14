"""A transfer that is cancelled wherever it waits leaves nothing, or what the next one goes on with.

All of its tasks are counted, each time that one is suspended. The points are too many for each run
of the tests: they are taken in steps, from a beginning that is drawn anew. ``nox -s kills`` takes
them all.
"""

import asyncio
import os
import random
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from faults.killing import SEED
from faults.suspending import Way, counting, run_cancelled
from ocipkg_async import Client, ClientOptions, sync
from ocipkg_async.content import FileSource
from ocipkg_async.content.locks import file_lock
from ocipkg_async.package import ArtifactFile
from ocipkg_async.registry import TransferOptions
from ocipkg_async.spec import Descriptor
from ocipkg_async.testing import RunningRegistry, run_registry
from ocipkg_async.transport import TransportOptions

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc"),
    pytest.mark.timeout(3600 if os.environ.get("OCIPKG_TEST_CANCEL_ALL") else 120),
]

SIZE = 1 << 20
PART_BYTES = 64 << 10
CONNECTIONS = 4
POINTS = 10**9 if os.environ.get("OCIPKG_TEST_CANCEL_ALL") else 8
DATA = random.Random(3).randbytes(SIZE)  # noqa: S311 - content
BLOB = Descriptor.of(DATA, "application/octet-stream")
HANG_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Places:
    """Two registries in threads of their own; the first has an artifact with the blob."""

    origin: RunningRegistry
    other: RunningRegistry
    artifact: str
    original: Path

    def found(self, registry: RunningRegistry, name: str) -> bytes | None:
        """What a registry has of the blob."""
        file = registry.root / name / "blobs" / "sha256" / BLOB.digest.encoded
        return file.read_bytes() if file.exists() else None


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("cancelled")
    original = folder / "large.bin"
    original.write_bytes(DATA)
    with run_registry(folder / "origin") as origin, run_registry(folder / "other") as other:
        artifact = f"{origin.host}/artifact:v1"
        with sync.Client(ClientOptions(store=folder / "store")) as client:
            client.push_files(artifact, [ArtifactFile(path=original, title="large.bin")])
        yield Places(origin=origin, other=other, artifact=artifact, original=original)


@dataclass(kw_only=True)
class Scene:
    """A folder and a client that did nothing yet."""

    client: Client
    places: Places
    folder: Path
    name: str

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def pushed(self) -> str:
        return f"{self.places.other.host}/{self.name}:v1"

    @property
    def resumable(self) -> bool:
        return self.client.options.transfer.resume


Work = Callable[[Scene], Awaitable[object]]


async def download(scene: Scene) -> None:
    repository = scene.client.repository(scene.places.artifact)
    assert await repository.download(BLOB, scene.out / "blob")


async def stream(scene: Scene) -> None:
    repository = scene.client.repository(scene.places.artifact)
    read = bytearray()
    async with repository.fetch(BLOB) as reader:
        while data := await reader.read():
            read += data
    assert bytes(read) == DATA


async def push(scene: Scene) -> None:
    repository = scene.client.repository(scene.pushed)
    await repository.push(BLOB, await FileSource.of(scene.places.original))


async def copy(scene: Scene) -> None:
    await scene.client.copy(scene.places.artifact, scene.pushed)


async def get(scene: Scene) -> None:
    await scene.client.get(scene.places.artifact)


async def pull(scene: Scene) -> None:
    await scene.client.pull(scene.places.artifact, scene.out / "pulled")


def file_of(name: str) -> Callable[[Scene], bytes | None]:
    def result(scene: Scene) -> bytes | None:
        file = scene.out / name
        return file.read_bytes() if file.exists() else None

    return result


def read_nothing(scene: Scene) -> bytes | None:
    return DATA


def of_registry(scene: Scene) -> bytes | None:
    return scene.places.found(scene.places.other, scene.name)


def of_store(scene: Scene) -> bytes | None:
    packages = scene.folder / "store" / "packages"
    found = [file for file in packages.rglob("large.bin") if "/.tmp-" not in str(file)]
    return found[0].read_bytes() if found else None


_RANGES = TransferOptions(part_bytes=PART_BYTES, connections=CONNECTIONS)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A transfer.

    Attributes:
        work: does it.
        result: the bytes that it made visible, or None.
        least: how many places it waits at, at least.
        transfer: how it is done.
    """

    work: Work
    result: Callable[[Scene], bytes | None]
    least: int
    transfer: TransferOptions = field(default=_RANGES)


CASES = {
    "download": Case(work=download, result=file_of("blob"), least=60),
    "download-once": Case(
        work=download,
        result=file_of("blob"),
        least=60,
        transfer=replace(_RANGES, resume=False),
    ),
    "stream": Case(work=stream, result=read_nothing, least=30),
    "push": Case(work=push, result=of_registry, least=15),
    "push-chunks": Case(
        work=push,
        result=of_registry,
        least=120,
        transfer=replace(_RANGES, chunk_bytes=PART_BYTES),
    ),
    "copy": Case(work=copy, result=of_registry, least=60),
    "get": Case(work=get, result=of_store, least=150),
    "pull": Case(work=pull, result=file_of("pulled/large.bin"), least=90),
}


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def descriptors() -> dict[str, str]:
    """What is open in this process."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:
            continue  # it was that of this listing
    return found


def in_use(client: Client) -> int:
    """Connections that carry a request."""
    session = client._stores.network.transport._connections._session
    assert session is not None
    assert session.connector is not None
    return len(session.connector._acquired)


async def check_left(case: Case, scene: Scene, tasks: set[asyncio.Task[object]]) -> None:
    """Nothing is left of a transfer that was cancelled, but what the next one goes on with."""
    assert asyncio.all_tasks() == tasks
    assert in_use(scene.client) == 0
    opened = [name for name in descriptors().values() if name.startswith(str(scene.folder))]
    assert opened == []
    for lock in scene.folder.rglob("*.lock"):
        async with file_lock(lock, timeout_s=0):
            pass
    with anyio.fail_after(HANG_S):
        # A request that broke off may still be written.
        while list((scene.places.other.root / "_uploads").iterdir()):  # noqa: ASYNC110
            await anyio.sleep(0.001)
    assert case.result(scene) in {None, DATA}
    left = [name for name in files(scene.folder) if name.rpartition("/")[2].startswith(".")]
    assert not [name for name in left if ".tmp-" in name]
    if not scene.resumable:
        assert left == []
    if scene.out.exists():
        shown = [name for name in files(scene.out) if not any(p[0] == "." for p in name.split("/"))]
        assert len(shown) == (case.result(scene) is not None)


async def cancel_at(
    case: Case, places: Places, folder: Path, name: str, *, at: int | None, way: Way
) -> int:
    """Cancel a transfer at one place, look what is left, and do it again; return how many there are."""
    folder.mkdir()
    options = ClientOptions(
        store=folder / "store",
        transfer=case.transfer,
        transport=TransportOptions(connections_per_host=CONNECTIONS),
    )
    before, tasks = descriptors(), asyncio.all_tasks()
    async with Client(options) as client:
        scene = Scene(client=client, places=places, folder=folder, name=name)
        with anyio.fail_after(HANG_S):
            finished, count = await run_cancelled(lambda: case.work(scene), at=at, way=way)
        if at is None:
            assert finished
        if finished:
            assert case.result(scene) == DATA
        await check_left(case, scene, tasks)
        with anyio.fail_after(HANG_S):
            if case.work is not pull or case.result(scene) is None:  # it does not overwrite
                await case.work(scene)
        assert case.result(scene) == DATA
        if case.work is get:
            assert await client.verify() == []
    assert asyncio.all_tasks() == tasks
    with anyio.fail_after(HANG_S):
        while len(descriptors()) > len(before):  # noqa: ASYNC110 - another thread hangs up
            await anyio.sleep(0.001)
    assert not [file for file in files(folder) if ".partial" in file or ".tmp-" in file]
    shutil.rmtree(folder)
    return count


@pytest.mark.parametrize("way", ["asyncio", "anyio"])
@pytest.mark.parametrize("name", CASES)
async def test_cancelled_wherever_it_waits(
    name: str, way: Way, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    repository = f"{name}-{way}"
    with counting():
        # What is done once in a process is done in the first run.
        await cancel_at(case, places, tmp_path / "0", f"{repository}/first", at=None, way=way)
        count = await cancel_at(
            case, places, tmp_path / "1", f"{repository}/second", at=None, way=way
        )
        step = max(1, count // POINTS)
        points = range(SEED % step, count, step)
        for at in points:
            await cancel_at(
                case, places, tmp_path / "cancelled", f"{repository}/at/{at}", at=at, way=way
            )
    with capsys.disabled():
        print(f"\n{name}, {way}: cancelled at {len(points)} of {count} places, seed {SEED}")  # noqa: T201 - for all to see
    assert count >= case.least
