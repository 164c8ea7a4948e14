"""Other tools push to and pull from the embedded registry, and use its folders while it runs."""

import asyncio
import contextlib
import gzip
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ocipkg_async.content import BytesSource, walk
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor, Digest, Index, Manifest, Platform, media_types
from peers import require
from server.driving import Driver, manifest_url

pytestmark = pytest.mark.interop


CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


async def image(folder: Path) -> tuple[Manifest, Index]:
    """A layout with an image ``v1`` and an index of it, ``all``."""
    layout = await Layout.open(folder, create=True)
    config, layer = CONFIG, gzip.compress(bytes(10_240), mtime=0)
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


@asynccontextmanager
async def moving(drive: Driver) -> AsyncIterator[set[Digest]]:
    """Push images again and again, and move a tag; yields the digests that it had or has."""
    digests: set[Digest] = set()
    ready = asyncio.Event()

    async def push() -> None:
        for number in itertools.count():
            layer = gzip.compress(b"%d" % number * 10_000, mtime=0)
            for data in (CONFIG, layer):
                await drive.push_blob(data)
            document = Manifest.build(
                config=Descriptor.of(CONFIG, media_types.OCI_CONFIG),
                layers=(Descriptor.of(layer, media_types.OCI_LAYER_TAR_GZIP),),
            )
            digests.add(document.digest)
            for tag in ("latest", f"v{number}"):
                assert (await drive.push_document(document, tag)).status == 201
            ready.set()
            if number > 3:
                assert (await drive("DELETE", manifest_url(f"v{number - 3}"))).status == 202

    task = asyncio.create_task(push())
    try:
        await ready.wait()
        yield digests
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("tool", ["skopeo", "oras", "ours"])
async def test_c31_folder_is_read_while_clients_push(
    driver: Driver, embedded: EmbeddedRegistry, tmp_path: Path, tool: str
) -> None:
    """Each read is of one image, and of all of it."""
    folder = embedded.root / "team" / "app"
    async with moving(driver) as digests:
        for number in itertools.count():
            if number >= 5 and len(digests) >= 8:
                break
            source, copy = folder, tmp_path / str(number)
            if tool == "skopeo":
                await run("skopeo", "copy", f"oci:{source}:latest", f"oci:{copy}:latest")
            elif tool == "oras":
                target = ("--to-oci-layout", f"{copy}:latest")
                await run("oras", "copy", "--from-oci-layout", f"{source}:latest", *target)
            else:
                copy = source
            layout = await Layout.open(copy, read_only=True)
            found = await layout.resolve("latest")
            assert found.digest in digests
            assert [one.digest for one, _ in await walk(layout, found)][-1] == found.digest
            assert all(tag == "latest" or tag[0] == "v" for tag in await layout.tags())


WRITERS = {
    "skopeo": (
        ["copy", "oci:{source}:v1", "oci:{folder}:v1"],
        ["copy", "oci:{source}:v1", "oci:{folder}:v2"],
    ),
    "umoci": (
        ["init", "--layout", "{folder}"],
        ["new", "--image", "{folder}:v1"],
        ["tag", "--image", "{folder}:v1", "v2"],
    ),
    "oras": (
        ["copy", "--from-oci-layout", "{source}:v1", "--to-oci-layout", "{folder}:v1"],
        ["tag", "--oci-layout", "{folder}:v1", "v2"],
    ),
}


@pytest.mark.parametrize("tool", WRITERS)
async def test_c31_what_another_tool_writes_into_the_root_is_served(
    driver: Driver, embedded: EmbeddedRegistry, tmp_path: Path, tool: str
) -> None:
    """A repository appears, and changes while it is served; and both go on with it."""
    await image(tmp_path / "source")
    folder = embedded.root / "by" / tool
    assert await driver.code_of(f"/v2/by/{tool}/tags/list") == (404, "NAME_UNKNOWN")
    folder.parent.mkdir()
    tags: list[str] = []
    for words in WRITERS[tool]:
        await run(tool, *(word.format(source=tmp_path / "source", folder=folder) for word in words))
        tags = (await driver("GET", f"/v2/by/{tool}/tags/list")).json["tags"]
        assert tags == (await (await Layout.open(folder, read_only=True)).tags())
        for tag in tags:
            answer = await driver("GET", manifest_url(tag, f"by/{tool}"))
            assert answer.headers["Docker-Content-Digest"] == Digest.of(answer.body)
    assert tags == ["v1", "v2"]
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == [f"by/{tool}"]

    document = await driver.push_manifest("ours", f"by/{tool}")
    assert (await run("skopeo", "inspect", "--raw", f"oci:{folder}:ours")).encode() == document.raw
    await run("skopeo", "copy", f"oci:{tmp_path / 'source'}:v1", f"oci:{folder}:v3")
    listed = (await driver("GET", f"/v2/by/{tool}/tags/list")).json["tags"]
    assert listed == ["ours", "v1", "v2", "v3"]
    assert await (await Layout.open(folder, read_only=True)).verify() == []
