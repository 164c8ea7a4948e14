"""``path``: where an installed package is."""

from pathlib import Path

import click

from .packages import package_json
from .session import Session, command


@command(store=True, locking=True)
@click.argument("reference")
@click.option("--platform", metavar="OS/ARCH", help="The one installed with the same option.")
async def path(
    session: Session, reference: str, platform: str | None, lock: Path | None, *, offline: bool
) -> None:
    """Print the path of an installed package.

    No registry is asked, so ``--offline`` changes nothing.
    """
    del offline  # it is in any case
    async with session.client() as client:
        package = await client.get(reference, platform=platform, lock=lock, offline=True)
    session.result(str(package.path), package_json(package))


COMMAND = path
