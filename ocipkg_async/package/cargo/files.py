"""The headers and other files of a crate that its globs name. Blocking."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ...errors import InvalidArgumentError, InvalidPackageError, storage_errors

OUT_DIR = "$OUT_DIR/"
"""Begins a glob of files that the crate's build script writes, such as headers of cbindgen."""

_INCLUDE = "include"


def find_headers(folder: Path, globs: Iterable[str], *, out_dir: str | None) -> dict[str, Path]:
    """Return the files that globs name, each with its name below ``include/`` in the package.

    A folder ``include`` that holds them is not repeated: ``include/a.h`` stays ``include/a.h``.

    Args:
        folder: of the crate; globs are relative to it.
        globs: with ``*``, ``**`` and ``?``; or beginning with ``$OUT_DIR/``.
        out_dir: where the crate's build script wrote, if it has one.

    Raises:
        InvalidArgumentError: a glob names nothing, or leaves the folder.
        InvalidPackageError: two files would have one name.
        StorageError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    for glob in globs:
        for name, path in _find(folder, glob, out_dir=out_dir):
            _add(found, f"{_INCLUDE}/{name.removeprefix(f'{_INCLUDE}/')}", path)
    return found


def find_files(folder: Path, globs: Iterable[str], *, out_dir: str | None) -> dict[str, Path]:
    """Return the files that globs name, each under its path in the crate; see `find_headers`."""
    found: dict[str, Path] = {}
    for glob in globs:
        for name, path in _find(folder, glob, out_dir=out_dir):
            _add(found, name, path)
    return found


def join_named(*several: dict[str, Path]) -> dict[str, Path]:
    """Return all of what is to be packed.

    Raises:
        InvalidPackageError: two files would have one name.
    """
    found: dict[str, Path] = {}
    for named in several:
        for name, path in named.items():
            _add(found, name, path)
    return found


def _add(found: dict[str, Path], name: str, path: Path) -> None:
    other = found.setdefault(name, path)
    if other != path:
        raise InvalidPackageError(
            f"{other} and {path} would both be packed as {name!r}",
            hint="change the globs of headers and files, or rename one of them",
        )


def _find(folder: Path, glob: str, *, out_dir: str | None) -> list[tuple[str, Path]]:
    root, pattern = folder, glob
    if glob.startswith(OUT_DIR):
        if out_dir is None:
            raise InvalidArgumentError(
                f"the glob {glob!r} needs a build script, and the crate has none",
                hint="give globs relative to the crate",
            )
        root, pattern = Path(out_dir), glob.removeprefix(OUT_DIR)
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith("/") or ".." in parts or Path(pattern).is_absolute():
        raise InvalidArgumentError(
            f"the glob {glob!r} is not relative to the crate, without '..'",
            hint="write it as include/**/*.h",
        )
    if parts[-1] == "**":  # files, in every version of Python
        pattern = pattern.rstrip("/") + "/*"
    with storage_errors(f"look for {glob} in {root}"):
        paths = sorted(path for path in root.glob(pattern) if path.is_file())
    if not paths:
        raise InvalidArgumentError(
            f"the glob {glob!r} names no file in {root}", hint="check the headers and files given"
        )
    return [(path.relative_to(root).as_posix(), path) for path in paths]
