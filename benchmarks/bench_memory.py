"""Item 7: the peak memory of all that was measured, and of blobs of 1 and 8 GiB."""

import shutil
from collections.abc import Iterator, Sequence

import blobs
import harness
import servers
from bench_copy import our_copies
from bench_push import our_pushes
from checks import Check, Section, Setup, ratio
from harness import MIB, Result

LIMIT_MIB = 100
TIMES = 8
# Twice the same program differs by some pages: what the allocator and the kernel's buffers did.
FLAT = 1.1


def peaks(setup: Setup, done: Sequence[Section]) -> Iterator[Section]:
    """Ours only; a peer's memory is in the tables of the other items."""
    small, large = (_measured(setup, size) for size in (setup.size, TIMES * setup.size))
    rows = [["program", *(f"{n * setup.size // MIB} MiB blob, peak MiB" for n in (1, TIMES)), ""]]
    rows.append(["---", "---:", "---:", "---:"])
    checks: list[Check] = []
    for one, more in zip(small, large, strict=True):
        name, growth = one.contender.name, ratio(more.peak_bytes, one.peak_bytes)
        rows.append([name, *(f"{r.peak_bytes / MIB:.0f}" for r in (one, more)), f"{growth:.3f}"])
        checks.append(
            Check(
                item=7, what=f"`{name}`: peak at {TIMES} times the size", value=growth, limit=FLAT
            )
        )
    everything = [
        result
        for results in (*(section.results for section in done), small, large)
        for result in results
        if result.contender.tool == "ours"
    ]
    most = max(everything, key=lambda result: result.peak_bytes)
    checks.insert(
        0,
        Check(
            item=7,
            what=f"the highest peak of ours in all that ran (`{most.contender.name}`)",
            value=most.peak_bytes / MIB,
            limit=LIMIT_MIB,
            unit="MiB",
        ),
    )
    yield Section(
        item=7,
        title="Peak memory",
        table=harness.markdown(rows),
        results=[*small, *large],
        checks=checks,
    )


def _measured(setup: Setup, size: int) -> list[Result]:
    """Pull, push and copy a blob of a size, each once."""
    room = setup.room(f"memory-{size}")
    out = room / "out"
    empty = blobs.emptier(out)
    digest = blobs.random_file(room / "blob", size)
    with (
        servers.registry(room / "registry") as host,
        servers.registry(room / "target") as target,
    ):
        blob = blobs.push(host, room / "blob", digest)
        forget = blobs.forgetter(room / "target")

        def clear() -> None:
            empty()
            forget()

        runs = [
            *blob.our_pulls(out, before=clear),
            *our_pushes(target, room / "blob", digest, before=clear),
            *our_copies(blob.reference, target, before=clear),
        ]
        results = harness.run(runs, rounds=1, warm_up=0)
    shutil.rmtree(room)
    return results
