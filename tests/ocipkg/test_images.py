"""What other tools make: Docker's types, plain and zstd layers, whiteouts, names, missing files."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.trees import contents
from layout.samples import tar_of
from ocipkg_async import Client
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.registry import Repository
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor, Digest, Platform, Reference, media_types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
LOWER = tar_of([("etc/a", b"1"), ("etc/b", b"1"), ("gone/c", b"1")])
UPPER = tar_of([("etc/.wh.a", b""), ("etc/d", b"2"), (".wh.gone", b"")])
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "tar": bytes,
}
MERGED = {"etc/b": b"1", "etc/d": b"2"}


async def push_image(
    repository: Repository, *, docker: bool = False, kind: str = "gzip"
) -> Descriptor:
    """Push an image of two layers as other tools write it: indented, with members of their own."""
    compress = COMPRESS[kind]
    suffix = "" if kind == "tar" else f"+{kind}"
    layer_type = DOCKER_LAYER if docker else f"application/vnd.oci.image.layer.v1.tar{suffix}"
    host = Platform.host()
    config = {
        "architecture": host.architecture,
        "os": host.os,
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(tar) for tar in (LOWER, UPPER)]},
    }
    blobs = [
        (
            json.dumps(config).encode(),
            media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG,
        ),
        *((compress(tar), layer_type) for tar in (LOWER, UPPER)),
    ]
    described: list[dict[str, object]] = []
    for data, media_type in blobs:
        await repository.push(Descriptor.of(data, media_type), BytesSource(data))
        described.append(
            {"mediaType": media_type, "size": len(data), "digest": Digest.of(data), "x-odd": [1]}
        )
    manifest_type = media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST
    document = {
        "x-first": None,
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": described[0],
        "layers": described[1:],
    }
    raw = json.dumps(document, indent=3).encode() + b"\n"
    descriptor = Descriptor.of(raw, manifest_type)
    await repository.push_tagged(descriptor, BytesSource(raw), "v1")
    return descriptor


@pytest.mark.parametrize(
    ("docker", "kind"), [(True, "gzip"), (False, "gzip"), (False, "zstd"), (False, "tar")]
)
async def test_images_keep_their_bytes_and_are_unpacked_with_whiteouts_applied(
    client: Client, embedded: EmbeddedRegistry, tmp_path: Path, docker: bool, kind: str
) -> None:
    """The original refuses Docker's and zstd, leaves ``.wh.`` files, and rewrites manifests."""
    name = f"{embedded.host}/image:v1"
    root = await push_image(client.repository(name), docker=docker, kind=kind)
    assert contents((await client.get(name)).path) == MERGED
    await client.pull(name, tmp_path / "out")
    assert contents(tmp_path / "out") == MERGED

    archive, layout = str(tmp_path / "image.tar"), f"oci:{tmp_path / 'layout'}"
    await client.save(name, archive)
    await client.remove(name)
    await client.load(archive)
    await client.save(name, str(tmp_path / "again.tar"))
    await client.copy(str(tmp_path / "again.tar"), layout)
    other = f"{embedded.host}/other:v1"
    await client.push(layout, other)
    for target in (archive, layout, other):
        assert (await client.resolve(target)).digest == root.digest


async def test_docker_lists_of_manifests(client: Client, embedded: EmbeddedRegistry) -> None:
    name = Reference.parse(f"{embedded.host}/image:v1")
    repository = client.repository(name)
    image = await push_image(repository, docker=True)
    host = Platform.host()
    entry = {"mediaType": image.media_type, "size": image.size, "digest": image.digest}
    entries = [
        entry | {"platform": {"architecture": "mips", "os": "plan9"}},
        entry | {"platform": {"architecture": host.architecture, "os": host.os}},
    ]
    document = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries}
    raw = json.dumps(document).encode()
    await repository.push_tagged(Descriptor.of(raw, DOCKER_LIST), BytesSource(raw), "v1")
    package = await client.get(name)
    assert package.descriptor.digest == image.digest
    assert contents(package.path) == MERGED


async def test_a_bare_tag_is_no_repository_of_docker_hub(
    client: Client, embedded: EmbeddedRegistry, source: Path, tmp_path: Path
) -> None:
    """The original takes ``v1``, as most tools name what they save, for ``docker.io/v1:latest``."""
    layout = f"oci:{tmp_path / 'layout'}"
    root = await client.pack([source], f"{layout}:v1")
    for call in (client.load(layout), client.push(layout)):
        with pytest.raises(InvalidArgumentError, match="'v1', which names no registry") as caught:
            await call
        assert "give the reference" in (caught.value.hint or "")
    (package,) = await client.load(layout, name="example.org/pkg:v1")
    assert str(package.reference) == "example.org/pkg:v1"
    ((reference, pushed),) = await client.push(layout, f"{embedded.host}/pkg:v2")
    assert (str(reference), pushed.digest) == (f"{embedded.host}/pkg:v2", root.digest)


async def test_a_layout_without_its_marker(client: Client, source: Path, tmp_path: Path) -> None:
    """As the original's archives are, unpacked or not."""
    layout = tmp_path / "layout"
    root = await client.pack([source], f"oci:{layout}", name="example.org/pkg:v1")
    (layout / "oci-layout").unlink()
    assert await client.resolve(f"oci:{layout}") == root
    assert [str(p.reference) for p in await client.load(str(layout))] == ["example.org/pkg:v1"]
