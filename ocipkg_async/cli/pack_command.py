"""``pack``: make a package."""

from pathlib import Path

import click

from ..package import Compression
from ..package.compress import Algorithm
from .session import Session, command, descriptor_json
from .values import KeyValue


@command(
    registry=True,
    pushing=True,
    epilog="""\b
Examples:
  ocipkg-async pack build/ -o pkg.tar -t ghcr.io/org/pkg:v1
  ocipkg-async pack libfoo.a foo.h -o oci:layout -t ghcr.io/org/foo:1.2
  ocipkg-async pack build/ -o localhost:5000/pkg:v1
""",
)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="FILE.tar for an archive, oci:DIR for a layout, a reference to push directly.",
)
@click.option("-t", "--tag", metavar="REF", help="Name of the package in an archive or layout.")
@click.option(
    "-a", "--annotation", type=KeyValue(), multiple=True, help="Annotation; may be repeated."
)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "zstd", "none"]),
    default="gzip",
    show_default=True,
    help="Of the layer; ocipkg itself reads gzip only.",
)
@click.option("--level", type=int, help="Compression level  [default: 2 for gzip, 3 for zstd].")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; the result is the same.")
@click.option("--follow-symlinks", is_flag=True, help="Pack what links point to.")
@click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists.")
async def pack(
    session: Session,
    *,
    paths: tuple[Path, ...],
    output: str,
    tag: str | None,
    annotation: tuple[tuple[str, str], ...],
    compression: Algorithm,
    level: int | None,
    threads: int | None,
    follow_symlinks: bool,
    overwrite: bool,
) -> None:
    """Make a package of files and directories.

    One directory: its contents. Files, or several directories: each under its base name. The same
    input gives the same digest, whatever the time, the user and the number of threads.
    """
    async with session.client() as client:
        descriptor = await client.pack(
            paths,
            output,
            name=tag,
            compression=Compression(algorithm=compression, level=level, threads=threads),
            annotations=dict(annotation),
            follow_symlinks=follow_symlinks,
            overwrite=overwrite,
        )
    session.result(descriptor.digest, {"target": output, **descriptor_json(descriptor)})


COMMAND = pack
