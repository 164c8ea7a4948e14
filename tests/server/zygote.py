"""Registries in processes of their own that start in a few milliseconds, to be killed.

One process has imported everything and waits; it has a single thread, so it can be forked. Each
child runs a registry, and says on a pipe what it did.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ocipkg_async.server import EmbeddedRegistry
from server.driving import Driver

# What children need is imported before they are.
_MAIN = "import server.kill_steps, server.zygote; server.zygote.main()"
TESTS = Path(__file__).resolve().parents[1]

Work = Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Child:
    """A process that ended.

    Attributes:
        said: what it said, in order.
        status: as `subprocess` gives it; a negative one is a signal.
    """

    said: list[Any]
    status: int


class Zygote:
    """Starts children, one after the other."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def start(self, work: str, **arguments: Any) -> None:
        """Start a child that does `work`, a name of ``module:function``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"work": work, **arguments}).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """Wait for what the child says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote has ended"
        return json.loads(line)

    def wait(self) -> Child:
        """Wait for the child's end."""
        said = []
        while not (isinstance(word := self.hear(), dict) and "status" in word):
            said.append(word)
        return Child(said, word["status"])

    def run(self, work: str, **arguments: Any) -> Child:
        """Start a child and wait for its end."""
        self.start(work, **arguments)
        return self.wait()

    def close(self) -> None:
        """End it, and the child that may still run."""
        self._process.communicate()


def say(word: Any) -> None:
    """Say something to whoever started this child; it is out when this returns."""
    os.write(1, json.dumps(word).encode() + b"\n")


class Killer:
    """Ends the process in one of its changes of the disk.

    It watches the interpreter's audit events: a file that is opened for writing is there, and
    empty, but nothing is written to it; any other change is not made.
    """

    _CHANGES = frozenset(
        {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.utime"}
    )
    _WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def __init__(self) -> None:
        self._left: int | None = None
        sys.addaudithook(self._hook)

    def arm(self, at: int) -> None:
        """Kill in the change number `at`, counted from 0 and from now."""
        self._left = at

    def disarm(self) -> None:
        """Do not kill any more."""
        self._left = None

    def _hook(self, name: str, arguments: tuple[Any, ...]) -> None:
        left = self._left
        if left is None or not (name in self._CHANGES or self._is_writing(name, arguments)):
            return
        self._left = left - 1 if left else None
        if left == 0:
            if name == "open":
                path, _, flags = arguments
                os.close(os.open(path, flags))
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_writing(self, name: str, arguments: tuple[Any, ...]) -> bool:
        if name != "open":
            return False
        path, _, flags = arguments
        return isinstance(path, (str, bytes)) and bool(flags & self._WRITING)


@asynccontextmanager
async def driven(root: Path | None) -> AsyncIterator[tuple[EmbeddedRegistry, Driver]]:
    """Run a registry on a folder, with a client of its own."""
    async with EmbeddedRegistry(root) as registry, aiohttp.ClientSession() as session:
        session._retry_connection = False
        yield registry, Driver(session, registry.url)


async def serve(arguments: Mapping[str, Any]) -> None:
    """Run a registry until the process is killed."""
    async with EmbeddedRegistry(Path(arguments["root"])) as registry:
        say({"url": registry.url, "pid": os.getpid()})
        await asyncio.Event().wait()


def main() -> None:
    """Be the zygote: fork a child for each line, and say how it ended."""
    for line in sys.stdin.buffer:
        arguments = json.loads(line)
        module, _, function = arguments.pop("work").partition(":")
        work: Work = getattr(sys.modules[module], function)
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(arguments))
            os._exit(0)  # what fails ends the loop, with a traceback
        _, status = os.waitpid(pid, 0)
        say({"status": os.waitstatus_to_exitcode(status)})
