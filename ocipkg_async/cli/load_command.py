"""``load``: install from an archive or layout."""

import click

from .packages import package_json
from .session import Session, command


@command(store=True, unpacking=True, keeping=True)
@click.argument("source", metavar="ARCHIVE|LAYOUT")
@click.option(
    "-t", "--tag", metavar="REF", help="Name to install it under  [default: the one it holds]."
)
async def load(session: Session, source: str, tag: str | None) -> None:
    """Install a package from an archive or layout.

    All that have a name, where it holds several. Prints their paths.
    """
    async with session.client() as client:
        packages = await client.load(source, name=tag)
    session.result(
        "\n".join(str(package.path) for package in packages), [package_json(p) for p in packages]
    )


COMMAND = load
