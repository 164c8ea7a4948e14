"""What surrounds the layer, in both formats."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ocipkg_async.content import MemoryStore, fetch_bytes, fetch_document
from ocipkg_async.errors import InvalidArgumentError, UnsupportedError
from ocipkg_async.native import LinkMetadata
from ocipkg_async.package import Compression, pack, unpack
from ocipkg_async.spec import Descriptor, Digest, Manifest, Platform

CREATED = "org.opencontainers.image.created"
AUTHORS = "org.opencontainers.image.authors"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "libfoo.a").write_bytes(b"objects")
    (folder / "lib" / "libfoo.so").symlink_to("libfoo.a")
    return folder


async def read(store: MemoryStore, descriptor: Descriptor) -> tuple[Manifest, bytes, str]:
    """Return the manifest, its config and the digest of the layer's tar."""
    manifest = await fetch_document(store, descriptor)
    assert isinstance(manifest, Manifest)
    assert manifest.config
    (layer,) = manifest.layers
    tar = gzip.decompress(await fetch_bytes(store, layer))
    diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
    return manifest, await fetch_bytes(store, manifest.config), diff_id


async def config_of(tree: Path, **options: Any) -> dict[str, Any]:
    store = MemoryStore()
    _, config, _ = await read(store, await pack(store, [tree], **options))
    found: dict[str, Any] = json.loads(config)
    return found


async def test_v1_without_options_has_the_bytes_it_always_had(tree: Path) -> None:
    store = MemoryStore()
    packed = await pack(store, [tree], annotations={"b": "2", "a": "1"})
    manifest, config, diff_id = await read(store, packed)
    (layer,) = manifest.layers
    assert (
        config
        == (
            f'{{"layers":{{"{layer.digest}":["lib"]}},"diffIds":{{"{layer.digest}":"{diff_id}"}}}}'
        ).encode()
    )
    assert (
        manifest.raw
        == (
            '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
            '"artifactType":"application/vnd.ocipkg.v1.artifact",'
            '"config":{"mediaType":"application/vnd.ocipkg.v1.config+json",'
            f'"digest":"{Digest.of(config)}","size":{len(config)}}},'
            '"layers":[{"mediaType":"application/vnd.ocipkg.v1.layer.tar+gzip",'
            f'"digest":"{layer.digest}","size":{layer.size}}}],'
            '"annotations":{"a":"1","b":"2"}}'
        ).encode()
    )


async def test_v1_says_what_it_is_for_and_how_it_is_linked(tree: Path) -> None:
    link = LinkMetadata(libraries=("foo",), system_libraries=("m",), include=("include",))
    config = await config_of(tree, platform=Platform.parse("linux/arm/v7"), link=link)
    assert list(config) == ["layers", "diffIds", "platform", "link"]
    assert config["platform"] == {"os": "linux", "architecture": "arm", "variant": "v7"}
    assert config["link"] == {
        "libraries": ["foo"],
        "systemLibraries": ["m"],
        "include": ["include"],
    }
    plain = await config_of(tree, platform=Platform.parse("linux/amd64"), link=LinkMetadata())
    assert plain["platform"] == {"os": "linux", "architecture": "amd64"}
    assert "link" not in plain


async def test_v0_is_an_image_as_ocipkg_wrote_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    store = MemoryStore()
    notes = {"z": "1", AUTHORS: "Ann"}
    packed = await pack(store, [tree], format="ocipkg-v0", annotations=notes)
    manifest, raw, diff_id = await read(store, packed)
    assert manifest.artifact_type is None
    assert manifest.annotations == {}
    assert manifest.config
    assert manifest.config.media_type == "application/vnd.oci.image.config.v1+json"
    (layer,) = manifest.layers
    assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    config = json.loads(raw)
    host = Platform.host()
    assert config.pop("variant", "") == host.variant
    assert config == {
        "author": "Ann",
        "architecture": host.architecture,
        "os": host.os,
        "config": {"Labels": {AUTHORS: "Ann", "z": "1"}},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [],
    }


async def test_v0_names_the_platform_that_was_asked_for(tree: Path) -> None:
    platform = Platform.parse("linux/arm/v7")
    config = await config_of(tree, format="ocipkg-v0", platform=platform)
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    windows = Platform.parse("windows(10.0.17763.1)/amd64")
    config = await config_of(tree, format="ocipkg-v0", platform=windows)
    assert (config["os"], config["os.version"]) == ("windows", "10.0.17763.1")


async def test_v0_has_a_time_only_where_one_is_given(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert (await config_of(tree, format="ocipkg-v0"))["created"] == "2023-11-14T22:13:20Z"
    notes = {CREATED: "2024-05-17T12:00:00.5+02:00"}
    config = await config_of(tree, format="ocipkg-v0", annotations=notes)
    assert config["created"] == notes[CREATED]
    assert "created" not in await config_of(tree)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert "created" not in await config_of(tree, format="ocipkg-v0")
    for text in ("yesterday", "2024-05-17", "2024-13-17T12:00:00Z", "2024-05-17T12:00:00"):
        with pytest.raises(InvalidArgumentError, match="no time"):
            await config_of(tree, format="ocipkg-v0", annotations={CREATED: text})


async def test_a_format_refuses_what_it_has_no_place_for(tree: Path) -> None:
    store = MemoryStore()
    with pytest.raises(InvalidArgumentError, match="linked"):
        await pack(store, [tree], format="ocipkg-v0", link=LinkMetadata())
    for compression in (Compression(algorithm="zstd"), Compression(algorithm="none")):
        with pytest.raises(UnsupportedError):
            await pack(store, [tree], format="ocipkg-v0", compression=compression)
    with pytest.raises(InvalidArgumentError, match="'tar'") as caught:
        await pack(store, [tree], format="tar")  # type: ignore[arg-type]
    assert "ocipkg-v1, ocipkg-v0" in (caught.value.hint or "")


async def test_v0_is_unpacked_as_it_was_packed(tree: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    manifest, _, _ = await read(store, await pack(store, [tree], format="ocipkg-v0"))
    await unpack(store, manifest, tmp_path / "out")
    assert (tmp_path / "out" / "lib" / "libfoo.a").read_bytes() == b"objects"
    assert str((tmp_path / "out" / "lib" / "libfoo.so").readlink()) == "libfoo.a"
