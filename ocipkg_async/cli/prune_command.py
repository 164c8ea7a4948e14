"""``prune``: left-overs of the store, and packages that nobody uses."""

from typing import Any

import click

from ..store import Pruned
from .packages import package_json, package_table
from .session import Session, command
from .text import count_text, size_text
from .values import Age


@command(
    store=True,
    epilog="""\b
Examples:
  ocipkg-async prune --older-than 30d --dry-run
  ocipkg-async prune --keep 3
""",
)
@click.option(
    "--older-than",
    type=Age(),
    metavar="AGE",
    help="Remove packages not installed or looked for in so long, such as 30d, 12h or 2w.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Remove all but so many of each repository and platform, those used last.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
async def prune(
    session: Session, older_than: float | None, keep: int | None, *, dry_run: bool
) -> None:
    """Remove what no installed package needs, and old packages.

    What goes always are left-overs of killed or failed runs, and packages whose name now has other content. Installed packages go with --older-than or --keep; with both, what is beyond the number and old enough. It waits until nobody installs.
    """
    async with session.client() as client:
        pruned = await client.prune(older_than_s=older_than, keep=keep, dry_run=dry_run)
    session.result(_text(pruned, dry_run=dry_run), _json(pruned, dry_run=dry_run))


def _text(pruned: Pruned, *, dry_run: bool) -> str:
    parts = (
        f"{count_text(pruned.packages, 'folder')}, {count_text(pruned.blobs, 'blob')}"
        f" and {count_text(pruned.leftovers, 'left-over')} ({size_text(pruned.bytes)})"
    )
    said = f"{'would remove' if dry_run else 'removed'} {parts}"
    return "\n".join(filter(None, (package_table(list(pruned.removed)), said)))


def _json(pruned: Pruned, *, dry_run: bool) -> dict[str, Any]:
    return {
        "removed": [package_json(package) for package in pruned.removed],
        "packages": pruned.packages,
        "blobs": pruned.blobs,
        "leftovers": pruned.leftovers,
        "bytes": pruned.bytes,
        "dryRun": dry_run,
    }


COMMAND = prune
