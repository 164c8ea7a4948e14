"""What goes into a package: paths on disk to a sorted list of entries. Blocking.

The order, and everything else a tar header is made of, follows from names and content alone
(spec check I-69): entries are sorted by the bytes of their slash-separated path, which puts a
directory before what is in it. Of the mode only "executable by its owner" is kept; a hard link
is one more regular file.
"""

import os
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InvalidPackageError, NotFoundError, storage_errors
from .entry import Entry, link_target

_LONG_PATH = "\\\\?\\"  # what Windows puts before the target of some links


class _Ancestors:
    """The directories above one, by identity; only needed where links are followed."""

    __slots__ = ("identity", "parent")

    def __init__(self, identity: tuple[int, int], parent: "_Ancestors | None") -> None:
        self.identity = identity
        self.parent = parent

    def holds(self, identity: tuple[int, int]) -> bool:
        node: _Ancestors | None = self
        while node is not None:
            if node.identity == identity:
                return True
            node = node.parent
        return False


def collect(
    paths: Sequence[Path],
    *,
    follow_symlinks: bool = False,
    check: Callable[[], object] = lambda: None,
) -> list[Entry]:
    """Return the entries of a package, sorted.

    One directory gives its contents. Otherwise each path is packed under its base name. A symlink
    given as a path is kept where it points to something else in the package, and followed where
    it would point to nothing.

    Args:
        paths: files and directories.
        follow_symlinks: pack what symlinks inside directories point to, instead of the links.
        check: called now and then; what it raises ends the search.

    Raises:
        NotFoundError: one of `paths` is not there.
        InvalidPackageError: nothing to pack, two paths with one base name, a name that is not
            UTF-8, a socket, device or fifo, or links that go round in circles.
        StorageError: a directory cannot be read.
    """
    entries = gather(paths, follow_symlinks=follow_symlinks, check=check)
    if not entries:
        raise InvalidPackageError(
            "there is nothing to pack: "
            + (f"{paths[0]} is empty" if paths else "no path is given"),
            hint="give files, or a directory that is not empty",
        )
    return entries


