"""The real ocipkg, old and new, reads what we write, and we read what it writes.

What each side accepts is in section 4 of the account of ocipkg; each of its rules is a test here.
"""

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from client.trees import contents, make_tree
from ocipkg.conftest import FILES
from ocipkg.rust import V0, V1, Rust, rust_name
from ocipkg_async import Client
from ocipkg_async.content import BytesSource
from ocipkg_async.package import PackageFormat
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Manifest, media_types
from peers import require
from registries import RunningRegistry

pytestmark = pytest.mark.interop

BY_PROGRAM: dict[str, PackageFormat] = {V1: "ocipkg-v1", V0: "ocipkg-v0"}


@pytest.fixture(params=[V1, V0])
def rust(request: pytest.FixtureRequest, tmp_path: Path) -> Rust:
    require(request.param)
    return Rust(program=request.param, data=tmp_path / "rust")


@pytest.fixture
def new(tmp_path: Path) -> Rust:
    require(V1)
    return Rust(program=V1, data=tmp_path / "rust")


@pytest.fixture
def name(plain_registry: RunningRegistry, repository_name: str) -> str:
    return rust_name(plain_registry, repository_name)


# --- what they make ----------------------------------------------------------------------------


def packed(rust: Rust, source: Path, name: str) -> tuple[Path, dict[str, bytes]]:
    archive = source.parent / "theirs.tar"
    rust("pack", source, archive, "-t", name)
    return archive, FILES


def composed(rust: Rust, source: Path, name: str) -> tuple[Path, dict[str, bytes]]:
    archive = source.parent / "theirs.tar"
    rust("compose", source / "libfoo.a", source / "include/foo.h", "-o", archive, "-t", name)
    return archive, {"libfoo.a": FILES["libfoo.a"], "foo.h": FILES["include/foo.h"]}


def built(rust: Rust, source: Path, name: str) -> tuple[Path, dict[str, bytes]]:
    """Of a crate; it wants to be in a git repository."""
    require("cargo")
    crate = source.parent / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "src/lib.rs").write_text('#[no_mangle]\npub extern "C" fn answer() -> i32 { 42 }\n')
    (crate / "Cargo.toml").write_text(
        '[package]\nname = "answer-lib"\nversion = "0.1.0"\nedition = "2021"\n'
        '[lib]\ncrate-type = ["staticlib"]\n'
        '[package.metadata.ocipkg]\nregistry = "example.org/answer"\n'
    )
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "crate")):
        subprocess.run(["git", *arguments], cwd=crate, check=True)
    rust("build", "-t", name, cargo=True, cwd=crate)
    (archive,) = (crate / "target/debug").glob("ocipkg_*.tar")
    library = crate / "target/debug/libanswer_lib.a"
    return archive, {library.name: library.read_bytes()}


def runnable(rust: Rust, source: Path, name: str) -> tuple[Path, dict[str, bytes]]:
    program = source.parent / "answer"
    code = source.parent / "answer.c"
    code.write_text("int main(void) { return 42; }\n")
    subprocess.run([require("gcc"), "-static", "-o", program, code], check=True)
    archive = source.parent / "theirs.tar"
    rust("runnable", program, "-o", archive, "-t", name)
    return archive, {"answer": program.read_bytes()}


Make = Callable[[Rust, Path, str], tuple[Path, dict[str, bytes]]]


MAKES = [(V1, packed), (V1, composed), (V1, built), (V1, runnable)]
MAKES += [(V0, packed), (V0, composed), (V0, built)]


@pytest.mark.parametrize(("rust", "make"), MAKES, indirect=["rust"])
async def test_what_they_make_passes_through_us_unchanged(
    rust: Rust, make: Make, client: Client, source: Path, name: str
) -> None:
    """From their archive to a registry, a layout, an archive and our store, byte for byte."""
    archive, files = make(rust, source, name)
    place = source.parent
    assert await client.tags(str(archive)) == [name]
    root = (await client.inspect(str(archive))).descriptor
    (loaded,) = await client.load(str(archive))
    assert (str(loaded.reference), contents(loaded.path)) == (name, files)
    await client.remove(name)

    ((_, pushed),) = await client.push(str(archive))
    layout, again = f"oci:{place / 'layout'}", str(place / "again.tar")
    await client.copy(name, layout)
    await client.copy(layout, again)
    for target in (name, layout, again):
        assert await client.resolve(target) == root == pushed
    got = await client.get(name)
    assert (got.descriptor, contents(got.path)) == (root, files)

    # And they find in it what they made.
    rust("load", again)
    assert rust.installed(name) == files


