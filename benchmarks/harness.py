"""Runs programs side by side: alternating, each in a process of its own, medians and peak memory.

Only ratios between programs of one run mean something: other machines, and other hours on a
shared one, give other seconds.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A program to measure.

    Attributes:
        name: as it stands in the table.
        command: what is run; its exit status must be 0.
        before: called before each run, not measured.
        output: a file whose size is told, and which is removed before each run.
        inner: it prints the seconds of its own work, which get a row of their own.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], object] = lambda: None
    output: Path | None = None
    inner: bool = False


@dataclass(kw_only=True)
class Result:
    """What was measured of one contender.

    Attributes:
        seconds: wall-clock time of each run.
        cpu_seconds: processor time of each run, of all its threads and children.
        peak_bytes: largest resident memory of one of its processes.
        output_bytes: size of the output file, or None.
        inner_seconds: what it printed, for a contender with ``inner``.
    """

    contender: Contender
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    output_bytes: int | None = None
    inner_seconds: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def python(script: str, *arguments: str) -> list[str]:
    """The command that runs a piece of Python with this interpreter."""
    return [sys.executable, "-c", script, *arguments]


def run(contenders: Sequence[Contender], *, rounds: int = 5, warm_up: int = 1) -> list[Result]:
    """Run all contenders in turn, `rounds` times, after rounds that only fill the caches."""
    results = [Result(contender=contender) for contender in contenders]
    for number in range(warm_up + rounds):
        # Whoever runs after the same neighbour each time inherits the same caches and dirty pages.
        shift = number % len(results)
        for result in results[shift:] + results[:shift]:
            _run_one(result, counts=number >= warm_up)
    return results


def _run_one(result: Result, *, counts: bool) -> None:
    contender = result.contender
    if contender.output is not None:
        contender.output.unlink(missing_ok=True)
    contender.before()
    start = time.perf_counter()
    wanted = subprocess.PIPE if contender.inner else subprocess.DEVNULL
    process = subprocess.Popen(contender.command, stdout=wanted, text=True)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{contender.name} ended with status {process.returncode}")
    said = process.communicate()[0] if contender.inner else ""
    if not counts:
        return
    if contender.inner:
        result.inner_seconds.append(float(said))
    result.seconds.append(seconds)
    result.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    result.peak_bytes = max(result.peak_bytes, peak)
    if contender.output is not None:
        result.output_bytes = contender.output.stat().st_size


def table(results: Sequence[Result], *, against: Sequence[str]) -> str:
    """A Markdown table; each name in `against` gets a column with the ratio of the medians."""
    by_name = {result.contender.name: result for result in results}
    ratios = [f"time / {name}" for name in against]
    sizes = any(result.output_bytes is not None for result in results)
    head = ["program", "median s", "min s", "max s", "CPU s", *ratios, "peak MiB"]
    if sizes:
        head += ["output MiB", f"size / {against[0]}"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for result in results:
        row = [
            result.contender.name,
            f"{result.median_s:.3f}",
            f"{min(result.seconds):.3f}",
            f"{max(result.seconds):.3f}",
            f"{statistics.median(result.cpu_seconds):.3f}",
            *(f"{result.median_s / by_name[name].median_s:.3f}" for name in against),
            f"{result.peak_bytes / MIB:.0f}",
        ]
        if sizes:
            base = by_name[against[0]].output_bytes
            size = result.output_bytes
            row.append("" if size is None else f"{size / MIB:.1f}")
            row.append("" if size is None or not base else f"{size / base:.4f}")
        rows.append(row)
        if result.inner_seconds:
            median_s = statistics.median(result.inner_seconds)
            row = [
                f"{result.contender.name}, without starting",
                f"{median_s:.3f}",
                f"{min(result.inner_seconds):.3f}",
                f"{max(result.inner_seconds):.3f}",
                "",
                *(f"{median_s / by_name[name].median_s:.3f}" for name in against),
            ]
            rows.append(row + [""] * (len(head) - len(row)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
