"""Linking a package from a registry or the store, and every way in which it cannot be."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.trees import make_tree
from native.forged import ar, elf
from ocipkg_async import Client, ClientOptions, Platform, TransportOptions
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    ConnectError,
    InvalidArgumentError,
    InvalidDocumentError,
    NotFoundError,
    TagMovedError,
)
from ocipkg_async.native import LinkMetadata
from ocipkg_async.native.emit import link_arguments
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor, Index, Manifest, Reference, media_types
from ocipkg_async.transport import RetryPolicy
from peers import require
from registries import RunningRegistry

HOST = Platform.host()
ARM64 = Platform(os="linux", architecture="arm64")
MACHINES = {"amd64": 62, "arm64": 183}
TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}

pytestmark = pytest.mark.skipif(
    HOST.os != "linux" or HOST.architecture not in MACHINES, reason="the samples are for Linux"
)


def library(architecture: str = HOST.architecture) -> bytes:
    return ar(("a.o/", elf(machine=MACHINES[architecture])))


@pytest.fixture
def options(tmp_path: Path) -> ClientOptions:
    retry = RetryPolicy(attempts=1)
    return ClientOptions(store=tmp_path / "store", transport=TransportOptions(retry=retry))


@pytest.fixture
async def client(options: ClientOptions) -> AsyncIterator[Client]:
    async with Client(options) as client:
        yield client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {"lib/libfoo.a": library(), "include/foo.h": b"int f(void);\n"}
    return make_tree(tmp_path / "tree", files)


@pytest.fixture
def name(registry: RunningRegistry, repository_name: str) -> str:
    return f"{registry.host}/{repository_name}/foo"


async def push_for(client: Client, name: str, folder: Path, *architectures: str) -> Descriptor:
    """Push an index with a package for each architecture."""
    entries = []
    for architecture in architectures:
        source = make_tree(folder / architecture, {"libfoo.a": library(architecture)})
        packed = await client.pack([source], f"{name}:{architecture}")
        platform = Platform(os="linux", architecture=architecture)
        entries.append(
            Descriptor(
                media_type=packed.media_type,
                digest=packed.digest,
                size=packed.size,
                platform=platform,
            )
        )
    index = Index.build(manifests=tuple(entries))
    repository = client.repository(Reference.parse(name))
    await repository.push_tagged(index.descriptor, BytesSource(index.raw), "v1")
    return index.descriptor


async def test_links_what_it_fetches(client: Client, tree: Path, name: str) -> None:
    says = LinkMetadata(libraries=("foo",), system_libraries=("m",), defines=("FOO=1",))
    notes = {
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.description": "A small library\nand more",
    }
    await client.pack([tree], f"{name}:v1", link=says, annotations=notes)
    linkage = await client.link(f"{name}:v1")
    package = await client.find(f"{name}:v1")
    assert (linkage.name, linkage.version) == ("foo", "1.2.3")
    assert linkage.description == "A small library"
    assert (linkage.path, linkage.platform) == (package.path, HOST)
    assert [one.path for one in linkage.libraries] == [package.path / "lib/libfoo.a"]
    assert linkage.include == (package.path / "include",)
    assert (linkage.system_libraries, linkage.defines) == (("m",), ("FOO=1",))


async def test_names_and_versions(client: Client, tree: Path, name: str) -> None:
    packed = await client.pack([tree], f"{name}:v1.5")
    assert (await client.link(f"{name}:v1.5")).version == "v1.5"
    assert (await client.link(f"{name}@{packed.digest}")).version == ""
    assert (await client.link(f"{name}:v1.5", name="other")).name == "other"
    with pytest.raises(InvalidArgumentError):
        await client.link(f"{name}:v1.5", name="a b")


async def test_annotations_of_the_old_format(client: Client, tree: Path, name: str) -> None:
    notes = {"org.opencontainers.image.version": "3"}
    await client.pack([tree], f"{name}:v1", format="ocipkg-v0", annotations=notes)
    linkage = await client.link(f"{name}:v1")
    assert (linkage.version, [one.name for one in linkage.libraries]) == ("3", ["foo"])


async def test_without_a_registry(
    options: ClientOptions, tree: Path, repository_name: str, tmp_path: Path
) -> None:
    """What is installed is linked though nobody answers; what is not ends with the reason."""
    async with Client(options) as client:
        async with EmbeddedRegistry() as registry:
            name = f"{registry.host}/{repository_name}"
            await client.pack([tree], f"{name}:v1")
            before = await client.link(f"{name}:v1")
        for target in (None, TRIPLES[HOST.architecture], HOST):
            assert await client.link(f"{name}:v1", target=target) == before
        assert await client.link(f"{name}:v1", offline=True) == before
        with pytest.raises(ConnectError):
            await client.link(f"{name}:v2")
        with pytest.raises(NotFoundError, match="not installed"):
            await client.link(f"{name}:v2", offline=True)


async def test_a_target_chooses_from_an_index(client: Client, name: str, tmp_path: Path) -> None:
    await push_for(client, name, tmp_path, "amd64", "arm64")
    for architecture, triple in TRIPLES.items():
        linkage = await client.link(f"{name}:v1", target=triple)
        assert linkage.platform == Platform(os="linux", architecture=architecture)
        (found,) = linkage.libraries
        assert found.path.read_bytes() == library(architecture)
    assert (await client.link(f"{name}:v1")).platform == HOST
    with pytest.raises(NotFoundError, match="linux/riscv64"):
        await client.link(f"{name}:v1", target="riscv64gc-unknown-linux-gnu")


async def test_a_package_that_was_got_for_the_hosts_platform(
    client: Client, name: str, tmp_path: Path
) -> None:
    await push_for(client, name, tmp_path, "amd64", "arm64")
    package = await client.get(f"{name}:v1", platform=HOST)
    assert (await client.link(f"{name}:v1", offline=True)).path == package.path


async def test_a_package_for_another_platform(client: Client, name: str, tmp_path: Path) -> None:
    other = next(iter(MACHINES.keys() - {HOST.architecture}))
    source = make_tree(tmp_path / "other", {"lib/libfoo.a": library(other)})
    await client.pack([source], f"{name}:v1")
    with pytest.raises(NotFoundError, match=f"foo:v1: .*lib/libfoo.a is for {other}") as caught:
        await client.link(f"{name}:v1")
    assert caught.value.hint is not None
    assert "--target" in caught.value.hint
    linkage = await client.link(f"{name}:v1", target=f"linux/{other}")
    assert linkage.platform.architecture == other


@pytest.mark.interop
async def test_a_package_that_did_not_fit_and_was_replaced(
    client: Client, name: str, tmp_path: Path
) -> None:
    """What is installed and does not fit is no reason to fail, where the registry has what does."""
    amd64 = make_tree(tmp_path / "first", {"libfoo.a": library("amd64")})
    await client.pack([amd64], f"{name}:v1", platform="linux/amd64")
    for _ in range(2):
        with pytest.raises(NotFoundError, match="for linux/amd64, not for linux/arm64"):
            await client.link(f"{name}:v1", target=ARM64)
    await push_for(client, name, tmp_path, "amd64", "arm64")
    with pytest.raises(NotFoundError, match="for linux/amd64, not for linux/arm64"):
        await client.link(f"{name}:v1", target=ARM64, offline=True)
    (found,) = (await client.link(f"{name}:v1", target=ARM64)).libraries
    assert found.path.read_bytes() == library("arm64")


async def test_a_package_that_does_not_fit_and_no_registry(
    options: ClientOptions, tree: Path, repository_name: str
) -> None:
    async with Client(options) as client:
        async with EmbeddedRegistry() as registry:
            name = f"{registry.host}/{repository_name}"
            await client.pack([tree], f"{name}:v1")
            await client.link(f"{name}:v1")
        with pytest.raises(NotFoundError, match="no dynamic library") as caught:
            await client.link(f"{name}:v1", kind="dynamic")
        assert "connect" in caught.value.__notes__[0]


async def test_a_target_with_another_libc(client: Client, name: str, tmp_path: Path) -> None:
    output = tmp_path / "tree/libfoo.so"
    make_tree(tmp_path, {"foo.c": b"int foo(void) { return 1; }\n", "tree/share/a": b""})
    command = [require("gcc"), "-shared", "-fPIC", str(tmp_path / "foo.c"), "-Wl,--no-as-needed"]
    subprocess.run([*command, "-o", str(output)], check=True, timeout=60)
    await client.pack([tmp_path / "tree"], f"{name}:v1")
    triple = TRIPLES[HOST.architecture]
    assert (await client.link(f"{name}:v1", target=triple)).libraries
    with pytest.raises(NotFoundError, match=r"with musl: libfoo\.so is for .* with glibc"):
        await client.link(f"{name}:v1", target=triple.replace("gnu", "musl"))


async def test_headers_that_say_which_platform_they_are_for(
    client: Client, name: str, tmp_path: Path
) -> None:
    source = make_tree(tmp_path / "headers", {"include/foo.h": b""})
    await client.pack([source], f"{name}:v1", platform="windows/amd64")
    with pytest.raises(NotFoundError, match="is for windows/amd64, not for linux"):
        await client.link(f"{name}:v1")
    assert (await client.link(f"{name}:v1", target="x86_64-pc-windows-msvc")).libraries == ()


async def test_a_package_without_a_library(client: Client, name: str, tmp_path: Path) -> None:
    await client.pack([make_tree(tmp_path / "none", {"share/a.txt": b""})], f"{name}:v1")
    with pytest.raises(NotFoundError, match=r"foo:v1: .*no library.*share/a\.txt") as caught:
        await client.link(f"{name}:v1")
    assert caught.value.hint


async def test_a_config_that_tells_build_systems_more(
    client: Client, tree: Path, name: str
) -> None:
    """A registry's config cannot put lines into a build script."""
    reference = Reference.parse(f"{name}:v1")
    repository = client.repository(reference)
    await client.pack([tree], f"{name}:v0")
    manifest = (await client.inspect(f"{name}:v0")).document
    assert isinstance(manifest, Manifest)
    config = b'{"layers":{},"link":{"libraries":["foo\\ncargo:rustc-env=A=B"]}}'
    descriptor = Descriptor.of(config, media_types.OCIPKG_CONFIG)
    await repository.push(descriptor, BytesSource(config))
    forged = Manifest.build(
        artifact_type=media_types.OCIPKG_ARTIFACT, config=descriptor, layers=manifest.layers
    )
    await repository.push_tagged(forged.descriptor, BytesSource(forged.raw), "v1")
    with pytest.raises(InvalidDocumentError, match="foo:v1: ") as caught:
        await client.link(reference)
    assert str(caught.value).isprintable()


