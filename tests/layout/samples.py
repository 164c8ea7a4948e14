"""Content and archives that the tests of layouts are made of."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ocipkg_async.content import BytesSource, Pusher
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Index, Manifest
from ocipkg_async.spec.image_layout import MARKER_BYTES, blob_path

ARTIFACT = "application/vnd.test.artifact"
LAYER_TYPE = "application/vnd.test.layer"


def layer(text: str = "layer") -> tuple[Descriptor, bytes]:
    data = text.encode()
    return Descriptor.of(data, LAYER_TYPE), data


def manifest(*layers: Descriptor, subject: Descriptor | None = None) -> Manifest:
    return Manifest.build(
        config=EMPTY,
        layers=layers or (layer()[0],),
        artifact_type=ARTIFACT,
        subject=subject,
    )


def index_of(*documents: Manifest | Index) -> Index:
    return Index.build(manifests=tuple(document.descriptor for document in documents))


async def push(store: Pusher, document: Manifest | Index) -> Descriptor:
    await store.push(document.descriptor, BytesSource(document.raw))
    return document.descriptor


async def push_image(store: Pusher, text: str = "layer") -> Manifest:
    """Push a manifest of one layer and the empty config, with both; return it."""
    descriptor, data = layer(text)
    await store.push(descriptor, BytesSource(data))
    await store.push(EMPTY, BytesSource(EMPTY_JSON))
    document = manifest(descriptor)
    await push(store, document)
    return document


def image_members(
    text: str = "layer", *, annotations: dict[str, str] | None = None
) -> dict[str, bytes]:
    """Return the files of a layout with one image."""
    descriptor, data = layer(text)
    document = manifest(descriptor)
    entry = Descriptor(
        media_type=document.media_type,
        digest=document.digest,
        size=document.size,
        annotations=annotations,
    )
    return {
        "oci-layout": MARKER_BYTES,
        blob_path(descriptor.digest): data,
        blob_path(EMPTY.digest): EMPTY_JSON,
        blob_path(document.digest): document.raw,
        "index.json": Index.build(manifests=(entry,)).raw,
    }


def tar_of(
    members: Iterable[tuple[str | tarfile.TarInfo, bytes]], *, dialect: int = tarfile.PAX_FORMAT
) -> bytes:
    """Return a tar archive that the standard library writes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    path.write_bytes(tar_of(members))
    return path
