"""Libraries of packages in this process, through ctypes."""

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from client.trees import make_tree
from native.forged import elf
from ocipkg_async import ClientOptions, Platform
from ocipkg_async.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from ocipkg_async.link import LinkMetadata, find_library, link, load_library
from ocipkg_async.sync import Client
from peers import require
from registries import RunningRegistry

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform != "linux", reason="the samples are for Linux"),
]


@pytest.fixture
def options(tmp_path: Path) -> ClientOptions:
    return ClientOptions(store=tmp_path / "store")


@pytest.fixture
def name(threaded_registry: RunningRegistry, repository_name: str) -> str:
    return f"{threaded_registry.host}/{repository_name}/foo:v1"


def shared(
    output: Path, code: str, *arguments: str | Path, needs: Sequence[Path] = (), gcc: str = "gcc"
) -> Path:
    output.parent.mkdir(parents=True, exist_ok=True)
    source = output.with_suffix(".c")
    source.write_text(code)
    command = [require(gcc), "-shared", "-fPIC", source, "-o", output, *arguments, *needs]
    subprocess.run(command, check=True, timeout=60)
    source.unlink()
    return output


def publish(
    options: ClientOptions, name: str, tree: Path, link_metadata: LinkMetadata | None = None
) -> None:
    with Client(options) as client:
        client.pack([tree], name, link=link_metadata)


def test_loads_and_calls(options: ClientOptions, name: str, tmp_path: Path) -> None:
    shared(tmp_path / "tree/lib/libfoo.so", "int foo(void) { return 42; }")
    publish(options, name, tmp_path / "tree")
    library = load_library(name, options=options)
    assert library.foo() == 42
    path = find_library(name, options=options, offline=True)
    assert ctypes.CDLL(str(path)).foo() == 42
    assert path.is_relative_to(options.store or "")
    linkage = link(name, options=options, offline=True)
    assert [one.path for one in linkage.libraries] == [path]


def test_loads_what_it_needs_of_the_same_package_first(
    options: ClientOptions, name: str, tmp_path: Path
) -> None:
    """The loader would not look beside the library, nor in another folder of the package."""
    tree = tmp_path / "tree"
    deepest = shared(
        tree / "a/libdeepest.so.3", "int two(void) { return 2; }", "-Wl,-soname,libdeepest.so.3"
    )
    base = shared(
        tree / "b/libbase.so.1",
        "int two(void); int four(void) { return 2 * two(); }",
        "-Wl,-soname,libbase.so.1",
        needs=[deepest],
    )
    shared(
        tree / "lib/libfoo.so",
        "int four(void); int foo(void) { return 10 * four() + 2; }",
        needs=[base],
    )
    publish(options, name, tree, LinkMetadata(libraries=("foo",)))
    with pytest.raises(OSError, match=r"libbase\.so\.1"):
        ctypes.CDLL(str(find_library(name, options=options)))
    assert load_library(name, options=options).foo() == 42


