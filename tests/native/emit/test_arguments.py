"""Arguments for compilers, and what a shell takes."""

import shlex
from pathlib import Path

import pytest

from native.emit.samples import LINUX, MAC, WINDOWS, dll, dynamic, linkage, static
from ocipkg_async.errors import InvalidPackageError
from ocipkg_async.native import Library
from ocipkg_async.native.emit import (
    compile_arguments,
    environment,
    environment_lines,
    link_arguments,
    linkage_document,
    shell_words,
)
from ocipkg_async.spec import Platform


def test_headers_and_macros() -> None:
    found = linkage(include=(Path("/p/a b"), Path("/p/c")), defines=("A", 'B="x y"', "C="))
    assert compile_arguments(found) == ["-I/p/a b", "-I/p/c", "-DA", '-DB="x y"', "-DC="]


@pytest.mark.parametrize(
    ("platform", "library", "arguments"),
    [
        (LINUX, static("foo"), ["/p/lib/libfoo.a", "-lm"]),
        (LINUX, dynamic("foo"), ["-L/p/lib", "-lfoo", "-Wl,-rpath,/p/lib"]),
        (
            LINUX,
            dynamic("foo", file="libfoo.so.1"),
            ["-L/p/lib", "-l:libfoo.so.1", "-Wl,-rpath,/p/lib"],
        ),
        (
            MAC,
            dynamic("foo", file="libfoo.dylib"),
            ["-L/p/lib", "-lfoo", "-Wl,-rpath,/p/lib"],
        ),
        (
            MAC,
            dynamic("foo", file="libfoo.1.dylib"),
            ["-L/p/lib", "/p/lib/libfoo.1.dylib", "-Wl,-rpath,/p/lib"],
        ),
        (MAC, static("foo"), ["/p/lib/libfoo.a", "-lm"]),
        (WINDOWS, dll("foo"), ["/p/lib/foo.lib"]),
        (WINDOWS, static("foo", file="foo.lib"), ["/p/lib/foo.lib", "-lm"]),
    ],
)
def test_one_library(platform: Platform, library: Library, arguments: list[str]) -> None:
    found = linkage(library, platform=platform, system_libraries=("m",))
    assert link_arguments(found, rpath=True) == arguments


def test_several_libraries_in_order() -> None:
    found = linkage(
        static("a"), dynamic("b"), dynamic("c"), system_libraries=("m",), frameworks=("F", "G")
    )
    expected = [
        "/p/lib/liba.a",
        "-L/p/lib",
        "-lb",
        "-lc",
        "-lm",
        "-framework",
        "F",
        "-framework",
        "G",
    ]
    assert link_arguments(found) == expected


@pytest.mark.parametrize("define", ["", "=1", "1A", "A B", "-DA", "A=x\ny", "A=\x00", "A(x)=x"])
def test_what_is_no_macro(define: str) -> None:
    with pytest.raises(InvalidPackageError):
        compile_arguments(linkage(static("foo"), defines=(define,)))


def test_words_are_quoted() -> None:
    found = linkage(static("foo", "/a $b"), include=(Path("/it's"),))
    words = shell_words(found)
    assert shlex.split(words) == ["-I/it's", "/a $b/libfoo.a"]
    assert shell_words(linkage(static("foo"))) == "/p/lib/libfoo.a\n"


@pytest.mark.parametrize(
    ("platform", "library", "variable", "folder", "value"),
    [
        (
            LINUX,
            dynamic("foo"),
            "LD_LIBRARY_PATH",
            "/p/lib",
            '/p/lib"${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"',
        ),
        (
            MAC,
            dynamic("foo", file="libfoo.dylib"),
            "DYLD_LIBRARY_PATH",
            "/p/lib",
            '/p/lib"${DYLD_LIBRARY_PATH:+:$DYLD_LIBRARY_PATH}"',
        ),
        (WINDOWS, dll("foo"), "PATH", "/p/bin", '"${PATH:+$PATH:}"/p/bin'),
    ],
)
def test_environment(
    platform: Platform, library: Library, variable: str, folder: str, value: str
) -> None:
    found = linkage(library, platform=platform, include=(Path("/p/include"),))
    assert environment(found) == {
        "LIBRARY_PATH": (Path("/p/lib"),),
        "CPATH": (Path("/p/include"),),
        variable: (Path(folder),),
    }
    assert environment_lines(found, separator=":").splitlines()[-1] == f"export {variable}={value}"


def test_programs_need_no_variable_for_static_libraries() -> None:
    assert environment(linkage(static("foo"))).keys() == {"LIBRARY_PATH"}


@pytest.mark.parametrize("folder", ["/a:b", "/a;b", "/a\nb"])
def test_folder_that_is_no_entry_of_a_variable(folder: str) -> None:
    with pytest.raises(InvalidPackageError):
        environment_lines(linkage(dynamic("foo", folder)), separator=":")


def test_document_has_it_all() -> None:
    found = linkage(
        dll("foo"),
        platform=WINDOWS,
        description="x",
        include=(Path("/p/include"),),
        defines=("A=1",),
        system_libraries=("ws2_32",),
        frameworks=(),
    )
    assert linkage_document(found) == {
        "name": "foo",
        "version": "v1.2.0",
        "description": "x",
        "path": "/p",
        "platform": "windows/amd64",
        "libraries": [
            {
                "name": "foo",
                "kind": "dynamic",
                "path": "/p/lib/foo.lib",
                "runtime": "/p/bin/foo.dll",
            }
        ],
        "search": ["/p/lib"],
        "include": ["/p/include"],
        "defines": ["A=1"],
        "systemLibraries": ["ws2_32"],
        "frameworks": [],
        "compileArguments": ["-I/p/include", "-DA=1"],
        "linkArguments": ["/p/lib/foo.lib"],
        "environment": {
            "LIBRARY_PATH": ["/p/lib"],
            "CPATH": ["/p/include"],
            "PATH": ["/p/bin"],
        },
    }
