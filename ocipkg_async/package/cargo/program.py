"""Runs one program, such as cargo: its output as it comes, and its end when its caller ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, Process

from ...errors import NotFoundError, UnsupportedError, single_error

MAX_LINE_BYTES = 64 << 20
"""Bound of one line; the description of a workspace is one, of some megabytes where it is large."""

_LOOK_S = 0.1
_REST_S = 1.0
"""What was printed before a program's end is read long before this is over."""


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
    without: Collection[str] = (),
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
        without: variables that it does not get.
        hint: what to do where there is no such program.

    Raises:
        NotFoundError: there is no such program, or it cannot be started.
        UnsupportedError: it printed a line without end.
    """
    # In a task of its own: a caller that is cancelled through asyncio would break the shields.
    status: list[int] = []
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    run = _Run(command, on_stdout, on_stderr, {**inherited, **(environ or {})}, hint)
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
                await self._read(process)
                code = process.returncode
                if code is None:
                    code = await process.wait()
                status.append(code if code >= 0 else 128 - code)
            finally:
                scope.shield = True
                if not status:
                    _kill(process)
                await process.aclose()

    async def _read(self, process: Process) -> None:
        """Hand on all output. What a program leaves running may keep it open: that is not waited for."""
        async with anyio.create_task_group() as watching:

            async def watch() -> None:
                # Waiting for the end would wait for the output's end, too, in some releases of Python.
                while process.returncode is None:  # noqa: ASYNC110
                    await anyio.sleep(_LOOK_S)
                await anyio.sleep(_REST_S)
                watching.cancel_scope.cancel()

            watching.start_soon(watch)
            async with anyio.create_task_group() as reading:
                reading.start_soon(_receive, process.stdout, self.on_stdout)
                reading.start_soon(_receive, process.stderr, self.on_stderr)
            watching.cancel_scope.cancel()

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
    """End a program and its children, also those that it left when it ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
