"""Items 1 and 4: one large blob is pulled to a file, verified, as fast as the machine allows."""

import shutil
from collections.abc import Iterator, Sequence

import blobs
import harness
import programs
import servers
from checks import Check, Section, Setup, best_s, find, ratio
from harness import MIB, Result

GIB = 1 << 30
REGISTRIES = {"docker-registry 2.8.2": "docker-registry", "distribution 3": "registry"}


def plain(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Pull over plain HTTP, from both generations of the registry that most others are built on."""
    for title, program in REGISTRIES.items():
        if programs.find(program) is None:
            yield Section(item=1, title=f"Pull from {title}", table="", notes=["Not installed."])
            continue
        room = setup.room(f"pull-{program}")
        out = room / "out"
        empty = blobs.emptier(out)
        digest = blobs.random_file(room / "blob", setup.size)
        with servers.registry(room / "registry", program=program) as host:
            blob = blobs.push(host, room / "blob", digest)
            contenders = [
                *blob.our_pulls(out, before=empty),
                blob.curl(out, before=empty),
                *blob.oras(out, before=empty),
                *blob.other_pulls(out, before=empty),
            ]
            results = harness.run(
                programs.installed(contenders), rounds=setup.rounds, warm_up=setup.warm_up
            )
        yield Section(
            item=1,
            title=f"Pull of {setup.size // MIB} MiB from {title}",
            table=harness.table(
                results,
                against=["curl -o", "oras blob fetch"],
                amount=("MiB", setup.size / MIB),
            ),
            results=results,
            checks=[*_pull_checks(1, results, title, 1.05), *_peer_checks(results, title, setup)],
            notes=programs.missing(contenders),
        )
        shutil.rmtree(room)


def encrypted(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Pull over TLS."""
    room = setup.room("tls")
    out = room / "out"
    empty = blobs.emptier(out)
    digest = blobs.random_file(room / "blob", setup.size)
    with servers.certified_registry(room / "registry") as (host, ca_file):
        blob = blobs.push(host, room / "blob", digest, ca_file=ca_file)
        contenders = [
            *blob.our_pulls(out, before=empty),
            blob.curl(out, before=empty),
            *blob.oras(out, before=empty),
        ]
        results = harness.run(
            programs.installed(contenders), rounds=setup.rounds, warm_up=setup.warm_up
        )
    yield Section(
        item=4,
        title=f"Pull of {setup.size // MIB} MiB over TLS, docker-registry 2.8.2",
        table=harness.table(
            results, against=["curl -o", "oras blob fetch"], amount=("MiB", setup.size / MIB)
        ),
        results=results,
        checks=_pull_checks(4, results, "TLS", 1.15),
        notes=programs.missing(contenders),
    )
    shutil.rmtree(room)


def _pull_checks(item: int, results: list[Result], title: str, limit: float) -> list[Check]:
    """The whole process and the transfer alone, beside curl."""
    curl_s = best_s(results, "curl")
    command, library = find(results, "pull"), find(results, "Client.pull")
    return [
        Check(
            item=item,
            what=f"{title}: `pull` / `curl -o`",
            value=ratio(command.median_s if command else None, curl_s),
            limit=limit,
        ),
        Check(
            item=item,
            what=f"{title}: `Client.pull` without starting / `curl -o`",
            value=ratio(library.inner_median_s if library else None, curl_s),
            limit=limit,
        ),
    ]


def _peer_checks(results: list[Result], title: str, setup: Setup) -> list[Check]:
    command = find(results, "pull")
    oras_cpu_s = min((r.median_cpu_s for r in results if r.contender.tool == "oras"), default=None)
    peer_s = best_s(results, "oras", "crane", "skopeo", "regctl")
    gib = setup.size / GIB
    return [
        Check(
            item=1,
            what=f"{title}: `pull` / best of oras, crane, skopeo, regctl",
            value=ratio(command.median_s if command else None, peer_s),
            limit=0.9,
        ),
        Check(
            item=1,
            what=f"{title}: CPU s/GiB of `pull` ({command.median_cpu_s / gib:.2f}) / of oras"
            if command
            else f"{title}: CPU s/GiB of `pull` / of oras",
            value=ratio(command.median_cpu_s if command else None, oras_cpu_s),
            limit=1.0,
        ),
    ]
