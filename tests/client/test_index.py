"""Indexes of packages for several platforms: made of any targets, extended, and read by others."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.trees import contents, everything, make_tree, push_index
from ocipkg_async import Client, ClientOptions
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    InvalidPlatformError,
    NotFoundError,
)
from ocipkg_async.events import Event, Warned
from ocipkg_async.spec import Descriptor, Index, Manifest, Platform, media_types
from ocipkg_async.spec.decoding import encode_json
from peers import require
from registries import RunningRegistry

AMD64, ARM64, ARMV7 = "linux/amd64", "linux/arm64", "linux/arm/v7"
ARTIFACT = media_types.OCIPKG_ARTIFACT


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def client(tmp_path: Path, events: list[Event]) -> AsyncIterator[Client]:
    options = ClientOptions(store=tmp_path / "store")
    async with Client(options, on_event=events.append) as opened:
        yield opened


@pytest.fixture
def name(registry: RunningRegistry, repository_name: str) -> str:
    return f"{registry.host}/{repository_name}"


@pytest.fixture
def local(tmp_path: Path) -> str:
    """A place that is no registry."""
    return f"oci:{tmp_path / 'layout'}"


async def packed(client: Client, folder: Path, output: str, **files: str) -> Descriptor:
    """Pack files, named and filled as given."""
    source = make_tree(folder, {name: text.encode() for name, text in files.items()})
    return await client.pack([source], output)


async def three(client: Client, folder: Path, target: str) -> list[Descriptor]:
    """Packages under the names one, two and three of a layout or repository."""
    return [
        await packed(client, folder / word, f"{target}:{word}", word=word)
        for word in ("one", "two", "three")
    ]


async def image(client: Client, target: str, config: Any, *, docker: bool = False) -> Descriptor:
    """An image without layers whose config is this."""
    raw = encode_json(config)
    kind = media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG
    manifest = Manifest.build(config=Descriptor.of(raw, kind), layers=())
    name, _, tag = target.rpartition(":")
    repository = client.repository(name)
    await repository.push(Descriptor.of(raw, kind), BytesSource(raw))
    await repository.push_tagged(manifest.descriptor, BytesSource(manifest.raw), tag)
    return manifest.descriptor


async def read(client: Client, target: str) -> Index:
    document = (await client.inspect(target)).document
    assert isinstance(document, Index)
    return document


async def offered(client: Client, target: str) -> dict[str, str]:
    """The platforms of an index in order, each with its digest."""
    entries = (await read(client, target)).manifests
    return {str(entry.platform): entry.digest for entry in entries}


async def test_from_everywhere_to_a_registry(client: Client, tmp_path: Path, name: str) -> None:
    archive, layout = str(tmp_path / "a.tar"), f"oci:{tmp_path / 'l'}:x"
    one = await packed(client, tmp_path / "1", archive, where="archive")
    two = await packed(client, tmp_path / "2", layout, where="layout")
    three = await packed(client, tmp_path / "3", f"{name}-other:x", where="registry")
    made = await client.index(
        [
            (f"{name}-other:x", "armv7-unknown-linux-gnueabihf"),
            (layout, Platform.parse(ARM64)),
            (archive, AMD64),
        ],
        f"{name}:v1",
        annotations={"b": "2", "a": "1"},
    )
    assert await client.resolve(f"{name}:v1") == made
    assert await client.tags(name) == ["v1"]
    assert await offered(client, f"{name}:v1") == {
        ARMV7: three.digest,
        ARM64: two.digest,
        AMD64: one.digest,
    }
    index = await read(client, f"{name}:v1")
    assert (index.media_type, index.artifact_type) == (media_types.OCI_INDEX, ARTIFACT)
    assert index.annotations == {"a": "1", "b": "2"}
    assert all(entry.artifact_type == ARTIFACT for entry in index.manifests)
    for platform, where in ((AMD64, "archive"), (ARM64, "layout"), (ARMV7, "registry")):
        package = await client.get(f"{name}:v1", platform=platform)
        assert contents(package.path) == {"where": where.encode()}


async def test_same_sources_give_the_same_bytes(client: Client, tmp_path: Path, local: str) -> None:
    await three(client, tmp_path, local)
    sources = [(f"{local}:two", ARM64), (f"{local}:one", AMD64)]
    files = [tmp_path / "1.tar", tmp_path / "2.tar"]
    made = [await client.index(sources, str(file), name="example.org/a/b:v1") for file in files]
    assert made[0] == made[1]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert await client.tags(str(files[0])) == ["example.org/a/b:v1"]
    other = await client.index(sources[::-1], str(tmp_path / "3.tar"))
    assert other != made[0]


async def test_a_layout_lists_the_index_alone(client: Client, tmp_path: Path, local: str) -> None:
    await three(client, tmp_path, f"oci:{tmp_path / 'from'}")
    sources = [
        (f"oci:{tmp_path / 'from'}:{word}", p) for word, p in (("one", AMD64), ("two", ARM64))
    ]
    made = await client.index(sources, f"{local}:v1")
    listed = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in listed] == [made.digest]
    assert await client.tags(local) == ["v1"]
    (loaded,) = await client.load(f"{local}:v1", name="example.org/a/b:v1")
    assert loaded.descriptor.digest in (await offered(client, f"{local}:v1")).values()


async def test_platform_is_read_from_the_content(client: Client, tmp_path: Path, name: str) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"a"})
    ours = await client.pack([tree], f"{name}:ours", platform="linux/arm/v6")
    old = await client.pack([tree], f"{name}:v0", platform="freebsd/arm64", format="ocipkg-v0")
    windows = {"os": "windows", "architecture": "amd64", "os.version": "10.0.17763.1"}
    docker = await image(client, f"{name}:docker", windows, docker=True)
    oci = await image(
        client, f"{name}:oci", {"os": "linux", "architecture": "arm64", "variant": "v8"}
    )
    await client.index(
        [(f"{name}:{tag}", None) for tag in ("ours", "v0", "docker", "oci")], f"{name}:v1"
    )
    assert await offered(client, f"{name}:v1") == {
        "linux/arm/v6": ours.digest,
        "freebsd/arm64": old.digest,
        "windows(10.0.17763.1)/amd64": docker.digest,
        ARM64: oci.digest,
    }
    # Images have no artifact type, so the index has none.
    assert (await read(client, f"{name}:v1")).artifact_type is None


async def test_unknown_platform_is_refused(client: Client, tmp_path: Path, name: str) -> None:
    await packed(client, tmp_path / "a", f"{name}:a", a="a")
    await image(client, f"{name}:empty", {"os": "", "architecture": ""})
    await image(client, f"{name}:unknown", {"os": "unknown", "architecture": "unknown"})
    for tag in ("a", "empty", "unknown"):
        with pytest.raises(InvalidArgumentError, match="platform") as caught:
            await client.index([(f"{name}:{tag}", None)], str(tmp_path / "o.tar"))
        assert f"linux/amd64={name}:{tag}" in (caught.value.hint or "")
    assert not (tmp_path / "o.tar").exists()
    with pytest.raises(InvalidArgumentError, match="nothing"):
        await client.index([], str(tmp_path / "o.tar"))
    with pytest.raises(InvalidPlatformError):
        await client.index([(f"{name}:a", "/")], str(tmp_path / "o.tar"))


async def test_two_for_one_platform_are_refused(
    client: Client, tmp_path: Path, local: str, name: str
) -> None:
    await three(client, tmp_path, local)
    # Two ways to write one platform.
    twice = [(f"{local}:one", ARM64), (f"{local}:two", "linux/aarch64/v8")]
    with pytest.raises(InvalidArgumentError, match="two packages for linux/arm64") as caught:
        await client.index(twice, f"{name}:v1")
    assert f"{local}:one and {local}:two" in str(caught.value)
    with pytest.raises(NotFoundError):
        await client.tags(name)  # nothing was copied
    await client.index([(f"{local}:one", AMD64)], f"{local}:first")
    await client.index([(f"{local}:two", AMD64)], f"{local}:second")
    for sources in (
        [(f"{local}:first", None), (f"{local}:second", None)],
        [(f"{local}:two", AMD64), (f"{local}:first", None)],
    ):
        with pytest.raises(InvalidArgumentError, match="two packages for linux/amd64"):
            await client.index(sources, f"{name}:v1")
    # The same package for the same platform is one.
    same = [(f"{local}:one", AMD64), (f"{local}:first", None), (f"{local}:two", ARM64)]
    await client.index(same, f"{name}:v1")
    assert list(await offered(client, f"{name}:v1")) == [AMD64, ARM64]


async def test_a_later_job_extends_a_tag(client: Client, tmp_path: Path, name: str) -> None:
    one, two, three_ = await three(client, tmp_path, name)
    sources = [(f"{name}:one", AMD64), (f"{name}:two", ARM64)]
    await client.index(sources, f"{name}:v1", annotations={"kept": "1", "changed": "1"})
    await client.index(
        [(f"{name}:v1", None), (f"{name}:three", ARMV7)],
        f"{name}:v1",
        annotations={"changed": "2"},
    )
    assert await offered(client, f"{name}:v1") == {
        AMD64: one.digest,
        ARM64: two.digest,
        ARMV7: three_.digest,
    }
    assert (await read(client, f"{name}:v1")).annotations == {"kept": "1", "changed": "2"}
    assert (await read(client, f"{name}:v1")).artifact_type == ARTIFACT

    # Once more, with another package for a platform that it has: in the place of the old one.
    await client.index([(f"{name}:v1", None), (f"{name}:three", AMD64)], f"{name}:v1")
    assert await offered(client, f"{name}:v1") == {
        AMD64: three_.digest,
        ARM64: two.digest,
        ARMV7: three_.digest,
    }


async def test_what_is_said_of_a_replaced_image_goes(
    client: Client, tmp_path: Path, local: str, name: str
) -> None:
    one, two, three_ = await three(client, tmp_path, name)
    nowhere = Platform(os="unknown", architecture="unknown")
    said = [await image(client, f"{name}:said{n}", {"config": {"n": n}}) for n in (1, 2)]
    platforms = (Platform.parse(AMD64), Platform.parse(ARM64))
    entries = [
        *(
            Descriptor(media_type=d.media_type, digest=d.digest, size=d.size, platform=p)
            for d, p in zip((one, two), platforms, strict=True)
        ),
        *(
            Descriptor(
                media_type=d.media_type,
                digest=d.digest,
                size=d.size,
                platform=nowhere,
                annotations={"vnd.docker.reference.digest": about.digest},
            )
            for d, about in zip(said, (one, two), strict=True)
        ),
    ]
    built = Index.build(manifests=tuple(entries))
    await client.repository(name).push_tagged(built.descriptor, BytesSource(built.raw), "v1")
    await client.index([(f"{name}:v1", None)], f"{local}:same")
    assert [e.digest for e in (await read(client, f"{local}:same")).manifests] == [
        entry.digest for entry in entries
    ]
    await client.index([(f"{name}:v1", None), (f"{name}:three", AMD64)], f"{local}:v2")
    assert [e.digest for e in (await read(client, f"{local}:v2")).manifests] == [
        three_.digest,
        two.digest,
        said[1].digest,
    ]


async def test_one_platform_of_an_index(
    client: Client, tmp_path: Path, local: str, name: str
) -> None:
    await push_index(client, f"{name}:v1", tmp_path, (AMD64, ARMV7))
    made = await offered(client, f"{name}:v1")
    await client.index([(f"{name}:v1", ARMV7)], f"{local}:one")
    assert await offered(client, f"{local}:one") == {ARMV7: made[ARMV7]}
    for near in ("linux/arm64", "linux/amd64/v3"):  # where one of the two would run
        with pytest.raises(NotFoundError):
            await client.index([(f"{name}:v1", near)], f"{local}:two")
    # An index in an index gives its entries too.
    inner = await client.resolve(f"{name}:v1")
    outer = Index.build(manifests=(inner,))
    await client.repository(name).push_tagged(outer.descriptor, BytesSource(outer.raw), "outer")
    await client.index([(f"{name}:outer", None)], f"{local}:flat")
    assert await offered(client, f"{local}:flat") == made


async def test_another_platform_than_the_content_says_is_told(
    client: Client, events: list[Event], name: str
) -> None:
    await image(client, f"{name}:a", {"os": "linux", "architecture": "arm64"})
    await client.index([(f"{name}:a", "linux/arm64/v8")], f"{name}:same")
    assert not any(isinstance(event, Warned) for event in events)
    await client.index([(f"{name}:a", AMD64)], f"{name}:other")
    (warned,) = (event for event in events if isinstance(event, Warned))
    assert "linux/arm64; it is listed for linux/amd64" in warned.text
    assert list(await offered(client, f"{name}:other")) == [AMD64]


async def test_nothing_is_left_of_a_failure(client: Client, tmp_path: Path, local: str) -> None:
    one, *_ = await three(client, tmp_path, local)
    out = tmp_path / "out" / "o.tar"
    out.parent.mkdir()
    blob = tmp_path / "layout/blobs/sha256" / one.digest.encoded
    layer = json.loads(blob.read_text())["layers"][0]["digest"].partition(":")[2]
    sources = [(f"{local}:two", ARM64), (f"{local}:one", AMD64)]
    (tmp_path / "layout/blobs/sha256" / layer).unlink()
    with pytest.raises(NotFoundError):
        await client.index(sources, str(out))
    assert everything(out.parent) == []
    await client.index([(f"{local}:two", ARM64)], str(out))
    before = out.read_bytes()
    with pytest.raises(AlreadyExistsError):
        await client.index([(f"{local}:three", ARM64)], str(out))
    with pytest.raises(NotFoundError):
        await client.index(sources, str(out), overwrite=True)
    assert out.read_bytes() == before
    # An archive that is its own source.
    await client.index([(str(out), None), (f"{local}:three", AMD64)], str(out), overwrite=True)
    assert list(await offered(client, str(out))) == [ARM64, AMD64]


@pytest.mark.interop
async def test_others_read_it(
    client: Client, tmp_path: Path, plain_registry: RunningRegistry, repository_name: str
) -> None:
    skopeo, crane = require("skopeo"), require("crane")
    name = f"{plain_registry.host}/{repository_name}"
    for architecture in ("amd64", "arm64"):
        rootfs = {"type": "layers", "diff_ids": []}
        config = {"os": "linux", "architecture": architecture, "config": {}, "rootfs": rootfs}
        await image(client, f"{name}:{architecture}", config)
    archive = tmp_path / "a.tar"
    sources = [(f"{name}:{architecture}", None) for architecture in ("amd64", "arm64")]
    made = await client.index(sources, str(archive), name=f"{name}:v1")
    await client.push(str(archive))

    def text(*command: str) -> str:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout

    assert text(crane, "digest", f"{name}:v1").strip() == made.digest
    assert (
        json.loads(text(crane, "config", f"{name}:v1", "--platform", ARM64))["architecture"]
        == "arm64"
    )
    inspect = (skopeo, "inspect", "--tls-verify=false", "--config", "--override-arch", "arm64")
    for place in (f"docker://{name}:v1", f"oci-archive:{archive}"):
        assert json.loads(text(*inspect, place))["architecture"] == "arm64"
    layout = f"oci:{tmp_path / 'copy'}:v1"
    copy = (skopeo, "copy", "--all", "--src-tls-verify=false", f"docker://{name}:v1", layout)
    text(*copy)
    assert (await client.resolve(layout)).digest == made.digest
