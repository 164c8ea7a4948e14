"""``resolve``: the digest of a target."""

import click

from .session import Session, command, descriptor_json


@command(registry=True)
@click.argument("target")
@click.option("--platform", metavar="OS/ARCH", help="The manifest of an index for this platform.")
async def resolve(session: Session, target: str, platform: str | None) -> None:
    """Print the digest of a target."""
    async with session.client() as client:
        descriptor = await client.resolve(target, platform=platform)
    session.result(descriptor.digest, descriptor_json(descriptor))


COMMAND = resolve