async def test_a_lock_file_holds(client: Client, tree: Path, name: str, tmp_path: Path) -> None:
    lock = tmp_path / "ocipkg.lock"
    await client.pack([tree], f"{name}:v1")
    await client.lock([f"{name}:v1"], lock)
    locked = await client.link(f"{name}:v1", lock=lock)
    (tree / "include/foo.h").write_bytes(b"int f(int);\n")
    await client.pack([tree], f"{name}:v1")
    assert await client.link(f"{name}:v1", lock=lock, offline=True) == locked
    await client.remove(f"{name}:v1")
    with pytest.raises(TagMovedError):
        await client.link(f"{name}:v1", lock=lock)


@pytest.mark.interop
async def test_a_program_links_and_runs(client: Client, name: str, tmp_path: Path) -> None:
    gcc = require("gcc")
    tree, source = tmp_path / "tree", tmp_path / "src"
    make_tree(source, {"foo.c": b"int foo(void) { return 42; }\n"})
    make_tree(tree, {"include/foo.h": b"int foo(void);\n", "lib/keep": b""})
    for flags, built in (
        (["-c"], source / "foo.o"),
        (["-shared", "-fPIC"], tree / "lib/libfoo.so"),
    ):
        command = [gcc, str(source / "foo.c"), *flags, "-o", str(built)]
        subprocess.run(command, check=True, timeout=60)
    subprocess.run(["ar", "rcs", tree / "lib/libfoo.a", source / "foo.o"], check=True, timeout=60)
    main = source / "main.c"
    main.write_text('#include "foo.h"\nint main(void) { return foo(); }\n')
    await client.pack([tree], f"{name}:v1")
    for kind in ("static", "dynamic"):
        linkage = await client.link(f"{name}:v1", kind=kind)
        arguments = link_arguments(linkage, rpath=True)
        output = str(source / kind)
        command = [gcc, str(main), f"-I{linkage.include[0]}", *arguments, "-o", output]
        subprocess.run(command, check=True, timeout=60)
        assert subprocess.run([output], check=False, timeout=60).returncode == 42
