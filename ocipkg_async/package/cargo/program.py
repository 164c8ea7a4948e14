"""Runs one program, such as cargo: its output as it comes, and its end when its caller ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, Process

from ...errors import NotFoundError, UnsupportedError, single_error

MAX_LINE_BYTES = 64 << 20
"""Bound of one line; the description of a workspace is one, of some megabytes where it is large."""


class Lines:
    """Cuts what a program prints into lines, of bounded length."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes, without their ends.

        Raises:
            UnsupportedError: a line is too long.
        """
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = bytes(self._rest + line)
            self._rest.clear()
            yield whole.removesuffix(b"\r")
        self._rest += rest
        if len(self._rest) > self._max_line_bytes:
            raise UnsupportedError(f"a program printed a line of over {self._max_line_bytes} bytes")

    def end(self) -> Iterator[bytes]:
        """Yield what came after the last line's end."""
        if self._rest:
            yield bytes(self._rest)
            self._rest.clear()


OnLine = Callable[[bytes], object]


async def run_program(
    command: Sequence[str],
    *,
    on_stdout: OnLine,
    on_stderr: OnLine,
    environ: Mapping[str, str] | None = None,
    hint: str,
) -> int:
    """Run a program without input; return its exit status, as a shell would tell it.

    When the caller is cancelled, or a callback raises, the program is killed with all that it
    started, and has ended when this returns.

    Args:
        command: the program, looked for on PATH where it is a bare name, and its arguments.
        on_stdout: called with each line of its standard output.
        on_stderr: called with each line of its standard error.
        environ: changes to the environment.
        hint: what to do where there is no such program.

    Raises:
        NotFoundError: there is no such program, or it cannot be started.
        UnsupportedError: it printed a line without end.
    """
    # In a task of its own: a caller that is cancelled through asyncio would break the shields.
    status: list[int] = []
    run = _Run(command, on_stdout, on_stderr, {**os.environ, **(environ or {})}, hint)
    with single_error():
        async with anyio.create_task_group() as group:
            group.start_soon(run.run, status)
    return status[0]


@dataclass(frozen=True, slots=True)
class _Run:
    command: Sequence[str]
    on_stdout: OnLine
    on_stderr: OnLine
    environ: Mapping[str, str]
    hint: str

    async def run(self, status: MutableSequence[int]) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        # Cancelled while it starts, asyncio would end the program alone. In a session of its own,
        # it can be ended together with what it started.
        with anyio.CancelScope(shield=True) as scope:
            process = await self._start()
            scope.shield = False
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(_receive, process.stdout, self.on_stdout)
                    group.start_soon(_receive, process.stderr, self.on_stderr)
                code = await process.wait()
                status.append(code if code >= 0 else 128 - code)
            finally:
                scope.shield = True
                _kill(process)
                await process.aclose()

    async def _start(self) -> Process:
        try:
            return await anyio.open_process(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environ,
                start_new_session=True,
            )
        except OSError as error:
            reason = error.strerror or "it is not a program"
            message = f"{self.command[0]} cannot be started: {reason}"
            raise NotFoundError(message, hint=self.hint) from error


async def _receive(stream: ByteReceiveStream | None, on_line: OnLine) -> None:
    lines = Lines()
    async for piece in cast("ByteReceiveStream", stream):
        for line in lines.feed(piece):
            on_line(line)
    for line in lines.end():
        on_line(line)


def _kill(process: Process) -> None:
    """End a program that still runs, and its children."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
