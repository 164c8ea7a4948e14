"""Item 10: our registry beside others: large blobs both ways, small requests, memory, starting."""

import json
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import blobs
import harness
import loads
import programs
import served
from checks import Check, Section, Setup, best_s, ratio
from harness import MIB
from loads import WRK_UNIT, Load
from served import BASE, KINDS, OURS, Registry
from small_pushes import BLOB_BYTES, Pusher, manifests

LARGE, SMALL, PUT = "bench/large", "bench/small", "bench/put"
READERS = 32
LEAST_PER_S = 1000
WRK_S = 2
TAGS = 100
PUSHERS = 8
PUSHES = 200
OF_BASE = 0.8


def serve(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """Ask all registries for the same, in turn; each serves a folder on the same disk."""
    room = setup.room("serve")
    starts = _starts(setup, room)
    digest = blobs.random_file(room / "blob", setup.size)
    with served.all_running(room) as running:
        item = _Item(setup, room, running)
        idle = {one.title: one.resident_bytes for one in running}
        small = {one.title: _fill(one) for one in running}
        fill = loads.put(LARGE, room / "blob", digest)
        for one in running:
            fill(one)
        yield item.large_get(digest, 1)
        yield item.large_get(digest, 4)
        if programs.find("wrk") is None:
            yield Section(
                item=10, title="Small requests", table="", notes=["wrk is not installed."]
            )
        else:
            yield item.small_get("manifest by tag", lambda _: "manifests/v7", floor=True)
            yield item.small_get(
                "manifest by digest", lambda one: f"manifests/{small[one.title][0]}", floor=True
            )
            yield item.small_get(
                f"blob of {BLOB_BYTES >> 10} KiB", lambda one: f"blobs/{small[one.title][1]}"
            )
        yield item.large_put(digest)
        yield item.small_put("blobs", f"POST and PUT of blobs of {BLOB_BYTES >> 10} KiB")
        yield item.small_put("manifests", "PUT of manifests, each by a tag of its own")
        yield item.memory(starts, idle)
    shutil.rmtree(room)


@dataclass(frozen=True)
class _Item:
    setup: Setup
    room: Path
    running: list[Registry]

    def large_get(self, digest: str, connections: int) -> Section:
        size = self.setup.size
        load = loads.get(LARGE, digest, size=size, connections=connections)
        title = f"GET of {size // MIB} MiB over {connections} connection{'s'[: connections - 1]}"
        return self._section(title, load, ("MiB", size / MIB), of_base=True)

    def large_put(self, digest: str) -> Section:
        def forget() -> None:
            # What one wrote is removed before the next one runs, as in the other items.
            for registry in self.running:
                registry.forget_blob(PUT, digest)

        load = loads.put(PUT, self.room / "blob", digest)
        amount = ("MiB", self.setup.size / MIB)
        title = f"PUT of {self.setup.size // MIB} MiB"
        section = self._section(title, load, amount, of_base=True, before=forget)
        forget()
        return section

    def small_get(
        self, what: str, path: Callable[[Registry], str], *, floor: bool = False
    ) -> Section:
        load = loads.wrk(
            lambda registry: f"{SMALL}/{path(registry)}",
            connections=READERS,
            seconds=1 if self.setup.quick else WRK_S,
            folder=self.room,
        )
        title = f"GET of a {what} over {READERS} connections"
        return self._section(title, load, ("requests", WRK_UNIT), floor=floor)

    def small_put(self, what: str, title: str) -> Section:
        count = PUSHES // 10 if self.setup.quick else PUSHES
        load = loads.push(what, count=count, connections=PUSHERS)
        return self._section(f"{title}, over {PUSHERS} connections", load, ("pushes", count))

    def memory(self, starts: dict[str, float], idle: dict[str, int]) -> Section:
        """Starting, and memory: idle, after all that was asked, and in eight pushes at once."""
        size = self.setup.size // 4
        digest = blobs.random_file(self.room / "quarter", size)
        load = loads.puts("bench/many", self.room / "quarter", digest, at_once=8)
        head = ["", "starts in s", "idle MiB", "after all MiB", "peak MiB, 8 PUTs", "8 PUTs, s"]
        rows = [head, ["---", *["---:"] * (len(head) - 1)]]
        for registry in self.running:
            after = registry.resident_bytes
            registry.forget_peak()
            ran = load(registry)
            sizes = (idle[registry.title], after, registry.peak_bytes)
            start = f"{starts[registry.kind.name]:.3f}"
            memory = (f"{size / MIB:.0f}" for size in sizes)
            rows.append([registry.title, start, *memory, f"{ran.seconds:.2f}"])
        return Section(
            item=10,
            title=f"Starting; resident memory, also in 8 PUTs of {size // MIB} MiB at once",
            table=harness.markdown(rows),
        )

    def _section(
        self,
        title: str,
        load: Load,
        amount: tuple[str, float],
        *,
        of_base: bool = False,
        floor: bool = False,
        before: Callable[[], object] = lambda: None,
    ) -> Section:
        results, client_s = loads.alternate(self.setup, self.running, load, before=before)
        base = next((one.title for one in self.running if one.kind is BASE), "")
        ours_s = best_s(results, OURS.name)
        checks: list[Check] = []
        if of_base:
            # Rates are compared, so the times are the other way round.
            value = ratio(best_s(results, BASE.name), ours_s)
            what = f"{title}: rate / of docker-registry"
            checks = [Check(item=10, what=what, value=value, limit=OF_BASE, at_least=True)]
        elif floor:
            value = amount[1] / ours_s if ours_s else None
            checks = [
                Check(item=10, what=title, value=value, limit=LEAST_PER_S, at_least=True, unit="/s")
            ]
        counted = f"{amount[1]:g} {amount[0]}"
        notes = [
            f"CPU and peak are the registry's. The client took {client_s:.3f} CPU s, for {counted}."
        ]
        if missing := [kind.name for kind in KINDS if not kind.is_there]:
            notes.append(f"Not installed, so not measured: {', '.join(missing)}.")
        return Section(
            item=10,
            title=title,
            table=harness.table(results, against=[base], amount=amount),
            results=results,
            checks=checks,
            notes=notes,
        )


def _starts(setup: Setup, room: Path) -> dict[str, float]:
    """Seconds from the start of each process to its first answer."""
    kinds = [kind for kind in KINDS if kind.is_there]
    seconds: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for number in range(setup.warm_up + setup.rounds):
        for place, kind in enumerate(kinds):
            with served.running(kind, room / f"start-{number}-{place}") as registry:
                if number >= setup.warm_up:
                    seconds[kind.name].append(registry.start_s)
    return {name: statistics.median(found) for name, found in seconds.items()}


def _fill(registry: Registry) -> tuple[str, str]:
    """Push some manifests under tags; return the digest of one of them, and of a blob."""
    pusher = Pusher(f"{registry.host}/{SMALL}")
    pushed = manifests(pusher, TAGS)
    for tag, data in pushed:
        pusher.manifest(tag, data)
    manifest = pushed[0][1]
    blob: str = json.loads(manifest)["layers"][0]["digest"]
    return blobs.digest_of(manifest), blob
