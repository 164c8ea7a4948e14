"""The examples from their sources on: libraries are built, packed, pushed, linked and run.

Each is built twice: with a tag from a registry, then from a lock file without any request.
"""

import dataclasses
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from native.hello import EXAMPLES, build
from peers import find, require
from registries import RunningRegistry

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64",
        reason="the libraries are built for Linux on amd64, and from there on arm64",
    ),
]

TIME_LIMIT_S = 100
BOTH = ["good morning: static 3 21\n", "good morning: dynamic 3 21\n"]
PACKAGES = ("hello:1.2.0", "hello-rust:1.0.0")
CROSS = "aarch64-linux-gnu"
TRIPLES = {"linux/amd64": "x86_64-unknown-linux-gnu", "linux/arm64": "aarch64-unknown-linux-gnu"}
EMULATED = ("qemu-aarch64", "-L", f"/usr/{CROSS}")


def run(*command: object, cwd: Path, env: dict[str, str] | None = None, code: int = 0) -> str:
    """Run a program; return what it printed on stdout, or on both outputs where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env or dict(os.environ),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    both = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == code, f"{command}\n{both}"
    return both if code else done.stdout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """Where an example is built: a copy of it, a store, and the registry with the packages."""

    folder: Path
    env: dict[str, str]
    registry: str
    log: Path

    def ocipkg(self, *args: object, code: int = 0) -> str:
        program = (sys.executable, "-m", "ocipkg_async")
        return run(*program, *args, cwd=self.folder, env=self.env, code=code)

    def run(self, *command: object, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        return run(*command, cwd=self.folder, env={**self.env, **(env or {})}, code=code)

    def lock(self) -> None:
        self.ocipkg("lock", *(f"{self.registry}/{package}" for package in PACKAGES))

    def requests(self) -> int:
        """How often the registry was asked for anything in these repositories."""
        _, _, name = self.registry.partition("/")
        return self.log.read_text().count(f"/v2/{name}/")


@pytest.fixture(scope="session")
def platforms() -> tuple[str, ...]:
    """What the packages are for: amd64, and arm64 where there are compilers for it."""
    if find(f"{CROSS}-gcc") is None:
        return ("linux/amd64",)
    sysroot = Path(run(require("rustc"), "--print", "sysroot", cwd=Path.cwd()).strip())
    can_cross = (sysroot / "lib/rustlib" / TRIPLES["linux/arm64"]).is_dir()
    return ("linux/amd64", "linux/arm64") if can_cross else ("linux/amd64",)


@pytest.fixture(scope="session")
def registry(
    plain_registry: RunningRegistry,
    platforms: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The place of the packages, each an index, made as the examples say."""
    folder = tmp_path_factory.mktemp("packages")
    place = f"{plain_registry.host}/build-systems/{os.getpid()}"
    env = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target")}
    ours = {**env, "HOME": str(folder), "DOCKER_CONFIG": str(folder)}  # nobody's passwords
    ocipkg = (sys.executable, "-m", "ocipkg_async")
    rust = EXAMPLES / "hello-rust"
    for one in platforms:
        name = one.replace("/", "-")
        compilers = f"{CROSS}-" if one == "linux/arm64" else ""
        out = build(folder / name, cc=require(f"{compilers}gcc"), ar=require(f"{compilers}ar"))
        target = ("--platform", one, "-o")
        hello = f"{place}/hello:1.2.0-{name}"
        run(*ocipkg, "pack", out, *target, hello, cwd=EXAMPLES / "hello-c", env=ours)
        linker = f"CARGO_TARGET_{TRIPLES[one].upper().replace('-', '_')}_LINKER"
        cargo = (require("cargo"), "build", "--release", "--offline", "--target", TRIPLES[one])
        shutil.copytree(rust, folder / "hello-rust", dirs_exist_ok=True)
        run(*cargo, cwd=folder / "hello-rust", env={**env, linker: f"{compilers}gcc"})
        release = folder / "target" / TRIPLES[one] / "release"
        libraries = (release / "libhello_rust.a", release / "libhello_rust.so")
        hello_rust = f"{place}/hello-rust:1.0.0-{name}"
        run(*ocipkg, "pack", rust / "include", *libraries, *target, hello_rust, cwd=rust, env=ours)
    for package in PACKAGES:
        sources = [f"{place}/{package}-{one.replace('/', '-')}" for one in platforms]
        run(*ocipkg, "index", *sources, "-o", f"{place}/{package}", cwd=folder, env=ours)
    return place


