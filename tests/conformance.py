"""The OCI distribution conformance suites against the embedded registry: build, run, count.

``nox -s conformance`` runs this file. The suites are Go modules; their sources go to Go's module
cache, programs and reports to ``.peers/conformance``.
"""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
from rich.console import Console
from rich.table import Table

from conformance_suites import MODULE, SUITES, Counts, Source, Suite
from ocipkg_async.server import EmbeddedRegistry

FOLDER = Path(__file__).resolve().parents[1] / ".peers" / "conformance"
BUILD_TIMEOUT_S = 600
RUN_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: its counts, the tests that failed, and what is wrong with it all."""

    counts: Counts
    failures: list[str]
    complaints: list[str]


async def run_suite(suite: Suite, program: Path, folder: Path) -> Outcome:
    """Run a suite's program against a new registry with an empty root.

    Args:
        suite: its settings.
        program: the program.
        folder: takes the reports, and what the program prints.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    printed, logged = folder / "output.txt", folder / "registry.log"
    async with logging_to(logged), EmbeddedRegistry(**suite.options) as registry:
        values = {"url": registry.url, "host": registry.host, "folder": str(folder)}
        # Settings of the caller's must not switch tests off.
        env = {name: text for name, text in os.environ.items() if not name.startswith("OCI_")}
        env |= {name: text.format(**values) for name, text in suite.env.items()}
        code: int | str = f"none after {RUN_TIMEOUT_S} s"
        with printed.open("wb") as file, anyio.move_on_after(RUN_TIMEOUT_S):
            done = await anyio.run_process(
                [str(program), *suite.arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                env=env,
                cwd=folder,
            )
            code = done.returncode
    counts, failures = read_report(folder / "junit.xml", printed.read_text(errors="replace"))
    complaints = []
    if code:
        complaints.append(f"exit code {code}")
    if logged.exists():
        complaints.append(f"errors in {logged.name}")
    if counts.failed or failures:
        complaints.append(f"{counts.failed} failed")
    if counts.passed < suite.wanted.passed:
        complaints.append(f"{counts.passed} passed, not {suite.wanted.passed}")
    return Outcome(counts=counts, failures=failures, complaints=complaints)


@asynccontextmanager
async def logging_to(path: Path) -> AsyncIterator[None]:
    """Have warnings and errors of the registry in a file, which is made by the first."""
    handler = logging.FileHandler(path, delay=True)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def read_report(junit: Path, printed: str) -> tuple[Counts, list[str]]:
    """Return the counts and the names of failed tests; a suite that wrote no report has none."""
    if not junit.is_file():
        return Counts(), []
    root = ET.parse(junit).getroot()  # noqa: S314 - written by the program that we ran
    failures = [
        case.get("name", "")
        for case in root.iter("testcase")
        if case.get("status") not in {"passed", "skipped"}
    ]
    # Ginkgo's report also counts its own reporters.
    line = re.search(
        r"(\d+) Passed \| (\d+) Failed \| (\d+) Pending \| (\d+) Skipped", printed, re.ASCII
    )
    if line is not None:
        passed, failed, pending, skipped = map(int, line.groups())
        return Counts(passed=passed, failed=failed, skipped=pending + skipped), failures
    tests, failed, errors, skipped, disabled = (
        int(root.get(name, "0")) for name in ("tests", "failures", "errors", "skipped", "disabled")
    )
    left_out = skipped + disabled
    return (
        Counts(passed=tests - failed - errors - left_out, failed=failed + errors, skipped=left_out),
        failures,
    )


async def go(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run Go's command; what it says of its work goes to the terminal."""
    with anyio.fail_after(BUILD_TIMEOUT_S):
        return await anyio.run_process(
            ["go", *arguments], stderr=None, check=False, cwd=cwd, env={**os.environ, **env}
        )


async def build(source: Source) -> Path | None:
    """Build a suite's program; None if its source cannot be had."""
    wanted = f"{MODULE}@{source.version}"
    # The checksum is compared here, and the public database of them knows few pseudo-versions.
    done = await go("mod", "download", "-json", wanted, cwd=FOLDER, GONOSUMDB=MODULE)
    info = json.loads(done.stdout or b"{}")
    if done.returncode:
        say(f"{wanted} cannot be had: {info.get('Error', '')}")
        return None
    if info["Sum"] != source.sum:
        sys.exit(f"{wanted} has the checksum {info['Sum']}, not {source.sum}")
    program = FOLDER / f"suite-{source.version}"
    # In the module's own folder: its go.mod and go.sum fix what it is built of.
    done = await go(*source.build, "-o", str(program), ".", cwd=Path(info["Dir"]))
    if done.returncode:
        sys.exit(f"{wanted} cannot be built")
    return program


def say(text: str) -> None:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


async def run(names: list[str]) -> bool:
    """Run the suites, print the table; whether all is as it has to be."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = Table("suite", "version")
    for column in ("passed", "failed", "left out", "wanted"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    good = True
    for name in names:
        suite = SUITES[name]
        for source in suite.sources:
            if (program := await build(source)) is not None:
                break
        else:
            table.add_row(name, "", "0", "0", "0", str(suite.wanted.passed), "not run")
            good = False
            continue
        outcome = await run_suite(suite, program, FOLDER / name)
        counts = outcome.counts
        for failure in outcome.failures:
            say(f"{name}: failed: {failure}")
        table.add_row(
            name,
            source.label,
            str(counts.passed),
            str(counts.failed),
            str(counts.skipped),
            str(suite.wanted.passed),
            "; ".join(outcome.complaints) or "good",
        )
        good = good and not outcome.complaints
    console = Console()
    console.print(table)
    console.print(f"Reports: {FOLDER}/", highlight=False, soft_wrap=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    names = parser.parse_args().suites or list(SUITES)
    if unknown := set(names) - set(SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    if shutil.which("go") is None:
        parser.error("Go is needed to build the suites")
    sys.exit(not anyio.run(run, names))


if __name__ == "__main__":
    main()
