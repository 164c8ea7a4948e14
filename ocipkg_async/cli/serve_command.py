"""``serve``: the embedded registry."""

import shlex
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import click

from ..content import run_in_thread
from ..errors import InvalidArgumentError, storage_errors
from ..server import Access, EmbeddedRegistry, OnRequest, TLSFiles
from ..server.storage import LOCK
from ..spec import image_layout
from ..spec.reference import is_loopback
from .collecting import Collecting
from .progress import say
from .request_log import RequestLines, json_line, text_line
from .session import Session, command
from .text import printable

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - looked for, not used
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@command(
    epilog="""\b
Examples:
  ocipkg-async serve
  ocipkg-async serve registry/ --port 8080
  htpasswd -B -c users alice
  ocipkg-async serve registry/ --htpasswd users --anonymous-pull
  ocipkg-async serve registry/ --host 0.0.0.0 --htpasswd users \\
      --tls-cert cert.pem --tls-key key.pem
"""
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option(
    "--htpasswd",
    type=click.Path(path_type=Path, dir_okay=False),  # a missing one has a hint of its own
    help="File of users and passwords, as htpasswd -B writes it; read again when it changes.",
)
@click.option(
    "--anonymous-pull", is_flag=True, help="Let everybody read; users alone may push and delete."
)
@click.option(
    "--tokens",
    is_flag=True,
    help="Ask for tokens, which the registry gives out, not for a password with each request: with "
    "--anonymous-pull, Docker can read without credentials only so.",
)
@click.option(
    "--tls-cert", type=_FILE, help="Certificate, PEM: serve HTTPS. Read again when it changes."
)
@click.option("--tls-key", type=_FILE, help="Its key, PEM.")
@click.option(
    "--client-ca", type=_FILE, help="Let in only who has a certificate of these authorities, PEM."
)
@click.option(
    "--insecure-listen",
    is_flag=True,
    help="Allow an address that other machines can reach though there are no users.",
)
@click.option(
    "--collect-every",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Look so often for blobs that no manifest needs any more, and remove them. [default: never]",
)
@click.option(
    "--grace",
    type=click.FloatRange(1),
    metavar="MINUTES",
    help="Keep what is younger, such as blobs whose manifest is yet to come. [default: 60]",
)
@click.option(
    "--collect-untagged",
    is_flag=True,
    help="Remove manifests, too, that lost their last tag; not parts and referrers of others.",
)
async def serve(
    session: Session,
    folder: Path | None,
    *,
    host: str,
    port: int,
    htpasswd: Path | None,
    anonymous_pull: bool,
    tokens: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    insecure_listen: bool,
    collect_every: float | None,
    grace: float | None,
    collect_untagged: bool,
) -> None:
    """Run a registry on a folder.

    The folder holds one image layout for each repository, which other tools can read. Without
    FOLDER it is a temporary one, and nothing is kept. A browser shows what is in the registry.

    It runs until Ctrl-C, or until SIGTERM, which gives exit code 0. Each request is a line on
    stderr, with --progress json as JSON.
    """
    if folder is not None:
        await run_in_thread(_check_folder, folder)
    access = _access(htpasswd, anonymous_pull=anonymous_pull, tokens=tokens)
    tls = _tls(tls_cert, tls_key, client_ca)
    collecting = Collecting.of(
        every_minutes=collect_every, grace_minutes=grace, untagged=collect_untagged
    )
    with ExitStack() as stack:
        async with EmbeddedRegistry(
            folder,
            host=host,
            port=port,
            access=access,
            tls=tls,
            insecure_listen=insecure_listen,
            on_request=_log(session, stack),
            on_warning=lambda text: say(f"warning: {printable(text)}"),
        ) as registry:
            _announce(session, registry, folder, access=access, tls=tls)
            async with anyio.create_task_group() as group:
                if collecting is not None:
                    as_json = session.progress == "json"
                    group.start_soon(
                        partial(collecting.run, registry, session.note, as_json=as_json)
                    )
                await _until_told(stack)
                group.cancel_scope.cancel()


def _access(htpasswd: Path | None, *, anonymous_pull: bool, tokens: bool) -> Access | None:
    if htpasswd is not None:
        return Access(htpasswd=htpasswd, anonymous_pull=anonymous_pull, tokens=tokens)
    if anonymous_pull or tokens:
        raise InvalidArgumentError(
            f"{'--anonymous-pull' if anonymous_pull else '--tokens'} needs --htpasswd",
            hint="without users everybody may pull and push; make some with: htpasswd -B -c FILE USER",
        )
    return None


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TLSFiles | None:
    if certificate is not None and key is not None:
        return TLSFiles(certificate=certificate, key=key, client_ca=client_ca)
    if certificate is not None or key is not None:
        raise InvalidArgumentError(
            "--tls-cert and --tls-key go together", hint="one file that holds both is given twice"
        )
    if client_ca is not None:
        raise InvalidArgumentError(
            "--client-ca needs --tls-cert and --tls-key",
            hint="clients show certificates to a registry that serves HTTPS",
        )
    return None


def _check_folder(folder: Path) -> None:
    """Keep off folders that are something else; one that was served before is taken as it is.

    Raises:
        InvalidArgumentError: it is a layout itself, has files, or is docker-registry's.
        StorageError: it cannot be read.
    """
    with storage_errors(f"look into {folder}"):
        if not folder.exists() or (folder / LOCK).exists():
            return
        files = sorted(one.name for one in folder.iterdir() if not one.is_dir())
    if LOCK in files:
        return  # another registry has just begun to serve it, which is told when this one begins
    if image_layout.INDEX in files or image_layout.MARKER in files:
        raise InvalidArgumentError(
            f"{folder} is an image layout, not a folder of layouts",
            hint="give the folder above it, or a new one",
        )
    if (folder / "docker" / "registry" / "v2").is_dir():
        raise InvalidArgumentError(
            f"{folder} is the storage of docker-registry, which has another form",
            hint="let that serve it, and copy into a new folder: skopeo sync, ocipkg-async copy",
        )
    if files:
        raise InvalidArgumentError(
            f"{folder} is no registry: it has files, such as {files[0]!r}",
            hint="give a new or empty folder, or one that has image layouts only",
        )


def _log(session: Session, stack: ExitStack) -> OnRequest | None:
    if session.quiet or session.progress == "none":
        return None
    form = json_line if session.progress == "json" else text_line
    return stack.enter_context(RequestLines(say, form))


def _announce(
    session: Session,
    registry: EmbeddedRegistry,
    folder: Path | None,
    *,
    access: Access | None,
    tls: TLSFiles | None,
) -> None:
    """Say where it is and what to do now; each line works as it stands, in another terminal."""
    address, _, port = registry.host.rpartition(":")
    here, everywhere = address, ""
    if address in _WILDCARDS:
        # A certificate has the machine's name rather than a loopback address.
        here = socket.gethostname() if tls else _WILDCARDS[address]
        everywhere = f" and all other addresses of this machine, port {port}"
    host = f"{here}:{port}"
    url = f"{'https' if tls else 'http'}://{host}"
    what = "a temporary folder, which is removed at the end," if folder is None else folder
    session.note(f"serving {what} at {url}{everywhere}; stop with Ctrl-C")
    command, options = _program(), _options(host, tls)
    target = shlex.quote(f"{host}/notes:v1")  # the brackets of an IPv6 address are a pattern
    if access is not None:
        session.note(f"log in: {command} login{options} {shlex.quote(host)}")
    session.note(f"try: echo hello > hello.txt && {command} push{options} {target} hello.txt")
    session.note(f"then open {url} in a browser")
    session.result(url, {"url": url, "host": host, "folder": str(registry.root)})


def _program() -> str:
    """Return how this command can be called from another terminal."""
    name = "ocipkg-async"
    return name if shutil.which(name) else f"{shlex.quote(sys.executable)} -m ocipkg_async"


def _options(host: str, tls: TLSFiles | None) -> str:
    """Return what our commands must be told to reach this registry, with a blank before it."""
    if tls is None:
        return "" if is_loopback(host) else " --plain-http"
    scheme = " --https" if is_loopback(host) else ""
    own = " --client-cert CERT --client-key KEY" if tls.client_ca is not None else ""
    return f"{scheme} --ca-file {shlex.quote(str(tls.certificate.absolute()))}{own}"


async def _until_told(stack: ExitStack) -> None:
    """Return when the system asks the program to end, as service managers do, or its terminal goes.

    It may ask again: ``timeout`` tells a process and its group, and the second signal would break off
    the end of the registry, which is before that of `stack`, or of the interpreter.
    """
    numbers = [signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:  # else it is nohup's
        numbers.append(hang_up)
    try:
        told = stack.enter_context(ExitStack())  # it ends after the receiver of signals
        signals = stack.enter_context(anyio.open_signal_receiver(*numbers))
    except NotImplementedError:  # Windows has no such signals
        await anyio.sleep_forever()
    else:
        async for _ in signals:
            told.callback(_take_no_notice, numbers)
            return


def _take_no_notice(numbers: list[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


COMMAND = serve