def gather(
    paths: Sequence[Path],
    *,
    beside: Collection[str] = (),
    follow_symlinks: bool = False,
    check: Callable[[], object] = lambda: None,
) -> list[Entry]:
    """Return the entries of a package as `collect` does; perhaps none.

    Args:
        paths: files and directories.
        beside: further names at the top of the package, which symlinks may point to.
        follow_symlinks: pack what symlinks inside directories point to, instead of the links.
        check: called now and then; what it raises ends the search.

    Raises:
        NotFoundError, InvalidPackageError, StorageError: as `collect`.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return collect_directory(paths[0], follow_symlinks=follow_symlinks, check=check)
    return _collect_each(paths, beside=beside, follow_symlinks=follow_symlinks, check=check)


def collect_directory(
    root: Path,
    *,
    follow_symlinks: bool = False,
    check: Callable[[], object] = lambda: None,
) -> list[Entry]:
    """Return what is in a directory, sorted, without an entry for itself.

    Raises:
        NotFoundError: it is not there.
        InvalidPackageError, StorageError: as `collect`.
    """
    entries = entries_below(str(root), "", follow=follow_symlinks, check=check)
    entries.sort(key=_name)
    return entries


def _collect_each(
    paths: Sequence[Path],
    *,
    beside: Collection[str],
    follow_symlinks: bool,
    check: Callable[[], object],
) -> list[Entry]:
    entries: list[Entry] = []
    given: dict[str, Path] = {}
    for path in paths:
        name = os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119 - resolve() follows links
        if not name:
            raise InvalidPackageError(
                f"{path} has no base name to be packed under", hint="pack it alone"
            )
        if name in given:
            raise InvalidPackageError(
                f"{given[name]} and {path} would both be packed as {name!r}",
                hint="rename one, or pack a directory that holds both",
            )
        given[name] = path
        entries.append(entry_at(name, str(path), follow_symlinks=follow_symlinks))
    names = given.keys() | set(beside)
    for position, entry in enumerate(entries):
        if entry.kind == "symlink" and (link_target(entry) or "").partition("/")[0] not in names:
            entries[position] = target_at(entry)
    for entry in list(entries):
        if entry.kind == "directory":
            below = entry.name + "/"
            entries += entries_below(entry.path, below, follow=follow_symlinks, check=check)
    entries.sort(key=_name)
    return entries


def entry_at(name: str, path: str, *, follow_symlinks: bool) -> Entry:
    """Return the entry of a path that was asked for.

    Raises:
        NotFoundError: it is not there.
        InvalidPackageError, StorageError: as `collect`.
    """
    with _found(path):
        info = os.lstat(path)
    return _entry(name, path, info, follow_symlinks=follow_symlinks)


def target_at(entry: Entry) -> Entry:
    """Return the entry of what a symlink points to, under the link's name.

    Raises:
        NotFoundError: it points to nothing.
        InvalidPackageError, StorageError: as `collect`.
    """
    with _found(entry.path):
        info = os.stat(entry.path)  # noqa: PTH116
    return replace(_entry(entry.name, entry.path, info, follow_symlinks=True), followed=True)


def entries_below(
    root: str, prefix: str, *, follow: bool, check: Callable[[], object]
) -> list[Entry]:
    """Return everything below a directory, in no order; without recursion, since paths may be deep.

    Args:
        root: the directory.
        prefix: stands before all names, with a slash at its end where it is not empty.
        follow: give what symlinks point to, instead of the links.
        check: called for each directory; what it raises ends the search.

    Raises:
        NotFoundError: the directory is not there.
        InvalidPackageError, StorageError: as `collect`.
    """
    entries: list[Entry] = []
    with _found(root):
        info = os.stat(root)  # noqa: PTH116
    todo = [(root, prefix, _Ancestors((info.st_dev, info.st_ino), None))]
    while todo:
        check()
        folder, prefix, ancestors = todo.pop()
        with storage_errors(f"read the directory {folder}"), os.scandir(folder) as found:
            for item in found:
                info = item.stat(follow_symlinks=False)
                entry = _entry(prefix + item.name, item.path, info, follow_symlinks=follow)
                entries.append(entry)
                if entry.kind != "directory":
                    continue
                if follow:
                    todo.append((item.path, entry.name + "/", _enter(item.path, ancestors)))
                else:
                    todo.append((item.path, entry.name + "/", ancestors))
    return entries


def _enter(path: str, ancestors: _Ancestors) -> _Ancestors:
    info = os.stat(path)  # noqa: PTH116 - os.DirEntry has no inode of what a link points to
    identity = (info.st_dev, info.st_ino)
    if ancestors.holds(identity):
        raise InvalidPackageError(
            f"the symlink {path} points to a directory that it is in",
            hint="pack without following symlinks, or remove it",
        )
    return _Ancestors(identity, ancestors)


def _entry(name: str, path: str, info: os.stat_result, *, follow_symlinks: bool) -> Entry:
    _check_name(name, path)
    mode = info.st_mode
    followed = False
    if stat.S_ISLNK(mode):
        if not follow_symlinks:
            return Entry(name, "symlink", path, link=_read_link(path))
        try:
            mode = (info := os.stat(path)).st_mode  # noqa: PTH116
        except OSError as error:
            raise InvalidPackageError(
                f"the symlink {path} cannot be followed: {error.strerror}",
                hint="remove it, or pack without following symlinks",
            ) from error
        followed = True
    if stat.S_ISREG(mode):
        return Entry(name, "file", path, info.st_size, bool(mode & stat.S_IXUSR), followed=followed)
    if stat.S_ISDIR(mode):
        return Entry(name, "directory", path, followed=followed)
    raise InvalidPackageError(
        f"{path} is {_special(mode)}; only files, directories and symlinks can be packed",
        hint="leave it out",
    )


def _read_link(path: str) -> str:
    with storage_errors(f"read the symlink {path}"):
        target = os.readlink(path)  # noqa: PTH115
    if os.sep != "/":
        target = target.removeprefix(_LONG_PATH).replace(os.sep, "/")
    _check_name(target, path)
    return target


def _check_name(name: str, path: str) -> None:
    if name.isascii():
        return
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidPackageError(
            f"the name of {path!a} is not UTF-8; on another machine it would be another name",
            hint="rename it; convmv does this for whole trees",
        ) from error


def _special(mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISFIFO(mode):
        return "a fifo"
    return "a device"


def _name(entry: Entry) -> str:
    return entry.name  # code points sort as their UTF-8 bytes do


class _found:  # noqa: N801 - reads as a statement
    """Map the absence of a path that was asked for; other failures become `StorageError`."""

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(
                f"there is no file or folder {self._path}", hint="check the path"
            ) from error
        if isinstance(error, OSError):
            with storage_errors(f"read {self._path}"):
                raise error
