"""How a folder is linked: which file of which name, for what, and what its headers are."""

import struct
from pathlib import Path

import pytest

from native.forged import ar, coff, elf, import_object, macho, pe, universal
from ocipkg_async.errors import (
    InvalidPackageError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    StorageError,
)
from ocipkg_async.native import LibraryKind, Linkage, LinkMetadata, Toolchain, Wanted, scan
from ocipkg_async.spec import Platform

LINUX = Platform(os="linux", architecture="amd64")
ARM64 = Platform(os="linux", architecture="arm64")
ARM32 = Platform(os="linux", architecture="arm", variant="v7")
WINDOWS = Platform(os="windows", architecture="amd64")
MAC = Platform(os="darwin", architecture="arm64")
X86, ARM = 0x01000007, 0x0100000C

STATIC = ar(("a.o/", elf()))
STATIC_ARM64 = ar(("a.o/", elf(machine=183)))
# The segment table holds one entry that says nothing.
SHARED = elf(kind=3, segments=1, segments_at=64) + bytes(56)
IMPORT = ar(
    ("/", b""), ("foo.dll/", coff(section=b".idata$2")), ("foo.dll/", import_object("foo.dll"))
)


def package(folder: Path, files: dict[str, bytes | str]) -> Path:
    """A folder of files; text is the target of a link."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    return folder


def linked(
    folder: Path,
    platform: Platform = LINUX,
    kind: LibraryKind | None = None,
    *,
    toolchain: Toolchain = "msvc",
    says: LinkMetadata | None = None,
) -> Linkage:
    wanted = Wanted(platform=platform, kind=kind, toolchain=toolchain)
    return scan(folder, wanted, says, name="pkg")


def shown(linkage: Linkage) -> list[tuple[str, str, str]]:
    root = linkage.path
    return [
        (one.name, one.kind, one.path.relative_to(root).as_posix()) for one in linkage.libraries
    ]


def refused(folder: Path, platform: Platform = LINUX, kind: LibraryKind | None = None) -> OCIError:
    with pytest.raises(OCIError) as caught:
        linked(folder, platform, kind)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def both(tmp_path: Path) -> Path:
    return package(
        tmp_path / "pkg",
        {
            "include/foo.h": b"",
            "lib/libfoo.a": STATIC,
            "lib/libfoo.so": "libfoo.so.1",
            "lib/libfoo.so.1": "libfoo.so.1.2",
            "lib/libfoo.so.1.2": SHARED,
            "lib/libbar.a": STATIC,
            "lib/deep/er/libbaz.so": SHARED,
        },
    )


def test_static_first_and_sorted(both: Path) -> None:
    linkage = linked(both)
    assert shown(linkage) == [
        ("bar", "static", "lib/libbar.a"),
        ("baz", "dynamic", "lib/deep/er/libbaz.so"),
        ("foo", "static", "lib/libfoo.a"),
    ]
    assert linkage.include == (both / "include",)
    assert linkage.search == (both / "lib", both / "lib/deep/er")


def test_kinds(both: Path) -> None:
    assert [one[0] for one in shown(linked(both, kind="static"))] == ["bar", "foo"]
    assert shown(linked(both, kind="dynamic")) == [
        ("baz", "dynamic", "lib/deep/er/libbaz.so"),
        ("foo", "dynamic", "lib/libfoo.so"),
    ]


def test_order_and_choice_of_the_metadata(both: Path) -> None:
    says = LinkMetadata(
        libraries=("foo", "bar"),
        include=("include", "lib/deep"),
        system_libraries=("m",),
        frameworks=("Security",),
        defines=("FOO=1",),
    )
    linkage = linked(both, says=says)
    assert [one.name for one in linkage.libraries] == ["foo", "bar"]
    assert linkage.include == (both / "include", both / "lib/deep")
    assert (linkage.system_libraries, linkage.frameworks) == (("m",), ("Security",))
    assert linkage.defines == ("FOO=1",)


def test_shared_libraries_have_in_them_what_they_need_of_static_ones(both: Path) -> None:
    says = LinkMetadata(libraries=("foo", "bar"))
    assert [one.name for one in linked(both, kind="dynamic", says=says).libraries] == ["foo"]


def test_metadata_that_name_what_is_not_there(both: Path) -> None:
    with pytest.raises(InvalidPackageError, match=r"no library 'fool'.*include/foo\.h"):
        linked(both, says=LinkMetadata(libraries=("foo", "fool")))
    with pytest.raises(NotFoundError, match=r"no dynamic library 'bar' .*libbar\.a is static"):
        linked(both, kind="dynamic", says=LinkMetadata(libraries=("bar",)))
    with pytest.raises(NotFoundError, match=r"no static library 'baz' .*libbaz\.so is dynamic"):
        linked(both, kind="static", says=LinkMetadata(libraries=("foo", "baz")))
    (both / "lib" / "libbar.a").write_bytes(STATIC_ARM64)
    with pytest.raises(NotFoundError, match=r"no library 'bar' for linux/amd64: lib/libbar\.a is"):
        linked(both, says=LinkMetadata(libraries=("foo", "bar")))
    with pytest.raises(InvalidPackageError, match="no folder 'inc'"):
        linked(both, says=LinkMetadata(include=("inc",)))


def test_another_platform_is_refused_and_named(both: Path) -> None:
    error = refused(both, ARM64)
    assert isinstance(error, NotFoundError)
    assert "linux/arm64" in str(error)
    assert "lib/libfoo.a is for amd64 (elf)" in str(error)
    assert isinstance(refused(both, WINDOWS), NotFoundError)


def test_one_folder_for_each_platform(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "pkg",
        {
            "linux-amd64/libfoo.a": STATIC,
            "linux-arm64/libfoo.a": STATIC_ARM64,
            "mac/libfoo.a": universal(
                (X86, ar(("a.o", macho(cpu=X86)))), (ARM, ar(("a.o", macho())))
            ),
            "win/foo.lib": ar(("a.obj/", coff())),
        },
    )
    found = {str(p): shown(linked(folder, p)) for p in (LINUX, ARM64, MAC, WINDOWS)}
    assert found == {
        "linux/amd64": [("foo", "static", "linux-amd64/libfoo.a")],
        "linux/arm64": [("foo", "static", "linux-arm64/libfoo.a")],
        "darwin/arm64": [("foo", "static", "mac/libfoo.a")],
        "windows/amd64": [("foo", "static", "win/foo.lib")],
    }
    assert "darwin/amd64 and darwin/arm64" in str(
        refused(folder, Platform(os="darwin", architecture="386"))
    )


def test_two_that_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"lib/libfoo.a": STATIC, "lib64/libfoo.a": STATIC})
    error = refused(folder)
    assert isinstance(error, InvalidPackageError)
    assert "lib/libfoo.a and lib64/libfoo.a" in str(error)


def test_the_file_that_tells_what_it_is_for_is_taken(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"lib/libfoo.a": ar(), "lib64/libfoo.a": STATIC})
    assert shown(linked(folder)) == [("foo", "static", "lib64/libfoo.a")]


def test_two_names_of_one_file(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "pkg", {"lib/libfoo.a": STATIC, "lib64/libfoo.a": "../lib/libfoo.a"}
    )
    assert shown(linked(folder)) == [("foo", "static", "lib/libfoo.a")]


def test_a_library_without_its_unversioned_link(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"libfoo.so.2": "libfoo.so.2.1", "libfoo.so.2.1": SHARED})
    assert shown(linked(folder)) == [("foo", "dynamic", "libfoo.so.2")]


def test_links_out_of_the_package_are_not_followed(tmp_path: Path) -> None:
    outside = package(tmp_path / "out", {"libfoo.a": STATIC, "foo.h": b""})
    folder = package(
        tmp_path / "pkg",
        {
            "libfoo.a": str(outside / "libfoo.a"),
            "libbar.a": "../out/libfoo.a",
            "libgone.a": "nowhere",
            "liba.a": "libb.a",
            "libb.a": "liba.a",
            "include": str(outside),
        },
    )
    assert "no library, and no header" in str(refused(folder))
    with pytest.raises(InvalidPackageError, match="no folder 'include'"):
        linked(folder, says=LinkMetadata(include=("include",)))


def test_apples_versions_are_one_library(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "pkg",
        {
            "libfoo.dylib": "libfoo.1.2.dylib",
            "libfoo.1.2.dylib": macho(kind=6, name="libfoo.1.dylib"),
        },
    )
    assert shown(linked(folder, MAC)) == [("foo", "dynamic", "libfoo.dylib")]


def test_windows_dll_behind_its_import_library(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"lib/foo.lib": IMPORT, "bin/Foo.dll": pe()})
    (library,) = linked(folder, WINDOWS).libraries
    assert (library.name, library.kind) == ("foo", "dynamic")
    assert (library.path, library.runtime) == (folder / "lib/foo.lib", folder / "bin/Foo.dll")
    assert "no static library" in str(refused(folder, WINDOWS, "static"))


def test_names_of_rust_and_mingw_on_windows(tmp_path: Path) -> None:
    folder = package(
        tmp_path / "pkg", {"foo.dll.lib": IMPORT, "libfoo.dll.a": IMPORT, "foo.dll": pe()}
    )
    assert shown(linked(folder, WINDOWS)) == [("foo", "dynamic", "foo.dll.lib")]
    gnu = linked(folder, WINDOWS, toolchain="gnu")
    assert shown(gnu) == [("foo", "dynamic", "libfoo.dll.a")]
    assert gnu.libraries[0].runtime == folder / "foo.dll"


def test_a_dll_alone(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"foo.dll": pe()})
    assert shown(linked(folder, WINDOWS)) == [("foo", "dynamic", "foo.dll")]


def test_headers_at_the_root(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"libfoo.a": STATIC, "foo.hpp": b""})
    assert linked(folder).include == (folder,)


def test_headers_alone(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"include/foo/foo.h": b""})
    linkage = linked(folder, ARM64)
    assert (linkage.libraries, linkage.include) == ((), (folder / "include",))
    assert "no library" in str(refused(folder, kind="static"))


def test_no_library_tells_what_there_is(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"share/{n}.txt": b"" for n in range(20)}
    error = refused(package(tmp_path / "pkg", {"bin/run": elf(kind=2), **files}))
    assert isinstance(error, NotFoundError)
    assert "'bin/run', 'share/0.txt'" in str(error)
    assert "and 13 more" in str(error)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("libfoo.a", ar(("a.o/", elf()), magic=b"!<thin>\n"), "thin archive"),
        ("libfoo.a", b"text", "no library"),
        ("libfoo.a", elf(), "object code"),
        ("libfoo.so", b"INPUT(libfoo.so.1)", "no library"),
        ("libfoo.so", STATIC, "archive code"),
    ],
)
def test_files_that_are_not_what_their_name_says(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    error = refused(package(tmp_path / "pkg", {name: content}))
    assert isinstance(error, NotFoundError)
    assert f"{name} is" in str(error)
    assert what in str(error)


@pytest.mark.parametrize(
    "name",
    [
        "lib-lfoo.a",
        "lib a b.a",
        "liba\ncargo:x=y.a",
        "x\ncargo:rustc-env=A=B/libfoo.a",
        "$x/libfoo.a",
        "lib..a",
    ],
)
def test_names_that_no_build_system_is_told(tmp_path: Path, name: str) -> None:
    folder = package(tmp_path / "pkg", {name: STATIC, "libgood.a": STATIC})
    assert shown(linked(folder)) == [("good", "static", "libgood.a")]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        linked(tmp_path / "gone")


def costly() -> bytes:
    """An object for 32-bit ARM with as many sections as there can be, none of which tells its level."""
    count, width = 65_535, 40
    head = bytearray(elf(machine=40, bits=32))
    struct.pack_into("<I", head, 32, len(head))
    struct.pack_into("<HH", head, 46, width, count)
    return bytes(head) + bytes(count * width)


def test_headers_of_all_libraries_together_are_bounded(tmp_path: Path) -> None:
    """Links cost a package nothing, and would let its reader work for hours."""
    folder = package(tmp_path / "pkg", {"lib0.a": ar(("a.o/", costly()))})
    for number in range(1, 100):
        (folder / f"lib{number}.a").hardlink_to(folder / "lib0.a")
    with pytest.raises(LimitExceededError, match="headers"):
        linked(folder, ARM32)


def test_a_file_behind_many_links_is_read_once(tmp_path: Path) -> None:
    folder = package(tmp_path / "pkg", {"lib0.a": ar(("a.o/", costly()))})
    for number in range(1, 100):
        (folder / f"lib{number}.a").symlink_to("lib0.a")
    assert len(linked(folder, ARM32).libraries) == 100
