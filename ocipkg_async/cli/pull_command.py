"""``pull``: write files where the user says."""

from pathlib import Path

import click

from ..package import Unpack
from .session import Session, command
from .text import count_text, printable, size_text


@command(
    registry=True,
    pulling=True,
    partial=True,
    unpacking=True,
    epilog="""\b
Examples:
  ocipkg-async pull ghcr.io/org/pkg:v1 -o build/
  ocipkg-async pull oci-archive:pkg.tar -o .
""",
)
@click.argument("source", metavar="TARGET")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default=True,
    help="The folder to write into; it may exist.",
)
@click.option(
    "--platform", metavar="OS/ARCH", help="Which manifest of an index  [default: this host's]."
)
@click.option("-f", "--overwrite", is_flag=True, help="Replace files that exist.")
@click.option(
    "--unpack",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to unpack the directories of an artifact.",
)
async def pull(
    session: Session,
    source: str,
    output: Path,
    platform: str | None,
    *,
    overwrite: bool,
    unpack: Unpack,
) -> None:
    """Write the files of a package into a folder.

    The package may be any image or artifact. All files are written or none: they are verified and
    unpacked beside the folder first.
    """
    async with session.client() as client:
        report = await client.pull(
            source, output, platform=platform, overwrite=overwrite, unpack_directories=unpack
        )
    for descriptor, reason in report.skipped:
        session.note(f"skipped {descriptor.digest.short}: {printable(reason)}")
    session.result(
        f"{output}: {count_text(report.files, 'file')}, {size_text(report.bytes)}",
        {
            "path": str(output),
            "files": report.files,
            "bytes": report.bytes,
            "skipped": [
                {"digest": str(descriptor.digest), "reason": reason}
                for descriptor, reason in report.skipped
            ],
        },
    )


COMMAND = pull
