"""Removing what a layout no longer needs, and finding what is wrong with it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..content.files import remove_stale, remove_stale_partials, temp_name
from ..errors import InvalidDigestError, NotFoundError, OCIError, storage_errors
from ..spec import Descriptor, Digest, media_types
from ..spec.digest import VERIFIABLE
from .documents import Documents, Listed


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a layout.

    Attributes:
        digest: the content it is about.
        kind: ``missing``, ``damaged`` (its bytes are not its digest's), or ``invalid`` (a
            document that cannot be understood).
        message: one sentence for a person.
    """

    digest: Digest
    kind: str
    message: str


def blob_files(blobs: Path) -> Iterator[tuple[Digest, Path]]:
    """Yield the files that are named by a digest; all others are somebody else's (I-03)."""
    for folder in sorted(blobs.iterdir()) if blobs.is_dir() else ():
        if folder.name in VERIFIABLE and folder.is_dir():
            for file in sorted(folder.iterdir()):
                with contextlib.suppress(InvalidDigestError):
                    yield Digest(f"{folder.name}:{file.name}"), file


def sweep(
    root: Path,
    blobs: Path,
    *,
    keep: frozenset[Digest],
    older_than_s: float,
    partials_older_than_s: float,
    now_s: float,
    dry_run: bool,
) -> list[tuple[Digest, int]]:
    """Remove blobs that are old enough and not in `keep`, and unfinished files; blocks.

    Raises:
        StorageError: the file system refused.
    """
    removed: list[tuple[Digest, int]] = []
    with storage_errors(f"clean {root}"):
        for digest, file in blob_files(blobs):
            if digest in keep:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                if now_s - status.st_mtime < older_than_s:
                    continue
                if dry_run or _remove(file, seen=status):
                    removed.append((digest, status.st_size))
        if not dry_run:
            for folder in (root, *(blobs / name for name in sorted(VERIFIABLE))):
                remove_stale(folder, now_s=now_s, older_than_s=older_than_s)
            remove_stale_partials(blobs, now_s=now_s, older_than_s=partials_older_than_s)
    return removed


def _remove(file: Path, *, seen: os.stat_result) -> bool:
    """Remove a blob unless somebody found it, or wrote it again, since it was looked at.

    Whoever finds a blob renews its time by its name. The name is taken away first: then that has
    happened and can be seen, or fails.
    """
    taken = file.with_name(temp_name())
    file.rename(taken)
    if taken.stat().st_mtime_ns > seen.st_mtime_ns:
        taken.replace(file)
        return False
    taken.unlink()
    return True


def list_blobs(blobs: Path) -> list[tuple[Digest, int]]:
    """Return digest and size of every blob; blocks.

    Raises:
        StorageError: the folder cannot be read.
    """
    found: list[tuple[Digest, int]] = []
    with storage_errors(f"read {blobs}"):
        for digest, file in blob_files(blobs):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found.append((digest, file.stat().st_size))
    return found


async def verify(
    store: Listed, blobs: list[tuple[Digest, int]], roots: list[Descriptor]
) -> list[Problem]:
    """Hash all `blobs` again and look for every piece that `roots` need."""
    documents = Documents(store)  # a new one, since what was remembered may have been damaged
    sizes = dict(blobs)
    problems = await _damaged(store, sizes)
    seen: set[tuple[Digest, bool]] = set()
    todo = list(roots)
    while todo:
        descriptor = todo.pop()
        digest = descriptor.digest
        if (digest, descriptor.is_document) in seen:
            continue
        seen.add((digest, descriptor.is_document))
        if digest in problems:
            continue
        problem = _missing(descriptor, sizes)
        if problem is None:
            try:
                links = await documents.links(descriptor)
            except OCIError as error:
                problem = Problem(digest, "invalid", str(error))
            else:
                todo.extend(links.successors if links else ())
        if problem is not None:
            problems[digest] = problem
    return sorted(problems.values(), key=lambda problem: problem.digest)


async def _damaged(store: Listed, sizes: dict[Digest, int]) -> dict[Digest, Problem]:
    """Hash all blobs; those that are not there any more leave `sizes`."""
    problems: dict[Digest, Problem] = {}
    for digest, size in list(sizes.items()):
        blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=size)
        try:
            async with store.fetch(blob) as reader:
                await reader.drain(lambda _: None)
        except NotFoundError:
            del sizes[digest]
        except OCIError as error:
            problems[digest] = Problem(digest, "damaged", str(error))
    return problems


def _missing(descriptor: Descriptor, sizes: dict[Digest, int]) -> Problem | None:
    digest = descriptor.digest
    if digest not in sizes:
        # What is embedded needs no file; a non-distributable layer is elsewhere on purpose.
        if descriptor.data is not None or media_types.is_foreign_layer(descriptor.media_type):
            return None
        return Problem(digest, "missing", f"{digest} ({descriptor.media_type}) is not there")
    if sizes[digest] != descriptor.size:
        return Problem(
            digest,
            "damaged",
            f"{digest} has {sizes[digest]} bytes, but is listed with {descriptor.size}",
        )
    return None
