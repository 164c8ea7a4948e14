"""Item 8: a pull is killed at nine tenths and run again; what the second run fetches is counted."""

import hashlib
import json
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import blobs
import servers
from checks import Check, Section, Setup
from harness import MIB, environment, markdown
from programs import COMMAND, Blob

KILL_AT = 0.9
# What a connection gets a second, as a part of the blob: slow enough that the lines of progress, ten
# a second, come every few hundredths of it.
PART_PER_S = 32


def resumed(setup: Setup, _done: Sequence[Section]) -> Iterator[Section]:
    """The bytes are counted by nginx, not by us; a slow line behind it leaves time to kill the first run."""
    room = setup.room("resume")
    digest = blobs.random_file(room / "blob", setup.size)
    fetched: list[float] = []
    rows = [["run", "killed at", "first run sent MiB", "second run sent MiB", "/ size"]]
    rows.append(["---:"] * 5)
    with servers.registry(room / "registry") as upstream:
        blobs.push(upstream, room / "blob", digest)
        for number in range(setup.rounds):
            folder = room / str(number)
            folder.mkdir()
            killed_at, before, again = _killed_and_again(folder, upstream, digest, setup.size)
            fetched.append(again / setup.size)
            sent = [f"{count / MIB:.0f}" for count in (before, again)]
            rows.append([str(number + 1), f"{killed_at:.3f}", *sent, f"{fetched[-1]:.3f}"])
            shutil.rmtree(folder)
    yield Section(
        item=8,
        title=f"Pull of {setup.size // MIB} MiB, killed at {KILL_AT:.0%} and run again",
        table=markdown(rows),
        checks=[
            Check(
                item=8,
                what="bytes that the second run fetches / size",
                value=statistics.median(fetched),
                limit=0.12,
            )
        ],
        notes=["Sent is what nginx gave its kernel; of a killed run some of it never arrived."],
    )
    shutil.rmtree(room)


def _killed_and_again(
    folder: Path, upstream: str, digest: str, size: int
) -> tuple[float, int, int]:
    """Kill one pull and run another; return where, and what each was sent."""
    counted = servers.free_address()
    sent: list[int] = []
    killed_at = 0.0
    line = servers.slow_proxy(
        folder / "line", counted, delay_ms=0, mib_per_s=size / PART_PER_S / MIB
    )
    with line as host:
        blob = Blob(host=host, repository="bench/pull", digest=digest, size=size)
        command = [*COMMAND, "pull", blob.reference, "-o", str(folder / "out")]
        # An nginx for each, at one address: what the first sent cannot be counted to the second.
        for number in range(2):
            server = folder / f"nginx-{number}"
            with servers.nginx(server, upstream=upstream, host=counted):
                if number == 0:
                    killed_at = _killed([*command, "--progress", "json"])
                else:
                    with tempfile.TemporaryDirectory() as home:
                        run = [*command, "-q"]
                        env = environment(Path(home))
                        subprocess.run(run, env=env, stdout=subprocess.DEVNULL, check=True)
            sent.append(_sent(server / "access"))
    _check(folder / "out", digest)
    before, again = sent
    return killed_at, before, again


def _check(folder: Path, digest: str) -> None:
    (pulled,) = folder.iterdir()
    with pulled.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != f"sha256:{got}":
        raise RuntimeError(f"the second run wrote {got}, not {digest}")


def _killed(command: list[str]) -> float:
    """Kill a pull when a line of its progress says that it got so far; return how far."""
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            command,
            env=environment(Path(home)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        line = ""
        for line in process.stderr:
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("event") == "progressed" and said["done"] >= KILL_AT * said["total"]:
                process.kill()
                return float(said["done"] / said["total"])
    raise RuntimeError(f"{command} ended before it was at {KILL_AT:.0%}; it said at last: {line}")


def _sent(access: Path) -> int:
    """Bytes of blobs that nginx sent."""
    lines = (line.split(" ", 2) for line in access.read_text().splitlines())
    return sum(int(count) for _status, count, request in lines if "/blobs/" in request)
