"""What is asked of running registries, in turn, and how long it takes them."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import programs
from checks import Setup
from harness import Contender, Result, environment
from programs import tool
from served import Registry
from small_pushes import MANIFEST

WRK_UNIT = 1000
"""Requests that wrk's seconds are told for."""
_SMALL_PUSHES = str(Path(__file__).with_name("small_pushes.py"))
_WRK_SCRIPT = """
function done(summary)
    local e = summary.errors
    io.write(string.format('\\n{"requests": %d, "us": %d, "errors": %d}',
        summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""
_AT_ONCE = """
for i in $(seq $6); do
    bash -c "$1" push "$2" "$3$i" "$4" "$5" &
    started="$started $!"
done
for pid in $started; do wait $pid || exit 1; done
"""


class Ran(NamedTuple):
    """How long a client ran, how often it did what is measured, and the processor time it took."""

    seconds: float
    times: float
    client_cpu_s: float


Load = Callable[[Registry], Ran]


def alternate(
    setup: Setup,
    running: Sequence[Registry],
    load: Load,
    *,
    before: Callable[[], object] = lambda: None,
) -> tuple[list[Result], float]:
    """Ask all registries in turn, as `harness.run` runs programs.

    Args:
        setup: how often.
        running: the registries.
        load: asks one of them.
        before: called before each run, not measured.

    Returns:
        a result for each; processor time and peak memory in it are the registry's. And the
        processor time of the client, on average.
    """
    results = [
        Result(contender=Contender(name=one.title, command=[], tool=one.kind.name))
        for one in running
    ]
    pairs = list(zip(running, results, strict=True))
    client: list[float] = []
    for number in range(setup.warm_up + setup.rounds):
        shift = number % len(pairs)
        for registry, result in pairs[shift:] + pairs[:shift]:
            before()
            registry.forget_peak()
            cpu_s = registry.cpu_s
            ran = load(registry)
            if number < setup.warm_up:
                continue
            result.seconds.append(ran.seconds / ran.times)
            result.cpu_seconds.append((registry.cpu_s - cpu_s) / ran.times)
            result.peak_bytes = max(result.peak_bytes, registry.peak_bytes)
            client.append(ran.client_cpu_s / ran.times)
    return results, sum(client) / len(client)


def get(repository: str, digest: str, *, size: int, connections: int) -> Load:
    """Get a blob, a part over each connection."""

    def load(registry: Registry) -> Ran:
        url = f"http://{registry.host}/v2/{repository}/blobs/{digest}"
        script = [programs.CURL_RANGES, "ranges", url, str(size), str(connections)]
        return _run(tool("bash", "-c", *script))[0]

    return load


def put(repository: str, blob: Path, digest: str) -> Load:
    """Push a blob."""

    def load(registry: Registry) -> Ran:
        pushed = [registry.host, repository, str(blob), digest]
        return _run(tool("bash", "-c", programs.CURL_PUSH, "push", *pushed))[0]

    return load


def puts(repository: str, blob: Path, digest: str, *, at_once: int) -> Load:
    """Push a blob to many repositories at once, whose names end in a number."""

    def load(registry: Registry) -> Ran:
        pushed = [registry.host, repository, str(blob), digest, str(at_once)]
        return _run(tool("bash", "-c", _AT_ONCE, "pushes", programs.CURL_PUSH, *pushed))[0]

    return load


def wrk(path: Callable[[Registry], str], *, connections: int, seconds: int, folder: Path) -> Load:
    """Ask for the same as often as the registry answers; a time is that of `WRK_UNIT` requests."""
    script = folder / "wrk.lua"
    script.write_text(_WRK_SCRIPT)
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]

    def load(registry: Registry) -> Ran:
        url = f"http://{registry.host}/v2/{path(registry)}"
        ran, said = _run(tool("wrk", *options, "-H", f"Accept: {MANIFEST}", url))
        summary = json.loads(said.splitlines()[-1])
        if summary["errors"] or not summary["requests"]:
            raise RuntimeError(f"wrk of {registry.title}: {summary}")
        return Ran(summary["us"] / 1e6, summary["requests"] / WRK_UNIT, ran.client_cpu_s)

    return load


def push(what: str, *, count: int, connections: int) -> Load:
    """Push small blobs or manifests, each time to another repository."""
    number = 0

    def load(registry: Registry) -> Ran:
        nonlocal number
        number += 1
        name = f"{registry.host}/bench/{what}{number}"
        command = [sys.executable, _SMALL_PUSHES, name, what, str(count), str(connections)]
        ran, said = _run(command)
        return Ran(float(said), 1, ran.client_cpu_s)

    return load


def _run(command: Sequence[str]) -> tuple[Ran, str]:
    """Run a client to its end; return what it took and what it printed."""
    with tempfile.TemporaryDirectory() as home:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin_s = time.perf_counter()
        run = subprocess.run(
            command, env=environment(Path(home)), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - begin_s
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise RuntimeError(f"{command[0]} ended with {run.returncode}: {run.stderr[-2000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(seconds, 1, cpu_s), run.stdout
