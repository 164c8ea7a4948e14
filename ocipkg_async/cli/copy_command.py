"""``copy``: any target to any target."""

import click

from .session import Session, command, descriptor_json
from .text import count_text, size_text


@command(
    registry=True,
    pushing=True,
    resuming=True,
    pulling=True,
    epilog="""\b
Examples:
  ocipkg-async copy ghcr.io/org/pkg:v1 localhost:5000/pkg:v1
  ocipkg-async copy ghcr.io/org/pkg:v1 oci-archive:pkg.tar
  ocipkg-async copy oci:layout:v1 localhost:5000/pkg:v1
""",
)
@click.argument("source", metavar="TARGET")
@click.argument("destination", metavar="TARGET")
@click.option(
    "--platform", metavar="OS/ARCH", help="Copy this manifest of an index alone  [default: all]."
)
@click.option(
    "--deep", is_flag=True, help="Check below what the destination has, to repair a partial copy."
)
@click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists.")
async def copy(
    session: Session,
    source: str,
    destination: str,
    platform: str | None,
    *,
    deep: bool,
    overwrite: bool,
) -> None:
    """Copy between registries, layouts and archives.

    What the target names is copied with everything below it. What the destination has is not moved again; between repositories of one registry it is mounted.
    """
    async with session.client() as client:
        report = await client.copy(
            source, destination, platform=platform, deep=deep, overwrite=overwrite
        )
    session.note(
        f"copied {count_text(len(report.copied), 'blob or manifest', 'blobs and manifests')}"
        f" ({size_text(report.bytes_copied)}); {len(report.skipped)} were there already"
    )
    session.result(
        report.root.digest,
        {
            **descriptor_json(report.root),
            "copied": len(report.copied),
            "skipped": len(report.skipped),
            "bytes": report.bytes_copied,
        },
    )


COMMAND = copy
