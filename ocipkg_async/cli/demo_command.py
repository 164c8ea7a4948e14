"""``demo``: the whole way of a package, on a registry of its own."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..content import run_in_thread
from ..errors import IntegrityError
from ..server import EmbeddedRegistry
from ..spec import Reference
from ..store.trees import compare
from .session import Session, command
from .text import rate_text, size_text

_OWN_SOURCE = Path(__file__).parent.parent


@command(registry=True)
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--to", metavar="REF", help="Use this name on a real registry; the package stays there."
)
async def demo(session: Session, path: Path | None, to: str | None) -> None:
    """Pack, push, get and compare, on a registry of its own.

    PATH is a file or directory, this program's own source by default. Everything is temporary; nothing is left behind.
    """
    source = path or _OWN_SOURCE
    steps = _Steps(session)
    size = await run_in_thread(_measure, source)
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocipkg-demo-")))
        reference = await _place(stack, session, to)
        options = replace(session.options, store=work / "store")
        client = await stack.enter_async_context(session.client(options=options))

        archive = work / "package.tar"
        async with steps.step("pack") as step:
            descriptor = await client.pack([source], str(archive), name=str(reference))
            found = await client.inspect(str(archive))
            step(size, f"{size_text(found.size)} compressed, {descriptor.digest.short}")
        async with steps.step("push") as step:
            await client.push(str(archive))
            step(found.size, str(reference))
        async with steps.step("get") as step:
            package = await client.get(reference.with_digest(descriptor.digest))
            step(found.size, f"installed, {package.descriptor.digest.short}")
        async with steps.step("compare") as step:
            differences = await run_in_thread(compare, source, package.path)
            step(size, "the same" if not differences else f"{len(differences)} differ")
    if differences:
        raise IntegrityError(
            f"what came back is not what was packed: {differences[0]}",
            expected=str(source),
            actual=str(differences[0]),
            hint="was something changed while the demo ran? run it again",
        )
    session.note("what came back is what was packed")
    session.result("", {"digest": descriptor.digest, "steps": steps.done})


class _Steps:
    """Shows each step with its size, rate and time."""

    def __init__(self, session: Session) -> None:
        self.done: list[dict[str, Any]] = []
        self._session = session

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Callable[[int, str], None]]:
        """Time a step, which says how many bytes it moved and what came out."""
        said: list[tuple[int, str]] = []
        started = time.monotonic()
        yield lambda size, text: said.append((size, text))
        seconds = time.monotonic() - started
        for size, text in said:
            self._session.note(
                f"{name:<8} {size_text(size):>9}  {seconds:6.2f} s  {rate_text(size, seconds):>12}  {text}"
            )
            self.done.append({"step": name, "bytes": size, "seconds": round(seconds, 3)})


async def _place(stack: AsyncExitStack, session: Session, to: str | None) -> Reference:
    """Return where to push: what the user said, or a registry that lives as long as the demo."""
    if to is not None:
        return Reference.parse(to, strict=True).with_default_tag()
    registry = await stack.enter_async_context(EmbeddedRegistry())
    session.note(f"a registry of its own runs at {registry.url}")
    return Reference.parse(f"{registry.host}/demo/package:v1")


def _measure(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir())


COMMAND = demo
