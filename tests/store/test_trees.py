"""What is different between two folders."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async.store.trees import compare


def change(path: Path) -> None:
    path.write_bytes(b"#!/bin/xx\n")


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def into_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    one, two = make_tree(tmp_path / "one"), make_tree(tmp_path / "two")
    for tree in (one, two):
        (tree / "empty").mkdir()
        (tree / "link").symlink_to("bin/run")
    return one, two


def test_equal_trees(trees: tuple[Path, Path]) -> None:
    one, two = trees
    os.utime(two / "bin/run", (1, 1))
    (two / "lib/a.txt").chmod(0o600)
    assert compare(one, two) == []


@pytest.mark.parametrize(
    ("path", "how", "what"),
    [
        ("bin/run", change, "has other content"),
        ("bin/run", lambda p: p.write_bytes(b"#!/bin/s\n"), "has 9 bytes instead of 10"),
        ("bin/run", Path.unlink, "is missing"),
        ("bin/run", into_folder, "is of another kind"),
        ("bin/run", into_link, "is of another kind"),
        ("lib/extra", Path.touch, "does not belong there"),
        ("link", into_link, "is a link to another place"),
        ("empty", Path.rmdir, "is missing"),
        pytest.param(
            "bin/run",
            lambda p: p.chmod(0o644),
            "is executable in one and not in the other",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no executable bit"),
        ),
    ],
)
def test_differences(
    trees: tuple[Path, Path], path: str, how: Callable[[Path], object], what: str
) -> None:
    one, two = trees
    how(two / path)
    assert [str(difference) for difference in compare(one, two)] == [f"{path}: {what}"]


def test_same_length_other_content_far_inside(tmp_path: Path) -> None:
    data = bytearray(3 << 20)
    for name, last in (("one", 0), ("two", 1)):
        data[-1] = last
        make_tree(tmp_path / name, {"big": bytes(data)})
    (found,) = compare(tmp_path / "one", tmp_path / "two")
    assert found.what == "has other content"


def test_folder_that_is_gone(trees: tuple[Path, Path], tmp_path: Path) -> None:
    (found,) = compare(trees[0], tmp_path / "gone")
    assert (found.path, found.what) == (str(tmp_path / "gone"), "is missing")


def test_one_file_alone_in_a_folder(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "folder", {"file": b"x"})
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "file").chmod(0o644)
    assert compare(tmp_path / "file", folder) == []
    (folder / "other").touch()
    assert [d.path for d in compare(tmp_path / "file", folder)] == ["other"]
