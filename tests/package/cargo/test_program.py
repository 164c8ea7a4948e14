"""Programs that are run: what they print, how they end, and that nothing of them is left."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from ocipkg_async.errors import NotFoundError, UnsupportedError
from ocipkg_async.package.cargo.program import Lines, run_program
from package.cargo.processes import is_running


async def run(*command: str, **environ: str) -> tuple[int, list[bytes], list[bytes]]:
    out: list[bytes] = []
    err: list[bytes] = []
    status = await run_program(
        command, on_stdout=out.append, on_stderr=err.append, environ=environ, hint="none"
    )
    return status, out, err


async def run_python(code: str, **environ: str) -> tuple[int, list[bytes], list[bytes]]:
    return await run(sys.executable, "-c", code, **environ)


async def test_output_and_status() -> None:
    code = "import os, sys; print('a\\n\\nb'); print(os.environ['X'], end='', file=sys.stderr);"
    assert await run_python(code + "sys.exit(3)", X="y") == (3, [b"a", b"", b"b"], [b"y"])


async def test_no_input() -> None:
    assert (await run_python("import sys; print(len(sys.stdin.read()))"))[1] == [b"0"]


async def test_much_output_on_both_sides() -> None:
    code = "import sys\nfor n in range(20000):\n  print(n); print(n, file=sys.stderr)"
    _, out, err = await run_python(code)
    assert out == err == [str(n).encode() for n in range(20000)]


async def test_end_by_a_signal() -> None:
    status, _, _ = await run_python("import os; os.kill(os.getpid(), 15)")
    assert status == 128 + signal.SIGTERM


async def test_no_such_program(tmp_path: Path) -> None:
    for name in ("no-such-program", str(tmp_path)):
        with pytest.raises(NotFoundError, match="cannot be started") as caught:
            await run(name)
        assert caught.value.hint == "none"


_WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["anyio", "asyncio", "callback"])
async def test_nothing_is_left_of_a_cancelled_run(how: str) -> None:
    pids: list[int] = []
    scope = anyio.CancelScope()
    task: list[asyncio.Task[None]] = []

    def on_stdout(line: bytes) -> None:
        pids.append(int(line))
        if how == "anyio":
            scope.cancel()
        elif how == "asyncio":
            task[0].cancel()
        else:
            raise OverflowError

    async def call() -> None:
        with scope:
            await run_program(
                [sys.executable, "-c", _WITH_CHILD],
                on_stdout=on_stdout,
                on_stderr=lambda _: None,
                hint="none",
            )

    task.append(asyncio.create_task(call()))
    with anyio.fail_after(60):
        await asyncio.wait(task)
        if how == "callback":
            assert isinstance(task[0].exception(), OverflowError)
        else:
            assert task[0].cancelled() == (how == "asyncio")
        (pid,) = pids
        while is_running(pid):  # noqa: ASYNC110 - its parent is gone; who adopts it may take a moment
            await anyio.sleep(0.01)


_LEAVING_A_CHILD = _WITH_CHILD.replace("child.wait()", "print('end', flush=True)")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_what_a_program_leaves_running_is_not_waited_for() -> None:
    with anyio.fail_after(60):
        status, out, _ = await run_python(_LEAVING_A_CHILD)
    pid = int(out[0])
    assert (status, out[1:]) == (0, [b"end"])
    assert is_running(pid)  # a compiler's cache server is meant to go on
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_what_a_program_left_is_killed_when_its_caller_is_cancelled() -> None:
    pids: list[int] = []
    with anyio.fail_after(60):
        with anyio.CancelScope() as scope:

            def on_stdout(line: bytes) -> None:
                if line == b"end":
                    scope.cancel()
                else:
                    pids.append(int(line))

            await run_program(
                [sys.executable, "-c", _LEAVING_A_CHILD],
                on_stdout=on_stdout,
                on_stderr=lambda _: None,
                hint="none",
            )
        assert scope.cancelled_caught
        (pid,) = pids
        while is_running(pid):  # noqa: ASYNC110 - its parent is gone; who adopts it may take a moment
            await anyio.sleep(0.01)


def test_lines_are_cut_and_bounded() -> None:
    lines = Lines(max_line_bytes=5)
    assert list(lines.feed(b"ab")) == []
    assert list(lines.feed(b"c\r\n\nde")) == [b"abc", b""]
    assert list(lines.end()) == [b"de"]
    assert list(lines.end()) == []
    with pytest.raises(UnsupportedError, match="over 5 bytes"):
        list(lines.feed(b"x\n123456"))
