"""What another process removes from a layout at any moment is not there; nothing else fails."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from layout.samples import index_of, layer, manifest, push, push_image
from moments import Remover
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import NotFoundError
from ocipkg_async.layout import Layout
from ocipkg_async.spec import Descriptor, Digest
from ocipkg_async.spec.image_layout import blob_path

LOOSE, LOOSE_BYTES = layer("nobody lists it")
LAYER, _ = layer("child")
CHILD = manifest(LAYER)
INDEX = index_of(CHILD)

Work = Callable[[Layout], Awaitable[object]]


@pytest.fixture
def remover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remover:
    return Remover(tmp_path / "layout", monkeypatch)


async def kinds(layout: Layout) -> tuple[str, ...]:
    return tuple(problem.kind for problem in await layout.verify())


async def fetched(layout: Layout) -> bytes:
    async with layout.fetch(LOOSE) as reader:
        return await reader.read_all(max_bytes=1000)


async def resolved(layout: Layout) -> Descriptor:
    return await layout.resolve(CHILD.digest)


async def collected(layout: Layout) -> tuple[tuple[Digest, int], ...]:
    return tuple(await layout.collect(grace_s=0))


async def deleted(layout: Layout) -> None:
    await layout.delete(LOOSE)


@pytest.mark.parametrize(
    ("work", "removed", "results"),
    [
        (kinds, LOOSE.digest, [()]),
        (kinds, LAYER.digest, [(), ("missing",)]),
        (kinds, INDEX.digest, [(), ("missing",)]),
        (fetched, LOOSE.digest, [LOOSE_BYTES, NotFoundError]),
        (resolved, CHILD.digest, [CHILD.descriptor, NotFoundError]),
        (collected, LOOSE.digest, [(), ((LOOSE.digest, LOOSE.size),)]),
        (deleted, LOOSE.digest, [None, NotFoundError]),
    ],
)
async def test_removed_at_each_step(
    remover: Remover, work: Work, removed: Digest, results: list[object]
) -> None:
    path = remover.folder
    full = path.with_name("full")
    layout = await Layout.open(full, create=True, flush="none")
    await push_image(layout, "child")
    await push(layout, INDEX)
    await layout.push(LOOSE, BytesSource(LOOSE_BYTES))
    step, was_removed = 0, True
    seen: list[object] = []
    while was_removed:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(full, path)
        remover.arm(path / blob_path(removed), before=step)
        try:
            result: object = await work(await Layout.open(path, flush="all"))
        except NotFoundError:
            result = NotFoundError
        was_removed = remover.disarm()
        assert result in results, step
        seen.append(result)
        step += 1
    assert all(result in seen for result in results)
