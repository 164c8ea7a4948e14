"""What is written is read by the programs it is for, in folders with names that tempt them."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from native.hello import build, linkage
from ocipkg_async.native import Library, LibraryKind
from ocipkg_async.native.emit import (
    cargo_lines,
    cmake_files,
    environment_lines,
    meson_files,
    pkg_config_files,
    shell_words,
)
from ocipkg_async.spec import Platform
from peers import require

pytestmark = pytest.mark.interop

TIME_LIMIT_S = 100
PLAIN = "plain"
SPACED = 'a folder\'s "own" name'
AWKWARD = 'it\'s $HOME "q" #1 [=[y]=] (x) {y} $<z> & `ls` %d @0@'
COMMA = "a,b"
MAIN = r"""
#include <hello.h>
#include <stdio.h>
int main(void) { printf("%s: %s %.0f\n", HELLO_GREETING, hello_kind(), hello_root(27)); }
"""
MAKEFILE = """
consumer: main.c
\t$(CC) $< $(shell PKG_CONFIG_PATH=packages pkg-config --cflags --libs hello) -o $@
"""
MAIN_RS = """
extern "C" {
    fn hello_root(number: f64) -> f64;
    fn hello_kind() -> *const std::os::raw::c_char;
}
fn main() {
    let kind = unsafe { std::ffi::CStr::from_ptr(hello_kind()) };
    println!("{} {:.0}", kind.to_str().unwrap(), unsafe { hello_root(27.0) });
}
"""
KINDS: tuple[LibraryKind, ...] = ("static", "dynamic")


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("hello"), cc=require("gcc"), ar=require("ar"))


@pytest.fixture
def placed(hello: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The library in a folder of the name that the test is given."""
    name: str = request.param
    folder = tmp_path / name
    shutil.copytree(hello, folder)
    return folder


