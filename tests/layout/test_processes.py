"""Layouts that several processes change, that are killed in the middle, or that fill the disk."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from layout.samples import push_image
from ocipkg_async.layout import ArchiveReader, Layout

_START = """
import os, sys
from pathlib import Path
import anyio
from ocipkg_async.content import BytesSource, StreamSource
from ocipkg_async.errors import DiskFullError
from ocipkg_async.layout import ArchiveWriter, Layout
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Manifest

FOLDER, WORD = Path(sys.argv[1]), sys.argv[2]

async def push_image(store, text):
    layer = Descriptor.of(text.encode(), "a/b")
    await store.push(layer, BytesSource(text.encode()))
    await store.push(EMPTY, BytesSource(EMPTY_JSON))
    image = Manifest.build(config=EMPTY, layers=(layer,), artifact_type="a/b")
    await store.push(image.descriptor, BytesSource(image.raw))
    return image.descriptor
"""

TAGGING = """
async def main():
    layout = await Layout.open(FOLDER, create=True, flush="none")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(15):
        await layout.tag(await push_image(layout, f"{number}"), f"{WORD}{number}")
anyio.run(main)
"""

# Each event is one more system call that changes something; the process kills itself at one.
KILLED = """
import signal
LEFT = int(WORD)
def hook(name, args):
    global LEFT
    writes = name == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
    if writes or name in ("os.rename", "os.remove", "os.mkdir", "os.link", "os.truncate"):
        LEFT -= 1
        if LEFT < 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    layout = await Layout.open(FOLDER)
    await layout.tag(await push_image(layout, "new"), "new")
sys.addaudithook(hook)
anyio.run(main)
"""

FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
DATA = os.urandom(300_000)

async def refused(awaitable):
    try:
        await awaitable
    except DiskFullError as error:
        assert error.hint
    else:
        raise AssertionError("no error")

async def archive():
    async with ArchiveWriter.open(FOLDER / "x.tar") as writer:
        await writer.push(Descriptor.of(DATA, "a/b"), BytesSource(DATA))

async def main():
    layout = await Layout.open(FOLDER / "layout")
    pieces = iter([DATA, b""])
    await refused(layout.push(Descriptor.of(DATA, "a/b"), BytesSource(DATA)))
    await refused(layout.push_stream("a/b", StreamSource(lambda _: next(pieces))))
    await refused(archive())
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    await refused(layout.untag("old"))
anyio.run(main)
"""


def run(script: str, folder: Path, word: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", _START + script, str(folder), word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


async def test_i08_two_processes_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    running = [run(TAGGING, folder, word) for word in ("a", "b")]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
        assert process.returncode == 0
    layout = await Layout.open(folder)
    assert await layout.tags() == sorted(f"{w}{n}" for w in "ab" for n in range(15))
    assert await layout.verify() == []


async def test_two_processes_may_make_the_same_layout(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    running = [run(TAGGING, folder, word) for word in ("a", "b", "c")]
    for process in running:
        process.communicate(b"\n")
        assert process.returncode == 0
    assert len(await (await Layout.open(folder)).tags()) == 45


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
async def test_i08_a_killed_process_leaves_a_layout_that_can_be_read(tmp_path: Path) -> None:
    """The process dies at its first change of the disk, at its second, and so on to the last."""
    layout = await Layout.open(tmp_path / "layout", create=True)
    old = await push_image(layout, "old")
    await layout.tag(old.descriptor, "old")
    for step in range(100):
        process = run(KILLED, layout.path, str(step))
        process.communicate()
        again = await Layout.open(layout.path)
        assert await again.resolve("old") == old.descriptor
        assert await again.verify() == []
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        assert await again.tags() == ["old"] or "new" in await again.tags()
    else:
        pytest.fail("it never came to its end")
    assert step > 3  # what was done before a kill is not done again
    assert await again.tags() == ["new", "old"]
    for path in layout.path.rglob(".tmp-*"):
        os.utime(path, (1, 1))
    await again.collect()
    assert list(layout.path.rglob(".tmp-*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
async def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    layout = await Layout.open(tmp_path / "layout", create=True)
    old = await push_image(layout, "old")
    await layout.tag(old.descriptor, "old")
    before = sorted(tmp_path.rglob("*"))
    process = run(FULL, tmp_path, "")
    process.communicate()
    assert process.returncode == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert await layout.resolve("old") == old.descriptor


async def test_a_killed_writer_leaves_no_archive(tmp_path: Path) -> None:
    script = """
async def main():
    async with ArchiveWriter.open(FOLDER / "x.tar") as writer:
        await push_image(writer, "x")
        print("ready", flush=True)
        sys.stdin.readline()
anyio.run(main)
"""
    for kill in (True, False):
        process = run(script, tmp_path, "")
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if kill:
            process.kill()
        process.communicate(None if kill else b"\n")
        assert (tmp_path / "x.tar").exists() is not kill
    async with ArchiveReader.open(tmp_path / "x.tar") as reader:
        assert len(await reader.entries()) == 1
