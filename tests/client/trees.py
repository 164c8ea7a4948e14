"""Folders to pack, and what is found in folders."""

from pathlib import Path

from ocipkg_async import Client
from ocipkg_async.content import BytesSource
from ocipkg_async.spec import Descriptor, Index, Platform, Reference

FILES = {"bin/run": b"#!/bin/sh\n", "include/a.h": b"int a;\n", "lib/a.txt": bytes(70_000)}


def make_tree(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, data in (FILES if files is None else files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def everything(folder: Path) -> list[str]:
    """All paths below a folder, hidden and temporary ones included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


async def push_index(
    client: Client, reference: str, folder: Path, platforms: tuple[str, ...]
) -> Descriptor:
    """Push one package for each platform, which holds a file with its name, and their index."""
    parsed = Reference.parse(reference)
    repository = client.repository(parsed)
    entries = []
    for text in platforms:
        source = make_tree(folder / text, {"platform": text.encode()})
        packed = await client.pack([source], f"{parsed.name}:{text.replace('/', '-')}")
        entries.append(
            Descriptor(
                media_type=packed.media_type,
                digest=packed.digest,
                size=packed.size,
                platform=Platform.parse(text),
            )
        )
    index = Index.build(manifests=tuple(entries))
    assert parsed.tag
    await repository.push_tagged(index.descriptor, BytesSource(index.raw), parsed.tag)
    return index.descriptor
