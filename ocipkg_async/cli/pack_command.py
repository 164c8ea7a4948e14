"""``pack``: make a package."""

from pathlib import Path
from typing import get_args

import click

from ..content import run_in_thread
from ..errors import InvalidArgumentError
from ..package import Compression, PackageFormat, ProjectMetadata, read_metadata
from ..package.compress import Algorithm
from ..package.metadata_file import DEFAULT_FILE
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
  ocipkg-async pack --name-as lib/libfoo.a=target/release/libfoo.a -o pkg.tar

\b
In ocipkg.toml, where all is optional:
  [org.opencontainers.image]
  version = "1.2"
  [link]
  libraries = ["foo", "foo_base"]       # each before what it needs
  system-libraries = ["m"]
  frameworks = ["Security"]
  include = ["include", "include/foo"]  # folders of the package
  defines = ["FOO=1"]
""",
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="FILE.tar for an archive, oci:DIR for a layout, a reference to push directly.",
)
@click.option(
    "--name-as",
    type=KeyValue("name=path"),
    multiple=True,
    help="Pack PATH as NAME, such as lib/libfoo.a=out/libfoo-1.a; may be repeated.",
)
@click.option("-t", "--tag", metavar="REF", help="Name of the package in an archive or layout.")
@click.option(
    "-a",
    "--annotation",
    type=KeyValue(),
    multiple=True,
    help="Annotation; wins over the metadata file; may be repeated.",
)
@click.option(
    "--metadata",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Annotations and link metadata, as {DEFAULT_FILE} or pyproject.toml"
    f"  [default: {DEFAULT_FILE} if it is there].",
)
@click.option("--no-metadata", is_flag=True, help=f"Leave {DEFAULT_FILE} alone.")
@click.option("--platform", metavar="OS/ARCH", help="What the package is for.")
@click.option(
    "--format",
    "package_format",
    type=click.Choice(get_args(PackageFormat)),
    default="ocipkg-v1",
    show_default=True,
    help="ocipkg-v0 is an image, which ocipkg before 0.3 reads too.",
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
    name_as: tuple[tuple[str, str], ...],
    annotation: tuple[tuple[str, str], ...],
    metadata: Path | None,
    no_metadata: bool,
    platform: str | None,
    package_format: PackageFormat,
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
    if not paths and not name_as:
        raise click.UsageError("Missing argument 'PATH...', or --name-as NAME=PATH.")
    named = _named(name_as)
    project = await _metadata(session, metadata, wanted=not no_metadata)
    async with session.client() as client:
        descriptor = await client.pack(
            paths,
            output,
            named=named,
            format=package_format,
            platform=platform,
            link=project.link,
            name=tag,
            compression=Compression(algorithm=compression, level=level, threads=threads),
            annotations={**project.annotations, **dict(annotation)},
            follow_symlinks=follow_symlinks,
            overwrite=overwrite,
        )
    session.result(descriptor.digest, {"target": output, **descriptor_json(descriptor)})


def _named(pairs: tuple[tuple[str, str], ...]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for name, path in pairs:
        if name in named:
            raise InvalidArgumentError(
                f"{named[name]} and {path} would both be packed as {name!r}",
                hint="give one of them another name",
            )
        named[name] = Path(path)
    return named


async def _metadata(session: Session, path: Path | None, *, wanted: bool) -> ProjectMetadata:
    """Read the metadata file that was named, else the one that lies here."""
    if path is not None:
        if not wanted:
            raise InvalidArgumentError(
                "--metadata and --no-metadata contradict each other", hint="leave out one"
            )
        return await run_in_thread(read_metadata, path)
    default = Path(DEFAULT_FILE)
    if not wanted or not await run_in_thread(default.is_file):
        return ProjectMetadata(annotations={})
    project = await run_in_thread(read_metadata, default)
    session.note(f"metadata from {DEFAULT_FILE}; --no-metadata leaves it alone")
    return project


COMMAND = pack
