"""Unfinished downloads of processes that work at once, are killed at any moment, or fill the disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocipkg_async.registry.download.partial import partial_file
from registry.download.partials import (
    BLOB,
    DATA,
    JOURNAL,
    LOCK,
    PARTIAL,
    finish,
    names,
    place,
    work,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

TIME_LIMIT_S = 60

_START = """
import os, random, resource, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import anyio
from ocipkg_async.errors import DiskFullError, StorageError
from ocipkg_async.registry.download.partial import partial_file
from registry.download.partials import *
PATH = Path(sys.argv[2])
"""

ONE_OF_SEVERAL = """
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    def waiting():
        print("waiting", flush=True)
    async with partial_file(PATH, BLOB, resume=True, on_wait=waiting) as file:
        print("found" if file.found else f"done {file.done}", flush=True)
        sys.stdin.readline()
        if file.found:
            assert await read(file) == DATA
            await work(file.publish, durable=False)
        else:
            await finish(file)
    print("right", PATH.read_bytes() == DATA, flush=True)
anyio.run(main)
"""

# The process forks one that writes and records in two threads as fast as it can, kills it, and
# looks whether what the journal claims is so. Before a byte is written the file has a zero there.
KILLED = """
BLOCK = 1009
BLOCKS = [(at, min(at + BLOCK, SIZE)) for at in range(0, SIZE, BLOCK)]
SEED = int(sys.argv[3])

def write_for_ever(file, chance):
    os.write(BEGUN, b"x")
    while True:
        start, stop = chance.choice(BLOCKS)
        cut = chance.randrange(start, stop)
        file.write(start, [DATA[start:cut], DATA[cut:stop]])
        file.record(start, stop)

async def write_and_die(chance):
    async with partial_file(PATH, BLOB, resume=True) as file:
        await work(file.reserve)
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(work, write_for_ever, file, random.Random(chance.random()))

async def look():
    async with partial_file(PATH, BLOB, resume=True) as file:
        for start, stop in file.done:
            assert await read(file, start, stop) == DATA[start:stop], "it claims what is not so"
        return sum(stop - start for start, stop in file.done)

async def end():
    async with partial_file(PATH, BLOB, resume=True) as file:
        await finish(file)

