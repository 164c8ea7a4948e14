"""Removing what no installed package needs; who does it holds the store's lock."""

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..content import run_in_thread, select_manifest
from ..content.files import (
    JOURNAL_SUFFIX,
    LOCK_SUFFIX,
    PARTIAL_PREFIX,
    TEMP_PREFIX,
    remove_stale_partials,
    remove_tree,
    temp_name,
)
from ..content.locks import lock_if_free
from ..errors import (
    IntegrityError,
    InvalidDocumentError,
    NotFoundError,
    OCIError,
    StorageError,
    storage_errors,
)
from ..layout.sweeping import blob_files, list_blobs
from ..spec import Descriptor, Digest, Index, Manifest, annotations, media_types, parse_document
from ..spec.image_layout import BLOBS
from .names import from_name
from .receipts import OF_INSTALLED
from .shelf import STORE_LOCK, Shelf
from .values import Package, Pruned


@dataclass(slots=True)
class _Waste:
    """What is to go.

    Attributes:
        kept: manifests that stay installed.
        folders: unpacked files.
        blobs: blobs and documents of the layout, with their sizes.
        indexes: files of indexes.
        temps: temporary files and folders.
        partials: unfinished downloads, without what lies beside them.
    """

    kept: frozenset[Digest]
    folders: list[Path] = field(default_factory=list[Path])
    blobs: dict[Digest, int] = field(default_factory=dict[Digest, int])
    indexes: list[Path] = field(default_factory=list[Path])
    temps: list[Path] = field(default_factory=list[Path])
    partials: list[Path] = field(default_factory=list[Path])


