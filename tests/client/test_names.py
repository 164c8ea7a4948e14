"""Which name content has, and which it gets, in layouts and archives."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async import Client, ClientOptions
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    InvalidArgumentError,
    InvalidReferenceError,
    NotFoundError,
)
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Manifest


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(ClientOptions(store=tmp_path / "store")) as client:
        yield client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", {"a": b"a"})


async def test_archive_without_a_name(
    client: Client, tree: Path, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    archive = str(tmp_path / "a.tar")
    packed = await client.pack([tree], archive)
    assert await client.tags(archive) == []
    assert await client.resolve(archive) == packed
    for call in (client.push(archive), client.load(archive)):
        with pytest.raises(InvalidArgumentError, match="no name") as caught:
            await call
        assert caught.value.hint
    ((reference, _),) = await client.push(archive, f"{embedded.host}/a")
    assert str(reference) == f"{embedded.host}/a:latest"
    (package,) = await client.load(archive, name=reference)
    assert package.reference == reference


async def test_bare_tag_names_no_registry(client: Client, tree: Path, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path / 'layout'}"
    await client.pack([tree], f"{layout}:v1")
    assert await client.tags(layout) == ["v1"]
    with pytest.raises(InvalidArgumentError, match="names no registry"):
        await client.push(layout)


async def test_name_has_a_default_tag(client: Client, tree: Path, tmp_path: Path) -> None:
    archive = str(tmp_path / "a.tar")
    await client.pack([tree], archive, name="ghcr.io/a/b")
    assert await client.tags(archive) == ["ghcr.io/a/b:latest"]
    with pytest.raises(InvalidReferenceError):
        await client.pack([tree], str(tmp_path / "b.tar"), name="not a name")
    assert not (tmp_path / "b.tar").exists()


async def test_reference_is_its_own_name(client: Client, tree: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="reference already"):
        await client.pack([tree], "localhost:1/a:v1", name="ghcr.io/a/b:v1")


async def test_layout_with_several_packages(
    client: Client, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    layout = f"oci:{tmp_path / 'layout'}"
    one, two = f"{embedded.host}/one:v1", f"{embedded.host}/two:v1"
    for reference in (one, two):
        tree = make_tree(tmp_path / reference[-6:-3], {"which": reference.encode()})
        await client.pack([tree], layout, name=reference)
    for call in (client.resolve(layout), client.pull(layout, tmp_path / "out")):
        with pytest.raises(InvalidArgumentError) as caught:
            await call
        assert f"{layout}:NAME" in (caught.value.hint or "")
        assert one in (caught.value.hint or "")
    with pytest.raises(InvalidArgumentError):
        await client.push(layout, f"{embedded.host}/three:v1")
    assert [str(reference) for reference, _ in await client.push(layout)] == [one, two]
    assert [str(p.reference) for p in await client.load(layout)] == [one, two]
    await client.push(f"{layout}:{two}", f"{embedded.host}/three:v1")
    assert await client.resolve(f"{embedded.host}/three:v1") == await client.resolve(two)
    with pytest.raises(NotFoundError) as missing:
        await client.resolve(f"{layout}:{embedded.host}/none:v1")
    assert one in (missing.value.hint or "")


async def test_one_manifest_with_two_names_keeps_them_apart(
    client: Client, tree: Path, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    layout, base = f"oci:{tmp_path / 'layout'}", f"{embedded.host}/a"
    packed = await client.pack([tree], layout, name=f"{base}:v1")
    await client.tag(f"{layout}:{base}:v1", [f"{base}:v2"])
    assert await client.resolve(layout) == packed
    await client.push(f"{layout}:{base}:v2")
    assert await client.tags(base) == ["v2"]
    await client.push(layout)
    assert await client.tags(base) == ["v1", "v2"]


async def test_referrers_in_a_layout_are_no_packages(
    client: Client, tree: Path, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    folder = tmp_path / "layout"
    packed = await client.pack([tree], f"oci:{folder}", name=f"{embedded.host}/a:v1")
    layout = await Layout.open(folder)
    signature = Manifest.build(
        config=EMPTY, layers=(EMPTY,), artifact_type="application/vnd.sig", subject=packed
    )
    await layout.push(EMPTY, BytesSource(EMPTY_JSON))
    await layout.push(signature.descriptor, BytesSource(signature.raw))
    assert await client.resolve(str(folder)) == packed
    assert [d.digest for _, d in await client.push(str(folder))] == [packed.digest]
    assert [p.descriptor.digest for p in await client.load(str(folder))] == [packed.digest]


async def test_digest_names_content_in_a_layout(client: Client, tree: Path, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path / 'layout'}"
    packed = await client.pack([tree], layout, name="ghcr.io/a/b:v1")
    assert await client.resolve(f"{layout}:{packed.digest}") == packed
    (package,) = await client.load(f"{layout}:{packed.digest}")
    assert str(package.reference) == "ghcr.io/a/b:v1"


async def test_copy_carries_the_name(client: Client, tree: Path, tmp_path: Path) -> None:
    archive, layout = str(tmp_path / "a.tar"), f"oci:{tmp_path / 'layout'}"
    await client.pack([tree], archive, name="ghcr.io/a/b:v1")
    await client.copy(archive, layout)
    assert await client.tags(layout) == ["ghcr.io/a/b:v1"]
    await client.copy(archive, f"{layout}:other")
    assert await client.tags(layout) == ["ghcr.io/a/b:v1", "other"]


async def test_saved_by_digest(
    client: Client, tree: Path, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    packed = await client.pack([tree], f"{embedded.host}/a:v1")
    reference = f"{embedded.host}/a@{packed.digest}"
    archive = str(tmp_path / "a.tar")
    await client.save(reference, archive)
    (package,) = await client.load(archive)
    assert str(package.reference) == reference
    ((pushed, _),) = await client.push(archive)
    assert str(pushed) == reference


async def test_references_where_a_file_is_needed(client: Client) -> None:
    for call in (client.push("ghcr.io/a/b:v1"), client.load("ghcr.io/a/b:v1")):
        with pytest.raises(InvalidArgumentError, match="no archive or layout"):
            await call


async def test_empty_layout(client: Client, tmp_path: Path) -> None:
    await Layout.open(tmp_path / "layout", create=True)
    for call in (client.resolve(str(tmp_path / "layout")), client.load(str(tmp_path / "layout"))):
        with pytest.raises(NotFoundError):
            await call


async def test_tags_are_checked_before_the_first_is_given(
    client: Client, tree: Path, embedded: EmbeddedRegistry
) -> None:
    await client.pack([tree], f"{embedded.host}/a:v1")
    with pytest.raises(InvalidReferenceError, match="not a tag"):
        await client.tag(f"{embedded.host}/a:v1", ["v2", "no tag"])
    assert await client.tags(f"{embedded.host}/a") == ["v1"]


async def test_what_is_pushed_to_names_its_registry(
    client: Client, tree: Path, tmp_path: Path
) -> None:
    archive = str(tmp_path / "a.tar")
    await client.pack([tree], archive)
    for call in (client.push(archive, "oci:x"), client.push_files("foo.c", [])):
        with pytest.raises(InvalidReferenceError, match="not a valid reference"):
            await call
