"""``runnable``: an image of a static program."""

from pathlib import Path

import click

from ..package import Compression, RunConfig
from ..package.compress import Algorithm
from .session import Session, command, descriptor_json
from .values import KeyValue


@command(
    registry=True,
    pushing=True,
    epilog="""\b
Examples:
  ocipkg-async runnable build/app -o app.tar -t ghcr.io/org/app:v1
  ocipkg-async runnable app-amd64 app-arm64 --name-as app -o ghcr.io/org/app:1
  ocipkg-async runnable app -o oci:layout --env LANG=C --user 1000 --cmd=-v
""",
)
@click.argument(
    "binaries", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BINARY..."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="FILE.tar for an archive, oci:DIR for a layout, a reference to push directly.",
)
@click.option("-t", "--tag", metavar="REF", help="Name of the image in an archive or layout.")
@click.option(
    "--name-as", metavar="NAME", help="Name of the program in the image  [default: of the first]."
)
@click.option(
    "--env", type=KeyValue(), multiple=True, help="Environment variable; may be repeated."
)
@click.option("--label", type=KeyValue(), multiple=True, help="Label; may be repeated.")
@click.option("--user", metavar="USER[:GROUP]", default="", help="Who runs it  [default: root].")
@click.option("--workdir", metavar="DIR", default="/", show_default=True, help="Where it starts.")
@click.option(
    "--cmd",
    metavar="ARG",
    multiple=True,
    help="Argument where whoever runs it gives none; may be repeated.",
)
@click.option(
    "-a", "--annotation", type=KeyValue(), multiple=True, help="Annotation; may be repeated."
)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "zstd", "none"]),
    default="gzip",
    show_default=True,
    help="Of the layer.",
)
@click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists.")
async def runnable(
    session: Session,
    *,
    binaries: tuple[Path, ...],
    output: str,
    tag: str | None,
    name_as: str | None,
    env: tuple[tuple[str, str], ...],
    label: tuple[tuple[str, str], ...],
    user: str,
    workdir: str,
    cmd: tuple[str, ...],
    annotation: tuple[tuple[str, str], ...],
    compression: Algorithm,
    overwrite: bool,
) -> None:
    """Make an image that runs a static program.

    The image has the program at its root and nothing else, so it must be linked statically, for
    Linux. Its platform is what the program says; programs for several platforms make one index.
    """
    config = RunConfig(
        environment=dict(env),
        arguments=cmd,
        user=user,
        working_dir=workdir,
        labels=dict(label),
    )
    async with session.client() as client:
        descriptor = await client.pack_runnable(
            binaries,
            output,
            name=tag,
            name_as=name_as,
            config=config,
            compression=Compression(algorithm=compression),
            annotations=dict(annotation),
            overwrite=overwrite,
        )
    session.result(descriptor.digest, {"target": output, **descriptor_json(descriptor)})


COMMAND = runnable
