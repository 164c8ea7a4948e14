"""Edits of index.json that several tasks want at once: written together, refused each for itself."""

import asyncio
import errno
import json
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from layout.samples import layer, manifest, push_image
from ocipkg_async.content import BytesSource
from ocipkg_async.content.locks import file_lock
from ocipkg_async.errors import LimitExceededError, NotFoundError, StorageError
from ocipkg_async.layout import Layout
from ocipkg_async.layout.opening import LOCK
from ocipkg_async.spec import Descriptor
from ocipkg_async.spec.annotations import REF_NAME
from ocipkg_async.spec.image_layout import blob_path

WAITING = 20


@pytest.fixture
async def layout(tmp_path: Path) -> Layout:
    return await Layout.open(tmp_path / "layout", create=True, flush="none")


@asynccontextmanager
async def held_back(
    layout: Layout, *work: Coroutine[Any, Any, object], blobs: int = 0
) -> AsyncIterator[Any]:
    """Start some work that has to wait, as another process holds the layout until the block ends.

    Args:
        layout: what is held.
        work: what has to wait.
        blobs: how many blobs there are when all of it waits.
    """
    async with file_lock(layout.path / LOCK):
        tasks = [asyncio.create_task(one) for one in work]
        with anyio.fail_after(60):
            while blobs_in(layout) < blobs:  # noqa: ASYNC110 - files are no event
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)  # each is where it has to wait, or joins the others later
        assert not any(task.done() for task in tasks)
        yield tasks
    await asyncio.wait(tasks)


def blobs_in(layout: Layout) -> int:
    return len(list((layout.path / "blobs" / "sha256").glob("[!.]*")))


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a file of each name was put in its place."""
    count: Counter[str] = Counter()
    replace = Path.replace

    def counting(self: Path, target: Path) -> Path:
        count[target.name] += 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", counting)
    return count


async def test_what_waits_is_written_together(layout: Layout, replaced: Counter[str]) -> None:
    images = [manifest(layer(f"{number}")[0]) for number in range(WAITING)]
    async with held_back(
        layout,
        *(
            layout.push_tagged(one.descriptor, BytesSource(one.raw), f"v{number:02}")
            for number, one in enumerate(images)
        ),
        blobs=blobs_in(layout) + WAITING,
    ) as tasks:
        pass
    for task in tasks:
        task.result()
    assert replaced["index.json"] < WAITING // 2
    again = await Layout.open(layout.path)
    assert await again.tags() == [f"v{number:02}" for number in range(WAITING)]
    for number, one in enumerate(images):
        assert await again.resolve(f"v{number:02}") == one.descriptor


async def test_each_is_refused_for_itself(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v0")
    async with held_back(
        layout,
        layout.tag(image.descriptor, "v1"),
        layout.untag("nothing"),
        layout.tag(image.descriptor, "v2"),
        layout.untag("v0"),
        layout.untag("v0"),  # of two only one can
    ) as tasks:
        pass
    errors = [type(task.exception()) for task in tasks]
    assert errors[:3] == [type(None), NotFoundError, type(None)]
    assert set(errors[3:]) == {type(None), NotFoundError}
    assert await layout.tags() == ["v1", "v2"]


async def test_who_waits_beside_one_that_is_refused_can_give_up(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await push_image(layout)
    for _ in range(10):
        landed = await give_up_beside_one_that_is_refused(layout, image.descriptor, monkeypatch)
        if len(landed) < 3:
            break
    else:
        pytest.fail("what was given up is done all the same")


async def give_up_beside_one_that_is_refused(
    layout: Layout, image: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Set three tags, of which two are given up at the first write; return which are there.

    What had begun is done, which on a busy machine may be all three.
    """
    reached, go_on = threading.Event(), threading.Event()
    replace = Path.replace

    def waiting(self: Path, target: Path) -> Path:
        if target.name == "index.json":
            reached.set()
            go_on.wait(20)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", waiting)
        async with held_back(
            layout,
            layout.tag(image, "v0"),
            layout.untag("nothing"),
            layout.tag(image, "v1"),
            layout.tag(image, "v2"),
        ) as tasks:

            async def give_up() -> None:
                await anyio.to_thread.run_sync(reached.wait, 20)
                tasks[2].cancel()
                tasks[3].cancel()
                await asyncio.wait(tasks[2:], return_when=asyncio.FIRST_COMPLETED)
                go_on.set()

            giving_up = asyncio.create_task(give_up())
        await giving_up
    assert isinstance(tasks[1].exception(), NotFoundError)
    landed = await layout.tags()
    assert "v0" in landed
    for name in landed:
        await layout.untag(name)
    return landed


