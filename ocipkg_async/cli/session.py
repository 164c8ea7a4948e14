"""One run of a command: its options, its client, what it prints, how it ends."""

import functools
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec

import click

from ..client import Client, ClientOptions
from ..errors import OCIError
from . import options as shared
from .exit_codes import ERROR, exit_code
from .interrupts import run_interruptible
from .progress import Display, ProgressKind, display, say
from .text import json_text, printable

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The options that all commands share, and what they do with them."""

    json: bool
    quiet: bool
    progress: ProgressKind
    options: ClientOptions
    _displays: list[Display] = field(default_factory=list[Display], repr=False)

    @asynccontextmanager
    async def client(self, *, options: ClientOptions | None = None) -> AsyncIterator[Client]:
        """Open a client whose events are shown."""
        kind: ProgressKind = "none" if self.quiet else self.progress
        with display(kind) as shown:
            self._displays.append(shown)
            try:
                async with Client(options or self.options, on_event=shown.on_event) as client:
                    yield client
            finally:
                self._displays.remove(shown)

    def result(self, text: str, value: Any) -> None:
        """Print a result on stdout: the text, or with ``--json`` the value as one document."""
        if self.json:
            click.echo(json_text(value))
        elif text:
            click.echo(text)

    def note(self, text: str) -> None:
        """Print something for people on stderr."""
        if not self.quiet:
            (self._displays[-1].say if self._displays else say)(text)


def command(
    *,
    registry: bool = False,
    store: bool = False,
    pushing: bool = False,
    pulling: bool = False,
    resuming: bool = False,
    partial: bool = False,
    unpacking: bool = False,
    locking: bool = False,
    keeping: bool = False,
    prepare: Callable[[dict[str, Any]], None] | None = None,
    epilog: str | None = None,
) -> Callable[[Callable[Concatenate[Session, P], Awaitable[None]]], click.Command]:
    """Make a command of a coroutine function that takes a `Session` and its own options.

    Args:
        registry: give it the options for registries.
        store: give it ``--store``.
        pushing: give it the options for uploads.
        pulling: give it the options for downloads.
        resuming: give it ``--resume``.
        partial: give it ``--partial``.
        unpacking: give it ``--limit``.
        locking: give it ``--locked``, ``--lock-file`` and ``--offline``; the function takes
            ``lock``, the file or None, and ``offline``.
        keeping: give it ``--keep-layers``.
        prepare: changes the command's own options before the event loop starts; it may wait for a
            person, whose Ctrl-C an event loop would take for later.
        epilog: examples, below the help.
    """

    def decorate(body: Callable[Concatenate[Session, P], Awaitable[None]]) -> click.Command:
        @functools.wraps(body)
        def run(**given: Any) -> None:
            session = _session(given)
            with _failing():
                if locking:
                    given["lock"] = shared.lock_file(given)
                if prepare is not None:
                    prepare(given)
                run_interruptible(functools.partial(body, session, **given))

        wrapped: Callable[..., None] = run
        groups = (
            (True, shared.SHARED),
            (keeping, shared.KEEPING),
            (store, shared.STORE),
            (pulling or pushing, shared.MOVING),
            (pulling, shared.PULLING),
            (partial, shared.PARTIAL),
            (pushing, shared.PUSHING),
            (resuming, shared.RESUMING),
            (locking, shared.LOCKING),
            (unpacking, shared.UNPACKING),
            (pulling or pushing, shared.CONCURRENCY),
            (registry, shared.REGISTRY),
        )
        for option in reversed([one for wanted, group in groups if wanted for one in group]):
            wrapped = option(wrapped)
        name = body.__module__.rpartition(".")[2].removesuffix("_command")
        return click.command(name=name, cls=shared.Command, epilog=epilog)(wrapped)

    return decorate


def _session(given: dict[str, Any]) -> Session:
    """Take the shared options out of what was given."""
    _log(verbose=given.pop("verbose"))
    with _failing():
        options = shared.client_options(given)
    return Session(
        json=given.pop("as_json"),
        quiet=given.pop("quiet"),
        progress=given.pop("progress"),
        options=options,
    )


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an error into a message and an exit code."""
    try:
        yield
    except OCIError as error:
        _fail(error)
        raise SystemExit(exit_code(error)) from error
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        raise SystemExit(ERROR) from None


def _fail(error: OCIError) -> None:
    click.echo(f"error: {printable(str(error))}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"note: {printable(note)}", err=True)
    if error.hint:
        click.echo(f"hint: {printable(error.hint)}", err=True)


def _log(*, verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
    )
    for noisy in ("asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def descriptor_json(descriptor: Any) -> Mapping[str, Any]:
    """Return a descriptor as JSON, with the keys of the specification."""
    value: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        value["annotations"] = descriptor.annotations
    if descriptor.platform:
        value["platform"] = str(descriptor.platform)
    if descriptor.artifact_type:
        value["artifactType"] = descriptor.artifact_type
    return value
