"""Crates that are built by the real cargo, and what is in their packages."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from client.trees import contents, everything
from ocipkg_async import Client, ClientOptions, EmbeddedRegistry, sync
from ocipkg_async.client import CratePackage
from ocipkg_async.content import fetch_bytes, fetch_document
from ocipkg_async.errors import (
    AlreadyExistsError,
    BuildError,
    InvalidArgumentError,
    InvalidPackageError,
    NotFoundError,
)
from ocipkg_async.events import Event, Warned
from ocipkg_async.layout import ArchiveReader
from ocipkg_async.package.cargo import CargoOptions
from ocipkg_async.spec import Index, Manifest, Platform
from package.cargo.crates import PROFILES, append, bare_source, make, make_static, manifest
from package.cargo.processes import is_running
from package.cargo.repository import commit_all
from peers import require

HOST = Platform.host()
NAME = "ghcr.io/org/foo:v1"
OTHER_TARGET = "aarch64-unknown-linux-gnu"
OTHER = Platform.from_target_triple(OTHER_TARGET)
# A linker for any machine.
LINKER = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" != -o ] || echo linked > "$2"; shift; done
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="expects the file names of Linux")


@pytest.fixture(autouse=True)
def cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return require("cargo")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def client(tmp_path: Path, events: list[Event]) -> AsyncIterator[Client]:
    async with Client(ClientOptions(store=tmp_path / "store"), on_event=events.append) as client:
        yield client


def options(folder: Path, **more: Any) -> CargoOptions:
    return CargoOptions(manifest=folder / "Cargo.toml", **more)


async def unpacked(client: Client, package: CratePackage, to: Path) -> dict[str, bytes]:
    await client.pull(package.target, to)
    return contents(to)


async def config(path: str) -> dict[str, Any]:
    async with ArchiveReader.open(Path(path)) as archive:
        document = await fetch_document(archive, await archive.only())
        assert isinstance(document, Manifest)
        assert document.config
        raw = await fetch_bytes(archive, document.config, max_bytes=1 << 20)
    found: dict[str, Any] = json.loads(raw)
    return found


FULL = {
    "Cargo.toml": manifest(
        "foo-bar",
        "staticlib",
        "cdylib",
        "rlib",
        package='description = "Does foo."\nlicense = "MIT"\nbuild = "build.rs"\n',
        more="""
[features]
loud = []
[[example]]
name = "plugin"
crate-type = ["cdylib"]
[package.metadata.ocipkg]
registry = "ghcr.io/org/{name}"
headers = ["include/**/*.h", "$OUT_DIR/*.h"]
files = ["LICENSE"]
[package.metadata.ocipkg.link]
system-libraries = ["own"]
defines = ["FOO=1"]
[package.metadata.ocipkg.annotations]
org.opencontainers.image.vendor = "us"
""",
    ),
    "src/lib.rs": """