@pytest.fixture
def site(
    request: pytest.FixtureRequest, registry: str, plain_registry: RunningRegistry, tmp_path: Path
) -> Site:
    """A copy of the example that the test is given, in a folder whose name has spaces."""
    folder = tmp_path / "a project's folder" / "here"
    shutil.copytree(EXAMPLES / request.param, folder)
    env = {
        **os.environ,
        "OCIPKG_STORE": str(tmp_path / "the store"),
        "PYTHON": sys.executable,
        "REGISTRY": registry,
        "PYTHONPATH": "",
    }
    assert plain_registry.log is not None
    return Site(folder=folder, env=env, registry=registry, log=plain_registry.log)


def twice(site: Site, built: Callable[[tuple[str, ...]], str]) -> Iterator[str]:
    """What programs print: one with static libraries, online; then one with shared ones, offline."""
    yield built(("--kind", "static"))
    site.lock()
    before = site.requests()
    assert before > 0
    yield built(("--kind", "dynamic", "--locked", "--offline"))
    assert site.requests() == before


def findable(options: tuple[str, ...]) -> tuple[str, ...]:
    """Add what lets programs find shared libraries."""
    return (*options, "--rpath") if "dynamic" in options else options


@pytest.mark.parametrize("site", ["cargo-consumer"], indirect=True)
def test_cargo(site: Site) -> None:
    def built(options: tuple[str, ...]) -> str:
        given = " ".join(findable(options))
        return site.run(require("cargo"), "run", "-q", "--offline", env={"LINK_OPTIONS": given})

    assert list(twice(site, built)) == ["static 3 21\n", "dynamic 3 21\n"]


@pytest.mark.parametrize("site", ["cargo-consumer"], indirect=True)
def test_cargo_for_another_target(site: Site, platforms: tuple[str, ...]) -> None:
    require("qemu-aarch64")
    require(f"{CROSS}-gcc")
    if "linux/arm64" not in platforms:
        pytest.skip("rustc has no standard library for arm64")
    linker = {"CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": f"{CROSS}-gcc"}
    target = TRIPLES["linux/arm64"]
    site.run(require("cargo"), "build", "-q", "--offline", "--target", target, env=linker)
    program = site.folder / "target" / target / "debug/cargo-consumer"
    assert site.run(*EMULATED, program) == "static 3 21\n"


@pytest.mark.parametrize("site", ["cargo-consumer"], indirect=True)
def test_cargo_fetches_again_what_was_removed_or_changed(site: Site) -> None:
    cargo = (require("cargo"), "run", "-q", "--offline")
    assert site.run(*cargo) == "static 3 21\n"
    before = site.requests()
    assert site.run(*cargo) == "static 3 21\n"
    assert site.requests() == before, "nothing changed, so the build script does not run"
    site.ocipkg("remove", f"{site.registry}/{PACKAGES[0]}")
    assert site.run(*cargo) == "static 3 21\n"
    assert site.requests() > before


@pytest.mark.parametrize("site", ["cargo-consumer"], indirect=True)
def test_cargo_shows_why_there_is_no_library(site: Site) -> None:
    cargo = (require("cargo"), "run", "-q", "--offline")
    shown = site.run(*cargo, code=101, env={"LINK_OPTIONS": "--offline"})
    assert "error: " in shown
    assert f"{site.registry}/hello:1.2.0" in shown
    assert "hint: " in shown
    other = {"LINK_OPTIONS": "--target riscv64gc-unknown-linux-gnu"}
    for_none = site.run(*cargo, code=101, env=other)
    assert "linux/amd64" in for_none


def cmake(site: Site, options: tuple[str, ...], *definitions: str) -> Path:
    """Build the C consumer with CMake."""
    program, folder = require("cmake"), site.folder / "build"
    shutil.rmtree(folder, ignore_errors=True)
    given = (f"-DREGISTRY={site.registry}", f"-DPYTHON={sys.executable}", *definitions)
    site.run(program, "-B", folder, *given, f"-DLINK_OPTIONS={';'.join(options)}")
    site.run(program, "--build", folder)
    return folder / "consumer"


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_cmake(site: Site) -> None:
    def built(options: tuple[str, ...]) -> str:
        return site.run(cmake(site, options))

    assert list(twice(site, built)) == BOTH


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_cmake_for_another_platform(site: Site, platforms: tuple[str, ...]) -> None:
    require("qemu-aarch64")
    if "linux/arm64" not in platforms:
        pytest.skip(f"{CROSS}-gcc or the standard library of Rust for it is not installed")
    toolchain = ("SYSTEM_NAME=Linux", "SYSTEM_PROCESSOR=aarch64", f"C_COMPILER={CROSS}-gcc")
    program = cmake(site, ("--kind", "dynamic"), *(f"-DCMAKE_{one}" for one in toolchain))
    assert site.run(*EMULATED, program) == "good morning: dynamic 3 21\n"


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_cmake_shows_why_there_is_no_library(site: Site) -> None:
    given = (f"-DREGISTRY={site.registry}", f"-DPYTHON={sys.executable}")
    options = "-DLINK_OPTIONS=--kind;dynamic;--offline"
    shown = site.run(require("cmake"), "-B", "build", *given, options, code=1)
    assert f"{site.registry}/hello:1.2.0" in shown
    assert "cannot be linked; the reason is above" in shown


