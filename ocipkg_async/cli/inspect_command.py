"""``inspect``: what a target holds."""

import json
import sys
from typing import Any

import click

from ..client import Inspection
from ..errors import InvalidArgumentError
from ..package import PackageFile
from ..spec import Descriptor, Manifest
from .session import Session, command, descriptor_json
from .text import printable, size_text, table


@command(
    registry=True,
    store=True,
    unpacking=True,
    epilog="""\b
Examples:
  ocipkg-async inspect ghcr.io/org/pkg:v1 --files
  ocipkg-async inspect --installed ghcr.io/org/pkg:v1
""",
)
@click.argument("target")
@click.option("--platform", metavar="OS/ARCH", help="Show this manifest of an index.")
@click.option(
    "--files", is_flag=True, help="List the files in the layers, or in the installed folder."
)
@click.option(
    "--installed", is_flag=True, help="TARGET is an installed package; no registry is asked."
)
@click.option("--raw", is_flag=True, help="Print the manifest or index byte for byte.")
async def inspect(
    session: Session, target: str, platform: str | None, *, files: bool, installed: bool, raw: bool
) -> None:
    """Show what a target holds.

    That is the parts of its manifest, or the manifests of an index. With --files, the files: what
    the archives hold, whatever the package says, and only what was verified.
    """
    if files and raw:
        raise InvalidArgumentError("--files and --raw contradict each other", hint="leave out one")
    async with session.client() as client:
        if files:
            entries = await client.files(target, platform=platform, installed=installed)
            session.result(_listing(entries), [_file_json(entry) for entry in entries])
            return
        found = await client.inspect(target, platform=platform, installed=installed)
    if raw:
        sys.stdout.buffer.write(found.document.raw)
        return
    session.result(_text(found), _json(found))


def _listing(entries: list[PackageFile]) -> str:
    layers = {entry.layer for entry in entries}
    several = len(layers) > 1
    rows = [_file_row(entry, layer=several) for entry in entries]
    header = ("KIND", "SIZE", *(("LAYER",) if several else ()), "NAME")
    return table(rows, header=header)


def _file_row(entry: PackageFile, *, layer: bool) -> tuple[str, ...]:
    name = printable(entry.name)
    return (
        "executable" if entry.executable else entry.kind,
        size_text(entry.size) if entry.kind == "file" else "-",
        *((entry.layer.short if entry.layer else "-",) if layer else ()),
        f"{name} -> {printable(entry.link)}" if entry.link else name,
    )


def _file_json(entry: PackageFile) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "size": entry.size,
        "executable": entry.executable,
        "link": entry.link or None,
        "layer": str(entry.layer) if entry.layer else None,
    }


def _text(found: Inspection) -> str:
    document = found.document
    lines = [
        ("Target", found.target),
        *([("Name", found.name)] if found.name else []),
        ("Digest", document.digest),
        ("Type", document.media_type),
    ]
    if document.artifact_type:
        lines.append(("Artifact", document.artifact_type))
    if document.subject:
        lines.append(("Subject", document.subject.digest))
    lines.append(("Size", size_text(found.size)))
    lines += [(f"  {key}", value) for key, value in sorted(found.annotations.items())]
    head = "\n".join(f"{name + ':':<10} {printable(value)}" for name, value in lines)
    if not isinstance(document, Manifest):
        rows = [_row(str(entry.platform or "-"), entry) for entry in document.manifests]
        return f"{head}\n\n{table(rows, header=('PLATFORM', 'DIGEST', 'SIZE', 'TYPE'))}"
    rows = [_row("config", document.config)] if document.config else []
    rows += [_row(entry.title or "layer", entry) for entry in document.layers]
    return f"{head}\n\n{table(rows, header=('CONTENT', 'DIGEST', 'SIZE', 'TYPE'))}"


def _row(name: str, entry: Descriptor) -> tuple[str, ...]:
    return (
        printable(name),
        entry.digest.short,
        size_text(entry.size),
        printable(entry.artifact_type or entry.media_type),
    )


def _json(found: Inspection) -> dict[str, Any]:
    return {
        "target": found.target,
        "name": found.name,
        **descriptor_json(found.document.descriptor),
        "annotations": dict(found.annotations),
        "content": json.loads(found.document.raw),
    }


COMMAND = inspect
