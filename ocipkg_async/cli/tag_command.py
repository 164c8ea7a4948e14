"""``tag``: further names for content."""

import click

from .session import Session, command, descriptor_json


@command(registry=True)
@click.argument("target")
@click.argument("names", nargs=-1, required=True, metavar="TAG...")
async def tag(session: Session, target: str, names: tuple[str, ...]) -> None:
    """Give content further tags.

    They are in the same repository or layout as TARGET.
    """
    async with session.client() as client:
        descriptor = await client.tag(target, names)
    session.note(f"tagged {', '.join(names)}")
    session.result(descriptor.digest, {"tags": list(names), **descriptor_json(descriptor)})


COMMAND = tag
