"""Every fault in every transfer: the right bytes or a typed error, nothing left, little moved twice."""

from pathlib import Path

import pytest

from faults.outcomes import Outcome
from faults.reads import READS, Read
from faults.scene import MINE, SMALL_BYTES, Content, Place, Scene, attempt, ended, opened
from faults.writes import WRITES, Write
from ocipkg_async.errors import OCIError
from server.lines import until

reads = pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=pytest.mark.interop if row.guarded else ())
        for row in READS
    ],
)
writes = pytest.mark.parametrize(
    ("row", "destination"),
    [
        pytest.param(
            row,
            registry,
            id=f"{registry}-{row.name}",
            marks=() if registry == "embedded" else pytest.mark.interop,
        )
        for row in WRITES
        for registry in ("embedded", "docker-registry")
        if not (row.guarded and registry == "embedded")  # which has no tokens
    ],
    indirect=["destination"],
)


def check(outcome: Outcome, error: OCIError | None) -> bool:
    """Check how a transfer ended; return whether with the right bytes."""
    if error is None:
        assert outcome.right, "it came to a good end, though it cannot"
        return True
    if not isinstance(error, outcome.error):
        raise error
    assert str(error)
    return False


def bounded(moved: int, scene: Scene, *, once: int, again: int) -> None:
    """Check how much was moved: all once, and again no more than what was hit."""
    hits = sum(bool(one.hits) for one in scene.proxy.exchanges)
    assert moved <= once + hits * again, [str(one) for one in scene.proxy.exchanges]


@pytest.fixture
def source(row: Read, request: pytest.FixtureRequest) -> Place:
    place: Place = request.getfixturevalue("guarded" if row.guarded else "origin")
    return place


@pytest.fixture
def target(row: Write, destination: Place, request: pytest.FixtureRequest) -> Place:
    place: Place = request.getfixturevalue("guarded") if row.guarded else destination
    return place


@reads
async def test_pull_of_one_large_blob(
    row: Read, source: Place, folder: Path, large: Content
) -> None:
    async with opened(source, folder, *row.faults) as scene:
        async with scene.client() as client:
            error = await attempt(lambda: client.pull(scene.through(large.name), scene.out))
            if error is None:
                # The proxy learns only from its next write that the client left an answer unread.
                await until(lambda: scene.proxy.busy == 0)
        right = check(row.pull, error)
        assert scene.visible() == (MINE | large.files if right else MINE)
        assert scene.proxy.hits
        bounded(scene.brought, scene, once=large.size, again=row.again)


@reads
async def test_pull_of_many_small_blobs(
    row: Read, source: Place, folder: Path, many: Content
) -> None:
    async with opened(source, folder, *row.faults) as scene:
        async with scene.client() as client:
            error = await attempt(lambda: client.pull(scene.through(many.name), scene.out))
        right = check(row.many, error)
        assert scene.visible() == (MINE | many.files if right else MINE)
        assert scene.proxy.hits
        bounded(scene.brought, scene, once=many.size, again=min(row.again, SMALL_BYTES))


@reads
async def test_copy_from(
    row: Read, source: Place, folder: Path, large: Content, repository_name: str
) -> None:
    """To another repository of the same registry, which is called by another name."""
    async with opened(source, folder, *row.faults) as scene:
        async with scene.client() as client:
            error = await attempt(
                lambda: client.copy(scene.through(large.name), scene.around(repository_name))
            )
        right = check(row.copy, error)
        assert await scene.at(repository_name) == (large.files if right else None)
        ended(scene, repository_name, given_up=0 if right else 1)
        assert scene.proxy.hits
        bounded(scene.brought, scene, once=large.size, again=row.again)


@writes
async def test_push(
    row: Write, target: Place, folder: Path, large: Content, repository_name: str
) -> None:
    files = large.write(folder / "files")
    async with opened(target, folder, *row.faults, chunk_bytes=row.chunk_bytes) as scene:
        async with scene.client() as client:
            error = await attempt(lambda: client.push_files(scene.through(repository_name), files))
        right = check(row.push, error)
        assert await scene.at(repository_name) == (large.files if right else None)
        ended(scene, repository_name)
        assert right or not row.faults or scene.proxy.hits
        bounded(scene.proxy.received("/uploads/"), scene, once=large.size + 2, again=row.again)


@writes
async def test_copy_to(
    *,
    row: Write,
    target: Place,
    origin: Place,
    folder: Path,
    large: Content,
    repository_name: str,
) -> None:
    async with opened(target, folder, *row.faults, chunk_bytes=row.chunk_bytes) as scene:
        async with scene.client() as client:
            error = await attempt(
                lambda: client.copy(
                    f"{origin.host}/{large.name}:v1", scene.through(repository_name)
                )
            )
        right = check(row.copy, error)
        assert await scene.at(repository_name) == (large.files if right else None)
        ended(scene, repository_name, given_up=0 if right else 1)
        bounded(scene.proxy.received("/uploads/"), scene, once=large.size + 2, again=row.again)
