"""What goes into a package."""

import inspect
import os
import socket
import sys
from pathlib import Path

import pytest

from ocipkg_async.errors import InvalidPackageError, NotFoundError, StorageError
from ocipkg_async.package.collect import collect, collect_directory
from ocipkg_async.package.entry import Entry, leaving_links, link_target, top_level


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_one_directory_gives_its_contents(tmp_path: Path) -> None:
    touch(tmp_path / "d" / "x" / "y", tmp_path / "d" / "z")
    assert names(collect([tmp_path / "d"])) == ["x", "x/y", "z"]
    (tmp_path / "link").symlink_to("d")
    assert names(collect([tmp_path / "link"])) == ["x", "x/y", "z"]


def test_files_and_directories_come_under_their_base_names(tmp_path: Path) -> None:
    touch(tmp_path / "d" / "x", tmp_path / "a" / "b" / "f")
    entries = collect([tmp_path / "d", tmp_path / "a" / "b" / "f"])
    assert names(entries) == ["d", "d/x", "f"]
    assert top_level(entries) == ["d", "f"]


def test_the_current_directory_beside_a_file_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "here" / "f", tmp_path / "g")
    monkeypatch.chdir(tmp_path / "here")
    assert names(collect([Path(), Path("../g")])) == ["g", "here", "here/f"]


def test_order_is_that_of_utf8_bytes(tmp_path: Path) -> None:
    # A slash sorts after a hyphen, U+FFFD before U+10000 (unlike UTF-16).
    touch(
        *(
            tmp_path / n
            for n in ("a/b", "a-b", "ab", "B", "\N{REPLACEMENT CHARACTER}", "\U00010000")
        )
    )
    found = names(collect([tmp_path]))
    assert found == ["B", "a", "a-b", "a/b", "ab", "\N{REPLACEMENT CHARACTER}", "\U00010000"]
    assert found == sorted(found, key=str.encode)


def test_base_names_that_collide_are_refused_naming_both(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "f", tmp_path / "b" / "f")
    with pytest.raises(InvalidPackageError) as caught:
        collect([tmp_path / "a" / "f", tmp_path / "b" / "f"])
    assert str(tmp_path / "a" / "f") in str(caught.value)
    assert str(tmp_path / "b" / "f") in str(caught.value)


def test_nothing_to_pack_is_refused(tmp_path: Path) -> None:
    for paths in ([], [tmp_path]):
        with pytest.raises(InvalidPackageError, match="nothing to pack"):
            collect(paths)
    (tmp_path / "d").mkdir()
    assert names(collect([tmp_path])) == ["d"], "an empty directory in it is something"


def test_the_root_alone_has_no_base_name() -> None:
    with pytest.raises(InvalidPackageError, match="base name"):
        collect([Path("/"), Path("/etc")])


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        collect([tmp_path / "missing"])
    with pytest.raises(NotFoundError, match="missing"):
        collect_directory(tmp_path / "missing")


def test_special_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidPackageError, match="a fifo"):
        collect([tmp_path])
    (tmp_path / "fifo").unlink()
    monkeypatch.chdir(tmp_path)  # a socket's path may be 108 bytes long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(InvalidPackageError, match="a socket"):
            collect([tmp_path])
    with pytest.raises(InvalidPackageError, match="a device"):
        collect([Path(os.devnull)])


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    with pytest.raises(InvalidPackageError, match="not UTF-8") as caught:
        collect([tmp_path])
    assert caught.value.hint
    str(caught.value).encode()


def test_a_link_target_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to(os.fsdecode(b"\xff"))
    with pytest.raises(InvalidPackageError, match="not UTF-8"):
        collect([tmp_path])


def test_only_the_owners_right_to_execute_counts(tmp_path: Path) -> None:
    for mode, expected in ((0o100, True), (0o755, True), (0o655, False), (0o011, False)):
        (tmp_path / "f").touch()
        (tmp_path / "f").chmod(mode)
        (entry,) = collect([tmp_path])
        assert entry.executable is expected


def test_symlinks_are_kept(tmp_path: Path) -> None:
    touch(tmp_path / "d" / "f")
    (tmp_path / "d" / "loop").symlink_to("..")
    (tmp_path / "gone").symlink_to("nowhere")
    by_name = {entry.name: entry for entry in collect([tmp_path])}
    assert (by_name["d/loop"].kind, by_name["d/loop"].link) == ("symlink", "..")
    assert by_name["gone"].link == "nowhere"


def test_symlinks_are_followed_when_asked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(root / "d" / "f", tmp_path / "outside" / "x")
    (tmp_path / "outside" / "x").write_bytes(b"content")
    (root / "e").symlink_to("d")
    (root / "out").symlink_to("../outside")
    entries = collect([root], follow_symlinks=True)
    assert names(entries) == ["d", "d/f", "e", "e/f", "out", "out/x"]
    assert {entry.kind for entry in entries} == {"file", "directory"}
    assert entries[-1].size == len(b"content")


def test_a_loop_of_followed_symlinks_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "b" / "f")
    (tmp_path / "a" / "b" / "up").symlink_to("../..")
    with pytest.raises(InvalidPackageError, match="up"):
        collect([tmp_path], follow_symlinks=True)


@pytest.mark.parametrize("target", ["itself", "nowhere"])
def test_a_symlink_that_cannot_be_followed_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "itself").symlink_to(target)
    with pytest.raises(InvalidPackageError, match="cannot be followed"):
        collect([tmp_path], follow_symlinks=True)


def test_a_link_given_as_a_path_is_kept_only_with_its_target(tmp_path: Path) -> None:
    touch(tmp_path / "libfoo.so.1")
    (tmp_path / "libfoo.so").symlink_to("libfoo.so.1")
    both = collect([tmp_path / "libfoo.so", tmp_path / "libfoo.so.1"])
    assert [(e.name, e.kind) for e in both] == [("libfoo.so", "symlink"), ("libfoo.so.1", "file")]
    (alone,) = collect([tmp_path / "libfoo.so"])
    assert (alone.name, alone.kind) == ("libfoo.so", "file")


def test_a_dangling_link_given_as_a_path_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("nowhere")
    with pytest.raises(NotFoundError):
        collect([tmp_path / "l"])


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("f", "d/f"),
        ("../f", "f"),
        ("./x/../f", "d/f"),
        ("../../f", None),
        ("..", "."),
        ("/etc/passwd", None),
        ("C:/x", None),
    ],
)
def test_where_a_link_points(link: str, target: str | None) -> None:
    entry = Entry("d/l", "symlink", "", link=link)
    assert link_target(entry) == target
    assert bool(leaving_links([entry])) is (target is None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_directory_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0)
    with pytest.raises(StorageError):
        collect([tmp_path])
    (tmp_path / "d").chmod(0o700)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    touch(tmp_path / "f")
    with pytest.raises(StorageError, match="Not a directory"):
        collect_directory(tmp_path / "f")


def test_deep_directories_need_no_recursion(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 200)).mkdir(parents=True)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert len(collect([tmp_path])) == 200
    finally:
        sys.setrecursionlimit(limit)


def test_the_search_can_be_stopped(tmp_path: Path) -> None:
    class StopError(Exception): ...

    def check() -> None:
        raise StopError

    touch(tmp_path / "f")
    with pytest.raises(StopError):
        collect([tmp_path], check=check)
