"""Moves a finished tree into a folder that exists: all of it or, after a failure, nothing.

Blocking. Files arrive by rename and are whole at every moment; what they replace is kept aside
until the end, so that it can be put back. Nothing is reached through a link (S-20, S-24).
"""

import contextlib
import errno
import stat
from pathlib import Path

from ..content.files import temp_name
from ..errors import AlreadyExistsError, StorageError, storage_errors
from .entry_names import Parts
from .folders import HAS_DESCRIPTORS, Folder, open_folder

_TRIES = 16
"""How often a folder is looked at again that others make and remove meanwhile."""
_IN_THE_WAY = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})


def merge_tree(
    source: Path,
    destination: Path,
    *,
    backup: Path,
    overwrite: bool,
    descriptors: bool = HAS_DESCRIPTORS,
) -> None:
    """Move everything in `source` into `destination`; folders merge.

    Args:
        source: a folder that nobody else uses, on the file system of `destination`.
        destination: an existing folder.
        backup: an empty folder, as private, on the same file system.
        overwrite: replace files and links that are in the way. A folder in the way of a file, or a
            file in the way of a folder, is never replaced.
        descriptors: work relative to descriptors; False forces the way of systems without them.

    Raises:
        AlreadyExistsError: something is in the way; nothing was moved.
        StorageError: the file system refused; what was moved is put back.
    """
    with (
        storage_errors(f"write into {destination}"),
        open_folder(source, descriptors=descriptors) as new,
        open_folder(destination, descriptors=descriptors) as old,
        open_folder(backup, descriptors=descriptors) as kept,
    ):
        _check(new, old, overwrite=overwrite)
        move = _Move(old, kept, overwrite=overwrite)
        try:
            move.all(new, old, ())
            _check_stayed(source)
        except BaseException:
            move.undo()
            raise


def _check(new: Folder, old: Folder, *, overwrite: bool) -> None:
    for name in new.names():
        there = old.look(name)
        if there is None:
            continue
        both = _is_folder(new, name), stat.S_ISDIR(there.st_mode)
        if all(both):
            with contextlib.ExitStack() as opened:
                try:
                    old_child = opened.enter_context(old.child(name))
                except FileNotFoundError:
                    continue
                _check(opened.enter_context(new.child(name)), old_child, overwrite=overwrite)
        elif any(both) or not overwrite:
            raise in_the_way(old.path / name, mixed=any(both))


def _check_stayed(source: Path) -> None:
    """Miss what was removed together with `source`, before it was listed."""
    if not source.is_dir():
        raise StorageError(f"{source} was removed before all was moved", hint="run it again")


def in_the_way(path: Path, *, mixed: bool = False) -> AlreadyExistsError:
    """Return the error for something that stands where something else is to go.

    Args:
        path: where.
        mixed: one of them is a folder and the other is not.
    """
    hint = "choose another folder, or allow it with overwrite (--overwrite)"
    if mixed:
        hint = "one is a folder and the other is not; remove it, or choose another folder"
    return AlreadyExistsError(f"{path} exists", hint=hint)


class _Move:
    """Moves, and remembers by path how to take it back: open folders would be too many."""

    def __init__(self, root: Folder, kept: Folder, *, overwrite: bool) -> None:
        self._root = root
        self._kept = kept
        self._overwrite = overwrite
        self._done: list[tuple[Parts, str | None]] = []

    def all(self, new: Folder, old: Folder, parts: Parts) -> None:
        for name in new.names():
            path = (*parts, name)
            if _is_folder(new, name):
                self._move_folder(new, old, path)
            elif self._overwrite:
                self._move_over(new, old, path)
            else:
                self._move_new(new, old, name)
                self._done.append((path, None))

    def _move_folder(self, new: Folder, old: Folder, path: Parts) -> None:
        """Move a folder, or what is in it where there is one; others may make or remove that."""
        name = path[-1]
        for _ in range(_TRIES):
            there = old.look(name)
            if there is None:
                try:
                    new.rename(name, old, name)
                except OSError as error:
                    if error.errno not in _IN_THE_WAY:
                        raise
                else:
                    self._done.append((path, None))
                    return
            elif not stat.S_ISDIR(there.st_mode):
                break
            else:
                with contextlib.ExitStack() as opened:
                    try:
                        old_child = opened.enter_context(old.child(name))
                    except FileNotFoundError:
                        continue
                    self.all(opened.enter_context(new.child(name)), old_child, path)
                    return
        raise in_the_way(old.path / name, mixed=True)

    def _move_over(self, new: Folder, old: Folder, path: Parts) -> None:
        """Move a file or link; what it replaces, if there is anything, is kept aside."""
        name, aside = path[-1], temp_name()
        try:
            old.link(name, self._kept, aside)  # so that the name is never missing
        except FileNotFoundError:
            self._move_last(new, old, path, None)
        except OSError as error:
            if _is_folder(old, name):
                raise in_the_way(old.path / name, mixed=True) from error
            try:
                old.rename(name, self._kept, aside)
            except FileNotFoundError:
                self._move_last(new, old, path, None)
            else:
                self._done.append((path, aside))
                new.rename(name, old, name)
        else:
            self._move_last(new, old, path, aside)

    def _move_last(self, new: Folder, old: Folder, path: Parts, aside: str | None) -> None:
        new.rename(path[-1], old, path[-1])
        self._done.append((path, aside))

    def _move_new(self, new: Folder, old: Folder, name: str) -> None:
        """Move where nothing may be; what somebody put there since the check stays as it is."""
        try:
            new.link(name, old, name)  # unlike a rename, it replaces nothing
        except FileExistsError as error:
            raise in_the_way(old.path / name) from error
        except OSError:
            pass  # no hard links on this file system, or none of symbolic links
        else:
            with contextlib.suppress(OSError):  # it is removed with its folder
                new.unlink(name)
            return
        if old.look(name) is not None:
            raise in_the_way(old.path / name)
        new.rename(name, old, name)

    def undo(self) -> None:
        for (*parents, name), aside in reversed(self._done):
            with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
                folder = self._root
                for part in parents:
                    folder = opened.enter_context(folder.child(part))
                if aside is None:
                    folder.rename(name, self._kept, temp_name())
                else:
                    self._kept.rename(aside, folder, name)


def _is_folder(folder: Folder, name: str) -> bool:
    found = folder.look(name)
    return found is not None and stat.S_ISDIR(found.st_mode)
