"""The registries that are measured as servers, each a process on storage of its own."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import programs
import servers
from programs import COMMAND

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_POLL_S = 0.002

ZOT_LOG = {"level": "info"}  # a line for each request, as the others write it


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A program that serves a folder.

    Attributes:
        name: as it stands in tables, without its version.
        program: its name in ``.peers`` or on PATH; empty is ours.
        version: finds the version in what ``--version`` prints.
    """

    name: str
    program: str = ""
    version: str = ""

    @property
    def is_there(self) -> bool:
        return not self.program or programs.find(self.program) is not None

    @property
    def title(self) -> str:
        """Its name and version."""
        if not self.program:
            return self.name
        run = subprocess.run(
            [programs.path(self.program), "--version"], capture_output=True, text=True, check=True
        )
        found = re.search(self.version, run.stdout + run.stderr)
        return f"{self.name} {found[1]}" if found else self.name

    def command(self, folder: Path, host: str) -> list[str]:
        """Write what it wants to be configured with; return what starts it."""
        if not self.program:
            return [*COMMAND, "serve", str(folder / "data"), "--port", host.rpartition(":")[2]]
        if self.program == "zot":
            address, _, port = host.rpartition(":")
            file = folder / "config.json"
            storage = {"rootDirectory": str(folder / "data")}
            http = {"address": address, "port": port}
            file.write_text(json.dumps({"storage": storage, "http": http, "log": ZOT_LOG}))
            return [programs.path(self.program), "serve", str(file)]
        config = servers.distribution_config(folder, host)
        return [programs.path(self.program), "serve", str(config)]


OURS = Kind(name="ocipkg-async serve")
BASE = Kind(name="docker-registry", program="docker-registry", version=r"distribution (\d[\d.]*)")
KINDS = (
    OURS,
    BASE,
    Kind(name="distribution", program="registry", version=r"distribution/v\d+ v(\d[\d.]*)"),
    Kind(name="zot", program="zot", version=r'"commit":"v?(\d[\d.]*)'),
)


class Registry:
    """A running registry.

    Attributes:
        kind: what it is.
        title: name and version.
        host: host and port.
        pid: of its process, which has no children.
        start_s: from starting the process to the first answer.
    """

    def __init__(self, kind: Kind, folder: Path, *, host: str, pid: int, start_s: float) -> None:
        self.kind = kind
        self.title = kind.title
        self.host = host
        self.pid = pid
        self.start_s = start_s
        self._folder = folder

    @property
    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    @property
    def resident_bytes(self) -> int:
        return self._memory("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """Largest resident memory since it started or `forget_peak` was called."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def forget_blob(self, repository: str, digest: str) -> None:
        """Remove a blob and its file, if it is there."""
        if self.kind.program in {"docker-registry", "registry"}:
            # These delete what names a blob, and keep its file.
            shutil.rmtree(self._folder / "data" / "docker", ignore_errors=True)
            return
        url = f"http://{self.host}/v2/{repository}/blobs/{digest}"
        with contextlib.suppress(urllib.error.HTTPError):  # not there
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        if found is None:
            raise RuntimeError(f"the kernel does not tell {name}")
        return int(found[1]) << 10


@contextmanager
def running(kind: Kind, folder: Path) -> Iterator[Registry]:
    """Run a registry on an empty folder of its own."""
    folder.mkdir()
    host = servers.free_address()
    command = kind.command(folder, host)
    begin_s = time.perf_counter()
    with servers.running(command, folder) as process:
        servers.wait_for_answer(process, folder, host, pause_s=_POLL_S)
        start_s = time.perf_counter() - begin_s
        yield Registry(kind, folder, host=host, pid=process.pid, start_s=start_s)


@contextmanager
def all_running(folder: Path) -> Iterator[list[Registry]]:
    """Run all that are installed."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(running(kind, folder / (kind.program or "ours")))
            for kind in KINDS
            if kind.is_there
        ]
