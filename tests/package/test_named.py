"""Files and directories under names of their own."""

from pathlib import Path

import pytest

from ocipkg_async.content import MemoryStore
from ocipkg_async.errors import InvalidArgumentError, InvalidPackageError, NotFoundError
from ocipkg_async.package import pack
from ocipkg_async.package.entry import Entry
from ocipkg_async.package.named import check_name, collect_named


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "sub").mkdir(parents=True)
    (folder / "libfoo.a").write_bytes(b"objects")
    (folder / "sub" / "x").write_bytes(b"x")
    return folder


def shown(entries: list[Entry]) -> list[tuple[str, str]]:
    return [(entry.name, entry.kind) for entry in entries]


def test_a_file_gets_its_name_and_the_folders_above_it(build: Path) -> None:
    entries = collect_named([], {"lib/static/libbar.a": build / "libfoo.a"})
    assert shown(entries) == [
        ("lib", "directory"),
        ("lib/static", "directory"),
        ("lib/static/libbar.a", "file"),
    ]
    assert entries[-1].size == len(b"objects")


def test_a_directory_gets_its_name_with_all_that_is_in_it(build: Path) -> None:
    entries = collect_named([], {"share/data": build})
    assert [entry.name for entry in entries] == [
        "share",
        "share/data",
        "share/data/libfoo.a",
        "share/data/sub",
        "share/data/sub/x",
    ]


def test_names_join_the_contents_of_the_one_directory(build: Path) -> None:
    entries = collect_named([build], {"sub/y": build / "sub" / "x", "z": build / "libfoo.a"})
    assert [entry.name for entry in entries] == ["libfoo.a", "sub", "sub/x", "sub/y", "z"]
    beside = collect_named([build / "libfoo.a"], {"include/x": build / "sub" / "x"})
    assert [entry.name for entry in beside] == ["include", "include/x", "libfoo.a"]


def test_one_file_may_have_several_names(build: Path) -> None:
    entries = collect_named([], {"a": build / "libfoo.a", "b": build / "libfoo.a"})
    assert shown(entries) == [("a", "file"), ("b", "file")]


def test_an_empty_directory_may_be_joined(tmp_path: Path, build: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert shown(collect_named([tmp_path / "empty"], {"x": build / "sub" / "x"})) == [("x", "file")]


@pytest.mark.parametrize(
    "named",
    [
        {"libfoo.a": "sub/x"},  # a file where a file is
        {"sub": "libfoo.a"},  # a file where a directory is
        {"libfoo.a": "sub"},  # a directory where a file is
        {"sub": "sub"},  # a directory where a directory is
        {"libfoo.a/x": "sub/x"},  # below a file
        {"new": "sub", "new/x": "libfoo.a"},  # what a named directory brings along
        {"new": "libfoo.a", "new/x": "sub/x"},  # below a named file
    ],
)
def test_two_things_in_one_place_are_refused(build: Path, named: dict[str, str]) -> None:
    with pytest.raises(InvalidPackageError, match="would") as caught:
        collect_named([build], {name: build / path for name, path in named.items()})
    assert caught.value.hint


def test_nothing_is_put_below_a_symlink(build: Path) -> None:
    (build / "link").symlink_to("sub")
    with pytest.raises(InvalidPackageError, match="symlink"):
        collect_named([build], {"link/y": build / "libfoo.a"})


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/lib/a",
        "lib/",
        "lib//a",
        "./a",
        "lib/../a",
        "..",
        ".",
        "a\\b",
        "C:/a",
        "a\0b",
        "con",
        "trailing.",
        "x" * 300,
        "a/" * 200 + "a",
        "\udcff",
    ],
)
def test_a_name_that_is_no_name_is_refused(build: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collect_named([], {name: build / "libfoo.a"})
    assert caught.value.hint
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["a", "lib/libfoo.a", ".hidden/..x", "grüße/a b"])
def test_a_name_that_every_system_can_keep(name: str) -> None:
    check_name(name)


def test_a_path_that_is_not_there(build: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        collect_named([], {"a": build / "missing"})


def test_a_named_link_is_kept_only_with_its_target(build: Path) -> None:
    (build / "libfoo.so.1").write_bytes(b"\x7fELF")
    (build / "libfoo.so").symlink_to("libfoo.so.1")
    both = {"lib/libfoo.so": build / "libfoo.so", "lib/libfoo.so.1": build / "libfoo.so.1"}
    assert shown(collect_named([], both)) == [
        ("lib", "directory"),
        ("lib/libfoo.so", "symlink"),
        ("lib/libfoo.so.1", "file"),
    ]
    renamed = {"lib/libfoo.so": build / "libfoo.so", "lib/other": build / "libfoo.so.1"}
    assert [e.kind for e in collect_named([], renamed)] == ["directory", "file", "file"]


def test_a_named_link_to_a_directory_is_followed(build: Path) -> None:
    (build / "link").symlink_to("sub")
    assert shown(collect_named([], {"include": build / "link"})) == [
        ("include", "directory"),
        ("include/x", "file"),
    ]


async def test_a_link_that_is_followed_can_be_packed(build: Path) -> None:
    (build / "libfoo.so").symlink_to("libfoo.a")
    whole = await pack(MemoryStore(), [], named={"libfoo.so": build / "libfoo.so"})
    assert await pack(MemoryStore(), [build / "libfoo.so"]) == whole


async def test_the_names_alone_make_the_package(build: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "libfoo.a").write_bytes(b"objects")
    named = {"lib/libfoo.a": build / "libfoo.a"}
    assert await pack(MemoryStore(), [], named=named) == await pack(MemoryStore(), [tree])
