"""Globs of headers and other files, and their names in the package."""

from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async.errors import InvalidArgumentError, InvalidPackageError
from ocipkg_async.package.cargo.files import find_files, find_headers, join_named

FILES = {"include/a.h": b"", "include/sub/b.h": b"", "src/c.h": b"", "LICENSE": b"", "d.h": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "crate", FILES)


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (["include/**/*.h"], {"include/a.h": "include/a.h", "include/sub/b.h": "include/sub/b.h"}),
        (["include/**"], {"include/a.h": "include/a.h", "include/sub/b.h": "include/sub/b.h"}),
        (["include/*.h", "include/a.h"], {"include/a.h": "include/a.h"}),
        (["src/*.h", "d.h"], {"include/src/c.h": "src/c.h", "include/d.h": "d.h"}),
        ([], {}),
    ],
)
def test_headers(folder: Path, globs: list[str], names: dict[str, str]) -> None:
    found = find_headers(folder, globs, out_dir=None)
    assert found == {name: folder / path for name, path in names.items()}


def test_headers_of_a_build_script(folder: Path, tmp_path: Path) -> None:
    out = make_tree(tmp_path / "out", {"gen.h": b"", "include/x/y.h": b""})
    found = find_headers(folder, ["$OUT_DIR/*.h", "$OUT_DIR/include/**/*.h"], out_dir=str(out))
    assert found == {"include/gen.h": out / "gen.h", "include/x/y.h": out / "include/x/y.h"}
    with pytest.raises(InvalidArgumentError, match="needs a build script"):
        find_headers(folder, ["$OUT_DIR/*.h"], out_dir=None)


def test_files_keep_their_paths(folder: Path) -> None:
    found = find_files(folder, ["LICENSE*", "src/*"], out_dir=None)
    assert found == {"LICENSE": folder / "LICENSE", "src/c.h": folder / "src/c.h"}


@pytest.mark.parametrize("glob", ["nothing/*.h", "include"])
def test_a_glob_that_names_nothing(folder: Path, glob: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{glob[:7]}.*names no file"):
        find_headers(folder, [glob], out_dir=None)


@pytest.mark.parametrize("glob", ["../crate/*.h", "/etc/*", "include/../d.h", "", "$OUT_DIR/../*"])
def test_a_glob_that_leaves_the_crate(folder: Path, glob: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not relative"):
        find_headers(folder, [glob], out_dir=str(folder))


def test_two_files_of_one_name(folder: Path, tmp_path: Path) -> None:
    make_tree(folder, {"a.h": b""})
    with pytest.raises(InvalidPackageError, match=r"'include/a\.h'"):
        find_headers(folder, ["a.h", "include/a.h"], out_dir=None)
    with pytest.raises(InvalidPackageError, match="'x'"):
        join_named({"x": tmp_path / "1"}, {"x": tmp_path / "2"})
    assert join_named({"x": tmp_path}, {"x": tmp_path, "y": tmp_path}).keys() == {"x", "y"}