#[link(name = "m")]
extern "C" { fn cbrt(x: f64) -> f64; }
#[no_mangle] pub extern "C" fn foo() -> f64 { let unused = 1; unsafe { cbrt(8.0) } }
#[cfg(feature = "loud")] #[no_mangle] pub extern "C" fn loud() {}
""",
    "src/bin/foo-tool.rs": 'fn main() { println!("{}", foo_bar::foo()); }\n',
    "examples/plugin.rs": "",
    "tests/some.rs": "",
    "build.rs": """
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/made.h"), "int made;\\n").unwrap();
}
""",
    "include/foo/foo.h": "double foo(void);\n",
    "LICENSE": "Free.\n",
    ".gitignore": "/target\n",
}


async def test_all_that_a_crate_has(client: Client, tmp_path: Path) -> None:
    folder = make(tmp_path / "crate", FULL)
    commit = commit_all(folder)
    said: list[str] = []
    package = await client.cargo_build(options=options(folder), on_output=said.append)
    assert package.name == f"ghcr.io/org/foo-bar:{commit[:7]}"
    assert package.target == str(folder / "target/ocipkg/foo-bar-0.1.0.tar")
    assert (package.crate, package.version, package.platforms) == ("foo-bar", "0.1.0", (HOST,))

    files = await unpacked(client, package, tmp_path / "out")
    assert sorted(files) == [
        "LICENSE",
        "bin/foo-tool",
        "include/foo/foo.h",
        "include/made.h",
        "libfoo_bar.a",
        "libfoo_bar.so",
    ]
    shown = subprocess.run([tmp_path / "out/bin/foo-tool"], capture_output=True, check=True)
    assert shown.stdout == b"2\n"

    found = await config(package.target)
    assert found["platform"] == {"architecture": HOST.architecture, "os": HOST.os}
    assert found["link"]["systemLibraries"][0] == "own"
    assert {"m", "c"} <= set(found["link"]["systemLibraries"])
    assert found["link"]["defines"] == ["FOO=1"]
    document = (await client.inspect(package.target)).document
    assert document.annotations == {
        "org.opencontainers.image.title": "foo-bar",
        "org.opencontainers.image.description": "Does foo.",
        "org.opencontainers.image.version": "0.1.0",
        "org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.vendor": "us",
    }
    text = "\n".join(said)
    assert "Compiling foo-bar" in text
    assert "unused variable" in text
    assert "native-static-libs" not in text
    assert "link against the following" not in text

    # Once more: an archive of its own is replaced, what cargo need not build is told again.
    again = await client.cargo_build(options=options(folder), annotations={"a": "b"})
    assert (await config(again.target)) == found
    annotations = (await client.inspect(again.target)).document.annotations
    assert annotations == {**document.annotations, "a": "b"}
    assert everything(folder / "target/ocipkg") == ["foo-bar-0.1.0.tar"]


async def test_same_sources_same_digest(client: Client, tmp_path: Path) -> None:
    digests = set()
    folder = make_static(tmp_path / "crate")
    for output in ("a.tar", "b.tar"):
        package = await client.cargo_build(
            str(tmp_path / output), name=NAME, options=options(folder)
        )
        digests.add(package.descriptor.digest)
        subprocess.run(["rm", "-r", folder / "target"], check=True)
    assert len(digests) == 1
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


async def test_static_library_without_needs(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    package = await client.cargo_build(name=NAME, options=options(folder))
    assert list(await unpacked(client, package, tmp_path / "out")) == ["libfoo.a"]
    assert "link" not in await config(package.target)


async def test_a_compile_error(client: Client, tmp_path: Path) -> None:
    """The original goes on, and packs the library of the last build that did compile."""
    folder = make_static(tmp_path / "crate")
    await client.cargo_build(name=NAME, options=options(folder))
    (folder / "src/lib.rs").write_text("compile error")
    said: list[str] = []
    output = tmp_path / "a.tar"
    with pytest.raises(BuildError, match="exit status 101") as caught:
        await client.cargo_build(
            str(output), name=NAME, options=options(folder), on_output=said.append
        )
    assert caught.value.status == 101
    for text in (caught.value.output, "\n".join(said)):
        assert "expected one of" in text
        assert "src/lib.rs:1:9" in text
        assert "could not compile `foo`" in text
    assert not output.exists()


async def test_features_profiles_and_arguments(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate", more="[features]\nloud = []\nother = []\n")
    source = '#[cfg(feature = "loud")] #[no_mangle] pub extern "C" fn loud() {}\n'
    (folder / "src/lib.rs").write_text(bare_source("foo") + source)
    with pytest.raises(BuildError) as caught:  # there is no Cargo.lock yet
        await client.cargo_build(name=NAME, options=options(folder, arguments=("--locked",)))
    assert "--locked" in caught.value.output

    async def symbols(**more: Any) -> bool:
        package = await client.cargo_build(name=NAME, options=options(folder, **more))
        files = await unpacked(client, package, tmp_path / f"out-{len(list(tmp_path.iterdir()))}")
        return b"loud" in files["libfoo.a"]

    assert not await symbols(no_default_features=True)
    assert await symbols(features=("other", "loud"), profile="release")
    assert (folder / "target/release/libfoo.a").is_file()
    assert await symbols(all_features=True, arguments=("--locked", "--offline"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace of two crates with libraries and one for Rust alone."""
    folder = make(
        tmp_path / "workspace",
        {
            "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n'
            "[workspace.metadata.ocipkg]\n"
            'registry = "ghcr.io/org/{name}"\ntag = "v{version}"\n' + PROFILES,
            "crates/plain/Cargo.toml": manifest("plain"),
            "crates/plain/src/lib.rs": "",
        },
    )
    for name in ("one", "two"):
        files = {
            "Cargo.toml": manifest(name, "staticlib"),
            "src/lib.rs": bare_source(name),
            "h.h": "",
        }
        make(folder / "crates" / name, files)
    return folder


