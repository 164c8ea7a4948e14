"""``inspect``: what a target holds."""

import json
import sys
from typing import Any

import click

from ..client import Inspection
from ..spec import Descriptor, Manifest
from .session import Session, command, descriptor_json
from .text import printable, size_text, table


@command(registry=True)
@click.argument("target")
@click.option("--platform", metavar="OS/ARCH", help="Show this manifest of an index.")
@click.option("--raw", is_flag=True, help="Print the manifest or index byte for byte.")
async def inspect(session: Session, target: str, platform: str | None, *, raw: bool) -> None:
    """Show what a target holds.

    That is the parts of its manifest, or the manifests of an index.
    """
    async with session.client() as client:
        found = await client.inspect(target, platform=platform)
    if raw:
        sys.stdout.buffer.write(found.document.raw)
        return
    session.result(_text(found), _json(found))


def _text(found: Inspection) -> str:
    document = found.document
    lines = [
        ("Target", found.target),
        ("Digest", document.digest),
        ("Type", document.media_type),
    ]
    if document.artifact_type:
        lines.append(("Artifact", document.artifact_type))
    if document.subject:
        lines.append(("Subject", document.subject.digest))
    lines.append(("Size", size_text(found.size)))
    lines += [(f"  {key}", value) for key, value in sorted(document.annotations.items())]
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
        **descriptor_json(found.document.descriptor),
        "content": json.loads(found.document.raw),
    }


COMMAND = inspect
