"""``logout``: forget a password."""

import click

from .session import Session, command


@command(registry=True)
@click.argument("registry")
async def logout(session: Session, registry: str) -> None:
    """Forget the password for a registry."""
    async with session.client() as client:
        erased = await client.logout(registry)
    session.note(f"logged out of {registry}" if erased else f"there was no login to {registry}")
    session.result("", {"registry": registry, "erased": erased})


COMMAND = logout
