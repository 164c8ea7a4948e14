"""A registry that is killed in any write: it misses nothing acknowledged, and shows nothing half (C-31).

Both tests together kill it well over a hundred times. ``OCIPKG_TEST_KILLS`` says how many there
are of those that come at random, and ``OCIPKG_TEST_SEED`` gives those of another run.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import aiohttp
import pytest

from faults.killing import KILLS, SEED, seeded
from ocipkg_async.content.files import TEMP_PREFIX
from ocipkg_async.errors import StorageError
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import EMPTY_JSON, Digest
from server.driving import Driver
from server.kill_steps import STEPS
from server.random_writer import RandomWriter
from server.stepping import LARGE, ONE, Place, Step
from server.zygote import Child, Zygote, driven

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork, nor SIGKILL")

RANDOM_KILLS = 5 * KILLS
MANY = 100
"""More than these leave more than should be in memory."""
WRITERS = 4
LIFE_S = 0.15
"""Longest life of a registry: some dozen requests."""
MAX_CHANGES = 60
"""More than any step makes."""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a thing: a process dies there as on any disk, but faster."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
    if not memory.is_dir() or RANDOM_KILLS > MANY:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)


async def check_layouts(root: Path) -> None:
    """Check that every layout below a folder opens and is whole."""
    for index in root.rglob("index.json"):
        layout = await Layout.open(index.parent, read_only=True)
        assert await layout.verify() == []


async def look(step: Step, place: Place, child: Child) -> bool:
    """Check what is there after a kill; return whether the request was done."""
    assert child.said[0] == "prepared"
    seen = await place.facts(step.all_after)
    if not step.whole:
        lasting = {path: body for path, body in step.before.items() if path not in step.after}
        assert {path: seen[path] for path in lasting} == lasting
        return False
    if "done" in child.said:
        assert seen == step.all_after
    assert seen in (step.all_before, step.all_after)
    return seen == step.all_after


@pytest.mark.parametrize("name", STEPS)
async def test_killed_at_each_change_of_the_disk(zygote: Zygote, root: Path, name: str) -> None:
    step = STEPS[name]
    for at in itertools.count():
        assert at < MAX_CHANGES, "it never came to its end"
        folder = root / str(at)
        child = zygote.run("server.kill_steps:work", root=str(folder), step=name, at=at)
        async with driven(folder) as (registry, drive):
            assert list((folder / UPLOADS).iterdir()) == []
            place = Place(registry=registry, drive=drive)
            done = await look(step, place, child)
            await check_layouts(folder)
            if not (done and step.once):
                await step.act(place)
            assert await place.facts(step.all_after) == step.all_after
            assert all(one.error is None for one in await registry.collect(grace_s=0))
            assert list(folder.rglob(f"{TEMP_PREFIX}*")) == []
        assert child.status in {0, -signal.SIGKILL}
        if child.status == 0:
            assert child.said == ["prepared", "done"]
            break
    assert at > 1


async def test_killed_while_it_starts(zygote: Zygote, root: Path) -> None:
    """The second start clears what the first one did not."""
    for at in itertools.count():
        folder = root / str(at)
        uploads = folder / UPLOADS
        uploads.mkdir(parents=True)
        for number in range(2):
            (uploads / str(number)).write_bytes(b"unfinished")
        child = zygote.run("server.kill_steps:start", root=str(folder), at=at)
        async with driven(folder) as (_, drive):
            assert list(uploads.iterdir()) == []
            await drive.push_manifest("v1")
        if child.status == 0:
            break
        assert child.status == -signal.SIGKILL
    assert at > 2


async def test_second_registry_in_another_process_is_refused(zygote: Zygote, root: Path) -> None:
    """However the folder is named; and until the first one is gone, in whatever way."""
    folder, link = root / "folder", root / "link"
    zygote.start("server.zygote:serve", root=str(folder))
    started = zygote.hear()
    try:
        link.symlink_to(folder, target_is_directory=True)
        for name in (folder, link, root / ".." / root.name / "folder"):
            with pytest.raises(StorageError, match="another registry"):
                async with EmbeddedRegistry(name):
                    pass
    finally:
        os.kill(started["pid"], signal.SIGKILL)
        zygote.wait()
    async with EmbeddedRegistry(link):
        with pytest.raises(StorageError, match="another registry"):
            async with EmbeddedRegistry(folder):
                pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_what_is_acknowledged_survives_a_power_failure(zygote: Zygote, tmp_path: Path) -> None:
    """A file is flushed before it gets its name, and its folder after that, before the answer."""
    root = tmp_path / "new" / "root"
    child = zygote.run("server.kill_steps:flush", root=str(root))
    assert child.status == 0
    (seen,) = child.said
    named = set()
    for number, (what, *paths) in enumerate(seen):
        before, after = seen[:number], seen[number + 1 :]
        until_answered = after[: after.index(["answered"])] if ["answered"] in after else after
        if what == "os.rename":
            source, target = paths
            assert ["flushed", source] in before
            assert ["flushed", str(Path(target).parent)] in until_answered
            named.add(Path(target).name)
        elif what == "os.mkdir" and Path(paths[0]).name != UPLOADS:
            assert ["flushed", str(Path(paths[0]).parent)] in until_answered
    blobs = {Digest.of(data).encoded for data in (EMPTY_JSON, b"one", b"two", LARGE, ONE.raw)}
    assert named == {"oci-layout", "index.json", *blobs}


def test_private_folder_is_not_flushed(zygote: Zygote) -> None:
    child = zygote.run("server.kill_steps:flush", root=None)
    assert child.status == 0
    (seen,) = child.said
    assert {what for what, *_ in seen} == {"os.mkdir", "os.rename", "answered"}


@pytest.mark.timeout(max(120, RANDOM_KILLS * 3))
async def test_killed_at_any_moment_while_many_write(zygote: Zygote, root: Path) -> None:
    chance = seeded()
    print(f"seed {SEED}")  # noqa: T201 - shown when it fails
    writers = [RandomWriter(number, Random(chance.random())) for number in range(WRITERS)]  # noqa: S311
    async with aiohttp.ClientSession() as session:
        session._retry_connection = False

        async def check(url: str, *, everything: bool) -> None:
            drive = Driver(session, url)
            for writer in writers:
                await writer.check(drive, everything=everything)
            answer = await drive("GET", f"/v2/{RandomWriter.SHARED}/tags/list")
            listed = answer.json["tags"] if answer.status == 200 else []
            assert sorted(listed) == sorted(set[str]().union(*(one.tags for one in writers)))

        def acknowledged() -> int:
            return sum(writer.acknowledged for writer in writers)

        for life in range(RANDOM_KILLS):
            zygote.start("server.zygote:serve", root=str(root))
            started = zygote.hear()
            try:
                await check(started["url"], everything=life % max(10, RANDOM_KILLS // 4) == 0)
                async with asyncio.TaskGroup() as group:
                    for writer in writers:
                        group.create_task(writer.work(Driver(session, started["url"])))
                    await asyncio.sleep(chance.uniform(0, LIFE_S))
                    # On a busy machine that may be too short.
                    while acknowledged() <= life + 1:  # noqa: ASYNC110 - there is no event
                        await asyncio.sleep(0.001)
                    os.kill(started["pid"], signal.SIGKILL)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started["pid"], signal.SIGKILL)
                ended = zygote.wait()
            assert ended.status == -signal.SIGKILL
        async with driven(root) as (registry, _):
            await check(registry.url, everything=True)
            assert list((root / UPLOADS).iterdir()) == []
            await registry.collect(grace_s=0)
    assert acknowledged() > RANDOM_KILLS
    await check_layouts(root)
    assert list(root.rglob(f"{TEMP_PREFIX}*")) == []
