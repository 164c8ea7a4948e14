"""``index``: one index of the packages for several platforms."""

import click

from ..errors import InvalidPlatformError
from ..spec import Platform
from .session import Session, command, descriptor_json
from .values import KeyValue


class PlatformTarget(click.ParamType[tuple[str, Platform | None]]):
    """A target, or ``PLATFORM=target``.

    What stands before the first ``=`` is a platform, unless it has a colon or begins as paths do.
    """

    name = "[platform=]target"

    def convert(
        self,
        value: str | tuple[str, Platform | None],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Platform | None]:
        """Return the target and its platform, or None."""
        if isinstance(value, tuple):
            return value
        before, equals, target = value.partition("=")
        if not equals or ":" in before or before.startswith((".", "/", "\\", "~")):
            return value, None
        if "/" not in before and "-" not in before:
            self.fail(f"{before!r} is not a platform; write linux/amd64=TARGET", param, ctx)
        try:
            if "/" in before:
                return target, Platform.parse(before)
            return target, Platform.from_target_triple(before)
        except InvalidPlatformError as error:
            self.fail(
                f"{error}; write the platform as linux/amd64, and ./ before a path with =",
                param,
                ctx,
            )


@command(
    registry=True,
    pushing=True,
    pulling=True,
    epilog="""\b
Examples:
  ocipkg-async index amd64.tar arm64.tar -o ghcr.io/org/pkg:v1
  ocipkg-async index linux/amd64=oci:a linux/arm64=b.tar -o oci:pkg -t REF
  ocipkg-async index REF riscv64gc-unknown-linux-gnu=riscv.tar -o REF
""",
)
@click.argument(
    "sources", nargs=-1, required=True, type=PlatformTarget(), metavar="[PLATFORM=]TARGET..."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="FILE.tar for an archive, oci:DIR for a layout, or a reference.",
)
@click.option("-t", "--tag", metavar="REF", help="Name of the index in an archive or layout.")
@click.option(
    "-a", "--annotation", type=KeyValue(), multiple=True, help="Annotation; may be repeated."
)
@click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists.")
async def index(
    session: Session,
    *,
    sources: tuple[tuple[str, Platform | None], ...],
    output: str,
    tag: str | None,
    annotation: tuple[tuple[str, str], ...],
    overwrite: bool,
) -> None:
    """Join packages of several platforms in one index.

    PLATFORM is linux/arm64, linux/arm/v7 or a target triple; without it the platform is what the
    content says, and an index gives all that it has. After an index, a package takes the place of
    the one for its platform: give a tag first and as output to add to it. Of two that do so at
    once one is lost: let jobs that run at once push their own tags, and the last one join them.
    """
    async with session.client() as client:
        descriptor = await client.index(
            sources, output, name=tag, annotations=dict(annotation), overwrite=overwrite
        )
    session.result(descriptor.digest, {"target": output, **descriptor_json(descriptor)})


COMMAND = index
