"""The verb for the lock file, and the lock file on the disk."""

import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..content import fetch_document, finish_in_thread, run_in_thread
from ..content.files import LOCK_SUFFIX, atomic_file, write_all
from ..content.locks import file_lock
from ..errors import LimitExceededError, NotFoundError, single_error, storage_errors
from ..spec import Descriptor, Index, Platform, Reference
from ..spec.media_types import is_index
from ..store import LockedPackage, LockFile
from ..store.lock_file import FILE_NAME, MAX_BYTES, Offered
from .open_client import OpenClient, to_reference, to_several

if TYPE_CHECKING:
    from ..registry import Repository

# A registry could let them never end; real ones list some twenty.
_MOST_INDEXES = 256
_MOST_MANIFESTS = 4096


class LockingVerbs(OpenClient):
    """The verb for the lock file; see `ocipkg_async.Client`."""

    async def lock(
        self,
        references: Sequence[str | Reference],
        file: Path,
        *,
        update: bool = False,
        remove: Sequence[str | Reference] = (),
    ) -> LockFile:
        """Write down which digests references have now, for all platforms, in a lock file.

        What is locked already stays as it is, and is not asked for. Processes that write the same
        file do it one after the other. A file that is right already is not written.

        Args:
            references: what to lock.
            file: the lock file; it is made where it is missing.
            update: lock what `references` are now, also where they are locked already; without
                `references`, everything that is locked.
            remove: what to take out of the file.

        Returns:
            what the file holds then.

        Raises:
            NotFoundError: a registry does not have one of them; or one of `remove` is not locked;
                or there is no file, and nothing to lock.
            InvalidDocumentError: the file is no lock file.
            InvalidArgumentError: one text was given for a list.
            RegistryError, TransportError, StorageError: a registry or the disk refused.
        """
        wanted = [
            to_reference(one).with_default_tag() for one in to_several(references, "references")
        ]
        gone = [to_reference(one) for one in to_several(remove, "remove")]
        if wanted:
            known = await read_or_empty(file)
        else:
            known = await read_lock_file(file)
            wanted = [one.reference for one in known.packages] if update else []
        if not update:
            wanted = [one for one in wanted if known.get(one) is None]
        found = await self._locked(wanted)
        if not found and not gone:
            return known
        async with _writing(file) as path:
            before = await read_or_empty(path)
            # Whoever was first counts, so that builds that lock at once agree.
            kept = [one for one in found if update or before.get(one.reference) is None]
            after = before.without(gone).replacing(kept)
            if after != before:
                await run_in_thread(_write, path, _data(after, file))
        return after

    async def _locked(self, references: Iterable[Reference]) -> list[LockedPackage]:
        found: list[LockedPackage] = []
        limiter = anyio.CapacityLimiter(self.options.concurrency)

        async def resolve(reference: Reference) -> None:
            async with limiter:
                repository = self.repository(reference)
                root = await repository.resolve(reference.selector)
                offered = await self._offered(repository, root)
                found.append(LockedPackage.of(reference, root.digest, offered))

        with single_error():
            async with anyio.create_task_group() as group:
                for reference in dict.fromkeys(references):
                    group.start_soon(resolve, reference)
        return found

    async def _offered(self, repository: "Repository", root: Descriptor) -> list[Offered]:
        """Return all manifests below an index, in order, with their platforms; of a manifest none."""
        if not is_index(root.media_type):
            return []
        found: list[Offered] = []
        seen: set[str] = set()

        async def visit(index: Descriptor, inherited: Platform | None, depth: int) -> None:
            if index.digest in seen:
                return
            seen.add(index.digest)
            document = await fetch_document(
                repository, index, max_bytes=self.options.max_manifest_bytes
            )
            listed = len(found) + len(document.successors)
            _check_extent(root, depth=depth, indexes=len(seen), manifests=listed)
            for entry in document.successors:
                platform = entry.platform or inherited
                if is_index(entry.media_type):
                    await visit(entry, platform, depth + 1)
                elif entry.is_document:
                    found.append((platform, entry.digest))

        await visit(root, None, 0)
        if not found:
            raise NotFoundError(f"the index {root.digest} in {repository.reference} is empty")
        return found


def nearest_lock_file(folder: Path) -> Path | None:
    """Return the lock file in a folder, or in the nearest one above that has one; blocks."""
    candidates = (place / FILE_NAME for place in (folder, *folder.parents))
    return next((one for one in candidates if os.path.isfile(one)), None)  # noqa: PTH113 - a folder that may not be entered has none


async def read_lock_file(file: Path) -> LockFile:
    """Read a lock file.

    Raises:
        NotFoundError: there is none.
        InvalidDocumentError: it is something else.
        StorageError: it cannot be read.
    """
    with storage_errors(f"read {file}"):
        try:
            data = await run_in_thread(_read, file)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no lock file {file}", hint="make it with: ocipkg-async lock REF"
            ) from error
    return LockFile.parse(data, name=str(file))


async def read_or_empty(file: Path) -> LockFile:
    """Read a lock file; one that is missing is empty.

    Raises:
        InvalidDocumentError, StorageError: as `read_lock_file`.
    """
    try:
        return await read_lock_file(file)
    except NotFoundError:
        return LockFile()


def _read(file: Path) -> bytes:
    # A pipe would be waited for, by a thread that nothing ends.
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _check_extent(root: Descriptor, *, depth: int, indexes: int, manifests: int) -> None:
    """Raise an error where more is below an index than below any real one."""
    if depth >= Index.MAX_DEPTH:
        raise LimitExceededError(f"the indexes below {root.digest} are nested too deeply")
    for count, most, what in (
        (indexes, _MOST_INDEXES, "indexes"),
        (manifests, _MOST_MANIFESTS, "manifests"),
    ):
        if count > most:
            raise LimitExceededError(f"the index {root.digest} lists more than {most} {what}")


def _data(lock: LockFile, file: Path) -> bytes:
    data = bytes(lock)
    if len(data) > MAX_BYTES:
        raise LimitExceededError(
            f"{file} would have more than {MAX_BYTES >> 20} MiB, which nothing would read",
            hint="lock fewer packages in it, or leave out one with very many platforms",
        )
    return data


def _write(file: Path, data: bytes) -> None:
    with atomic_file(file, durable=True) as opened:
        write_all(opened, data)


@asynccontextmanager
async def _writing(file: Path) -> AsyncIterator[Path]:
    """Keep others from writing a lock file while the block runs; yield where it is, behind links."""
    with storage_errors(f"find {file}"):
        path = await run_in_thread(_resolved, file)
    guard = path.with_name(f".{path.name}{LOCK_SUFFIX}")
    async with file_lock(guard):
        try:
            yield path
        finally:
            # Beside a file that people commit nothing else should stay.
            await finish_in_thread(partial(_remove, guard))


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except RuntimeError as error:  # how Python before 3.13 tells of links in a circle
        raise OSError(str(error)) from error


def _remove(guard: Path) -> None:
    with contextlib.suppress(OSError):  # a system that removes no open file
        guard.unlink()
