"""Items 2 and 3: one large blob is pulled where each connection is given only so much."""

import shutil
from collections.abc import Iterator, Sequence

import blobs
import harness
import programs
import servers
from checks import Check, Section, Setup, best_s, find, ratio
from harness import MIB, Result

CONNECTIONS = (1, 2, 4, 8)
NGINX_MIB_PER_S = 32
LINE_MIB_PER_S = 24
DELAY_MS = 40


def throttled(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Pull through nginx, which allows each connection 32 MiB/s."""
    room = setup.room("throttled")
    out = room / "out"
    empty = blobs.emptier(out)
    digest = blobs.random_file(room / "blob", setup.size)
    with (
        servers.registry(room / "registry") as upstream,
        servers.nginx(room / "nginx", upstream=upstream, limit_rate=f"{NGINX_MIB_PER_S}m") as host,
    ):
        blobs.push(upstream, room / "blob", digest)
        blob = programs.Blob(host=host, repository="bench/pull", digest=digest, size=setup.size)
        contenders = [
            *blob.our_pulls(out, before=empty, connections=CONNECTIONS),
            blob.curl(out, before=empty),
            blob.oras(out, before=empty)[0],
            blob.ceiling(before=empty),
        ]
        # What waits for a clock has no caches to warm up.
        results = harness.run(programs.installed(contenders), rounds=setup.rounds, warm_up=0)
    command = find(results, "pull")
    yield Section(
        item=2,
        title=f"Pull of {setup.size // MIB} MiB through nginx, {NGINX_MIB_PER_S} MiB/s a connection",
        table=harness.table(
            results, against=["curl -o", "oras pull"], amount=("MiB", setup.size / MIB)
        ),
        results=results,
        checks=[
            Check(
                item=2,
                what="`pull` / `oras pull`",
                value=ratio(command.median_s if command else None, best_s(results, "oras")),
                limit=0.18,
            ),
            *(
                Check(
                    item=2,
                    what=f"linearity: {number} times as fast with {number} connections",
                    value=_linearity(results, number),
                    limit=0.85,
                    at_least=True,
                )
                for number in CONNECTIONS[1:]
            ),
        ],
        notes=programs.missing(contenders),
    )
    shutil.rmtree(room)


def _linearity(results: list[Result], number: int) -> float | None:
    """The part of `number` times the speed of one connection that `number` of them reach."""
    one, many = (
        find(results, f"Client.pull, {name}") for name in ("1 connection", f"{number} connections")
    )
    if one is None or many is None:
        return None
    return one.inner_median_s / many.inner_median_s / number


def distant(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Pull through a proxy that is 40 ms away, each way, and carries 24 MiB/s a connection."""
    room = setup.room("distant")
    out = room / "out"
    empty = blobs.emptier(out)
    digest = blobs.random_file(room / "blob", setup.size)
    with (
        servers.registry(room / "registry") as upstream,
        servers.slow_proxy(
            room / "proxy", upstream, delay_ms=DELAY_MS, mib_per_s=LINE_MIB_PER_S
        ) as host,
    ):
        blobs.push(upstream, room / "blob", digest)
        blob = programs.Blob(host=host, repository="bench/pull", digest=digest, size=setup.size)
        contenders = [
            *blob.our_pulls(out, before=empty, connections=[8]),
            blob.curl(out, before=empty),
            blob.oras(out, before=empty)[0],
            *blob.aria2(out, before=empty),
            blob.ceiling(before=empty),
        ]
        results = harness.run(programs.installed(contenders), rounds=setup.rounds, warm_up=0)
    command, library = find(results, "pull"), find(results, "Client.pull")
    aria2_s = best_s(results, "aria2")
    yield Section(
        item=3,
        title=f"Pull of {setup.size // MIB} MiB over a line of {2 * DELAY_MS} ms and "
        f"{LINE_MIB_PER_S} MiB/s a connection",
        table=harness.table(
            results,
            against=["curl -o", "oras pull", "aria2c -x8 -s8"],
            amount=("MiB", setup.size / MIB),
        ),
        results=results,
        checks=[
            Check(
                item=3,
                what="`pull` / `aria2c -x8 -s8`",
                value=ratio(command.median_s if command else None, aria2_s),
                limit=1.1,
            ),
            Check(
                item=3,
                what="`Client.pull` without starting / `aria2c -x8 -s8`",
                value=ratio(library.inner_median_s if library else None, aria2_s),
                limit=1.1,
            ),
        ],
        notes=programs.missing(contenders),
    )
    shutil.rmtree(room)
