"""``serve``: the embedded registry."""

import signal
from pathlib import Path

import anyio
import click

from ..server import EmbeddedRegistry, RequestLog
from .session import Session, command
from .text import printable, size_text


@command(
    epilog="""\b
Example:
  ocipkg-async serve registry/ --port 5000
"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option(
    "--insecure-listen",
    is_flag=True,
    help="Allow an address that other machines can reach; there are no passwords and no TLS.",
)
async def serve(
    session: Session, folder: Path, host: str, port: int, *, insecure_listen: bool
) -> None:
    """Run a registry on a folder.

    It runs until Ctrl-C. The folder holds one image layout for each repository, which other tools can read. Requests are
    logged on stderr. SIGTERM ends it as well, with exit code 0.
    """

    def log(request: RequestLog) -> None:
        session.note(
            f"{request.method} {printable(request.path)} {request.status} "
            f"in {size_text(request.received_bytes)} out {size_text(request.sent_bytes)} "
            f"{request.seconds * 1000:.1f} ms"
        )

    async with EmbeddedRegistry(
        folder, host=host, port=port, insecure_listen=insecure_listen, on_request=log
    ) as registry:
        session.note(f"serving {folder} at {registry.url}; stop with Ctrl-C")
        session.note(f"try: ocipkg-async push {registry.host}/notes:v1 README.md")
        session.result(registry.url, {"url": registry.url, "host": registry.host})
        await _until_told()


async def _until_told() -> None:
    """Return when the system asks the program to end, as service managers do."""
    try:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                return
    except NotImplementedError:  # Windows has no such signal
        await anyio.sleep_forever()


COMMAND = serve
