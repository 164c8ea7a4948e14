"""Runs commands: in this process, in another one, and on a terminal."""

import contextlib
import json
import os
import re
import subprocess
import sys
from typing import Any

from click.testing import CliRunner, Result

from ocipkg_async.cli.main import cli

TIME_LIMIT_S = 60
PROGRAM = (sys.executable, "-m", "ocipkg_async")


def run(*args: object, code: int = 0, stdin: str | None = None) -> Result:
    """Run a command in this process, with standard output and error apart."""
    result = CliRunner().invoke(
        cli, [str(arg) for arg in args], input=stdin, prog_name="ocipkg-async"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, f"{result.exit_code}\n{result.stdout}\n{result.stderr}"
    return result


def run_json(*args: object, code: int = 0) -> Any:
    """Run a command that prints one JSON document and nothing else."""
    return json.loads(run(*args, "--json", code=code).stdout)


def start(*args: object, **options: Any) -> "subprocess.Popen[str]":
    """Start the program, as from a shell."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*PROGRAM, *map(str, args)], text=True, **{**pipes, **options})


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for the end of a program and return what it printed; one that hangs is killed."""
    try:
        return process.communicate(timeout=TIME_LIMIT_S)
    finally:
        process.kill()
        process.wait()


class Terminal:
    """A terminal of 100 columns, with a program on it."""

    def __init__(self, *args: object, stdout: int | None = None) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = start(
            *args,
            stdin=other,
            stdout=other if stdout is None else stdout,
            stderr=other,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(other)
        self.shown = ""

    def until(self, pattern: str) -> str:
        """Read until a pattern was shown; return everything shown so far."""
        while not re.search(pattern, self.shown):
            data = self._read()
            assert data, f"{pattern!r} was not shown, but:\n{self.shown}"
            self.shown += data
        return self.shown

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the program ends; return the exit code.

        Once may not be enough: a signal that comes just before the program waits for a key is
        noticed only after that key.
        """
        while self.process.poll() is None:
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)
        return self.end()

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while data := self._read():
            self.shown += data
        code = self.process.wait(TIME_LIMIT_S)
        os.close(self._fd)
        return code

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # how Linux tells that nobody has the terminal open
            return os.read(self._fd, 1 << 16).decode(errors="replace")
        return ""
