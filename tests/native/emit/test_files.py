"""Files for CMake, Meson and pkg-config, as far as no program is needed to judge them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from native.emit.samples import MAC, WINDOWS, dll, dynamic, linkage, static
from ocipkg_async.errors import InvalidArgumentError, InvalidPackageError
from ocipkg_async.native import Linkage
from ocipkg_async.native.emit import GENERATED, cmake_files, meson_files, pkg_config_files

FORMATS: tuple[Callable[[Linkage], dict[str, str]], ...] = (
    cmake_files,
    meson_files,
    pkg_config_files,
)


def config(found: Linkage) -> str:
    return cmake_files(found)["foo-config.cmake"]


def fields(found: Linkage) -> dict[str, str]:
    (text,) = pkg_config_files(found).values()
    return dict(line.split(": ", 1) for line in text.splitlines()[1:])


@pytest.mark.parametrize("files", FORMATS)
def test_files_say_who_wrote_them(files: Callable[[Linkage], dict[str, str]]) -> None:
    for text in files(linkage(static("foo"))).values():
        assert text.startswith(f"# {GENERATED}")


@pytest.mark.parametrize("files", FORMATS)
@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x", ".x", "x)\n", "x'"])
def test_name_that_is_none(files: Callable[[Linkage], dict[str, str]], name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a name"):
        files(linkage(static("foo"), name=name))


@pytest.mark.parametrize("files", FORMATS)
@pytest.mark.parametrize("version", ["latest", "1\n2", '1")', "1'", "1 2", "1" * 300])
def test_version_that_is_no_number(
    files: Callable[[Linkage], dict[str, str]], version: str
) -> None:
    texts = files(linkage(static("foo"), version=version))
    assert texts == files(linkage(static("foo"), version=""))


def test_version_is_that_of_the_tag_without_its_letter() -> None:
    assert fields(linkage(static("foo")))["Version"] == "1.2.0"
    assert "version: '1.2.0'" in meson_files(linkage(static("foo")))["meson.build"]
    version = cmake_files(linkage(static("foo")))["foo-config-version.cmake"]
    assert 'set(PACKAGE_VERSION "1.2.0")' in version


def test_description_stays_on_its_line_and_expands_nothing() -> None:
    hostile = "C# \n\x1b[1m ${pcfiledir} $$ end\\"
    found = fields(linkage(static("foo"), description=hostile))
    assert found["Description"] == "C\\# [1m {pcfiledir}  end"
    assert fields(linkage(static("foo")))["Description"] == "foo"


def test_pkg_config_tells_static_from_private() -> None:
    private = fields(linkage(dynamic("foo"), system_libraries=("m",)))
    assert (private["Libs"], private["Libs.private"]) == ("-L/p/lib -lfoo", "-lm")
    together = fields(linkage(static("foo"), static("bar"), system_libraries=("m",)))
    assert together["Libs"] == "-L/p/lib /p/lib/libfoo.a -L/p/lib /p/lib/libbar.a -lm"
    assert "Libs.private" not in together


def test_pkg_config_escapes_whatever_means_something() -> None:
    found = fields(linkage(include=(Path("/a b/$$/${c}/#"),), defines=('A="x"',)))
    assert found["Cflags"] == r"-I/a\ b/\$\$/\$\{c\}/\# " + r"-DA=\"x\""


@pytest.mark.parametrize("value", ["$(touch$IFS/tmp/x)", "a$IFS-fplugin=/tmp/x.so", "$"])
def test_pkg_config_leaves_nothing_of_a_macro_to_the_shell(value: str) -> None:
    """What it prints has no backslash before a dollar, so recipes of make would expand it."""
    with pytest.raises(InvalidPackageError, match="shell"):
        pkg_config_files(linkage(static("foo"), defines=(f"A={value}",)))


def test_pkg_config_has_no_words_for_an_rpath_with_a_comma() -> None:
    with pytest.raises(InvalidPackageError, match="comma"):
        pkg_config_files(linkage(dynamic("foo", "/a,b")), rpath=True)


def test_cmake_one_library_is_the_target_itself() -> None:
    text = config(linkage(static("foo"), system_libraries=("m",)))
    assert "add_library(foo::foo STATIC IMPORTED)\n" in text
    assert "APPEND PROPERTY INTERFACE_LINK_LIBRARIES [=[m]=])\n" in text


def test_cmake_each_library_links_the_next() -> None:
    text = config(linkage(static("a"), static("b"), system_libraries=("m",)))
    for target, needed in (
        ("foo::foo-a", "foo::foo-b"),
        ("foo::foo", "foo::foo-a]=] [=[foo::foo-b"),
        ("foo::foo-b", "m"),
    ):
        line = f"TARGET {target} APPEND PROPERTY INTERFACE_LINK_LIBRARIES [=[{needed}]=])\n"
        assert line in text


def test_cmake_dll() -> None:
    text = config(linkage(dll("foo"), platform=WINDOWS))
    assert "IMPORTED_IMPLIB [=[/p/lib/foo.lib]=]" in text
    assert "IMPORTED_LOCATION [=[/p/bin/foo.dll]=]" in text


def test_cmake_frameworks() -> None:
    text = config(linkage(static("foo"), platform=MAC, frameworks=("Security",)))
    assert "[=[-framework Security]=]" in text


def test_cmake_headers_only() -> None:
    text = config(linkage(include=(Path("/p/include"),)))
    assert "add_library(foo::foo INTERFACE IMPORTED)\n" in text
    assert "INTERFACE_INCLUDE_DIRECTORIES [=[/p/include]=]" in text


def test_cmake_brackets_are_longer_than_those_inside() -> None:
    assert "[===[/a[=[b]=]]==]" not in config(linkage(static("foo", "/a[=[b]=]/[==[x]==]")))
    assert "[===[/a[=[b]=]/[==[x]==]/libfoo.a]===]" in config(
        linkage(static("foo", "/a[=[b]=]/[==[x]==]"))
    )


@pytest.mark.parametrize("folder", ["/a;b", "/a$(b)", "/a[b", "/a\nb"])
def test_folder_that_cmake_cannot_be_told(folder: str) -> None:
    with pytest.raises(InvalidPackageError):
        config(linkage(static("foo", folder)))


def test_cmake_makes_an_rpath_which_commas_would_end() -> None:
    with pytest.raises(InvalidPackageError, match="','"):
        config(linkage(dynamic("foo", "/a,b")))
    assert "/a,b/libfoo.a" in config(linkage(static("foo", "/a,b")))


def test_cmake_name_with_capitals() -> None:
    files = cmake_files(linkage(static("foo"), name="Foo"))
    assert sorted(files) == ["foo-config-version.cmake", "foo-config.cmake"]
    assert "add_library(Foo::Foo STATIC IMPORTED)" in files["foo-config.cmake"]


def test_meson_strings() -> None:
    text = meson_files(linkage(static("foo", "/it's \\ @0@")))["meson.build"]
    assert r"link_args: ['/it\'s \\ @0@/libfoo.a']" in text


@pytest.mark.parametrize(("name", "variable"), [("foo-1.0", "foo_1_0_dep"), ("7z", "_7z_dep")])
def test_meson_variable(name: str, variable: str) -> None:
    text = meson_files(linkage(static("foo"), name=name))["meson.build"]
    assert f"meson.override_dependency('{name}', {variable})" in text