def run(*command: object, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    write(folder, {"main.c": MAIN})
    return folder


@pytest.mark.parametrize("placed", [PLAIN, SPACED, AWKWARD, COMMA], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_shell(placed: Path, kind: LibraryKind, tmp_path: Path) -> None:
    words = shell_words(linkage(placed, kind), rpath=True)
    script = 'eval "cc main.c $WORDS -o consumer"'
    folder = project(tmp_path)
    run("sh", "-c", script, cwd=folder, WORDS=words.removesuffix("\n"))
    assert run("./consumer", cwd=folder) == f"good morning: {kind} 3\n"


@pytest.mark.parametrize("placed", [PLAIN, SPACED, AWKWARD], indirect=True)
def test_environment(placed: Path, tmp_path: Path) -> None:
    lines = environment_lines(linkage(placed, "dynamic"))
    script = """eval "$LINES"; cc main.c -DHELLO_GREETING='"hi"' -lhello -o consumer && ./consumer
printf '%s\n' "$CPATH" "$LIBRARY_PATH" "$LD_LIBRARY_PATH" """
    printed = run("sh", "-c", script, cwd=project(tmp_path), LINES=lines, CPATH="/a b")
    assert printed == (f"hi: dynamic 3\n{placed}/include:/a b\n{placed}/lib\n{placed}/lib\n")


def test_a_package_of_dlls_replaces_no_command(tmp_path: Path) -> None:
    folder = tmp_path / "it's"
    write(folder, {"foo.lib": "", "foo.dll": "", "ls": "#!/bin/sh\necho theirs\n"})
    (folder / "ls").chmod(0o755)
    library = Library(
        name="foo", kind="dynamic", path=folder / "foo.lib", runtime=folder / "foo.dll"
    )
    windows = Platform(os="windows", architecture="amd64")
    lines = environment_lines(replace(linkage(folder, platform=windows), libraries=(library,)))
    script = 'eval "$LINES"; ls; printf "%s" "${PATH##*:}"'
    printed = run("sh", "-c", script, cwd=folder, LINES=lines)
    assert printed == f"foo.dll\nfoo.lib\nls\n{folder}"


@pytest.mark.parametrize("placed", [PLAIN, SPACED], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_pkg_config(placed: Path, kind: LibraryKind, tmp_path: Path) -> None:
    require("pkg-config")
    require("make")
    folder = project(tmp_path)
    write(folder, {"Makefile": MAKEFILE})
    write(folder / "packages", pkg_config_files(linkage(placed, kind), rpath=True))
    run("make", cwd=folder)
    assert run("./consumer", cwd=folder) == f"good morning: {kind} 3\n"
    assert run("pkg-config", "--validate", "packages/hello.pc", cwd=folder) == ""
    assert run("pkg-config", "--modversion", "packages/hello.pc", cwd=folder) == "1.2.0\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("placed", [AWKWARD], indirect=True)
def test_pkg_config_by_meson(placed: Path, kind: LibraryKind, tmp_path: Path) -> None:
    """Meson splits what pkg-config prints without expanding anything."""
    folder = project(tmp_path)
    write(folder / "packages", pkg_config_files(linkage(placed, kind), rpath=True))
    text = "project('consumer', 'c')\nexecutable('consumer', 'main.c', dependencies: dependency('hello'))"
    write(folder, {"meson.build": text})
    run(require("meson"), "setup", "b", cwd=folder, PKG_CONFIG_PATH=str(folder / "packages"))
    run(require("ninja"), "-C", "b", cwd=folder)
    assert run("b/consumer", cwd=folder) == f"good morning: {kind} 3\n"


@pytest.mark.parametrize("placed", [PLAIN, AWKWARD], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_meson(placed: Path, kind: LibraryKind, tmp_path: Path) -> None:
    folder = project(tmp_path)
    text = """\
project('consumer', 'c')
subproject('hello')
executable('consumer', 'main.c', dependencies: dependency('hello', version: ['>=1.0', '<2']))
"""
    write(folder, {"meson.build": text})
    write(folder / "subprojects/hello", meson_files(linkage(placed, kind), rpath=True))
    run(require("meson"), "setup", "b", cwd=folder)
    run(require("ninja"), "-C", "b", cwd=folder)
    assert run("b/consumer", cwd=folder) == f"good morning: {kind} 3\n"


CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(hello 1.0 CONFIG REQUIRED)
find_package(hello 1.2.0 EXACT CONFIG REQUIRED)
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE hello::hello)
"""


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
@pytest.mark.parametrize("placed", [PLAIN, AWKWARD], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_cmake(placed: Path, kind: LibraryKind, generator: str, tmp_path: Path) -> None:
    require("ninja" if generator == "Ninja" else "make")
    cmake, folder = require("cmake"), project(tmp_path)
    write(folder, {"CMakeLists.txt": CMAKE})
    write(folder / "packages", cmake_files(linkage(placed, kind)))
    run(cmake, "-G", generator, "-B", "b", f"-DCMAKE_PREFIX_PATH={folder / 'packages'}", cwd=folder)
    run(cmake, "--build", "b", cwd=folder)
    assert run("b/consumer", cwd=folder) == f"good morning: {kind} 3\n"


@pytest.mark.parametrize("placed", [PLAIN], indirect=True)
def test_cmake_keeps_the_folder_out_of_the_program(placed: Path, tmp_path: Path) -> None:
    """The library has no SONAME, so its path would be looked for wherever the program runs."""
    cmake, folder = require("cmake"), project(tmp_path)
    write(folder, {"CMakeLists.txt": CMAKE})
    write(folder / "packages", cmake_files(linkage(placed, "dynamic")))
    run(cmake, "-B", "b", f"-DCMAKE_PREFIX_PATH={folder / 'packages'}", cwd=folder)
    run(cmake, "--build", "b", cwd=folder)
    assert b"\0libhello.so\0" in (folder / "b/consumer").read_bytes()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", "1.2.0"),
        ("1.0", "1.2.0"),
        ("1.2.0 EXACT", "1.2.0"),
        ("1.0...1.2.0", "1.2.0"),
        ("1.0...<1.2.0", "no"),
        ("1.2.1", "no"),
        ("1.2 EXACT", "1.2.0"),
        ("1.0 EXACT", "no"),
    ],
)
def test_cmake_versions(asked: str, found: str, tmp_path: Path) -> None:
    files = cmake_files(linkage(tmp_path))
    assert configured(tmp_path, files, asked) == found


@pytest.mark.parametrize(
    ("package", "found"),
    [("linux/amd64", "1.2.0"), ("linux/arm64", "no"), ("darwin/amd64", "no")],
)
def test_cmake_refuses_packages_for_other_platforms(
    package: str, found: str, tmp_path: Path
) -> None:
    files = cmake_files(linkage(tmp_path, platform=Platform.parse(package)))
    assert configured(tmp_path, files, "", "Linux", "x86_64") == found


def configured(
    folder: Path, files: dict[str, str], asked: str, system: str = "", processor: str = ""
) -> str:
    """Which version CMake takes when it is asked for one, or ``no``."""
    text = f"""\
cmake_minimum_required(VERSION 3.19)
project(consumer NONE)
if("{system}")
  set(CMAKE_SYSTEM_NAME "{system}")
  set(CMAKE_SYSTEM_PROCESSOR "{processor}")
endif()
find_package(hello {asked} CONFIG QUIET PATHS packages NO_DEFAULT_PATH)
if(hello_FOUND)
  message("found ${{hello_VERSION}} ")
else()
  message("found no ")
endif()
"""
    write(folder, {"CMakeLists.txt": text})
    write(folder / "packages", files)
    done = subprocess.run(
        [require("cmake"), "-B", "b"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=True,
    )
    return done.stderr.split("found ")[1].split()[0]


@pytest.mark.parametrize("placed", [PLAIN, AWKWARD, COMMA], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_cargo(placed: Path, kind: LibraryKind, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder, {"lines": cargo_lines(linkage(placed, kind), rpath=True, separator="|")})
    write(folder, {"build.rs": 'fn main() { print!("{}", include_str!("lines")); }'})
    write(
        folder,
        {
            "Cargo.toml": '[package]\nname = "consumer"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
        },
    )
    write(folder / "src", {"main.rs": MAIN_RS})
    assert run(require("cargo"), "run", "-q", "--offline", cwd=folder) == f"{kind} 3\n"
