"""Folders opened so that nothing below them is reached through a link (S-20).

`Folder` works relative to directory descriptors: what it opened stays what it is, whatever
happens to names meanwhile. `PathFolder` gives the same where the system has no such calls: it
checks before each step that the path still names the very folder it opened. There the root must
be in a private place.

All calls block and raise `OSError`; callers map it.
"""

# These calls take descriptors, and their twins for paths read the same beside them.
# ruff: noqa: PTH101, PTH102, PTH105, PTH106, PTH108, PTH116, PTH208, PTH211

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from ..content.files import temp_name
from ..errors import UnsafeArchiveError

HAS_DESCRIPTORS = (
    sys.platform != "win32"
    and {
        os.open,
        os.mkdir,
        os.symlink,
        os.link,
        os.unlink,
        os.rmdir,
        os.stat,
        os.rename,
    }
    <= os.supports_dir_fd
)

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _CLOEXEC
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC | getattr(os, "O_BINARY", 0)


def open_folder(path: Path, *, descriptors: bool = HAS_DESCRIPTORS) -> "Folder":
    """Open a folder by its path; links in `path` itself are followed, for it is the caller's.

    Args:
        path: an existing folder.
        descriptors: work relative to descriptors; False forces the way of systems without them.
    """
    return Folder(os.open(path, _OPEN_FOLDER), path) if descriptors else PathFolder(path)


class Folder:
    """An open folder, by its descriptor. Names are single components."""

    def __init__(self, fd: int, path: Path) -> None:
        self.path = path
        self.fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def child(self, name: str) -> "Folder":
        """Open the folder `name` in this one.

        Raises:
            UnsafeArchiveError: `name` is a link or no folder.
        """
        path = self.path / name
        try:
            return Folder(os.open(name, _OPEN_FOLDER | _NOFOLLOW, dir_fd=self.fd), path)
        except OSError as error:
            found = self.look(name)
            if found is not None and not stat.S_ISDIR(found.st_mode):
                raise through_link(path) from error
            raise

    def look(self, name: str) -> os.stat_result | None:
        """Return what `name` is, not following it, or None if it is not there."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names in this folder, sorted."""
        return sorted(os.listdir(self.fd))

    def create(self, name: str, mode: int) -> int:
        """Create a new file and return its descriptor, open for writing."""
        return os.open(name, _CREATE, mode, dir_fd=self.fd)

    def make(self, name: str, mode: int) -> None:
        """Make a new folder."""
        os.mkdir(name, mode, dir_fd=self.fd)

    def symlink(self, target: str, name: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, name, dir_fd=self.fd)

    def link(self, name: str, into: "Folder", new_name: str) -> None:
        """Make `new_name` in another folder a second name of the file `name` here."""
        os.link(name, new_name, src_dir_fd=self.fd, dst_dir_fd=into.fd, follow_symlinks=False)

    def rename(self, name: str, into: "Folder", new_name: str) -> None:
        """Move `name` to another folder, over what is there as `os.replace` does."""
        os.replace(name, new_name, src_dir_fd=self.fd, dst_dir_fd=into.fd)

    def unlink(self, name: str) -> None:
        """Remove a file or link."""
        os.unlink(name, dir_fd=self.fd)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=self.fd)

    def set_attributes(self, mode: int, mtime_s: float | None) -> None:
        """Set this folder's own permission bits and, if given, its time."""
        os.fchmod(self.fd, mode)
        if mtime_s is not None:
            os.utime(self.fd, (mtime_s, mtime_s))


class PathFolder(Folder):
    """The same by paths, checked before each use."""

    def __init__(self, path: Path, *, nested: bool = False) -> None:
        super().__init__(-1, path)
        self._nested = nested
        found = os.stat(path, follow_symlinks=not nested)
        self._identity = (found.st_dev, found.st_ino)

    def at(self, name: str) -> Path:
        """Return the path of `name` here, after checking that this is still the same folder."""
        found = os.stat(self.path, follow_symlinks=not self._nested)
        if (found.st_dev, found.st_ino) != self._identity:
            raise through_link(self.path)
        return self.path / name

    def child(self, name: str) -> Folder:
        """Open the folder `name` in this one."""
        path = self.at(name)
        found = os.lstat(path)
        reparse = getattr(found, "st_reparse_tag", 0)  # junctions on Windows are no links to lstat
        if not stat.S_ISDIR(found.st_mode) or reparse:
            raise through_link(path)
        return PathFolder(path, nested=True)

    def look(self, name: str) -> os.stat_result | None:
        """Return what `name` is, not following it, or None if it is not there."""
        try:
            return os.lstat(self.at(name))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names in this folder, sorted."""
        return sorted(os.listdir(self.at(".")))

    def create(self, name: str, mode: int) -> int:
        """Create a new file and return its descriptor, open for writing."""
        return os.open(self.at(name), _CREATE, mode)

    def make(self, name: str, mode: int) -> None:
        """Make a new folder."""
        os.mkdir(self.at(name), mode)

    def symlink(self, target: str, name: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, self.at(name))

    def link(self, name: str, into: Folder, new_name: str) -> None:
        """Make `new_name` in another folder a second name of the file `name` here."""
        os.link(self.at(name), _path_in(into, new_name))

    def rename(self, name: str, into: Folder, new_name: str) -> None:
        """Move `name` to another folder, over what is there as `os.replace` does."""
        os.replace(self.at(name), _path_in(into, new_name))

    def unlink(self, name: str) -> None:
        """Remove a file or link."""
        os.unlink(self.at(name))

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(self.at(name))

    def set_attributes(self, mode: int, mtime_s: float | None) -> None:
        """Set this folder's own permission bits and, if given, its time."""
        path = self.at(".")
        os.chmod(path, mode)
        if mtime_s is not None:
            os.utime(path, (mtime_s, mtime_s))


def _path_in(folder: Folder, name: str) -> Path:
    return folder.at(name) if isinstance(folder, PathFolder) else folder.path / name


def through_link(path: Path) -> UnsafeArchiveError:
    """Return the error for a place that would be reached through a link or a file."""
    return UnsafeArchiveError(
        f"{path} is not a folder: it would be written through a link or a file",
        hint="remove what is there, or do not trust this package",
    )


def probe(folder: Folder) -> tuple[int, bool]:
    """Return the umask, and whether the file system takes folded names for the same (S-30)."""
    name = f"{temp_name()}-\u00e9a"
    folder.make(name, 0o777)
    try:
        made = folder.look(name)
        umask = 0o777 & ~stat.S_IMODE(made.st_mode) if made else 0o022
        other = name.upper(), name.replace("\u00e9", "e\u0301")
        return umask, any(folder.look(one) is not None for one in other)
    finally:
        folder.rmdir(name)
