"""Item 9: a package beside the real ocipkg: packed, pushed, pushed again, installed; and its disk."""

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
    results: list[Result] = []
    with servers.registry(room / "registry") as address:
        # ocipkg speaks plain HTTP to what is called localhost, and to nothing else.
        host = f"localhost:{address.rpartition(':')[2]}"
        for section in _steps(setup, source, out, host, forget=blobs.forgetter(room / "registry")):
            results.extend(section.results)
            yield section
        disk = [
            _disk(room / "home", command)
            for command in (
                [*COMMAND, "get", "-q", f"{host}/ours:v1"],
                [peer, "get", f"{host}/ocipkg:v1"],
            )
        ]
    shutil.rmtree(room)
    peaks = [
        max(result.peak_bytes for result in results if result.contender.tool == name)
        for name in ("ours", "ocipkg")
    ]
    rows = [["", "ours, MiB", "ocipkg, MiB"], ["---", "---:", "---:"]]
    for what, pair in (("peak memory", peaks), ("disk in the store", disk)):
        rows.append([what, *(f"{value / MIB:.0f}" for value in pair)])
    yield Section(
        item=9,
        title="Memory and disk beside ocipkg",
        table=harness.markdown(rows),
        checks=[
            Check(item=9, what="peak memory / ocipkg's", value=ratio(*peaks), limit=PEAK_LIMIT),
            Check(
                item=9, what="disk in the store / ocipkg's", value=ratio(*disk), limit=DISK_LIMIT
            ),
        ],
    )


def _steps(
    setup: Setup, source: Path, out: Path, host: str, *, forget: Callable[[], object]
) -> Iterator[Section]:
    ours, theirs = out / "ours.tar", out / "ocipkg.tar"
    push_ours = [*COMMAND, "push", "-q", str(ours)]
    push_theirs = tool("ocipkg", "push", str(theirs))
    size = (source / "random.bin").stat().st_size

    def step(name: str, *contenders: Contender) -> Section:
        results = harness.run(contenders, rounds=setup.rounds, warm_up=setup.warm_up)
        one, other = find(results, name), find(results, f"ocipkg {name}")
        value = ratio(one.median_s, other.median_s) if one and other else None
        return Section(
            item=9,
            title=f"{name.capitalize()} of a package of {size // MIB} MiB",
            table=harness.table(results, against=[f"ocipkg {name}"], amount=("MiB", size / MIB)),
            results=results,
            checks=[Check(item=9, what=f"`{name}` / ocipkg", value=value, limit=LIMITS[name])],
        )

    pack = [*COMMAND, "pack", "-q", str(source), "-o", str(ours), "-t", f"{host}/ours:v1"]
    pack_theirs = tool("ocipkg", "pack", str(source), str(theirs), "-t", f"{host}/ocipkg:v1")
    yield step(
        "pack",
        Contender(name="pack", tool="ours", command=pack, output=ours),
        Contender(name="ocipkg pack", tool="ocipkg", command=pack_theirs, output=theirs),
    )
    yield step(
        "push",
        Contender(name="push", tool="ours", command=push_ours, before=forget),
        Contender(name="ocipkg push", tool="ocipkg", command=push_theirs, before=forget),
    )
    for command in (push_ours, push_theirs):
        _run(command, out)
    yield step(
        "push again",
        # What of it is starting Python and this command.
        Contender(name="push --help", tool="ours", command=[*COMMAND, "push", "--help"]),
        Contender(name="push again", tool="ours", command=push_ours),
        Contender(name="ocipkg push again", tool="ocipkg", command=push_theirs),
    )
    get, get_theirs = [*COMMAND, "get", "-q", f"{host}/ours:v1"], f"{host}/ocipkg:v1"
    yield step(
        "get",
        Contender(name="get", tool="ours", command=get),
        Contender(name="ocipkg get", tool="ocipkg", command=tool("ocipkg", "get", get_theirs)),
    )


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
