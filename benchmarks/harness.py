"""Runs programs side by side: alternating, each in a process of its own, medians and peak memory.

Only ratios between programs of one run mean something: other machines, and other hours on a
shared one, give other seconds.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
_LAUNCHER = Path(__file__).with_name("launcher.py")
# What of the user's settings could change a program: credentials, proxies and the like are left out.
_KEPT = ("PATH", "LANG", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A program to measure.

    Attributes:
        name: as it stands in the table.
        command: what is run; its exit status must be 0.
        tool: whose it is, such as ``ours`` or ``curl``.
        before: called before each run, not measured.
        output: a file whose size is told, and which is removed before each run.
        cwd: the folder that it runs in; None is ours.
        stdin: a file that it reads.
        stdout: a file that its output goes to; None throws it away.
        inner: it prints the seconds of its own work, which get a row of their own.
    """

    name: str
    command: Sequence[str]
    tool: str = ""
    before: Callable[[], object] = lambda: None
    output: Path | None = None
    cwd: Path | None = None
    stdin: Path | None = None
    stdout: Path | None = None
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

    @property
    def inner_median_s(self) -> float:
        return statistics.median(self.inner_seconds)

    @property
    def median_cpu_s(self) -> float:
        return statistics.median(self.cpu_seconds)


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
    with tempfile.TemporaryDirectory() as home:
        measured, said = _launch(contender, Path(home))
    if not counts:
        return
    if contender.inner:
        result.inner_seconds.append(float(said))
    result.seconds.append(measured["seconds"])
    result.cpu_seconds.append(measured["cpu_seconds"])
    result.peak_bytes = max(result.peak_bytes, int(measured["peak_bytes"]))
    if contender.output is not None:
        result.output_bytes = contender.output.stat().st_size


def _launch(contender: Contender, home: Path) -> tuple[dict[str, float], str]:
    """Run a contender once; return what was measured, and what it printed if that is wanted."""
    printed, complaints = home / ".stdout", home / ".stderr"
    stdout = printed if contender.inner else contender.stdout
    wanted = {
        "command": list(contender.command),
        "stdin": str(contender.stdin) if contender.stdin else None,
        "stdout": str(stdout) if stdout else None,
        "stderr": str(complaints),
    }
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(wanted)],
        cwd=contender.cwd,
        env=environment(home),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"{contender.name} could not be run to its end")
    measured: dict[str, float] = json.loads(run.stdout)
    if measured["status"]:
        raise RuntimeError(
            f"{contender.name} ended with status {measured['status']}: "
            + complaints.read_text(errors="replace")[-2000:]
        )
    return measured, printed.read_text() if contender.inner else ""


def environment(home: Path) -> dict[str, str]:
    """The environment that programs run in: nobody's settings but their own defaults."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": str(home)}


def table(
    results: Sequence[Result],
    *,
    against: Sequence[str],
    amount: tuple[str, float] | None = None,
) -> str:
    """A Markdown table of results.

    Args:
        results: a row each.
        against: names that get a column each with the ratio of the medians.
        amount: a unit, and how many of it each run moves, for a column of how many a second.
    """
    by_name = {result.contender.name: result for result in results}
    against = [name for name in against if name in by_name]
    ratios = [f"time / {name}" for name in against]
    per_second = [f"{amount[0]}/s"] if amount else []
    sizes = any(result.output_bytes is not None for result in results)
    head = ["program", "median s", "min s", "max s", "CPU s", *per_second, *ratios, "peak MiB"]
    if sizes:
        head += ["output MiB", f"size / {against[0]}"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for result in results:
        row = [
            result.contender.name,
            f"{result.median_s:.3f}",
            f"{min(result.seconds):.3f}",
            f"{max(result.seconds):.3f}",
            f"{result.median_cpu_s:.3f}",
            *([f"{amount[1] / result.median_s:.0f}"] if amount else []),
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
            median_s = result.inner_median_s
            row = [
                f"{result.contender.name}, without starting",
                f"{median_s:.3f}",
                f"{min(result.inner_seconds):.3f}",
                f"{max(result.inner_seconds):.3f}",
                "",
                *([f"{amount[1] / median_s:.0f}"] if amount else []),
                *(f"{median_s / by_name[name].median_s:.3f}" for name in against),
            ]
            rows.append(row + [""] * (len(head) - len(row)))
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