async def test_one_that_is_too_large_keeps_no_other_out(layout: Layout) -> None:
    image = await push_image(layout)
    tree: dict[str, Any] = json.loads((layout.path / "index.json").read_text())
    tree["manifests"][0]["annotations"] = {"text": "x" * ((20 << 20) - 2000)}
    (layout.path / "index.json").write_text(json.dumps(tree))
    async with held_back(
        layout,
        layout.tag(image.descriptor, "v1"),
        layout.tag(image.descriptor, "v2" * 1000),
        layout.tag(image.descriptor, "v3"),
    ) as tasks:
        pass
    assert [type(task.exception()) for task in tasks] == [
        type(None),
        LimitExceededError,
        type(None),
    ]
    assert await layout.tags() == ["v1", "v3"]


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1], [1, 3], [0, 1, 2, 3]])
async def test_who_gives_up_leaves_the_others(layout: Layout, cancelled: list[int]) -> None:
    """The first one waits for the other process, and the rest for the first one."""
    image = await push_image(layout)
    async with held_back(
        layout, *(layout.tag(image.descriptor, f"v{number}") for number in range(4))
    ) as tasks:
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.wait([tasks[number] for number in cancelled])
    assert [number for number in range(4) if tasks[number].cancelled()] == cancelled
    rest = [f"v{number}" for number in range(4) if number not in cancelled]
    assert await layout.tags() == rest
    await layout.tag(image.descriptor, "v9")  # nothing is left of what was given up
    assert await layout.tags() == [*rest, "v9"]


async def test_a_broken_index_is_an_error_for_all_and_later_for_none(layout: Layout) -> None:
    image = await push_image(layout)
    whole = (layout.path / "index.json").read_bytes()
    async with held_back(
        layout, *(layout.tag(image.descriptor, f"v{number}") for number in range(3))
    ) as tasks:
        (layout.path / "index.json").unlink()
    errors = [task.exception() for task in tasks]
    assert all(isinstance(error, Exception) and "index.json" in str(error) for error in errors)
    assert len(set(map(id, errors))) == 3
    (layout.path / "index.json").write_bytes(whole)
    await layout.tag(image.descriptor, "v1")
    assert [entry.annotations for entry in await layout.entries()] == [{REF_NAME: "v1"}]


class Disk:
    """Flushes that are counted, and fail while `broken` is a file or folder that is flushed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: Path | None = None
        self.flushed: list[Path] = []
        flush = os.fsync

        def fsync(fd: int) -> None:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            if path == self.broken:
                raise OSError(errno.EIO, "broken")
            flush(fd)
            self.flushed.append(path)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
async def test_what_could_not_be_flushed_is_an_error_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in its place by then, so whoever looks finds that all is done."""
    layout = await Layout.open(tmp_path / "layout", create=True)
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v0")
    disk = Disk(monkeypatch)
    async with held_back(
        layout,
        layout.untag("v0"),
        *(layout.tag(image.descriptor, f"v{number}") for number in (1, 2, 3)),
    ) as tasks:
        disk.broken = layout.path
    errors = [task.exception() for task in tasks]
    assert [type(error) for error in errors] == [StorageError] * 4
    assert len(set(map(id, errors))) == 4
    with pytest.raises(StorageError):
        await layout.tag(image.descriptor, "v1")
    disk.broken, disk.flushed = None, []
    await layout.tag(image.descriptor, "v1")
    assert layout.path in disk.flushed
    assert await layout.tags() == ["v1", "v2", "v3"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
async def test_what_a_killed_process_may_not_have_flushed_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = await Layout.open(tmp_path / "layout", create=True, flush="all")
    image = await push_image(layout)
    await layout.tag(image.descriptor, "v1")
    again = await Layout.open(layout.path, flush="all")
    disk = Disk(monkeypatch)
    await again.push_tagged(image.descriptor, BytesSource(image.raw), "v1")
    file = layout.path / blob_path(image.digest)
    assert {file, file.parent, layout.path} <= set(disk.flushed)
    assert disk.flushed.index(file.parent) < disk.flushed.index(layout.path)
