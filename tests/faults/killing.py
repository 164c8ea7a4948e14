"""Kills the program when it has moved so many bytes, and measures what that costs.

How far a process is stands in ``/proc/<pid>/io``: bytes that it read from files and wrote to them,
sockets left aside. So a kill hits a place in the transfer, not a time on a machine.

``OCIPKG_TEST_KILLS`` and ``OCIPKG_TEST_KILL_MIB`` say how many kills and how large a blob;
``OCIPKG_TEST_SEED`` gives the kills of another run, whose seed it printed.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from ocipkg_async.spec import Descriptor

KILLS = int(os.environ.get("OCIPKG_TEST_KILLS", "3"))
MIB = 1 << 20
SIZE = int(os.environ.get("OCIPKG_TEST_KILL_MIB", "32")) * MIB
SEED = int(os.environ.get("OCIPKG_TEST_SEED", "0")) or int.from_bytes(os.urandom(4))
LIMIT_S = 120.0
_LATE_S = 0.05
_LISTENING = "0A"
_COMING = frozenset({"01", "03", "08"})
"""States of connections that the server has yet to accept, whether or not their client has gone."""
_WHILE_MOVING, _BEHIND = 0.7, 0.85

Counts = Literal["rchar", "wchar"]


def watches() -> bool:
    """Whether this system tells what a process has moved."""
    return os.access("/proc/self/io", os.R_OK) and os.access("/proc/net/tcp", os.R_OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where to kill.

    Attributes:
        at: when so many bytes were moved.
        after_s: so much later still, for what comes behind the last byte.
    """

    at: int
    after_s: float = 0.0


def seeded() -> Random:
    """Return chances that another run can have, too."""
    return Random(SEED)  # noqa: S311 - nothing is secret


def draw(chance: Random, *, start: int, stop: int, end: int) -> Spot:
    """Return where to kill: mostly while the blob is moved, there everywhere alike.

    Args:
        chance: draws it.
        start: bytes that are moved before the blob.
        stop: bytes that are moved when all of it came.
        end: bytes that are moved by a whole run.
    """
    share = chance.random()
    if share < _WHILE_MOVING:
        return Spot(at=int(chance.uniform(start, stop)))
    if share < _BEHIND and end > stop:
        return Spot(at=int(chance.uniform(stop, end)))
    # Somewhat before the end: a run's few other reads and writes differ a little.
    return Spot(at=max(0, end - 2 * MIB), after_s=chance.uniform(0, _LATE_S))


def in_a_row(chance: Random, left: int) -> int:
    """Return how often in a row a transfer is killed before it is let finish."""
    return min(chance.randint(1, 3) if KILLS > 9 else 2, left)


