"""Runs cargo and rustc; what they say to people is handed on, and kept for errors."""

import os
from collections.abc import Callable

from ...errors import BuildError
from .messages import BuildOutput
from .program import run_program

OnOutput = Callable[[str], None]
"""Called with what cargo and the compiler say to people: whole lines, without the last one's end."""

_KEPT = 500
"""How many pieces of output an error carries; cargo says last why it failed."""
_INSTALL_HINT = "install Rust from https://rustup.rs, or set CARGO and RUSTC"


def ignore_output(_text: str) -> None:
    """Do nothing: the callback where none was given."""


class Cargo:
    """Cargo, as the environment names it: ``CARGO``, else ``cargo`` on PATH.

    Args:
        on_output: called with what it and the compiler say.
        color: whether that has colours.
    """

    def __init__(self, on_output: OnOutput = ignore_output, *, color: bool = False) -> None:
        self._on_output = on_output
        # Incremental builds name the members of a static library at random.
        self._environ = {"CARGO_INCREMENTAL": os.environ.get("CARGO_INCREMENTAL", "0")}
        if color:
            self._environ["CARGO_TERM_COLOR"] = "always"
        self._said: list[str] = []

    async def output(self, arguments: list[str]) -> bytes:
        """Run it; return its standard output.

        Raises:
            BuildError: it failed.
            NotFoundError: it is not installed.
        """
        lines: list[bytes] = []
        await self._run(arguments, lines.append)
        return b"\n".join(lines)

    async def build(self, arguments: list[str], output: BuildOutput) -> None:
        """Run it, and gather the messages that it prints as JSON.

        Raises:
            BuildError: it failed, for instance since the crate does not compile.
            NotFoundError: it is not installed.
        """

        def on_line(line: bytes) -> None:
            text = output.add(line)
            if text is not None:
                self._say(text)

        await self._run(arguments, on_line)

    async def host(self) -> str:
        """Return the target that rustc builds for by itself: ``RUSTC``, else ``rustc`` on PATH.

        Raises:
            BuildError: it failed, or does not tell.
            NotFoundError: it is not installed.
        """
        lines: list[bytes] = []
        rustc = os.environ.get("RUSTC") or "rustc"
        await self._program([rustc, "-vV"], lines.append)
        for line in lines:
            if line.startswith(b"host: "):
                return line[6:].decode(errors="replace").strip()
        raise BuildError(f"{rustc} -vV does not tell its host", status=1)

    async def _run(self, arguments: list[str], on_line: Callable[[bytes], object]) -> None:
        await self._program([os.environ.get("CARGO") or "cargo", *arguments], on_line)

    async def _program(self, command: list[str], on_line: Callable[[bytes], object]) -> None:
        self._said.clear()
        status = await run_program(
            command,
            on_stdout=on_line,
            on_stderr=lambda line: self._say(line.decode(errors="replace")),
            environ=self._environ,
            hint=_INSTALL_HINT,
        )
        if status != 0:
            raise BuildError(
                f"{command[0]} {command[1]} failed with exit status {status}",
                status=status,
                output="\n".join(self._said),
            )

    def _say(self, text: str) -> None:
        self._said.append(text)
        del self._said[:-_KEPT]
        self._on_output(text)
