"""The folder of a registry: made, kept for one registry alone, and tidied at the start."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from ...content import finish_in_thread, run_in_thread
from ...content.files import make_folder
from ...content.locks import file_lock
from ...errors import StorageError, TimedOutError, storage_errors

UPLOADS = "_uploads"
"""Unfinished uploads, beside the repositories and in their file system; no repository has this name."""
LOCK = ".registry.lock"


@asynccontextmanager
async def root_folder(root: Path | None) -> AsyncIterator[Path]:
    """Make the folder and keep other registries off it; a private one is removed at the end.

    Args:
        root: the folder, or None for a private one.

    Raises:
        StorageError: it cannot be used, or another registry serves it.
    """
    async with _folder(root) as folder, _only_one(folder):
        await run_in_thread(_clear_uploads, folder / UPLOADS)
        yield folder


@asynccontextmanager
async def _folder(root: Path | None) -> AsyncIterator[Path]:
    private: list[Path] = []  # what the thread returns is lost when this is cancelled meanwhile
    try:
        yield await run_in_thread(_make_folder, root, private)
    finally:
        if private:
            await finish_in_thread(partial(shutil.rmtree, private[0], ignore_errors=True))


@asynccontextmanager
async def _only_one(root: Path) -> AsyncIterator[None]:
    """Keep a second registry off the same root: each trusts its own memory of open uploads."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(file_lock(root / LOCK, timeout_s=0))
        except TimedOutError as error:
            raise StorageError(
                f"another registry serves {root}", hint="end it, or choose another folder"
            ) from error
        yield


def _make_folder(root: Path | None, private: list[Path]) -> Path:
    what = "the registry's folder" if root is None else f"the registry's folder {root}"
    with storage_errors(f"make {what}"):
        if root is None:
            private.append(Path(tempfile.mkdtemp(prefix="oci-registry-")).resolve())
            return private[0]
        make_folder(root, durable=True)
        return root.resolve()


def _clear_uploads(folder: Path) -> None:
    """Remove what a killed registry left; the root's lock says that nobody else writes there."""
    with storage_errors(f"clear {folder}"):
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
