"""A store that several processes use, that is killed in the middle, or whose disk is full."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.trees import contents, everything, make_tree
from ocipkg_async.layout import Layout
from ocipkg_async.package import pack
from ocipkg_async.spec import Reference
from ocipkg_async.store import LocalStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

TIME_LIMIT_S = 60
WORKERS = 4
SIZE = 300_000

_START = """
import json, os, sys
from pathlib import Path
import anyio
from ocipkg_async.errors import OCIError
from ocipkg_async.layout import Layout
from ocipkg_async.spec import Descriptor, Reference
from ocipkg_async.store import LocalStore

STORE, SOURCE, WORDS = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]

async def install(store, word):
    source = await Layout.open(SOURCE, read_only=True)
    name = f"example.org/{word}:v1"
    return await store.install(source, await source.resolve(name), Reference.parse(name))
"""

INSTALLING = """
async def main():
    store = await LocalStore.open(STORE)
    print("ready", flush=True)
    sys.stdin.readline()
    for word in WORDS:
        package = await install(store, word)
        print(json.dumps([word, (package.path / "word").read_text()]), flush=True)
anyio.run(main)
"""

PRUNING = """
async def main():
    store = await LocalStore.open(STORE)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(8):
        await store.prune()
        await store.packages()
anyio.run(main)
"""

# Each event is one more system call that changes something; the process kills itself at one.
KILLED = """
import signal
LEFT = int(WORDS[1])
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
def hook(name, args):
    global LEFT
    writes = name == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
    if writes or name in CHANGES:
        LEFT -= 1
        if LEFT < 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = await LocalStore.open(STORE)
    sys.addaudithook(hook)
    await install(store, WORDS[0])
    print("left", LEFT)
anyio.run(main)
"""

FULL = """
import resource, signal
async def main():
    store = await LocalStore.open(STORE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(WORDS[1]),) * 2)
    try:
        await install(store, WORDS[0])
    except OCIError as error:
        print(type(error).__name__)
anyio.run(main)
"""


def start(code: str, store: Path, source: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _START + code, str(store), str(source), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A layout with some packages."""
    folder = tmp_path / "source"
    layout = await Layout.open(folder, create=True)
    for word in ("shared", *(f"own{n}" for n in range(WORKERS))):
        tree = make_tree(tmp_path / word, {"word": word.encode(), "big": os.urandom(SIZE)})
        await pack(layout, [tree], name=f"example.org/{word}:v1")
    return folder


async def check(store: LocalStore, source: Path, words: list[str]) -> None:
    """The next install works, and everything is as it should be."""
    layout = await Layout.open(source, read_only=True)
    for word in words:
        name = Reference.parse(f"example.org/{word}:v1")
        package = await store.install(layout, await layout.resolve(str(name)), name)
        assert contents(package.path) == contents(source.parent / word)
    assert not [path for path in everything(store.path / "packages") if ".tmp-" in path]
    assert await store.verify() == []
    await store.prune()
    assert await store.verify() == []
    assert not [path for path in everything(store.path) if ".tmp-" in path]


async def test_processes_install_while_one_prunes(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "store"
    jobs = [start(INSTALLING, place, source, "shared", f"own{n}") for n in range(WORKERS)]
    jobs.append(start(PRUNING, place, source))
    try:
        for job in jobs:
            assert job.stdout
            assert job.stdout.readline() == "ready\n"
        for job in jobs:
            assert job.stdin
            job.stdin.write("\n")
            job.stdin.flush()
        printed = [job.communicate(timeout=TIME_LIMIT_S)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
            job.communicate()
    assert [job.returncode for job in jobs] == [0] * len(jobs)
    found = [json.loads(line) for text in printed for line in text.splitlines()]
    assert len(found) == 2 * WORKERS
    assert all(word == text for word, text in found)
    words = ["shared", *(f"own{n}" for n in range(WORKERS))]
    store = await LocalStore.open(place)
    assert [p.reference.repository for p in await store.packages()] == sorted(words)
    await check(store, source, words)


@pytest.mark.timeout(600)  # some fifty processes, one after the other
async def test_killed_at_each_change_the_next_install_works(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "store"

    def run(left: int) -> "tuple[int, str]":
        with start(KILLED, place, source, "shared", str(left)) as job:
            printed, _ = job.communicate(timeout=TIME_LIMIT_S)
            return job.returncode, printed

    store = await LocalStore.open(place)
    await check(store, source, ["shared"])  # some folders are made once
    await store.remove(Reference.parse("example.org/shared:v1"))
    code, printed = run(1_000_000)
    assert code == 0
    calls = 1_000_000 - int(printed.split()[1])
    assert calls > 20
    for calls_before in range(calls):
        await store.remove(Reference.parse("example.org/shared:v1"))
        code, _ = run(calls_before)
        assert code == -signal.SIGKILL
        for package in await store.packages():
            assert contents(package.path) == contents(source.parent / "shared")
        await check(store, source, ["shared"])


@pytest.mark.parametrize("limit", [100, 10_000, SIZE // 2, SIZE - 1])
async def test_full_disk_leaves_nothing(source: Path, tmp_path: Path, limit: int) -> None:
    place = tmp_path / "store"
    store = await LocalStore.open(place)
    with start(FULL, place, source, "shared", str(limit)) as job:
        printed, _ = job.communicate(timeout=TIME_LIMIT_S)
    assert printed == "DiskFullError\n"
    assert await store.packages() == []
    assert not [path for path in everything(place) if ".tmp-" in path]
    await check(store, source, ["shared"])