async def test_workspace(
    client: Client, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"several packages.*: one, two"):
        await client.cargo_build(options=options(workspace))
    with pytest.raises(InvalidArgumentError, match="no package 'three'") as caught:
        await client.cargo_build(options=options(workspace, package="three"))
    assert caught.value.hint == "it has one, plain, two"
    with pytest.raises(InvalidPackageError, match="plain has nothing to pack") as nothing:
        await client.cargo_build(options=options(workspace, package="plain"))
    assert 'crate-type = ["staticlib"]' in (nothing.value.hint or "")
    assert not (workspace / "target").exists()

    package = await client.cargo_build(options=options(workspace, package="two"), headers=["*.h"])
    assert package.name == "ghcr.io/org/two:v0.1.0"
    assert package.target == str(workspace / "target/ocipkg/two-0.1.0.tar")
    assert sorted(await unpacked(client, package, tmp_path / "out")) == ["include/h.h", "libtwo.a"]

    monkeypatch.chdir(workspace / "crates/one/src")
    assert (await client.cargo_build()).name == "ghcr.io/org/one:v0.1.0"


async def test_dirty_sources(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    commit = commit_all(folder)
    (folder / "new.rs").touch()
    append(folder / "src/lib.rs", "// changed\n")
    with pytest.raises(InvalidArgumentError, match=r"src/lib\.rs, new\.rs") as caught:
        await client.cargo_build(name=NAME, options=options(folder))
    assert "--allow-dirty" in (caught.value.hint or "")
    package = await client.cargo_build(name=NAME, options=options(folder), allow_dirty=True)
    annotations = (await client.inspect(package.target)).document.annotations
    assert annotations
    assert annotations["org.opencontainers.image.revision"] == f"{commit}-dirty"


async def test_output_in_the_repository_is_no_change(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    (folder / ".gitignore").unlink()
    commit_all(folder)
    output = str(folder / "a.tar")
    for overwrite in (False, True):
        await client.cargo_build(output, name=NAME, options=options(folder), overwrite=overwrite)
    with pytest.raises(AlreadyExistsError, match=r"a\.tar"):
        await client.cargo_build(output, name=NAME, options=options(folder))


async def test_names(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    with pytest.raises(InvalidArgumentError, match="does not say what its package is called"):
        await client.cargo_build(options=options(folder))
    layout = f"oci:{tmp_path / 'layout'}"
    package = await client.cargo_build(f"{layout}:v7", options=options(folder))
    assert (package.name, package.target) == ("v7", f"{layout}:v7")
    assert await client.tags(layout) == ["v7"]
    more = '[package.metadata.ocipkg]\nregistry = "ghcr.io/org/bar"\ntag = "{commit}"\n'
    other = make_static(tmp_path / "other", "bar", more=more)
    with pytest.raises(NotFoundError, match="in no git repository"):
        await client.cargo_build(options=options(other))
    assert not (other / "target").exists()
    short = await client.cargo_build(name="ghcr.io/org/x", options=options(folder))
    assert short.name == "ghcr.io/org/x:latest"


async def test_several_targets_make_an_index(client: Client, tmp_path: Path) -> None:
    _require_other_target()
    folder = make_static(tmp_path / "crate")
    package = await client.cargo_build(
        name=NAME, options=options(folder, targets=(_host_target(), OTHER_TARGET))
    )
    wanted = (HOST, OTHER)
    assert package.platforms == wanted
    index = (await client.inspect(package.target)).document
    assert isinstance(index, Index)
    assert tuple(entry.platform for entry in index.manifests) == wanted
    assert await client.tags(package.target) == [NAME]
    assert (index.annotations or {})["org.opencontainers.image.title"] == "foo"
    machines = []
    for platform in wanted:
        out = tmp_path / platform.architecture
        await client.pull(package.target, out, platform=platform)
        data = (out / "libfoo.a").read_bytes()
        start = data.index(b"\x7fELF")
        machines.append(int.from_bytes(data[start + 18 : start + 20], "little"))
    assert len(set(machines)) == 2
    assert machines[1] == 183  # EM_AARCH64

    single = await client.cargo_build(name=NAME, options=options(folder, targets=(OTHER_TARGET,)))
    assert Path(single.target).name == f"foo-0.1.0-{OTHER_TARGET}.tar"
    assert single.platforms == wanted[1:]
    entry = index.manifests[1]
    assert single.descriptor.digest == entry.digest


async def test_several_targets_are_published_as_an_index(
    client: Client, embedded: EmbeddedRegistry, repository_name: str, tmp_path: Path
) -> None:
    _require_other_target()
    folder = make_static(tmp_path / "crate")
    wanted = options(folder, targets=(OTHER_TARGET, _host_target()))
    name = f"{embedded.host}/{repository_name}:v1"
    published = await client.cargo_publish(name, options=wanted)
    assert (published.name, published.platforms) == (name, (OTHER, HOST))
    assert await client.resolve(name) == published.descriptor
    assert await client.tags(name) == ["v1"]
    for platform in (OTHER, HOST):
        package = await client.get(name, platform=platform)
        assert list(contents(package.path)) == ["libfoo.a"]
    # Nothing is pushed of a crate that does not compile for one of them.
    (folder / "src/lib.rs").write_text(
        bare_source("foo") + '#[cfg(not(target_arch = "aarch64"))] compile_error!("no");\n'
    )
    other = f"{embedded.host}/{repository_name}:v2"
    with pytest.raises(BuildError):
        await client.cargo_publish(other, options=wanted)
    assert await client.tags(name) == ["v1"]


async def test_a_target_of_cargo_s_configuration(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _require_other_target()
    folder = make_static(tmp_path / "crate")
    monkeypatch.setenv("CARGO_BUILD_TARGET", OTHER_TARGET)
    package = await client.cargo_build(name=NAME, options=options(folder))
    assert package.platforms == (OTHER,)
    assert (await config(package.target))["platform"]["architecture"] == "arm64"


def _require_other_target() -> None:
    if OTHER_TARGET not in _installed_targets() or OTHER == HOST:
        pytest.skip(f"rustc's target {OTHER_TARGET} is not installed, or is the host")


def _host_target() -> str:
    targets = _installed_targets()
    return next(one for one in targets if Platform.from_target_triple(one) == HOST)


def _installed_targets() -> list[str]:
    rustc = require("rustc")
    done = subprocess.run([rustc, "--print=sysroot"], check=True, capture_output=True, text=True)
    libraries = Path(done.stdout.strip(), "lib", "rustlib")
    return sorted(folder.parent.name for folder in libraries.glob("*/lib"))


async def test_targets_behind_the_dashes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _require_other_target()
    folder = make(tmp_path / "crate", {"Cargo.toml": manifest("foo", "cdylib"), "src/lib.rs": ""})
    linker = make(tmp_path, {"bin/linker": LINKER}) / "bin/linker"
    monkeypatch.setenv("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", str(linker))
    more = ("--target", OTHER_TARGET)
    package = await client.cargo_build(name=NAME, options=options(folder, arguments=more))
    assert package.platforms == (OTHER,)
    assert await unpacked(client, package, tmp_path / "out") == {"libfoo.so": b"linked\n"}
    wrong = options(folder, arguments=(*more, "--target", _host_target()))
    with pytest.raises(InvalidArgumentError, match=r"several targets at once: .*aarch64-"):
        await client.cargo_build(name=NAME, options=wrong)


def rustc_version() -> tuple[int, ...]:
    told = subprocess.run(
        [os.environ.get("RUSTC", "rustc"), "--version"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return tuple(map(int, told.stdout.split()[1].split(".")[:2]))


async def test_what_a_package_cannot_say(
    client: Client, tmp_path: Path, events: list[Event]
) -> None:
    if rustc_version() < (1, 67):
        pytest.skip("this rustc does not tell what the crate itself links to")
    folder = make_static(tmp_path / "crate")
    more = """
    #[link(name = "odd~name")] extern "C" { pub fn cbrt(x: f64) -> f64; }
    #[link(name = "dl")] extern "C" {}
    """
    append(folder / "src/lib.rs", more)
    package = await client.cargo_build(name=NAME, options=options(folder))
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert warning.text == "the package cannot say that it needs -lodd~name"
    assert (await config(package.target))["link"] == {"systemLibraries": ["dl"]}


async def test_old_format(client: Client, tmp_path: Path, events: list[Event]) -> None:
    folder = make_static(tmp_path / "crate")
    more = '#[link(name = "m")]\nextern "C" { pub fn cbrt(x: f64) -> f64; }\n'
    append(folder / "src/lib.rs", more)
    package = await client.cargo_build(name=NAME, options=options(folder), format="ocipkg-v0")
    found = await config(package.target)
    assert found["config"]["Labels"]["org.opencontainers.image.title"] == "foo"
    assert (found["architecture"], found["os"]) == (HOST.architecture, HOST.os)
    assert not [event for event in events if isinstance(event, Warned)]


async def test_missing_features_leave_nothing(client: Client, tmp_path: Path) -> None:
    more = '[features]\nx = []\n[[bin]]\nname = "foo"\nrequired-features = ["x"]\n'
    folder = make(
        tmp_path / "crate", {"Cargo.toml": manifest("foo", more=more), "src/main.rs": "fn main(){}"}
    )
    with pytest.raises(InvalidPackageError, match="made nothing of foo"):
        await client.cargo_build(name=NAME, options=options(folder))
    package = await client.cargo_build(name=NAME, options=options(folder, features=("x",)))
    assert list(await unpacked(client, package, tmp_path / "out")) == ["bin/foo"]


async def test_no_manifest_and_no_cargo(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BuildError) as caught:
        await client.cargo_build(name=NAME, options=options(tmp_path / "nowhere"))
    assert caught.value.status == 101
    assert "nowhere" in caught.value.output
    monkeypatch.setenv("CARGO", str(tmp_path / "cargo"))
    with pytest.raises(NotFoundError, match="cannot be started") as missing:
        await client.cargo_build(name=NAME, options=options(tmp_path))
    assert "rustup" in (missing.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_cancelled_amidst_a_build(client: Client, tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    script = """fn main() {
        std::fs::write("started", std::process::id().to_string()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
    }"""
    make(folder, {"build.rs": script})
    output = tmp_path / "a.tar"
    with anyio.fail_after(100):
        async with anyio.create_task_group() as group:

            async def build() -> None:
                await client.cargo_build(str(output), name=NAME, options=options(folder))

            group.start_soon(build)
            while not (folder / "started").exists() or not (folder / "started").read_text():  # noqa: ASYNC110
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        pid = int((folder / "started").read_text())
        while is_running(pid):  # noqa: ASYNC110 - until it is adopted
            await anyio.sleep(0.01)
    assert not output.exists()


def test_blocking_client(tmp_path: Path) -> None:
    folder = make_static(tmp_path / "crate")
    said: list[str] = []
    with sync.Client(ClientOptions(store=tmp_path / "store")) as client:
        built = client.cargo_build(name=NAME, options=options(folder), on_output=said.append)
        assert client.tags(built.target) == [NAME]
    assert any("Compiling foo" in text for text in said)
