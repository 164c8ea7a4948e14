"""The part of item 5 that copies one large blob from registry to registry."""

from collections.abc import Callable
from pathlib import Path

import blobs
import harness
import programs
from checks import Check, Section, Setup, best_s, find, ratio
from harness import MIB, Contender
from programs import COMMAND, tool


def our_copies(source: str, target: str, *, before: Callable[[], object]) -> list[Contender]:
    return [
        Contender(
            name="copy",
            tool="ours",
            command=[*COMMAND, "copy", "-q", source, f"{target}/copy/command:v1"],
            before=before,
        ),
        Contender(
            name="Client.copy",
            tool="ours",
            command=programs.ours("copy", source, f"{target}/copy/library:v1"),
            before=before,
            inner=True,
        ),
    ]


def copies(setup: Setup, room: Path, title: str, *, host: str, target: str, digest: str) -> Section:
    forget = blobs.forgetter(room / "target")
    source = blobs.push(host, room / "blob", digest).reference
    hosts = [part for one in (host, target) for part in ("--host", f"reg={one},tls=disabled")]
    contenders = [
        *our_copies(source, target, before=forget),
        Contender(
            name="crane copy",
            tool="crane",
            command=tool("crane", "copy", source, f"{target}/copy/crane:v1"),
            before=forget,
        ),
        Contender(
            name="skopeo copy",
            tool="skopeo",
            command=[
                *tool("skopeo", "copy", "-q", "--src-tls-verify=false"),
                "--dest-tls-verify=false",
                f"docker://{source}",
                f"docker://{target}/copy/skopeo:v1",
            ],
            before=forget,
        ),
        Contender(
            name="oras cp",
            tool="oras",
            command=[
                *tool("oras", "cp", "--from-plain-http", "--to-plain-http", "--no-tty"),
                source,
                f"{target}/copy/oras:v1",
            ],
            before=forget,
        ),
        Contender(
            name="regctl image copy",
            tool="regctl",
            command=[*tool("regctl", *hosts, "image", "copy", source), f"{target}/copy/regctl:v1"],
            before=forget,
        ),
    ]
    results = harness.run(
        programs.installed(contenders), rounds=setup.rounds, warm_up=setup.warm_up
    )
    command, library = find(results, "copy"), find(results, "Client.copy")
    best = best_s(results, "crane", "skopeo")
    return Section(
        item=5,
        title=f"Copy of {setup.size // MIB} MiB between two of {title}",
        table=harness.table(
            results,
            against=["crane copy", "skopeo copy", "oras cp"],
            amount=("MiB", setup.size / MIB),
        ),
        results=results,
        checks=[
            Check(
                item=5,
                what=f"{title}: `copy` / best of crane and skopeo",
                value=ratio(command.median_s if command else None, best),
                limit=0.9,
            ),
            Check(
                item=5,
                what=f"{title}: `Client.copy` without starting / best of crane and skopeo",
                value=ratio(library.inner_median_s if library else None, best),
                limit=0.9,
            ),
        ],
        notes=programs.missing(contenders),
    )