async def test_we_get_what_they_push(
    rust: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    archive, files = packed(rust, source, name)
    rust("push", archive)
    assert contents((await client.get(name)).path) == files
    await client.pull(name, tmp_path / "out")
    assert contents(tmp_path / "out") == files


async def test_we_load_the_layout_in_their_store(
    new: Rust, client: Client, source: Path, name: str
) -> None:
    archive, files = packed(new, source, name)
    new("load", archive)
    (loaded,) = await client.load(f"oci:{new.layout_of(name)}")
    assert (str(loaded.reference), contents(loaded.path)) == (name, files)


async def test_a_package_with_the_name_that_they_make_up(
    rust: Rust, client: Client, source: Path, tmp_path: Path
) -> None:
    """Without a tag they call it by a random number at Docker Hub."""
    rust("pack", source, tmp_path / "theirs.tar")
    (loaded,) = await client.load(str(tmp_path / "theirs.tar"))
    assert contents(loaded.path) == FILES
    assert await client.find(str(loaded.reference)) == loaded


# --- what we make ------------------------------------------------------------------------------


async def test_they_load_push_and_get_what_we_pack(
    rust: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    archive = str(tmp_path / "ours.tar")
    root = await client.pack([source], archive, name=name, format=BY_PROGRAM[rust.program])
    rust("load", archive)
    assert rust.installed(name) == FILES

    rust("push", archive)
    assert (await client.resolve(name)).digest == root.digest  # they write it anew, and alike
    got = Rust(program=rust.program, data=tmp_path / "other")
    got("get", name)
    assert got.installed(name) == FILES


async def test_the_new_one_reads_our_old_format(
    new: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    archive = str(tmp_path / "ours.tar")
    root = await client.pack([source], archive, name=name, format="ocipkg-v0")
    new("load", archive)
    assert new.installed(name) == FILES
    new("push", archive)
    assert (await client.resolve(name)).digest == root.digest


async def test_they_get_what_we_push(
    rust: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    """Straight into the registry, and by way of a layout."""
    how = BY_PROGRAM[rust.program]
    await client.pack([source], name, format=how, annotations={"a": "1", "b": "2"})
    rust("get", name)
    assert rust.installed(name) == FILES

    other = name.replace(":v1", "/other:v1")
    layout = f"oci:{tmp_path / 'layout'}"
    await client.pack([source], layout, name=other, format=how)
    await client.push(layout)
    second = Rust(program=rust.program, data=tmp_path / "second")
    second("get", other)
    assert second.installed(other) == FILES


async def test_they_load_what_we_save(
    rust: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    """From the store, from a registry and from a layout, into an archive."""
    how = BY_PROGRAM[rust.program]
    await client.pack([source], name, format=how)
    await client.get(name)
    await client.save(name, str(tmp_path / "stored.tar"))
    await client.remove(name)
    await client.save(name, str(tmp_path / "remote.tar"))
    await client.copy(name, f"oci:{tmp_path / 'layout'}")
    await client.copy(f"oci:{tmp_path / 'layout'}", str(tmp_path / "copied.tar"))
    for archive in ("stored", "remote", "copied"):
        fresh = Rust(program=rust.program, data=tmp_path / f"rust-{archive}")
        fresh("load", tmp_path / f"{archive}.tar")
        assert fresh.installed(name) == FILES


async def test_they_get_by_digest(new: Rust, client: Client, source: Path, name: str) -> None:
    """They write it behind a colon, and so do we where they do."""
    root = await client.pack([source], name)
    theirs = f"{name.removesuffix(':v1')}:{root.digest}"
    new("get", theirs)
    assert new.installed(theirs) == FILES
    assert contents((await client.get(theirs)).path) == FILES


async def test_an_archive_of_one_package_has_one_entry(
    new: Rust, client: Client, source: Path, name: str, tmp_path: Path
) -> None:
    """They refuse archives with more, so what refers to a package stays in the registry."""
    root = await client.pack([source], name)
    repository = client.repository(name)
    await repository.push(EMPTY, BytesSource(EMPTY_JSON))
    signature = Manifest.build(
        config=EMPTY, layers=(EMPTY,), artifact_type="application/vnd.test.sig", subject=root
    )
    await repository.push(signature.descriptor, BytesSource(signature.raw))
    await client.save(name, str(tmp_path / "ours.tar"))
    with tarfile.open(tmp_path / "ours.tar") as tar:
        assert tar.getnames()[0] == "oci-layout"
        index = tar.extractfile("index.json")
        assert index
        (entry,) = json.loads(index.read())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": name}
    new("load", tmp_path / "ours.tar")
    assert new.installed(name) == FILES


async def test_packages_of_several_layers(
    new: Rust, client: Client, tmp_path: Path, name: str
) -> None:
    """Each layer over those before it, on both sides, where all have ocipkg's type."""
    repository = client.repository(name)
    layers: list[Descriptor] = []
    for number, files in enumerate(({"a": b"1", "b": b"1"}, {"b": b"2"})):
        part = f"{name}-{number}"
        await client.pack([make_tree(tmp_path / str(number), files)], part)
        manifest = (await client.inspect(part)).document
        assert isinstance(manifest, Manifest)
        layers += manifest.layers
    config = b'{"layers":{}}'
    described = Descriptor.of(config, media_types.OCIPKG_CONFIG)
    await repository.push(described, BytesSource(config))
    manifest = Manifest.build(
        config=described, layers=tuple(layers), artifact_type=media_types.OCIPKG_ARTIFACT
    )
    await repository.push_tagged(manifest.descriptor, BytesSource(manifest.raw), "v1")
    new("get", name)
    assert new.installed(name) == {"a": b"1", "b": b"2"}
    assert contents((await client.get(name)).path) == {"a": b"1", "b": b"2"}
