"""The repositories of a registry: one image layout for each, below one root folder (C-31).

``<root>/<repository>/`` is a layout that any tool can read, also while the registry runs: blobs and
``index.json`` appear whole, by rename. Other tools may write there, too, add repositories and
remove them; but most know no lock, so of two that change one ``index.json`` at the same time one
change may be lost. A repository below another one is a folder beside the other's ``blobs`` and
``index.json``.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from ...content import run_in_thread
from ...content.files import atomic_file, make_folder, remove_stale, write_all
from ...errors import InvalidLayoutError, NotFoundError, StorageError, storage_errors
from ...layout import Layout
from ...layout.directory import Flush
from ...spec import Index, image_layout
from ...spec.reference import is_repository
from ..failures import name_invalid, name_unknown
from .repository import Repository

LOOK_S = 1.0
"""How long a repository is taken to be there since it was looked at; its owner may remove it."""


class Repositories:
    """All repositories below `root`, which nobody else serves.

    Args:
        root: the folder, resolved.
        flush: what is on the disk when a push or a delete is acknowledged, should the power fail,
            as `Layout.open` says it. Flushing all is what other registries do, too: a client that
            was told that its manifest is stored may remove what it was made from. It costs two
            flushes for each blob and four for each manifest.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: Path, *, flush: Flush = "all") -> None:
        self.root = root
        self._flush: Flush = flush
        self._open: dict[str, Repository] = {}
        self._looked_s: dict[str, float] = {}
        self._opening = anyio.Lock()

    async def find(self, name: str) -> Repository | None:
        """Return a repository, or None.

        Raises:
            RefusedError: 400, the name leads out of the root.
        """
        if self._is_fresh(name):
            return self._open[name]
        async with self._opening:
            if not self._is_fresh(name):
                if not await run_in_thread(self._is_there, name):
                    self._open.pop(name, None)
                    self._looked_s.pop(name, None)
                elif name in self._open:
                    self._looked_s[name] = time.monotonic()
                else:
                    try:
                        await self._add(name)
                    except (NotFoundError, InvalidLayoutError, StorageError):
                        if await run_in_thread(self._is_there, name):
                            raise  # it is damaged, not removed
        return self._open.get(name)

    async def was_removed(self, name: str) -> bool:
        """Whether there is no repository any more, though one was just found."""
        self._looked_s.pop(name, None)
        return await self.find(name) is None

    async def existing(self, name: str) -> Repository:
        """Return a repository.

        Raises:
            RefusedError: 404, there is none; 400 as `find`.
        """
        repository = await self.find(name)
        if repository is None:
            raise name_unknown(name)
        return repository

    async def create(self, name: str) -> Repository:
        """Return a repository, which is made if there is none."""
        repository = await self.find(name)
        if repository is not None:
            return repository
        async with self._opening:
            if name not in self._open:
                durable = self._flush == "all"
                await run_in_thread(lambda: _initialise(self._path(name), durable=durable))
                await self._add(name)
        return self._open[name]

    async def names(self) -> list[str]:
        """Return the names of all repositories, sorted."""

        def find() -> list[str]:
            return sorted(name for name, path in _walk(self.root, "") if _is_layout(path))

        return await run_in_thread(find)

    async def tidy(self, *, older_than_s: float) -> None:
        """Remove what was left where a repository was about to be made, but never was."""

        def remove() -> None:
            for _, path in _walk(self.root, ""):
                if not _is_layout(path):
                    remove_stale(path, now_s=time.time(), older_than_s=older_than_s)

        async with self._opening:  # no repository is being made
            await run_in_thread(remove)

    async def _add(self, name: str) -> None:
        layout = await Layout.open(self._path(name), flush=self._flush)
        self._open[name] = Repository(name, layout)
        self._looked_s[name] = time.monotonic()

    def _is_fresh(self, name: str) -> bool:
        looked_s = self._looked_s.get(name)
        return looked_s is not None and time.monotonic() - looked_s < LOOK_S

    def _path(self, name: str) -> Path:
        return self.root.joinpath(*name.split("/"))

    def _is_there(self, name: str) -> bool:
        path = self._path(name)
        with storage_errors(f"look into {path}"):
            # The grammar of names allows no "..", but a folder may be a link to somewhere else.
            try:
                inside = path.resolve().is_relative_to(self.root)
            except RuntimeError:  # links in a circle, before Python 3.13
                inside = False
            if not inside:
                raise name_invalid(name)
            return _is_layout(path)


def _initialise(path: Path, *, durable: bool) -> None:
    """Make an empty layout, also in a folder that has other repositories below it."""
    with storage_errors(f"make {path}"):
        make_folder(path, durable=durable)
        foreign = [
            entry.name
            for entry in os.scandir(path)
            if not entry.is_dir(follow_symlinks=False)
            and not entry.name.startswith(".")
            and entry.name != image_layout.MARKER
        ]
        if foreign:
            raise InvalidLayoutError(
                f"{path} has files and is not an image layout", hint="choose an empty root folder"
            )
        make_folder(path / image_layout.BLOBS / "sha256", durable=durable)
        for name, data in (
            (image_layout.MARKER, image_layout.MARKER_BYTES),
            (image_layout.INDEX, Index.build(manifests=()).raw),
        ):
            with atomic_file(path / name, durable=durable) as file:
                write_all(file, data)


def _is_layout(path: Path) -> bool:
    return (path / image_layout.INDEX).is_file()


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield every folder that can be a repository, with its name."""
    found: list[str] = []
    # Others may remove a repository meanwhile, but not the root.
    gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with (
        storage_errors(f"list {folder}"),
        gone if prefix else contextlib.nullcontext(),
        os.scandir(folder) as entries,
    ):
        found = [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            and entry.name != image_layout.BLOBS
            and is_repository(entry.name)
        ]
    for name in found:
        yield prefix + name, folder / name
        yield from _walk(folder / name, f"{prefix}{name}/")
