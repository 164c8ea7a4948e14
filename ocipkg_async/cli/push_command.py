"""``push``: a package, or files as an artifact."""

import click

from ..errors import InvalidArgumentError
from ..package import ArtifactFile
from ..spec import Descriptor, Reference
from .session import Session, command, descriptor_json
from .values import KeyValue


@command(
    registry=True,
    pushing=True,
    resuming=True,
    epilog="""\b
Examples:
  ocipkg-async push pkg.tar
  ocipkg-async push pkg.tar --to localhost:5000/pkg:v1
  ocipkg-async push ghcr.io/org/notes:v1 README.md data.json:application/json
""",
)
@click.argument("source", metavar="ARCHIVE|LAYOUT|REF")
@click.argument("files", nargs=-1, metavar="[PATH[:TYPE]...]")
@click.option("--to", metavar="REF", help="Where to push a package  [default: the name it holds].")
@click.option("--artifact-type", metavar="TYPE", help="Media type of the artifact made of files.")
@click.option(
    "-a",
    "--annotation",
    type=KeyValue(),
    multiple=True,
    help="Annotation of the artifact made of files; may be repeated.",
)
async def push(
    session: Session,
    *,
    source: str,
    files: tuple[str, ...],
    to: str | None,
    artifact_type: str | None,
    annotation: tuple[tuple[str, str], ...],
) -> None:
    """Push a package, or files as an artifact.

    With one argument: a package from an archive or layout, to the name it holds or to --to. With
    more: the files and directories after REF as an artifact, one layer each, as ORAS does.
    """
    if files and to:
        raise InvalidArgumentError("--to goes with an archive or layout, not with files")
    if not files and (artifact_type or annotation):
        raise InvalidArgumentError(
            "--artifact-type and --annotation go with files", hint="a package has its own; see pack"
        )
    async with session.client() as client:
        if files:
            reference = Reference.parse(source, strict=True).with_default_tag()
            described = await client.push_files(
                reference,
                [ArtifactFile.parse(text) for text in files],
                artifact_type=artifact_type,
                annotations=dict(annotation),
            )
            pushed = [(reference, described)]
        else:
            pushed = await client.push(source, to)
    text = "\n".join(_line(reference, descriptor) for reference, descriptor in pushed)
    session.result(
        text,
        [
            {
                "reference": str(reference.with_digest(descriptor.digest)),
                "tag": reference.tag,
                **descriptor_json(descriptor),
            }
            for reference, descriptor in pushed
        ],
    )


def _line(reference: Reference, descriptor: Descriptor) -> str:
    return f"{reference}@{descriptor.digest}" if not reference.digest else str(reference)


COMMAND = push
