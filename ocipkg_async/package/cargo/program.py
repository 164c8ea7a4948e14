"""Runs one program, such as cargo: its output as it comes, and its end when its caller ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.lowlevel

from ...errors import NotFoundError, UnsupportedError, single_error

MAX_LINE_BYTES = 64 << 20
"""Bound of one line; the description of a workspace is one, of some megabytes where it is large."""

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
            transport, output = await self._start()
            scope.shield = False
            try:
                await output.ended.wait()
                with anyio.move_on_after(_REST_S):
                    await output.read.wait()
                if output.failure is not None:
                    raise output.failure
                code = transport.get_returncode() or 0
                status.append(code if code >= 0 else 128 - code)
            finally:
                scope.shield = True
                if not status:
                    _kill(transport.get_pid())
                transport.close()
                await output.gone.wait()

    async def _start(self) -> "tuple[asyncio.SubprocessTransport, _Output]":
        try:
            return await asyncio.get_running_loop().subprocess_exec(
                partial(_Output, self.on_stdout, self.on_stderr),
                *self.command,
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


class _Output(asyncio.SubprocessProtocol):
    """Hands on what a program prints.

    Of asyncio's interfaces this one alone lets go of output that stays open: a program may leave
    others running that have it.

    Attributes:
        ended: the program has ended, or a callback failed.
        read: so has all that it printed.
        gone: nothing of it is left here.
        failure: what a callback raised.
    """

    def __init__(self, on_stdout: OnLine, on_stderr: OnLine) -> None:
        self.ended, self.read, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.failure: BaseException | None = None
        self._open = {1: (Lines(), on_stdout), 2: (Lines(), on_stderr)}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        lines, on_line = self._open[fd]
        self._hand_on(lines.feed(data), on_line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if fd in self._open:
            lines, on_line = self._open.pop(fd)
            self._hand_on(lines.end(), on_line)
        if not self._open:
            self.read.set()

    def process_exited(self) -> None:
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.gone.set()

    def _hand_on(self, lines: Iterator[bytes], on_line: OnLine) -> None:
        if self.failure is not None:
            return
        try:
            for line in lines:
                on_line(line)
        except BaseException as error:  # noqa: BLE001 - raised where the program is waited for
            self.failure = error
            self.ended.set()
            self.read.set()


def _kill(pid: int) -> None:
    """End a program and its children, also those that it left when it ended."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