def meson(site: Site, options: tuple[str, ...], *settings: str) -> Path:
    """Build the C consumer with Meson."""
    program, ninja, folder = require("meson"), require("ninja"), site.folder / "build"
    shutil.rmtree(folder, ignore_errors=True)
    given = (f"-Dregistry={site.registry}", f"-Dpython={sys.executable}", *settings)
    site.run(program, "setup", folder, *given, f"-Dlink_options={','.join(options)}")
    site.run(ninja, "-C", folder)
    return folder / "consumer"


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_meson(site: Site) -> None:
    def built(options: tuple[str, ...]) -> str:
        return site.run(meson(site, findable(options)))

    assert list(twice(site, built)) == BOTH


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_meson_for_another_platform(site: Site, platforms: tuple[str, ...]) -> None:
    require("qemu-aarch64")
    if "linux/arm64" not in platforms:
        pytest.skip(f"{CROSS}-gcc or the standard library of Rust for it is not installed")
    cross = site.folder / "arm64.ini"
    cross.write_text(f"""\
[binaries]
c = '{CROSS}-gcc'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
""")
    program = meson(site, (), "--cross-file", str(cross))
    assert site.run(*EMULATED, program) == "good morning: static 3 21\n"


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_meson_shows_why_there_is_no_library(site: Site) -> None:
    given = (f"-Dregistry={site.registry}", f"-Dpython={sys.executable}")
    shown = site.run(require("meson"), "setup", "b", *given, "-Dlink_options=--offline", code=1)
    assert f"error: {site.registry}/hello:1.2.0" in shown


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_make_with_pkg_config(site: Site) -> None:
    require("pkg-config")

    def built(options: tuple[str, ...]) -> str:
        (site.folder / "consumer").unlink(missing_ok=True)
        shutil.rmtree(site.folder / "packages", ignore_errors=True)
        given = f"LINK_OPTIONS={' '.join(findable(options))}"
        site.run(require("make"), given, f"REGISTRY={site.registry}", f"PYTHON={sys.executable}")
        return site.run("./consumer")

    assert list(twice(site, built)) == BOTH


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_shell(site: Site) -> None:
    def built(options: tuple[str, ...]) -> str:
        script = """
set -e
flags() { "$PYTHON" -m ocipkg_async link "$REGISTRY/$1" --for shell $OPTIONS; }
one=$(flags hello:1.2.0) && two=$(flags hello-rust:1.0.0)
eval "cc main.c $one $two -o consumer"
"""
        site.run("sh", "-c", script, env={"OPTIONS": " ".join(findable(options))})
        return site.run("./consumer")

    assert list(twice(site, built)) == BOTH


@pytest.mark.parametrize("site", ["c-consumer"], indirect=True)
def test_environment(site: Site) -> None:
    script = """
set -e
variables() { "$PYTHON" -m ocipkg_async link "$REGISTRY/$1" --kind dynamic --for env; }
one=$(variables hello:1.2.0) && two=$(variables hello-rust:1.0.0)
eval "$one"; eval "$two"
cc main.c -DHELLO_GREETING='"hi"' -lhello -lhello_rust -o consumer && ./consumer
"""
    assert site.run("sh", "-c", script) == "hi: dynamic 3 21\n"


@pytest.mark.parametrize("site", ["setuptools-consumer"], indirect=True)
def test_setuptools(site: Site) -> None:
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    require("gcc")
    code = "import consumer; print(f'{consumer.root(27):.0f}', consumer.triple(7))"

    def built(options: tuple[str, ...]) -> str:
        for left in (*site.folder.glob("consumer*.so"), site.folder / "build"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        offline = {"OFFLINE": "1"} if "--offline" in options else {}
        site.run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", env=offline)
        return site.run(sys.executable, "-c", code)

    assert list(twice(site, built)) == ["3 21\n"] * 2


@pytest.mark.parametrize("site", ["ctypes-consumer"], indirect=True)
def test_ctypes(site: Site) -> None:
    def built(options: tuple[str, ...]) -> str:
        offline = {"OFFLINE": "1"} if "--offline" in options else {}
        return site.run(sys.executable, "main.py", env=offline)

    assert list(twice(site, built)) == ["dynamic 3 21\n"] * 2
