"""Item 9: a package beside the real ocipkg: packed, pushed, pushed again, installed; and its disk."""

import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import blobs
import harness
import programs
import servers
from checks import Check, Section, Setup, find, ratio
from harness import MIB, Contender, Result
from programs import COMMAND, tool

SIZE = 512 * MIB
LIMITS = {"pack": 0.2, "push": 0.7, "push again": 0.05, "get": 0.4}
PEAK_LIMIT, DISK_LIMIT = 0.2, 0.55


def package(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """All of a package's life, with each program's own format of the same file."""
    peer = programs.find("ocipkg")
    if peer is None:
        yield Section(item=9, title="Beside ocipkg", table="", notes=["Not installed."])
        return
    room = setup.room("ocipkg")
    source, out = room / "source", room / "out"
    for folder in (source, out):
        folder.mkdir()
    size = min(SIZE, setup.size)
    blobs.random_file(source / "random.bin", size)
    with servers.registry(room / "registry") as address:
        # ocipkg speaks plain HTTP to what is called localhost, and to nothing else.
        host = f"localhost:{address.rpartition(':')[2]}"
        results = _measured(setup, source, out, host, forget=blobs.forgetter(room / "registry"))
        disk = {
            name: _disk(room / f"home-{name}", command)
            for name, command in (
                ("ours", [*COMMAND, "get", "-q", f"{host}/ours:v1"]),
                ("ocipkg", [peer, "get", f"{host}/ocipkg:v1"]),
            )
        }
    shutil.rmtree(room)
    yield Section(
        item=9,
        title=f"A package of {size // MIB} MiB beside ocipkg",
        table=harness.table(results, against=[], amount=("MiB", size / MIB)),
        results=results,
        checks=_checks(results, disk),
        notes=[
            f"In the store after `get`: ours {disk['ours'] / MIB:.0f} MiB,"
            f" ocipkg {disk['ocipkg'] / MIB:.0f} MiB."
        ],
    )


def _measured(
    setup: Setup, source: Path, out: Path, host: str, *, forget: Callable[[], object]
) -> list[Result]:
    ours, theirs = out / "ours.tar", out / "ocipkg.tar"
    push_ours = [*COMMAND, "push", "-q", str(ours)]
    push_theirs = tool("ocipkg", "push", str(theirs))
    results: list[Result] = []

    def measure(contenders: Sequence[Contender]) -> None:
        results.extend(harness.run(contenders, rounds=setup.rounds, warm_up=setup.warm_up))

    pack = [*COMMAND, "pack", "-q", str(source), "-o", str(ours), "-t", f"{host}/ours:v1"]
    pack_theirs = tool("ocipkg", "pack", str(source), str(theirs), "-t", f"{host}/ocipkg:v1")
    measure(
        [
            Contender(name="pack", tool="ours", command=pack, output=ours),
            Contender(name="ocipkg pack", tool="ocipkg", command=pack_theirs, output=theirs),
        ]
    )
    measure(
        [
            Contender(name="push", tool="ours", command=push_ours, before=forget),
            Contender(name="ocipkg push", tool="ocipkg", command=push_theirs, before=forget),
        ]
    )
    for command in (push_ours, push_theirs):
        _run(command, out)
    measure(
        [
            Contender(name="starting", tool="ours", command=[*COMMAND, "push", "--help"]),
            Contender(name="push again", tool="ours", command=push_ours),
            Contender(name="ocipkg push again", tool="ocipkg", command=push_theirs),
        ]
    )
    measure(
        [
            Contender(name="get", tool="ours", command=[*COMMAND, "get", "-q", f"{host}/ours:v1"]),
            Contender(
                name="ocipkg get", tool="ocipkg", command=tool("ocipkg", "get", f"{host}/ocipkg:v1")
            ),
        ]
    )
    return results


def _checks(results: Sequence[Result], disk: dict[str, int]) -> list[Check]:
    check = functools.partial(Check, item=9)
    found: list[Check] = []
    for name, limit in LIMITS.items():
        one, other = find(results, name), find(results, f"ocipkg {name}")
        if one and other:
            value = ratio(one.median_s, other.median_s)
            found.append(check(what=f"`{name}` / ocipkg", value=value, limit=limit))
    peaks = [
        max((r.peak_bytes for r in results if r.contender.tool == tool), default=0)
        for tool in ("ours", "ocipkg")
    ]
    found.append(
        check(what="highest peak memory / ocipkg's", value=ratio(*peaks), limit=PEAK_LIMIT)
    )
    value = ratio(disk["ours"], disk["ocipkg"])
    found.append(check(what="disk in the store / ocipkg's", value=value, limit=DISK_LIMIT))
    return found


def _disk(home: Path, command: Sequence[str]) -> int:
    """Run what installs into an empty home; return the bytes on the disk, links counted once."""
    home.mkdir()
    _run(command, home)
    taken = {}
    for path in home.rglob("*"):
        info = path.lstat()
        taken[info.st_dev, info.st_ino] = info.st_blocks * 512
    shutil.rmtree(home)
    return sum(taken.values())


def _run(command: Sequence[str], home: Path) -> None:
    subprocess.run(
        command,
        env=harness.environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
