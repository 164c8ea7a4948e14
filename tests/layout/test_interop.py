"""What skopeo and umoci write we read, and what we write they read."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

import peers
from layout.samples import tar_of
from ocipkg_async.content import BytesSource, Store, walk
from ocipkg_async.errors import UnsupportedError
from ocipkg_async.layout import ArchiveReader, ArchiveWriter, Layout, detect
from ocipkg_async.spec import Descriptor, Digest, Manifest, media_types
from ocipkg_async.spec.decoding import encode_json

pytestmark = pytest.mark.interop


def call(program: str, *arguments: str | Path) -> str:
    command = [peers.require(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def push_image(store: Store, name: str) -> Manifest:
    """Push an image that container tools accept, with one file in its layer."""
    tar = tar_of([("hello.txt", name.encode())])
    # Compressed, since skopeo compresses what is not, and so changes digests.
    packed = gzip.compress(tar, mtime=0)
    layer = Descriptor.of(packed, media_types.OCI_LAYER_TAR_GZIP)
    raw = encode_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(tar)]},
        }
    )
    config = Descriptor.of(raw, media_types.OCI_CONFIG)
    await store.push(layer, BytesSource(packed))
    await store.push(config, BytesSource(raw))
    image = Manifest.build(config=config, layers=(layer,))
    await store.push(image.descriptor, BytesSource(image.raw))
    await store.tag(image.descriptor, name)
    return image


async def test_skopeo_reads_our_layout_and_writes_it_on(tmp_path: Path) -> None:
    layout = await Layout.open(tmp_path / "ours", create=True)
    images = {name: await push_image(layout, name) for name in ("v1", "v2")}
    for name, image in images.items():
        found = json.loads(call("skopeo", "inspect", f"oci:{layout.path}:{name}"))
        assert found["Digest"] == image.digest
        assert found["Labels"] == {"name": name}
    call("skopeo", "copy", f"oci:{layout.path}:v1", f"oci:{tmp_path}/theirs:v1")
    theirs = await Layout.open(tmp_path / "theirs")
    assert len(await walk(theirs, await theirs.resolve("v1"))) == 3
    assert await theirs.verify() == []
    call("skopeo", "copy", f"oci:{tmp_path}/theirs:v1", f"oci:{layout.path}:again")
    assert await layout.tags() == ["again", "v1", "v2"]
    assert await layout.resolve("again") == images["v1"].descriptor


async def test_skopeo_reads_our_archive(tmp_path: Path) -> None:
    path = tmp_path / "ours.tar"
    async with ArchiveWriter.open(path) as writer:
        images = {name: await push_image(writer, name) for name in ("v1", "ghcr.io/org/pkg:v2")}
    for name, image in images.items():
        found = json.loads(call("skopeo", "inspect", f"oci-archive:{path}:{name}"))
        assert found["Digest"] == image.digest
    call("skopeo", "copy", f"oci-archive:{path}:v1", f"oci:{tmp_path}/out:v1")
    assert (await (await Layout.open(tmp_path / "out")).only()).digest == images["v1"].digest


async def test_o05_we_read_what_skopeo_archives(tmp_path: Path) -> None:
    layout = await Layout.open(tmp_path / "ours", create=True)
    image = await push_image(layout, "v1")
    path = tmp_path / "theirs.tar"
    call("skopeo", "copy", f"oci:{layout.path}:v1", f"oci-archive:{path}:docker.io/a/b:v1")
    assert await detect(path) == "archive"
    async with ArchiveReader.open(path) as reader:
        assert await reader.tags() == ["docker.io/a/b:v1"]
        assert await reader.resolve("v1") == image.descriptor
        assert len(await walk(reader, image.descriptor)) == 3
    async with ArchiveWriter.open(path, append=True) as writer:
        await push_image(writer, "v2")
    found = json.loads(call("skopeo", "inspect", f"oci-archive:{path}:v2"))
    assert found["Labels"] == {"name": "v2"}


async def test_skopeo_reads_a_compressed_archive_as_we_do(tmp_path: Path) -> None:
    path = tmp_path / "ours.tar"
    async with ArchiveWriter.open(path) as writer:
        image = await push_image(writer, "v1")
    call("pigz", path)
    zipped = tmp_path / "ours.tar.gz"
    found = json.loads(call("skopeo", "inspect", f"oci-archive:{zipped}:v1"))
    assert found["Digest"] == image.digest
    async with ArchiveReader.open(zipped) as reader:
        assert await reader.resolve("v1") == image.descriptor


async def test_skopeo_docker_archive_is_refused_with_a_hint(tmp_path: Path) -> None:
    layout = await Layout.open(tmp_path / "ours", create=True)
    await push_image(layout, "v1")
    path = tmp_path / "docker.tar"
    call("skopeo", "copy", f"oci:{layout.path}:v1", f"docker-archive:{path}:a/b:v1")
    assert await detect(path) is None
    with pytest.raises(UnsupportedError) as caught:
        async with ArchiveReader.open(path):
            pass
    assert "skopeo" in (caught.value.hint or "")


async def test_umoci_and_we_change_the_same_layout(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    call("umoci", "init", "--layout", folder)
    call("umoci", "new", "--image", f"{folder}:theirs")
    layout = await Layout.open(folder)
    await push_image(layout, "ours")
    assert await layout.tags() == ["ours", "theirs"]
    assert call("umoci", "list", "--layout", folder).split() == ["ours", "theirs"]
    assert (
        json.loads(call("umoci", "stat", "--image", f"{folder}:ours", "--json"))["history"] is None
    )
    call("umoci", "unpack", "--rootless", "--image", f"{folder}:ours", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "hello.txt").read_text() == "ours"
    call("umoci", "tag", "--image", f"{folder}:ours", "also")
    call("umoci", "gc", "--layout", folder)
    assert await layout.resolve("also") == await layout.resolve("ours")
    assert await layout.verify() == []
    assert await layout.collect(grace_s=0) == []
    call("umoci", "rm", "--image", f"{folder}:theirs")
    assert await layout.tags() == ["also", "ours"]
