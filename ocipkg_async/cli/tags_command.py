"""``tags``: the tags of a repository."""

import click

from .session import Session, command
from .text import printable


@command(registry=True)
@click.argument("repository")
async def tags(session: Session, repository: str) -> None:
    """List the tags of a repository.

    Of a layout or archive, the names in it.
    """
    async with session.client() as client:
        found = await client.tags(repository)
    session.result("\n".join(printable(name) for name in found), found)


COMMAND = tags
