"""Item 6: many small blobs are pulled at once by one process."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import blobs
import harness
import programs
import servers
from checks import Check, Section, Setup, find, ratio
from harness import Contender
from programs import COMMAND, tool

COUNT = 2000
BLOB_BYTES = 16 << 10
AT_ONCE = 16
_BARE_LOOP = str(Path(__file__).with_name("bare_loop.py"))


def many(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Pull 2,000 blobs of 16 KiB, from a registry and from a server that does less."""
    count = COUNT // 10 if setup.quick else COUNT
    room = setup.room("small")
    out, listed = room / "out", room / "list.json"
    empty = blobs.emptier(out)
    listed.write_text(json.dumps(_make(room / "files", count)))
    # nginx finds a blob under its digest; to the artifact each is a file with a name of its own.
    with servers.nginx(room / "nginx", files=room / "files") as host:
        contenders = _in_memory(host, listed)
        results = harness.run(contenders, rounds=setup.rounds, warm_up=setup.warm_up)
        yield _section(f"{count} blobs of 16 KiB from nginx, static files", results, count, [])
    with servers.registry(room / "registry") as host:
        push = programs.ours("push-files", f"{host}/bench/small:v1", str(room / "files"))
        subprocess.run(push, stdout=subprocess.DEVNULL, check=True)
        contenders = [
            *_in_memory(host, listed),
            Contender(
                name="pull, to files",
                tool="ours",
                command=[
                    *COMMAND,
                    "pull",
                    "-q",
                    f"{host}/bench/small:v1",
                    "-o",
                    str(out / "ours"),
                    "--concurrency",
                    str(AT_ONCE),
                ],
                before=empty,
            ),
            *(
                Contender(
                    name=f"{' '.join(['oras pull', *options])}, to files",
                    tool="oras",
                    command=[
                        *tool("oras", "pull", "--plain-http", "--no-tty"),
                        *options,
                        "-o",
                        str(out / "oras"),
                        f"{host}/bench/small:v1",
                    ],
                    before=empty,
                )
                for options in ([], ["--concurrency", str(AT_ONCE)])
            ),
        ]
        results = harness.run(
            programs.installed(contenders), rounds=setup.rounds, warm_up=setup.warm_up
        )
        yield _section(
            f"{count} blobs of 16 KiB from docker-registry 2.8.2",
            results,
            count,
            programs.missing(contenders),
        )
    shutil.rmtree(room)


def _make(folder: Path, count: int) -> list[tuple[str, int]]:
    """Write random blobs; return digest and size of each."""
    folder.mkdir()
    made: list[tuple[str, int]] = []
    for _ in range(count):
        data = os.urandom(BLOB_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        (folder / digest).write_bytes(data)
        made.append((f"sha256:{digest}", len(data)))
    return made


def _in_memory(host: str, listed: Path) -> list[Contender]:
    repository = f"{host}/bench/small"
    bare = [sys.executable, _BARE_LOOP, repository, str(listed), str(AT_ONCE)]
    return [
        Contender(
            name="Repository.fetch",
            tool="ours",
            command=programs.ours("fetch", repository, str(listed), str(AT_ONCE)),
            inner=True,
        ),
        Contender(name="aiohttp, hashes nothing", tool="aiohttp", command=bare, inner=True),
    ]


def _section(
    title: str, results: list[harness.Result], count: int, notes: Sequence[str]
) -> Section:
    ours, bare = find(results, "Repository.fetch"), find(results, "aiohttp, hashes nothing")
    # Requests a second of ours through those of the bare loop: the times, the other way round.
    value = ratio(bare.inner_median_s if bare else None, ours.inner_median_s if ours else None)
    return Section(
        item=6,
        title=title,
        table=harness.table(
            results, against=["aiohttp, hashes nothing"], amount=("requests", count)
        ),
        results=results,
        checks=[
            Check(
                item=6,
                what=f"{title.partition(' from ')[2]}: requests/s of `Repository.fetch` / of bare aiohttp",
                value=value,
                limit=0.7,
                at_least=True,
            )
        ],
        notes=notes,
    )
