"""``path``: where an installed package is."""

import click

from .packages import package_json
from .session import Session, command


@command(store=True)
@click.argument("reference")
@click.option("--platform", metavar="OS/ARCH", help="The one installed with the same option.")
async def path(session: Session, reference: str, platform: str | None) -> None:
    """Print the path of an installed package.

    No registry is asked.
    """
    async with session.client() as client:
        package = await client.find(reference, platform=platform)
    session.result(str(package.path), package_json(package))


COMMAND = path
