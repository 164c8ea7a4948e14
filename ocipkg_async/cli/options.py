"""The options that commands share, in sections, and the options of the client they stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..client import ClientOptions
from ..client.locking import nearest_lock_file
from ..errors import NotFoundError, storage_errors
from ..package import UnpackLimits
from ..registry import TransferOptions
from ..registry.options import MAX_CONNECTIONS, MAX_PART_BYTES
from ..store.lock_file import FILE_NAME
from ..transport import RetryPolicy, TransportOptions
from .values import ByteRate, ByteSize, Limit

Decorator = Callable[[Any], Any]

SHARED = (
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
STORE = (
    click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="The local package store  [default: $OCIPKG_STORE or the user's data folder].",
    ),
)
KEEPING = (
    click.option(
        "--keep-layers",
        is_flag=True,
        help="Keep the layers beside the files, for save without the registry; takes twice the space.",
    ),
)
REGISTRY = (
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
        "--max-manifest-size",
        type=ByteSize(),
        default="4M",
        show_default=True,
        help="Largest manifest to read.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Give up a request or blob that takes longer, tries included  [default: no limit].",
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        metavar="NUMBER",
        help="Tries after the first that failed, until there is progress"
        f"  [default: {RetryPolicy().attempts - 1}].",
    ),
)
CONCURRENCY = (
    click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        default=6,
        help="Blobs in flight  [default: 6].",
    ),
)
MOVING = (
    click.option(
        "--limit-rate",
        type=ByteRate(),
        metavar="RATE",
        help="Bytes per second for all blobs, such as 20M or 512K, each direction on its own.",
    ),
)
PULLING = (
    click.option(
        "--connections",
        type=click.IntRange(min=1, max=MAX_CONNECTIONS),
        metavar="NUMBER",
        help="Connections for one large blob  [default: 4 at first, then what pays].",
    ),
    click.option(
        "--part-size",
        type=ByteSize(MAX_PART_BYTES),
        help="How much of a large blob one request asks for  [default: 8M to 16M].",
    ),
    click.option(
        "--no-resume",
        is_flag=True,
        help="Download from the first byte, and keep nothing of what fails.",
    ),
)
PARTIAL = (
    click.option(
        "--partial",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where downloads are kept until all of them arrived  [default: .ocipkg-partial in the"
        " output folder, or beside it].",
    ),
)
PUSHING = (
    click.option(
        "--chunk-size",
        type=ByteSize(),
        help="Push in chunks of this size instead of one request.",
    ),
)
RESUMING = (
    click.option(
        "--resume",
        "resume_uploads",
        is_flag=True,
        help="Go on with uploads that an earlier run left, and leave those that fail open.",
    ),
)
LOCKING = (
    click.option(
        "--locked",
        is_flag=True,
        help="Take what the lock file says; refuse a tag that points elsewhere now.",
    ),
    click.option(
        "--lock-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"Which lock file, with --locked or without  [default: {FILE_NAME} in this folder or"
        " the nearest above].",
    ),
    click.option(
        "--offline",
        is_flag=True,
        help="Make no request: use what is installed, or fail.",
    ),
)
UNPACKING = (
    click.option(
        "--limit",
        type=Limit(),
        multiple=True,
        metavar="NAME=NUMBER",
        help="Change a limit for unpacking, such as ratio=2000; may be repeated.",
    ),
)

_TITLES = ("Options", "Transfer options", "Registry options")


def _name(option: Decorator) -> str:
    """Return the name of the parameter that a decorator of click adds."""

    def nothing() -> None: ...

    (parameter,) = option(nothing).__click_params__
    name: str = parameter.name
    return name


# What many commands share comes behind what is a command's own.
_COMMON = {_name(option) for option in (*LOCKING, *UNPACKING, *STORE, *SHARED)}
_SECTIONS = {
    **{
        _name(option): _TITLES[1]
        for option in (*CONCURRENCY, *MOVING, *PULLING, *PARTIAL, *PUSHING, *RESUMING)
    },
    **{_name(option): _TITLES[2] for option in REGISTRY},
}


class Command(click.Command):
    """A command whose help has sections: its own options first, then what others have too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in _TITLES}
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        own = [one for one in options if one.name not in _COMMON and not one.is_eager]
        for option in sorted(options, key=lambda one: (one not in own, one.is_eager)):
            record = option.get_help_record(ctx)
            if record is not None:
                sections[_SECTIONS.get(option.name or "", _TITLES[0])].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def lock_file(given: dict[str, Any]) -> Path | None:
    """Take the options for the lock file out of what was given, and return the file to obey; blocks.

    Raises:
        NotFoundError: there is to be one, and none is found.
    """
    locked: bool = given.pop("locked")
    chosen: Path | None = given.pop("lock_file")
    if chosen is not None or not locked:
        return chosen
    folder = current_folder()
    found = nearest_lock_file(folder)
    if found is None:
        raise NotFoundError(
            f"there is no {FILE_NAME} in {folder}, nor in a folder above",
            hint="make one with: ocipkg-async lock REF",
        )
    return found


def current_folder() -> Path:
    """Return the working directory.

    Raises:
        StorageError: it is gone, or may not be read.
    """
    with storage_errors("find the current folder"):
        return Path.cwd()


def client_options(given: dict[str, Any]) -> ClientOptions:
    """Take the options of the client out of what was given.

    Raises:
        InvalidArgumentError: they contradict each other.
    """

    def taken(*names: str, **renamed: str) -> dict[str, Any]:
        """Return what was given for options, under the names of the client's."""
        named = {**{name: name for name in names}, **renamed}
        found = {name: given.pop(option) for option, name in named.items() if option in given}
        return {name: value for name, value in found.items() if value is not None}

    transport = taken(
        "plain_http", "insecure", "ca_file", "client_cert", "client_key", limit_rate="bytes_per_s"
    )
    transfer = taken(
        "connections", "partial", "resume_uploads", part_size="part_bytes", chunk_size="chunk_bytes"
    )
    retry = taken(timeout="deadline_s")
    retries = given.pop("retries", None)
    if retries is not None:
        retry["attempts"] = retries + 1
    client = taken(
        "store", "authfile", "concurrency", "keep_layers", max_manifest_size="max_manifest_bytes"
    )
    return ClientOptions(
        limits=UnpackLimits(**dict(given.pop("limit", ()))),
        transfer=TransferOptions(resume=not given.pop("no_resume", False), **transfer),
        transport=TransportOptions(retry=RetryPolicy(**retry), **transport),
        **client,
    )
