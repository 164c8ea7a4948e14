"""``save``: write a package to an archive or layout."""

import click

from .session import Session, command, descriptor_json


@command(registry=True, store=True, pulling=True)
@click.argument("reference")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="TARGET",
    help="FILE.tar for an archive, oci:DIR for a layout.",
)
@click.option("-f", "--overwrite", is_flag=True, help="Replace an archive that exists.")
async def save(session: Session, reference: str, output: str, *, overwrite: bool) -> None:
    """Write a package to an archive or layout.

    It comes from the local store where it is installed, else from its registry. Layers that the store does not keep (get --keep-layers) come from the registry in any case.
    """
    async with session.client() as client:
        descriptor = await client.save(reference, output, overwrite=overwrite)
    session.result(descriptor.digest, {"target": output, **descriptor_json(descriptor)})


COMMAND = save
