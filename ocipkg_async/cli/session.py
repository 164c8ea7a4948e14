"""One run of a command: its options, its client, what it prints, how it ends."""

import functools
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import anyio
import click

from ..client import Client, ClientOptions
from ..errors import OCIError
from ..package import UnpackLimits
from ..registry import TransferOptions
from ..transport import TransportOptions
from .exit_codes import ERROR, exit_code
from .progress import Display, ProgressKind, display, say
from .text import json_text, printable
from .values import ByteSize, Limit

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


_SHARED = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    click.option("-q", "--quiet", is_flag=True, help="Print results and errors only."),
    click.option("-v", "--verbose", is_flag=True, help="Log each request to stderr."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "json", "none"]),
        metavar="HOW",
        default="auto",
        help="Show progress on stderr as bar, plain, json or none  [default: bar on a terminal].",
    ),
)
_STORE = (
    click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="The local package store  [default: $OCIPKG_STORE or the user's data folder].",
    ),
)
_REGISTRY = (
    click.option(
        "--authfile",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Credential file to use.",
    ),
    click.option(
        "--plain-http/--https",
        default=None,
        help="Speak HTTP or HTTPS  [default: HTTP to loopback hosts only].",
    ),
    click.option("--insecure", is_flag=True, help="Do not verify TLS certificates."),
    click.option(
        "--ca-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Certificates to trust beside the system's.",
    ),
    click.option(
        "--client-cert",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Client certificate, PEM.",
    ),
    click.option(
        "--client-key",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Its key, PEM.",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        default=6,
        help="Blobs in flight  [default: 6].",
    ),
    click.option(
        "--max-manifest-size",
        type=ByteSize(),
        default="4M",
        show_default=True,
        help="Largest manifest to read.",
    ),
)
_PUSHING = (
    click.option(
        "--chunk-size",
        type=ByteSize(),
        help="Push in chunks of this size instead of one request.",
    ),
)
_UNPACKING = (
    click.option(
        "--limit",
        type=Limit(),
        multiple=True,
        metavar="NAME=NUMBER",
        help="Change a limit for unpacking, such as ratio=2000; may be repeated.",
    ),
)
# What all commands share comes last in their help.
_SHARED_NAMES = frozenset(
    {
        "as_json",
        "quiet",
        "verbose",
        "progress",
        "store",
        "authfile",
        "plain_http",
        "insecure",
        "ca_file",
        "client_cert",
        "client_key",
        "concurrency",
        "max_manifest_size",
        "chunk_size",
        "limit",
    }
)


def command(
    *,
    registry: bool = False,
    store: bool = False,
    pushing: bool = False,
    unpacking: bool = False,
    prepare: Callable[[dict[str, Any]], None] | None = None,
    epilog: str | None = None,
) -> Callable[[Callable[Concatenate[Session, P], Awaitable[None]]], click.Command]:
    """Make a command of a coroutine function that takes a `Session` and its own options.

    Args:
        registry: give it the options for registries.
        store: give it ``--store``.
        pushing: give it the options for uploads.
        unpacking: give it ``--limit``.
        prepare: changes the command's own options before the event loop starts; it may wait for a
            person, whose Ctrl-C an event loop would take for later.
        epilog: examples, below the help.
    """

    def decorate(body: Callable[Concatenate[Session, P], Awaitable[None]]) -> click.Command:
        @functools.wraps(body)
        def run(**given: Any) -> None:
            session = _session(given)
            with _failing():
                if prepare is not None:
                    prepare(given)
                anyio.run(functools.partial(body, session, **given))

        shared = (*_SHARED, *(_STORE if store else ()), *(_REGISTRY if registry else ()))
        wrapped: Callable[..., None] = run
        special = (*(_PUSHING if pushing else ()), *(_UNPACKING if unpacking else ()))
        for option in reversed((*special, *shared)):
            wrapped = option(wrapped)
        name = body.__module__.rpartition(".")[2].removesuffix("_command")
        made = click.command(name=name, epilog=epilog)(wrapped)
        made.params.sort(key=lambda parameter: parameter.name in _SHARED_NAMES)
        return made

    return decorate


def _session(given: dict[str, Any]) -> Session:
    """Take the shared options out of what was given."""
    _log(verbose=given.pop("verbose"))
    transport: dict[str, Any] = {
        name: given.pop(name)
        for name in ("plain_http", "insecure", "ca_file", "client_cert", "client_key")
        if name in given
    }
    client: dict[str, Any] = {
        name: given.pop(option)
        for option, name in (
            ("store", "store"),
            ("authfile", "authfile"),
            ("concurrency", "concurrency"),
            ("max_manifest_size", "max_manifest_bytes"),
        )
        if option in given
    }
    transfer: dict[str, Any] = {
        name: given.pop(option)
        for option, name in (("chunk_size", "chunk_bytes"),)
        if option in given
    }
    with _failing():
        options = ClientOptions(
            limits=UnpackLimits(**dict(given.pop("limit", ()))),
            transfer=TransferOptions(**transfer),
            transport=TransportOptions(**transport),
            **client,
        )
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
