"""Measures ours beside its peers, and says which targets are met: a Markdown table and a plot.

Run it as ``nox -s bench``, or ``python benchmarks/measure.py --only 1,5 --quick``. Each item runs its
programs in turn, in one run; only ratios of one run mean something. What was measured so far is
written after each table, so that a run that is cut short leaves something.
"""

import argparse
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import bench_limited
import bench_memory
import bench_ocipkg
import bench_pull
import bench_push
import bench_resume
import bench_serve
import bench_small
from checks import Check, Measurement, Section, Setup, summary
from harness import MIB

ITEMS: dict[int, Measurement] = {
    1: bench_pull.plain,
    2: bench_limited.throttled,
    3: bench_limited.distant,
    4: bench_pull.encrypted,
    5: bench_push.push,
    6: bench_small.many,
    8: bench_resume.resumed,
    9: bench_ocipkg.package,
    10: bench_serve.serve,
    # Last: it tells the highest peak of all that ran.
    7: bench_memory.peaks,
}
OUT = Path(__file__).parent / "out"


def main() -> None:
    given = arguments()
    # A server that outlives us would be found by nobody.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given.out.mkdir(parents=True, exist_ok=True)
    sections: list[Section] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        setup = Setup(
            folder=Path(folder),
            size=given.size_mib * MIB,
            rounds=given.rounds,
            quick=given.quick,
        )
        for number, measurement in ITEMS.items():
            if number not in given.only:
                continue
            try:
                for section in measurement(setup, sections):
                    print(f"\n## {heading(section)}\n\n{body(section)}", flush=True)
                    sections.append(section)
                    write(given.out, sections, failed, setup)
            except (OSError, RuntimeError, ValueError, subprocess.SubprocessError):
                # An hour of measurements is not thrown away for one that fails.
                traceback.print_exc()
                failed.append(f"Item {number} failed: {sys.exc_info()[1]}")
                write(given.out, sections, failed, setup)
    pictures(given.out, sections, png=given.png)
    print(f"\nWritten to {given.out}")
    if failed:
        sys.exit("\n".join(failed))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", type=numbers, default=set(ITEMS), help="items, such as 1,5")
    parser.add_argument("--rounds", type=int, help="how often each program runs [default: 5]")
    parser.add_argument("--size-mib", type=int, help="of a large blob [default: 1024]")
    parser.add_argument("--quick", action="store_true", help="try it out: 64 MiB, one round")
    parser.add_argument("--folder", type=Path, help="where to work [default: a temporary folder]")
    parser.add_argument("--out", type=Path, default=OUT, help="where table and plot are written")
    parser.add_argument("--png", action="store_true", help="the plot as PNG, too")
    given = parser.parse_args()
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("matplotlib is not installed: pip install --group bench")
    given.rounds = given.rounds or (1 if given.quick else 5)
    given.size_mib = given.size_mib or (64 if given.quick else 1024)
    return given


def numbers(text: str) -> set[int]:
    found = {int(part) for part in text.split(",")}
    if unknown := found - set(ITEMS):
        raise argparse.ArgumentTypeError(f"there is no item {', '.join(map(str, unknown))}")
    return found


def heading(section: Section) -> str:
    return f"{section.item}. {section.title}"


def body(section: Section) -> str:
    parts = [section.table, *section.notes]
    if section.checks:
        parts.append(summary(section.checks))
    return "\n\n".join(part for part in parts if part)


def about(setup: Setup) -> str:
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()},"
        f" {len(os.sched_getaffinity(0))} CPUs, medians of {setup.rounds}"
        f" alternating run{'s' if setup.rounds > 1 else ''}"
    )


def checks_of(sections: Sequence[Section]) -> list[Check]:
    return sorted(
        (check for section in sections for check in section.checks), key=lambda check: check.item
    )


def write(out: Path, sections: Sequence[Section], failed: Sequence[str], setup: Setup) -> None:
    """Write the table, and the single runs behind it as JSON."""
    parts = ["# Measurements", about(setup) + ".", summary(checks_of(sections)), *failed]
    parts += [f"## {heading(section)}\n\n{body(section)}" for section in sections]
    (out / "bench.md").write_text("\n\n".join(parts) + "\n")
    raw = [
        {
            "item": section.item,
            "title": section.title,
            "checks": [
                {"what": c.what, "value": c.value, "target": c.target, "verdict": c.verdict}
                for c in section.checks
            ],
            "programs": [
                {
                    "name": result.contender.name,
                    "seconds": result.seconds,
                    "cpu_seconds": result.cpu_seconds,
                    "inner_seconds": result.inner_seconds,
                    "peak_bytes": result.peak_bytes,
                }
                for result in section.results
            ],
        }
        for section in sections
    ]
    (out / "bench.json").write_text(json.dumps(raw, indent=1) + "\n")


def pictures(out: Path, sections: Sequence[Section], *, png: bool) -> None:
    # It takes 40 MiB and a second, which the measurements need not share the machine with.
    import plot  # noqa: PLC0415

    checks = checks_of(sections)
    if not checks:
        return
    title = "ocipkg_async beside its peers, one run on one machine"
    for suffix in ("svg", "png") if png else ("svg",):
        plot.draw(checks, out / f"bench.{suffix}", title=title)


if __name__ == "__main__":
    main()