chance = random.Random(SEED)
claimed = [0]
for kill in range(20):
    begun, BEGUN = os.pipe()
    child = os.fork()
    if not child:
        anyio.run(write_and_die, chance)
        os._exit(1)
    os.close(BEGUN)
    if kill % 4:
        os.read(begun, 1)  # the others are killed before they write anything, or at once
    time.sleep(chance.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(begun)
    claimed.append(anyio.run(look))
    assert claimed[-1] >= claimed[-2], "it lost what was claimed"
    if claimed[-1] == SIZE:
        (PATH.parent / JOURNAL).unlink()
        claimed.append(0)
anyio.run(end)
print(max(claimed) > 0, len(set(claimed)) > 2, PATH.read_bytes() == DATA)
"""

FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def refused(function, *args):
    try:
        await work(function, *args)
    except DiskFullError as error:
        assert error.hint
        return
    raise AssertionError("no error")

async def main():
    limit(SIZE - 1)
    for resume in (True, False):
        async with partial_file(PATH, BLOB, resume=resume) as file:
            await refused(file.reserve)
            assert sum(p.stat().st_size for p in PATH.parent.iterdir()) < 1000
        assert list(PATH.parent.iterdir()) == []
        async with partial_file(PATH, BLOB, resume=resume) as file:
            await refused(file.write, 0, [DATA[:1000], DATA[1000:]])
        assert list(PATH.parent.iterdir()) == []
    async with partial_file(PATH, BLOB, resume=True) as file:
        await write(file, (0, 1000))
        # No room for a whole line: what was written of it does not spoil the next one.
        size = (PATH.parent / JOURNAL).stat().st_size
        limit(size + 11)
        await refused(file.record, 100000, 300000)
        limit(SIZE - 1)
        await write(file, (4000, 5000))
    async with partial_file(PATH, BLOB, resume=True) as file:
        assert file.done == ((0, 1000), (4000, 5000)), file.done
        await refused(file.reserve)
        assert file.done and (PATH.parent / PARTIAL).stat().st_size == 5000
    limit(10)
    try:
        async with partial_file(PATH.with_name("other"), BLOB_2, resume=True) as file:
            raise AssertionError("no error")
    except DiskFullError:
        pass
    assert len(list(PATH.parent.iterdir())) == 3
BLOB_2 = type(BLOB).of(b"x" * 1000, "a/b")
anyio.run(main)
"""


# Somebody else than who left an unfinished file: they cannot lock or write it. The folder is given
# as the working one, since those above it are closed to them.
UNPRIVILEGED = """
async def prepare():
    async with partial_file(PATH, BLOB, resume=True) as file:
        await write(file, (0, 1000))

async def attempt():
    for resume in (True, False):
        try:
            async with partial_file(Path(PATH.name), BLOB, resume=resume) as file:
                assert file.done == ()
                await finish(file)
            os.remove(PATH.name)
            print("right")
        except StorageError as error:
            print(type(error).__name__, "--partial" in error.hint)

anyio.run(prepare)
os.chdir(PATH.parent)
os.chmod(".", int(sys.argv[3], 8))
os.setuid(12345)
anyio.run(attempt)
"""


def start(code: str, path: Path, *words: str) -> "subprocess.Popen[str]":
    tests = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _START + code, str(tests), str(path), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize("kill", [False, True])
def test_of_two_processes_one_waits_and_both_end_right(tmp_path: Path, kill: bool) -> None:
    path = place(tmp_path)
    one, two = start(ONE_OF_SEVERAL, path), start(ONE_OF_SEVERAL, path)
    try:
        assert line(one) == line(two) == "ready"
        say(one)
        assert line(one) == "done ()"
        say(two)
        assert line(two) == "waiting"
        if kill:
            one.kill()
            assert line(two) == "done ()"
        else:
            say(one)
            assert line(two) == "found"
            assert line(one) == "right True"
        say(two)
        assert line(two) == "right True"
    finally:
        for process in (one, two):
            process.kill()
            process.communicate(timeout=TIME_LIMIT_S)
    assert names(path) == [path.name]
    assert path.read_bytes() == DATA


def test_processes_race_for_it(tmp_path: Path) -> None:
    """Opening, tidying up and removing the lock of each other; nobody gets in twice."""
    path = place(tmp_path)
    running = [start(ONE_OF_SEVERAL, path) for _ in range(3)]
    try:
        for process in running:
            assert line(process) == "ready"
        for process in [*running, *running]:
            say(process)
        printed = [process.communicate(timeout=TIME_LIMIT_S)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait(TIME_LIMIT_S)
    lines = [text.replace("waiting\n", "").splitlines() for text in printed]
    assert sorted(lines) == [["done ()", "right True"], *[["found", "right True"]] * 2]
    assert names(path) == [path.name]


def test_killed_at_any_moment_it_claims_only_what_is_so(tmp_path: Path) -> None:
    path = place(tmp_path)
    with start(KILLED, path, "1") as process:
        printed, _ = process.communicate(timeout=TIME_LIMIT_S)
    assert printed == "True True True\n"
    # A kill may leave a file that was about to be renamed; age removes it.
    assert [name for name in names(path) if not name.startswith(".tmp-")] == [path.name]


async def test_a_full_disk_says_so_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    path = place(tmp_path)
    path.parent.mkdir(parents=True)
    with start(FULL, path) as process:
        process.communicate(timeout=TIME_LIMIT_S)
    assert process.returncode == 0
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 1000), (4000, 5000))
        assert PARTIAL in names(path)
        await finish(file)
    assert path.read_bytes() == DATA
    assert await work(names, path) == [path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize(
    ("mode", "printed"),
    [("777", "right\n"), ("1777", "right\n"), ("555", "StorageError True\n")],
)
def test_a_user_who_may_not_touch_what_another_one_left(
    tmp_path: Path, mode: str, printed: str
) -> None:
    path = place(tmp_path)
    with start(UNPRIVILEGED, path, mode) as process:
        assert process.communicate(timeout=TIME_LIMIT_S)[0] == printed * 2
    assert names(path) == [PARTIAL, JOURNAL, LOCK]
