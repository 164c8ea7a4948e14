"""``prune``: left-overs of the store."""

from .session import Session, command
from .text import size_text


@command(store=True)
async def prune(session: Session) -> None:
    """Remove what no installed package needs: left-overs of killed or failed runs."""
    async with session.client() as client:
        pruned = await client.prune()
    session.result(
        f"removed {pruned.blobs} blobs ({size_text(pruned.bytes)}) and {pruned.packages} folders",
        {"blobs": pruned.blobs, "bytes": pruned.bytes, "packages": pruned.packages},
    )


COMMAND = prune
