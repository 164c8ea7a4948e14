"""``remove``: an installed package."""

import click

from .packages import package_json
from .session import Session, command


@command(store=True)
@click.argument("reference")
@click.option("--platform", metavar="OS/ARCH", help="The one installed with the same option.")
async def remove(session: Session, reference: str, platform: str | None) -> None:
    """Remove an installed package.

    What another one needs stays.
    """
    async with session.client() as client:
        package = await client.remove(reference, platform=platform)
    session.note(f"removed {package.reference}")
    session.result("", package_json(package))


COMMAND = remove
