"""Applies layers to a fresh folder: what each kind of entry does to it (I-61 to I-66, S-20 to S-32).

The tree that was written is also held in memory, and memory decides: what an entry stands on,
which layer it came from, whether two names fold together. The file system is only written to,
relative to folders opened without following a link, so that a wrong guess can still not leave
the root. All of it blocks and belongs in a worker thread.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ..errors import UnsafeArchiveError, storage_errors
from .entry_names import Parts, check_link_target, split_name
from .extracted_tree import Content, Node, Tree
from .file_digests import FileDigests
from .file_writing import copy_into, write_pieces
from .folders import HAS_DESCRIPTORS, open_folder, probe
from .limits import Budget, UnpackLimits
from .listing import ListedFolder
from .tar_reader import Kind, TarEntry, TarReader
from .whiteouts import parse_whiteout

Mode = Literal["artifact", "rootfs"]
"""``artifact``: names and links that are safe and the same everywhere, no special files, nobody
else may write. ``rootfs``: what images hold; links keep any target, modes are kept, special files
are left out (S-22, S-25, S-26)."""

_SPECIAL = frozenset({Kind.CHARACTER, Kind.BLOCK, Kind.FIFO})


def _never() -> None:
    """Check for nothing."""


class Extractor:
    """Writes layers into one folder, which must be empty and in a private place.

    Use it as a context manager; `finish` after the last layer.

    Args:
        root: the folder.
        mode: what is accepted and kept.
        limits: how much all layers together may need.
        keep_times: give files and folders the times of the archive.
        read_only: nobody may write to the files, where the system can say so.
        listing: hash every file, for `listing`.
        check: called between entries and pieces; what it raises ends the work.
        descriptors: work relative to descriptors; False forces the way of systems without them.

    Attributes:
        special: how many devices and FIFOs were left out.
    """

    def __init__(
        self,
        root: Path,
        *,
        mode: Mode,
        limits: UnpackLimits | None = None,
        keep_times: bool = False,
        read_only: bool = False,
        listing: bool = False,
        check: Callable[[], None] = _never,
        descriptors: bool = HAS_DESCRIPTORS,
    ) -> None:
        self.special = 0
        self._mode = mode
        self._limits = limits or UnpackLimits()
        self._budget = Budget(self._limits)
        self._keep_times = keep_times
        # Windows refuses to remove a file that is read-only.
        self._forbidden = 0o222 if read_only and os.name != "nt" else 0
        self._digests = FileDigests() if listing else None
        self._descriptors = descriptors
        self._check = check
        self._action = f"unpack into {root}"
        self._portable = mode == "artifact" or os.name == "nt"
        self._late: list[tuple[Parts, Node]] = []
        self._base: Parts = ()
        self._under: Parts = ()
        with storage_errors(self._action):
            folder = open_folder(root, descriptors=descriptors)
            try:
                self._umask, folds = probe(folder)
            except BaseException:
                folder.close()
                raise
        folds = folds or mode == "artifact"
        self._tree = Tree(folder, folds=folds, check=check, implied=self._budget.entry)

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
        """Close all folders, and end the thread that hashes."""
        self._tree.close()
        if self._digests is not None:
            self._digests.close()

    @property
    def files(self) -> int:
        """How many files there are, every hard link counted."""
        return self._tree.files

    @property
    def bytes(self) -> int:
        """Bytes in all files, hard links counted once."""
        return self._tree.bytes

    def apply(
        self,
        reader: TarReader,
        *,
        base: Parts = (),
        under: Parts = (),
        whiteouts: bool = True,
        replace: bool = True,
    ) -> None:
        """Apply one layer over what is there.

        Args:
            reader: the layer, at its first entry.
            base: folder that its names start from.
            under: where all its names, behind `base`, must lie.
            whiteouts: take ``.wh.`` names as removals; else as names.
            replace: let entries replace those of earlier layers.

        Raises:
            InvalidPackageError: the layer is not a valid archive.
            UnsafeArchiveError: an entry could write elsewhere, or stands for two things.
            LimitExceededError: it needs more than the limits allow.
            DiskFullError, StorageError: the file system refused.
        """
        self._base, self._under = base, under
        self._tree.begin_layer(replace=replace)
        with storage_errors(self._action):
            for entry in reader:
                self._check()
                self._budget.entry()
                parts = self._locate(entry.name)
                if not (whiteouts and self._whiteout(parts)):
                    self._write(parts, entry, reader)

    def add_file(self, parts: Parts, source: Path, *, move: bool, digest: str) -> None:
        """Put a file that is on the disk at `parts`; nothing may be there.

        Its bytes do not count for the limits: it has the size that its descriptor announced.

        Args:
            parts: where.
            source: the file.
            move: take the file itself, not a copy.
            digest: of its content, which was verified.

        Raises:
            UnsafeArchiveError: something is there, or its folder is a file or link.
            DiskFullError, StorageError: the file system refused.
        """
        self._budget.entry()
        self._tree.begin_layer(replace=False)
        with storage_errors(self._action):
            folder, name = self._tree.place(parts, Kind.FILE)
            found = source.stat()
            if move:
                if self._forbidden:
                    source.chmod(stat.S_IMODE(found.st_mode) & ~self._forbidden)
                with open_folder(source.parent, descriptors=self._descriptors) as origin:
                    origin.rename(source.name, folder, name)
            else:
                fd = folder.create(name, 0o666 & ~self._forbidden)
                try:
                    found = copy_into(fd, source, check=self._check)
                finally:
                    os.close(fd)
            self._tree.add(parts, Kind.FILE, size=found.st_size).content = Content(
                size=found.st_size,
                executable=bool(found.st_mode & stat.S_IXUSR),
                mtime_ns=found.st_mtime_ns,
                digest=digest,
            )

    def finish(self) -> None:
        """Set what must be set last: modes and times of folders.

        Raises:
            StorageError: the file system refused.
        """
        with storage_errors(self._action):
            for parts, node in sorted(self._late, key=lambda late: late[0]):
                if self._tree.find(parts) is node:  # it may have been removed, or made anew
                    mtime_s = node.mtime_s if self._keep_times else None
                    self._tree.enter(parts).set_attributes(node.mode, mtime_s)

    def listing(self) -> ListedFolder:
        """Return what is there, if it was asked for; after `finish`."""
        if self._digests is not None:
            self._digests.settle()
        return self._tree.root.listed()

    def _locate(self, name: str) -> Parts:
        parts = split_name(name, self._limits, portable=self._portable)
        if parts[: len(self._under)] != self._under:
            raise UnsafeArchiveError(
                f"{name[:200]!r} does not lie under {'/'.join(self._under)!r}",
                hint="do not trust this package, or ask its author",
            )
        return self._base + parts

    def _whiteout(self, parts: Parts) -> bool:
        """Carry out a whiteout; False if the entry is none."""
        found = parse_whiteout(parts)
        if found is None:
            return False
        if found.all:
            self._tree.hide_all(found.folder)
        elif found.hidden:
            self._tree.hide(found.folder, found.hidden)
        return True

    def _write(self, parts: Parts, entry: TarEntry, reader: TarReader) -> None:
        if not parts:
            if entry.kind is not Kind.DIRECTORY:
                raise UnsafeArchiveError(f"the root would become a {entry.kind.value}")
        elif entry.kind is Kind.DIRECTORY:
            self._write_folder(parts, entry)
        elif entry.kind is Kind.FILE:
            self._write_file(parts, entry, reader)
        elif entry.kind is Kind.SYMLINK:
            self._write_symlink(parts, entry)
        elif entry.kind is Kind.HARDLINK:
            self._write_hardlink(parts, entry)
        else:
            self._leave_out(parts, entry)

    def _write_folder(self, parts: Parts, entry: TarEntry) -> None:
        # The owner keeps all rights, or this process could not fill, move or remove the folder.
        mode = self._bits(entry.mode) | 0o700
        node = self._tree.find(parts)
        fresh = node is None or node.kind is not Kind.DIRECTORY
        folder, name = self._tree.place(parts, Kind.DIRECTORY)
        if fresh:
            folder.make(name, mode)
        node = self._tree.add(parts, Kind.DIRECTORY)
        node.mode, node.mtime_s = mode, entry.mtime_s
        if self._keep_times or not fresh or mode & self._umask:
            self._late.append((parts, node))

    def _write_file(self, parts: Parts, entry: TarEntry, reader: TarReader) -> None:
        self._budget.file(entry.name, entry.size)
        mode = (self._bits(entry.mode) | 0o600) & ~self._forbidden
        folder, name = self._tree.place(parts, Kind.FILE)
        digest = None
        if self._digests is not None:
            digest = self._digests.begin(entry.size, holes=reader.has_holes)
        fd = folder.create(name, mode)
        try:
            if mode & self._umask and hasattr(os, "fchmod"):
                os.fchmod(fd, mode)
            write_pieces(fd, reader.pieces(), entry.size, digest=digest, check=self._check)
            if self._keep_times:
                target = fd if os.utime in os.supports_fd else folder.path / name
                os.utime(target, (entry.mtime_s, entry.mtime_s))
            written = os.fstat(fd)
        finally:
            os.close(fd)
        node = self._tree.add(parts, Kind.FILE, size=entry.size)
        if digest is not None:
            digest.end()
            node.content = Content(
                size=entry.size,
                executable=bool(mode & stat.S_IXUSR),
                mtime_ns=written.st_mtime_ns,
                digest=digest,
            )

    def _write_symlink(self, parts: Parts, entry: TarEntry) -> None:
        if self._portable:
            check_link_target(entry.link, parts[:-1], self._limits)
        folder, name = self._tree.place(parts, Kind.SYMLINK)
        folder.symlink(entry.link, name)
        self._tree.add(parts, Kind.SYMLINK).target = entry.link

    def _write_hardlink(self, parts: Parts, entry: TarEntry) -> None:
        target = self._locate(entry.link)
        folder, name = self._tree.place(parts, Kind.FILE)
        found = self._tree.find(target)
        if found is None or found.kind not in _SPECIAL | {Kind.FILE}:
            raise UnsafeArchiveError(
                f"the hard link {entry.name!r} does not point to a file of this package:"
                f" {entry.link[:200]!r}",
                hint="do not trust this package, or ask its author",
            )
        if found.kind in _SPECIAL:
            self.special += 1
        elif target[:-1] == parts[:-1]:
            folder.link(target[-1], folder, name)
        else:
            with self._tree.open_apart(target[:-1]) as origin:
                origin.link(target[-1], folder, name)
        self._tree.add(parts, found.kind).content = found.content

    def _leave_out(self, parts: Parts, entry: TarEntry) -> None:
        if self._mode == "artifact":
            raise UnsafeArchiveError(
                f"the package holds a {entry.kind.value}: {entry.name!r}",
                hint="mode='rootfs' leaves such entries out",
            )
        self._tree.place(parts, entry.kind)
        self._tree.add(parts, entry.kind)
        self.special += 1

    def _bits(self, mode: int) -> int:
        """Return the permission bits to set: never setuid, setgid, sticky (S-26)."""
        if self._mode == "rootfs":
            return mode & 0o777
        return (mode & 0o755 if mode & 0o100 else mode & 0o644) & ~self._umask