class Cleaning:
    """One clean-up of a store.

    Args:
        shelf: the store.
        gone: names that count as removed already.
        partials_grace_s: how old unfinished downloads are that are removed.
    """

    def __init__(self, shelf: Shelf, *, gone: Collection[str], partials_grace_s: float) -> None:
        self._shelf = shelf
        self._gone = frozenset(gone)
        self._grace_s = partials_grace_s
        self._blobs = shelf.layout.path / BLOBS

    async def run(self, removed: tuple[Package, ...] = (), *, dry_run: bool) -> Pruned:
        """Remove everything that the remaining names do not lead to; tell what that was.

        Args:
            removed: what the names stood for that count as removed.
            dry_run: only tell.

        Raises:
            InvalidLayoutError, StorageError: the store is damaged, or the file system refused.
        """
        waste = await self._find()
        with storage_errors(f"clean {self._shelf.path}"):
            size = await run_in_thread(_bytes, waste)
        if not dry_run:
            await self._remove(waste)
        return Pruned(
            removed=removed,
            packages=len(waste.folders),
            blobs=len(waste.blobs) + len(waste.indexes),
            leftovers=len(waste.temps) + len(waste.partials),
            bytes=size,
        )

    async def _find(self) -> _Waste:
        layout = self._shelf.layout
        named = {
            entry.digest: entry.plain()
            for entry in await layout.entries()
            if self._stays((entry.annotations or {}).get(annotations.REF_NAME, ""))
        }
        waste = _Waste(kept=frozenset(named))
        sizes = dict(await run_in_thread(list_blobs, self._blobs))
        needed: set[Digest] = set(named)
        for descriptor in named.values():
            try:
                manifest = await select_manifest(layout, descriptor)
            except (IntegrityError, InvalidDocumentError, NotFoundError):
                needed.update(sizes)  # it is damaged, so it might need any of them
                continue
            needed.update(await run_in_thread(self._needs, manifest, sizes.keys()))
        waste.blobs = {digest: size for digest, size in sizes.items() if digest not in needed}
        with storage_errors(f"examine {self._shelf.path}"):
            await run_in_thread(self._look, waste)
        return waste

    def _stays(self, name: str) -> bool:
        return name not in self._gone and from_name(name) is not None

    def _needs(self, manifest: Manifest, there: Collection[Digest]) -> set[Digest]:
        """Return the blobs that an installed manifest needs, as far as they are there."""
        receipts = self._shelf.receipts
        needed = {manifest.config.digest} if manifest.config else set[Digest]()
        layers = {layer.digest for layer in manifest.layers if layer.digest in there}
        if not layers or receipts.keeps_layers(manifest.digest):
            return needed | layers
        # Without a list of the files, only the layers tell what they were.
        listed = receipts.intact(manifest.digest, OF_INSTALLED) is not None
        return needed if listed else needed | layers

    def _look(self, waste: _Waste) -> None:
        shelf = self._shelf
        folders = {shelf.folder(digest) for digest in waste.kept}
        for parent in _inside(shelf.packages):
            # Behind a link lies what is not the store's.
            if parent.name.startswith(TEMP_PREFIX) or parent.is_symlink():
                continue
            for path in _inside(parent):
                if path not in folders:
                    temporary = path.name.startswith(TEMP_PREFIX)
                    (waste.temps if temporary else waste.folders).append(path)
        waste.temps.extend(shelf.packages.glob(f"{TEMP_PREFIX}*"))
        for folder in (shelf.layout.path, *self._blobs.glob("*"), *shelf.indexes.path.glob("*")):
            waste.temps.extend(folder.glob(f"{TEMP_PREFIX}*"))
        for digest, path in blob_files(shelf.indexes.path):
            if not _leads_to(path, digest, waste.kept):
                waste.indexes.append(path)
        for folder in (shelf.partials, self._blobs):
            waste.partials.extend(_partials(folder, before_s=time.time() - self._grace_s))

    async def _remove(self, waste: _Waste) -> None:
        """Folders first: who finds a manifest without its folder installs it again."""
        with storage_errors(f"clean {self._shelf.packages}"):
            await run_in_thread(self._remove_folders, waste)
        now_s = time.time()
        await run_in_thread(partial(self._shelf.receipts.keep_only, waste.kept, now_s=now_s))
        layout = self._shelf.layout
        for name in sorted(self._gone):
            await layout.untag(name)
        entries = {entry.digest: entry.plain() for entry in await layout.entries()}
        for digest, entry in entries.items():
            if digest not in waste.kept:
                await layout.delete(entry, force=True)
        for digest, size in waste.blobs.items():
            blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=size)
            if digest not in entries:
                with contextlib.suppress(NotFoundError):
                    await layout.delete(blob)
        with storage_errors(f"clean {self._shelf.path}"):
            await run_in_thread(self._remove_rest, waste, now_s)

    def _remove_folders(self, waste: _Waste) -> None:
        for folder in waste.folders:
            # Out of sight first: a folder is there whole or not at all.
            hidden = self._shelf.packages / temp_name()
            with contextlib.suppress(FileNotFoundError):
                folder.rename(hidden)
            remove_tree(hidden)

    def _remove_rest(self, waste: _Waste, now_s: float) -> None:
        for path in (*waste.temps, *waste.indexes):
            remove_tree(path)
        for folder in (self._shelf.partials, self._blobs):
            remove_stale_partials(folder, now_s=now_s, older_than_s=self._grace_s)
        for lock in self._shelf.locks.iterdir():
            if lock.name != STORE_LOCK:
                lock.unlink(missing_ok=True)

    def keep_stamps(self, names: Collection[str]) -> None:
        """Forget when other packages were used; blocks."""
        self._shelf.stamps.keep_only(names)


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder: nothing if it is none, or was removed just now."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _leads_to(path: Path, digest: Digest, kept: frozenset[Digest]) -> bool:
    """Whether an index lists a manifest that is installed."""
    try:
        index = parse_document(path.read_bytes(), digest=digest)
    except (OCIError, FileNotFoundError):
        return False
    return isinstance(index, Index) and any(one.digest in kept for one in index.manifests)


def _partials(folder: Path, *, before_s: float) -> Iterator[Path]:
    """Yield the unfinished downloads that nobody went on with since, and nobody works on."""
    paths = [path for path in folder.glob(f"{PARTIAL_PREFIX}*") if not path.is_dir()]
    stems = {path.name.removesuffix(LOCK_SUFFIX).removesuffix(JOURNAL_SUFFIX) for path in paths}
    for stem in sorted(stems):
        path, lock = folder / stem, folder / (stem + LOCK_SUFFIX)
        with contextlib.suppress(FileNotFoundError, StorageError):
            if path.lstat().st_mtime >= before_s:
                continue
            if lock.exists():
                with lock_if_free(lock) as free:
                    if not free:
                        continue
            yield path


def _bytes(waste: _Waste) -> int:
    total = sum(waste.blobs.values())
    names: Counter[tuple[int, int]] = Counter()
    for path in (*waste.folders, *waste.indexes, *waste.temps, *waste.partials):
        for found in _files(path):
            inode = found.st_dev, found.st_ino
            names[inode] += 1
            if names[inode] == found.st_nlink:
                total += found.st_size
    return total


def _files(path: Path) -> Iterator[os.stat_result]:
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            yield found
        elif stat.S_ISDIR(found.st_mode):
            for below in path.iterdir():
                yield from _files(below)
