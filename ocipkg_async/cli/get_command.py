"""``get``: install a package."""

from pathlib import Path

import click

from .packages import package_json
from .session import Session, command


@command(
    registry=True,
    store=True,
    pulling=True,
    unpacking=True,
    keeping=True,
    locking=True,
    epilog="""\b
Example:
  LIB=$(ocipkg-async get ghcr.io/org/foo:1.2) && cc main.c -I$LIB -L$LIB -lfoo
""",
)
@click.argument("reference")
@click.option(
    "--platform", metavar="OS/ARCH", help="Which manifest of an index  [default: this host's]."
)
async def get(
    session: Session, reference: str, platform: str | None, lock: Path | None, *, offline: bool
) -> None:
    """Install a package and print its path.

    It goes into the local store. What is there already is not fetched again. The path is alone on
    stdout. With a lock file (see ``lock``) a package that is installed needs no registry.
    """
    async with session.client() as client:
        package = await client.get(reference, platform=platform, lock=lock, offline=offline)
    session.result(str(package.path), package_json(package))


COMMAND = get
