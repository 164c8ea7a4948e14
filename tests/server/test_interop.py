"""Other tools push to and pull from the embedded registry."""

import gzip
from pathlib import Path

import anyio
import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor, Index, Manifest, Platform, media_types
from peers import require
from server.driving import Driver

pytestmark = pytest.mark.interop


async def image(folder: Path) -> tuple[Manifest, Index]:
    """A layout with an image ``v1`` and an index of it, ``all``."""
    layout = await Layout.open(folder, create=True)
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    layer = gzip.compress(bytes(10_240), mtime=0)
    parts = (
        Descriptor.of(config, media_types.OCI_CONFIG),
        Descriptor.of(layer, media_types.OCI_LAYER_TAR_GZIP),
    )
    for descriptor, data in zip(parts, (config, layer), strict=True):
        await layout.push(descriptor, BytesSource(data))
    document = Manifest.build(config=parts[0], layers=parts[1:])
    await layout.push_tagged(document.descriptor, BytesSource(document.raw), "v1")
    entry = Descriptor(
        media_type=document.media_type,
        digest=document.digest,
        size=document.size,
        platform=Platform(os="linux", architecture="amd64"),
    )
    index = Index.build(manifests=(entry,))
    await layout.push_tagged(index.descriptor, BytesSource(index.raw), "all")
    return document, index


async def run(program: str, *arguments: str) -> str:
    done = await anyio.run_process([require(program), *arguments], check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_skopeo_copies_to_and_from(embedded: EmbeddedRegistry, tmp_path: Path) -> None:
    document, index = await image(tmp_path / "source")
    name = f"docker://{embedded.host}/team/app"
    for tag, options in (("v1", ()), ("all", ("--all",))):
        await run(
            "skopeo", "copy", "--dest-tls-verify=false", *options,
            f"oci:{tmp_path / 'source'}:{tag}", f"{name}:{tag}",
        )  # fmt: skip
        await run(
            "skopeo", "copy", "--src-tls-verify=false", *options,
            f"{name}:{tag}", f"oci:{tmp_path / 'back'}:{tag}",
        )  # fmt: skip
    back = await Layout.open(tmp_path / "back")
    assert (await back.resolve("v1")).digest == document.digest
    assert (await back.resolve("all")).digest == index.digest
    assert await back.verify() == []
    assert '"all"' in await run("skopeo", "list-tags", "--tls-verify=false", name)
    # The registry's folder is a layout for skopeo, too.
    assert await run("skopeo", "inspect", "--raw", f"oci:{embedded.root / 'team' / 'app'}:v1") == (
        document.raw.decode()
    )


async def test_skopeo_deletes(embedded: EmbeddedRegistry, driver: Driver, tmp_path: Path) -> None:
    await image(tmp_path / "source")
    name = f"docker://{embedded.host}/team/app:v1"
    await run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'source'}:v1", name)
    await run("skopeo", "delete", "--tls-verify=false", name)
    assert (await driver("GET", "/v2/team/app/tags/list")).json["tags"] == []


async def test_oras_attaches_and_discovers(
    embedded: EmbeddedRegistry, driver: Driver, tmp_path: Path
) -> None:
    require("oras")
    (tmp_path / "file.txt").write_text("hello")
    await driver.push_manifest("v1")
    name = f"{embedded.host}/team/app:v1"
    attach = ("attach", "--plain-http", "--disable-path-validation", "--artifact-type", "a/b")
    await run("oras", *attach, name, str(tmp_path / "file.txt"))
    assert "a/b" in await run("oras", "discover", "--plain-http", "--format", "json", name)


async def test_crane_and_regctl_copy(
    embedded: EmbeddedRegistry, driver: Driver, tmp_path: Path
) -> None:
    crane, regctl = require("crane"), require("regctl")
    document = await driver.push_manifest("v1")
    target = f"{embedded.host}/other"
    await run(crane, "--insecure", "copy", f"{embedded.host}/team/app:v1", f"{target}:crane")
    await run(
        regctl, "--host", f"reg={embedded.host},tls=disabled", "image", "copy",
        f"{embedded.host}/team/app:v1", f"{target}:regctl",
    )  # fmt: skip
    for tag in ("crane", "regctl"):
        assert (await driver("GET", f"/v2/other/manifests/{tag}")).body == document.raw
