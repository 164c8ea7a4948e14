"""Item 5: one large blob is pushed, pushed again, and copied from registry to registry."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bench_copy
import blobs
import harness
import programs
import servers
from bench_pull import REGISTRIES
from checks import Check, Section, Setup, best_s, find, ratio
from harness import MIB, Contender, Result
from programs import COMMAND, tool

# All that a push loads, and a client that is opened: what is left of a push with nothing to push.
START = """
import anyio
import ocipkg_async.cli.main, ocipkg_async.cli.push_command
from ocipkg_async import Client

async def main():
    async with Client() as client:
        client.repository("localhost/nothing")

anyio.run(main)
"""


def push(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Push, push again and copy, with both generations of the registry."""
    for title, program in REGISTRIES.items():
        if programs.find(program) is None:
            yield Section(item=5, title=f"Push to {title}", table="", notes=["Not installed."])
            continue
        room = setup.room(f"push-{program}")
        digest = blobs.random_file(room / "blob", setup.size)
        with servers.registry(room / "registry", program=program) as host:
            yield _first(setup, room, title, host=host, digest=digest)
            yield _again(setup, room, title, host=host)
            with servers.registry(room / "target", program=program) as target:
                yield bench_copy.copies(setup, room, title, host=host, target=target, digest=digest)
        shutil.rmtree(room)


def our_pushes(
    host: str, blob: Path, digest: str, *, before: Callable[[], object]
) -> list[Contender]:
    return [
        Contender(
            name="push REF FILE",
            tool="ours",
            command=[*COMMAND, "push", "-q", f"{host}/push/files:v1", blob.name],
            cwd=blob.parent,
            before=before,
        ),
        Contender(
            name="Repository.push",
            tool="ours",
            command=programs.ours("push", f"{host}/push/blob", str(blob), digest),
            before=before,
            inner=True,
        ),
    ]


def _first(setup: Setup, room: Path, title: str, *, host: str, digest: str) -> Section:
    blob, layout = room / "blob", room / "layout"
    forget = blobs.forgetter(room / "registry")
    # crane and regctl's quick way push image layouts.
    subprocess.run(
        [*COMMAND, "push", "-q", f"{host}/push/files:v1", blob.name],
        cwd=room,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    subprocess.run(
        [*COMMAND, "copy", "-q", f"{host}/push/files:v1", f"oci:{layout}:v1"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    regctl = tool("regctl", "--host", f"reg={host},tls=disabled", "-v", "error")
    contenders = [
        *our_pushes(host, blob, digest, before=forget),
        Contender(
            name="push LAYOUT",
            tool="ours",
            command=[*COMMAND, "push", "-q", str(layout), "--to", f"{host}/push/layout:v1"],
            before=forget,
        ),
        Contender(
            name="curl -T",
            tool="curl",
            command=[
                *tool("bash", "-c", programs.CURL_PUSH, "curl", host, "push/curl"),
                str(blob),
                digest,
            ],
            before=forget,
        ),
        Contender(
            name="oras push",
            tool="oras",
            command=[
                *tool("oras", "push", "--plain-http", "--no-tty"),
                f"{host}/push/oras:v1",
                "blob",
            ],
            cwd=room,
            before=forget,
        ),
        Contender(
            name="oras blob push",
            tool="oras",
            command=[
                *tool("oras", "blob", "push", "--plain-http", "--no-tty"),
                "--size",
                str(setup.size),
                f"{host}/push/oras@{digest}",
                str(blob),
            ],
            before=forget,
        ),
        Contender(
            name="crane push of a layout",
            tool="crane",
            command=tool("crane", "push", str(layout), f"{host}/push/crane:v1"),
            before=forget,
        ),
        Contender(
            name="regctl artifact put",
            tool="regctl",
            command=[*regctl, "artifact", "put", "-f", str(blob), f"{host}/push/regctl:v1"],
            before=forget,
        ),
        Contender(
            name="regctl blob put",
            tool="regctl",
            command=[*regctl, "blob", "put", f"{host}/push/regctl", "--digest", digest],
            stdin=blob,
            before=forget,
        ),
        Contender(
            name="skopeo copy from oci:",
            tool="skopeo",
            command=[
                *tool("skopeo", "copy", "-q", "--dest-tls-verify=false"),
                f"oci:{layout}:v1",
                f"docker://{host}/push/skopeo:v1",
            ],
            before=forget,
        ),
    ]
    results = harness.run(
        programs.installed(contenders), rounds=setup.rounds, warm_up=setup.warm_up
    )
    command, library = find(results, "push REF FILE"), find(results, "Repository.push")
    best = best_s(results, "oras", "crane", "regctl", "curl")
    return Section(
        item=5,
        title=f"Push of {setup.size // MIB} MiB to {title}",
        table=harness.table(
            results, against=["curl -T", "oras push"], amount=("MiB", setup.size / MIB)
        ),
        results=results,
        checks=[
            Check(
                item=5,
                what=f"{title}: `push` / best of oras, crane, regctl, `curl -T`",
                value=ratio(command.median_s if command else None, best),
                limit=1.0,
            ),
            Check(
                item=5,
                what=f"{title}: `Repository.push` without starting / best of them",
                value=ratio(library.inner_median_s if library else None, best),
                limit=1.0,
            ),
        ],
        notes=programs.missing(contenders),
    )


def _again(setup: Setup, room: Path, title: str, *, host: str) -> Section:
    """Push what the registry has."""
    layout = str(room / "layout")
    contenders = [
        Contender(name="starting", tool="ours", command=harness.python(START)),
        Contender(
            name="push LAYOUT again",
            tool="ours",
            command=[*COMMAND, "push", "-q", layout, "--to", f"{host}/push/layout:v1"],
        ),
        Contender(
            name="push REF FILE again",
            tool="ours",
            command=[*COMMAND, "push", "-q", f"{host}/push/files:v1", "blob"],
            cwd=room,
        ),
        Contender(
            name="oras push again",
            tool="oras",
            command=[
                *tool("oras", "push", "--plain-http", "--no-tty"),
                f"{host}/push/oras:v1",
                "blob",
            ],
            cwd=room,
        ),
    ]
    found = programs.installed(contenders)
    for contender in found[1:]:
        subprocess.run(contender.command, cwd=contender.cwd, stdout=subprocess.DEVNULL, check=True)
    results = harness.run(found, rounds=setup.rounds, warm_up=setup.warm_up)
    start = find(results, "starting")
    return Section(
        item=5,
        title=f"Push again of {setup.size // MIB} MiB to {title}",
        table=harness.table(results, against=["starting"]),
        results=results,
        checks=[
            Check(
                item=5,
                what=f"{title}: `{name}` over starting",
                value=_more_s(find(results, name), start),
                limit=0.1,
                unit="s",
            )
            for name in ("push LAYOUT again", "push REF FILE again")
        ],
        notes=[
            "A file must be hashed to know that the registry has it; a layout says its digests."
        ],
    )


def _more_s(result: Result | None, base: Result | None) -> float | None:
    return result.median_s - base.median_s if result and base else None
