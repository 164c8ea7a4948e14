"""``prune``: left-overs of the store."""

from .session import Session, command
from .text import count_text, size_text


@command(store=True)
async def prune(session: Session) -> None:
    """Remove what no installed package needs.

    These are left-overs of killed or failed runs, and packages whose name now has other content.
    """
    async with session.client() as client:
        pruned = await client.prune()
    session.result(
        f"removed {count_text(pruned.blobs, 'blob')} ({size_text(pruned.bytes)})"
        f" and {count_text(pruned.packages, 'folder')}",
        {"blobs": pruned.blobs, "bytes": pruned.bytes, "packages": pruned.packages},
    )


COMMAND = prune