def test_libraries_that_need_each_other(options: ClientOptions, name: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    other = shared(tree / "libbar.so", "int bar(void) { return 1; }", "-Wl,-soname,libbar.so")
    foo = shared(
        tree / "libfoo.so",
        "int bar(void); int foo(void) { return bar(); }",
        "-Wl,-soname,libfoo.so,--no-as-needed",
        "-Wl,-rpath,$ORIGIN",
        needs=[other],
    )
    shared(
        other,
        "int bar(void) { return 7; }",
        "-Wl,-soname,libbar.so,--no-as-needed",
        "-Wl,-rpath,$ORIGIN",
        needs=[foo],
    )
    publish(options, name, tree)
    assert load_library(name, options=options).foo() == 7


def test_which_library(options: ClientOptions, name: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number, one in enumerate(("bar", "baz")):
        shared(tree / f"lib{one}.so", f"int number(void) {{ return {number}; }}")
    publish(options, name, tree)
    assert load_library(name, "baz", options=options).number() == 1
    with pytest.raises(InvalidArgumentError) as several:
        load_library(name, options=options)
    assert several.value.hint == "name one of: bar, baz"
    with pytest.raises(NotFoundError, match="'qux'"):
        load_library(name, "qux", options=options)
    shared(tree / "libfoo.so", "int number(void) { return 2; }")  # the package's name
    publish(options, name, tree)
    with Client(options) as client:
        client.get(name)
    assert load_library(name, options=options).number() == 2


def test_a_library_for_another_machine_is_not_loaded(
    options: ClientOptions, name: str, tmp_path: Path
) -> None:
    ours = Platform.host().architecture
    other, number = ("arm64", 183) if ours == "amd64" else ("amd64", 62)
    data = elf(kind=3, machine=number, segments=1, segments_at=64) + bytes(56)
    publish(options, name, make_tree(tmp_path / "tree", {"libfoo.so": data}))
    with pytest.raises(NotFoundError, match=rf"linux/{ours}: libfoo\.so is for {other}"):
        load_library(name, options=options)


def test_a_static_library_cannot_be_loaded(
    options: ClientOptions, name: str, tmp_path: Path
) -> None:
    publish(options, name, make_tree(tmp_path / "tree", {"libfoo.a": b"!<arch>\n"}))
    with pytest.raises(NotFoundError, match=r"no dynamic library .*libfoo\.a is static"):
        load_library(name, options=options)


def test_what_the_loader_refuses(options: ClientOptions, name: str, tmp_path: Path) -> None:
    away = shared(tmp_path / "libaway.so", "int away(void) { return 1; }", "-Wl,-soname,libaway.so")
    shared(
        tmp_path / "tree/libfoo.so",
        "int away(void); int foo(void) { return away(); }",
        needs=[away],
    )
    publish(options, name, tmp_path / "tree")
    with pytest.raises(
        UnsupportedError, match=r"libfoo\.so cannot be loaded: libaway\.so"
    ) as caught:
        load_library(name, options=options)
    assert caught.value.hint is not None
    assert "libaway.so" in caught.value.hint


def test_musl_in_a_process_of_glibc(options: ClientOptions, name: str, tmp_path: Path) -> None:
    """As Alpine links: the loader's own message names a file that nobody has heard of."""
    stub = shared(
        tmp_path / "libc.musl-x86_64.so.1",
        "int gone(void) { return 1; }",
        "-Wl,-soname,libc.musl-x86_64.so.1",
    )
    shared(
        tmp_path / "tree/libfoo.so",
        "int gone(void); int foo(void) { return gone(); }",
        "-nostdlib",
        needs=[stub],
    )
    publish(options, name, tmp_path / "tree")
    with pytest.raises(UnsupportedError) as caught:
        load_library(name, options=options)
    assert caught.value.hint is not None
    assert "linked with musl, and this Python with glibc" in caught.value.hint


async def test_inside_an_event_loop_it_works_and_warns(
    options: ClientOptions, name: str, tmp_path: Path
) -> None:
    shared(tmp_path / "tree/libfoo.so", "int foo(void) { return 42; }")
    with pytest.warns(RuntimeWarning, match="inside an event loop"):
        publish(options, name, tmp_path / "tree")
    with pytest.warns(RuntimeWarning, match="inside an event loop"):
        assert find_library(name, options=options).name == "libfoo.so"
    # Elsewhere, since here nothing may read a file in the loop, which loading one cannot do without.
    program = (
        "import asyncio, sys, pathlib, ocipkg_async, ocipkg_async.link as l\n"
        "async def main():\n"
        "    options = ocipkg_async.ClientOptions(store=pathlib.Path(sys.argv[2]))\n"
        "    return l.load_library(sys.argv[1], options=options, offline=True).foo()\n"
        "sys.exit(asyncio.run(main()))\n"
    )
    command = [sys.executable, "-W", "always", "-c", program, name, str(options.store)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, "inside an event loop" in done.stderr) == (42, True), done.stderr


def test_a_package_that_is_not_installed_offline(options: ClientOptions, name: str) -> None:
    with pytest.raises(NotFoundError, match="not installed"):
        load_library(name, options=options, offline=True)
