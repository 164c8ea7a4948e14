"""Lines for Cargo."""

from pathlib import Path

import pytest

from native.emit.samples import MAC, WINDOWS, dll, dynamic, linkage, static
from ocipkg_async.errors import InvalidPackageError
from ocipkg_async.native import Linkage
from ocipkg_async.native.emit import cargo_lines


def libraries(found: Linkage) -> list[str]:
    start = "cargo:rustc-link-lib="
    lines = cargo_lines(found).splitlines()
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def test_static_libraries_in_order_with_what_they_need() -> None:
    found = linkage(
        static("foo"),
        static("bar", "/p/more"),
        include=(Path("/p/include"), Path("/p/other")),
        defines=("FOO=1",),
        system_libraries=("m", "stdc++"),
    )
    assert (
        cargo_lines(found, rpath=True, separator=":")
        == """\
cargo:rustc-link-search=native=/p/lib
cargo:rustc-link-search=native=/p/more
cargo:rustc-link-lib=static=foo
cargo:rustc-link-lib=static=bar
cargo:rustc-link-lib=dylib=m
cargo:rustc-link-lib=dylib=stdc++
cargo:root=/p
cargo:include=/p/include:/p/other
cargo:rerun-if-changed=/p
cargo:rerun-if-env-changed=OCIPKG_STORE
"""
    )


def test_shared_libraries_bring_their_own_libraries() -> None:
    found = linkage(dynamic("foo"), system_libraries=("m",), frameworks=("Security",))
    assert libraries(found) == ["dylib=foo"]


def test_frameworks() -> None:
    found = linkage(static("foo"), platform=MAC, frameworks=("Security", "IOKit"))
    assert libraries(found) == ["static=foo", "framework=Security", "framework=IOKit"]


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        ("/p/lib", ["-Wl,-rpath,/p/lib"]),
        ("/p/a,b", ["-Xlinker", "-rpath", "-Xlinker", "/p/a,b"]),
    ],
)
def test_rpath_where_it_is_asked_for(folder: str, arguments: list[str]) -> None:
    found = linkage(dynamic("foo", folder))
    assert "rustc-link-arg" not in cargo_lines(found)
    lines = cargo_lines(found, rpath=True).splitlines()
    expected = [f"cargo:rustc-link-arg={argument}" for argument in arguments]
    assert [line for line in lines if "rustc-link-arg" in line] == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("foo.lib", "static=foo"),
        ("libfoo.a", "static=foo"),
        ("libfoo.lib", "static:+verbatim=libfoo.lib"),
    ],
)
def test_windows_names(file: str, expected: str) -> None:
    assert libraries(linkage(static("foo", file=file), platform=WINDOWS)) == [expected]


def test_windows_dll() -> None:
    found = linkage(dll("foo"), platform=WINDOWS)
    assert libraries(found) == ["dylib=foo"]
    assert "link-arg" not in cargo_lines(found, rpath=True)


def test_library_that_only_its_file_names() -> None:
    found = linkage(dynamic("foo", file="libfoo.so.1"))
    assert libraries(found) == ["dylib:+verbatim=libfoo.so.1"]


def test_build_scripts_run_again_when_the_lock_file_changes() -> None:
    lines = cargo_lines(linkage(static("foo")), lock=Path("/x/ocipkg.lock"))
    assert "cargo:rerun-if-changed=/x/ocipkg.lock\n" in lines


@pytest.mark.parametrize("path", ["/p\nx", "/p\rx", "/p\u2028x", "/p\udc80"])
def test_path_that_is_no_line(path: str) -> None:
    with pytest.raises(InvalidPackageError, match="line break"):
        cargo_lines(linkage(static("foo", path)))


def test_folder_that_ends_in_a_list() -> None:
    found = linkage(static("foo"), include=(Path("/a:b"),))
    with pytest.raises(InvalidPackageError, match="':'"):
        cargo_lines(found, separator=":")
    assert "cargo:include=/a:b\n" in cargo_lines(found, separator=";")


@pytest.mark.parametrize("name", ["", "-evil", "a b", "a=b", "x\ncargo:warning=x", "é"])
def test_names_of_others_are_no_lines(name: str) -> None:
    for found in (
        linkage(static("foo"), system_libraries=(name,)),
        linkage(static("foo"), frameworks=(name,)),
        linkage(dynamic(name)),
        linkage(static("foo", file=f"{name}!")),
    ):
        with pytest.raises(InvalidPackageError, match="not the name of a library"):
            cargo_lines(found)