class Run:
    """One run of the program, in a session of its own."""

    def __init__(self, *args: object, output: Path, folder: Path | None = None) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ocipkg_async", *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )

    def moved(self, counts: Counts) -> int | None:
        """Bytes that it read or wrote, or None: it has ended."""
        try:
            text = Path(f"/proc/{self._process.pid}/io").read_text()
        except (OSError, ValueError):
            return None
        found = re.search(rf"^{counts}: (\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else None

    def killed(self, spot: Spot, counts: Counts) -> bool:
        """Kill it there; return whether it was in time."""
        deadline = time.monotonic() + LIMIT_S
        try:
            while self._process.poll() is None and (self.moved(counts) or 0) < spot.at:
                assert time.monotonic() < deadline, self._output.read_text()
                time.sleep(0.0005)
            time.sleep(spot.after_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait(LIMIT_S)
        assert code in {-signal.SIGKILL, 0}, self._output.read_text()
        return code != 0

    def finish(self, counts: Counts) -> int:
        """Let it come to its end, which must be good; return what it moved, nearly."""
        deadline, moved = time.monotonic() + LIMIT_S, 0
        try:
            while self._process.poll() is None:
                moved = max(moved, self.moved(counts) or 0)
                assert time.monotonic() < deadline, self._output.read_text()
                time.sleep(0.001)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait(LIMIT_S)
        assert code == 0, self._output.read_text()
        return moved


@dataclass(slots=True)
class Tally:
    """What the kills of one test came to.

    Attributes:
        what: the test.
        kills: how many there were.
        late: how many of them when all of the blob had come.
        finished: runs that came to their end.
        lost: bytes that were moved in vain, together.
        worst: and by one kill.
        history: each kill.
    """

    what: str
    kills: int = 0
    late: int = 0
    finished: int = 0
    lost: int = 0
    worst: int = 0
    history: list[str] = field(default_factory=list[str])

    def note(self, spot: Spot, *, before: int, after: int, moved: int, whole: bool) -> int:
        """Count a kill; return how many bytes were moved in vain.

        Args:
            spot: where it hit.
            before: bytes that there were of the blob before.
            after: and afterwards.
            moved: bytes of the blob that were moved.
            whole: all of the blob had come.
        """
        lost = moved - (after - before)
        self.kills += 1
        self.late += whole
        self.lost += lost
        self.worst = max(self.worst, lost)
        self.history.append(f"{spot}: {before} bytes before, {after} after, {moved} moved")
        return lost

    def __str__(self) -> str:
        return (
            f"{self.what}: seed {SEED}, {SIZE // MIB} MiB, {self.kills} kills ({self.late} when all"
            f" had come), {self.finished} finished runs, {self.lost / MIB:.1f} MiB moved in vain,"
            f" {self.worst / MIB:.1f} MiB by the worst"
        )


@contextmanager
def tallied(what: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Tally]:
    """Count the kills of a test, and print at the end what they came to."""
    tally = Tally(what)
    try:
        yield tally
    finally:
        with capsys.disabled():
            print(f"\n{tally}")  # noqa: T201 - what a long run is for


class Server:
    """A server process on loopback, found by its port.

    A handler may go on for a while when its connection was reset, and writes and logs until it ends.
    Then it lets go of its socket. It may not even have begun: the system accepts connections before
    a busy server does. Take this when all have gone who were connected: it waits until the server
    has noticed.

    Args:
        host: host and port.
    """

    def __init__(self, host: str) -> None:
        self._port = f"{int(host.rpartition(':')[2]):04X}"

        def own() -> list[tuple[str, str]]:
            """Those of its sockets that are not only known to the kernel."""
            return [(state, inode) for state, inode in self._known() if inode != "0"]

        wait_for(lambda: len(own()) == 1)
        ((state, inode),) = own()
        assert state == _LISTENING
        processes = (path for path in Path("/proc").iterdir() if path.name.isdecimal())
        (self._process,) = (p for p in processes if f"socket:[{inode}]" in _sockets(p))
        self._idle = len(_sockets(self._process))

    def wait(self) -> None:
        """Wait until it has no connection, nor will get one that a client has made."""
        wait_for(
            # In this order: what is accepted in between is still found.
            lambda: (
                all(state not in _COMING for state, inode in self._known() if inode == "0")
                and len(_sockets(self._process)) <= self._idle
            )
        )

    def _known(self) -> list[tuple[str, str]]:
        """Return state and inode of all connections; the inode is 0 where it is not the server's."""
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return [(words[3], words[9]) for words in lines if words[1].endswith(f":{self._port}")]


class ServedBytes:
    """What docker-registry sent of a blob, by its log."""

    _LINE = re.compile(
        r"http\.request\.method=GET .*http\.request\.uri=\"?(\S+?)\"? .*written=(\d+)"
    )

    def __init__(self, log: Path, host: str, blob: Descriptor) -> None:
        self._log = log
        self._server = Server(host)
        self._blob = f"/blobs/{blob.digest}"
        self._read = log.stat().st_size

    def new(self) -> int:
        """Bytes since it was asked last; waits until nobody is served any more."""
        self._server.wait()
        with self._log.open("rb") as file:
            file.seek(self._read)
            text = file.read().decode(errors="replace")
        self._read += len(text.encode())
        lines = (line for line in text.splitlines() if "response completed" in line)
        found = filter(None, map(self._LINE.search, lines))
        return sum(int(one[2]) for one in found if one[1].endswith(self._blob))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _sockets(process: Path) -> list[str]:
    """The sockets that a process has open; none where it is somebody else's, or over."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(entry.readlink()))
    return [name for name in found if name.startswith("socket:")]
