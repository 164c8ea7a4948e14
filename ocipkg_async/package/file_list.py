"""What files a package has, without unpacking it: the entries of its layers' archives.

ocipkg trusts the list in a package's config, which holds what its author's command line held; here
the archives themselves are read, as a stream. Nothing of a layer is told before all of it was
verified.
"""

import os
import stat
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio
from anyio import from_thread

from ..content import BlobReader, Fetcher, fetch_bytes, run_in_thread
from ..content.reader import BytesStream
from ..errors import (
    InvalidPackageError,
    LimitExceededError,
    UnsupportedError,
    single_error,
    storage_errors,
)
from ..events import OnEvent, Warned, ignore
from ..spec import Digest, Manifest
from .decompress import open_layer
from .entry_names import OPAQUE, WHITEOUT
from .layer_plan import IMAGE_CONFIGS, LayerTask, Unpack, plan_unpack
from .limits import Budget, UnpackLimits
from .tar_reader import Kind, TarEntry, TarReader

FileKind = Literal[
    "file", "directory", "symlink", "hardlink", "device", "fifo", "whiteout", "opaque"
]
"""``whiteout`` removes what layers before have under this name; ``opaque``, all that is in this
folder."""

_KINDS: dict[Kind, FileKind] = {
    Kind.FILE: "file",
    Kind.DIRECTORY: "directory",
    Kind.SYMLINK: "symlink",
    Kind.HARDLINK: "hardlink",
    Kind.CHARACTER: "device",
    Kind.BLOCK: "device",
    Kind.FIFO: "fifo",
}
# The names of the largest images have some 50 MB; a small archive could hold gigabytes of them.
_NAME_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """An entry of a package. Names and targets are of somebody else: not safe as paths.

    Attributes:
        name: its path in the package, as the archive has it.
        kind: what it is.
        size: bytes of a file, 0 for all else.
        executable: whether its owner may run a file.
        link: what a link points to, else empty.
        layer: digest of the layer it is in; None in a folder.
    """

    name: str
    kind: FileKind
    size: int = 0
    executable: bool = False
    link: str = ""
    layer: Digest | None = None


async def list_files(
    fetcher: Fetcher,
    manifest: Manifest,
    *,
    unpack: Unpack = "auto",
    limits: UnpackLimits | None = None,
    on_event: OnEvent = ignore,
) -> list[PackageFile]:
    """Return what a package, image or artifact holds: the entries of each layer, in order.

    A loose file of an artifact is listed by its title, and not fetched.

    Args:
        fetcher: the store that has the config and the layers.
        manifest: what to list.
        unpack: which titled layers are directories, as for `unpack`.
        limits: how much the package may hold.
        on_event: told which layers are left out.

    Raises:
        NotFoundError: the store lacks a blob.
        IntegrityError: a blob is wrong.
        InvalidPackageError: a layer is no valid archive, or holds more than the limits allow.
        UnsupportedError: a layer of a kind that is not supported.
    """
    limits = limits or UnpackLimits()
    config = None
    if manifest.config is not None and manifest.config.media_type in IMAGE_CONFIGS:
        config = await fetch_bytes(fetcher, manifest.config)
    plan = plan_unpack(manifest, config, limits=limits, unpack=unpack)
    for layer, reason in plan.skipped:
        text = f"{layer.digest.short} is left out: {reason}"
        on_event(Warned(action="verify", descriptor=layer, text=text))
    budget = _Budget(limits)
    found: list[PackageFile] = []

    async def read() -> None:
        for task in plan.tasks:
            found.extend(await _of_task(fetcher, task, budget))

    # In a task group, which turns asyncio's cancellation into that of a scope: a thread waits for
    # the network in the middle of an archive, and must be told.
    with single_error():
        async with anyio.create_task_group() as group:
            group.start_soon(read)
    return found


def list_folder(folder: Path) -> list[PackageFile]:
    """Return what is in a folder, sorted by name. Blocking.

    Raises:
        StorageError: it cannot be read.
    """
    found: list[PackageFile] = []
    todo = [""]
    while todo:
        below = todo.pop()
        with storage_errors(f"read {folder / below}"), os.scandir(folder / below) as entries:
            for entry in entries:
                one = _of_disk(f"{below}{entry.name}", entry)
                found.append(one)
                if one.kind == "directory":
                    todo.append(f"{one.name}/")
    return sorted(found, key=lambda one: one.name)


class _Budget(Budget):
    """Counts entries, sizes and the bytes of names."""

    def __init__(self, limits: UnpackLimits) -> None:
        super().__init__(limits)
        self._name_bytes = 0

    def add(self, one: PackageFile) -> None:
        """Count an entry.

        Raises:
            LimitExceededError: there are too many, or they are too large.
        """
        self.entry()
        if one.kind == "file":
            self.file(one.name, one.size)
        self._name_bytes += len(one.name) + len(one.link)
        if self._name_bytes > _NAME_BYTES:
            raise LimitExceededError(
                "the names in the package are too long to be listed",
                hint="do not trust this package, or unpack it",
            )


async def _of_task(fetcher: Fetcher, task: LayerTask, budget: _Budget) -> list[PackageFile]:
    loose = PackageFile(
        name="/".join(task.path),
        kind="file",
        size=task.descriptor.size,
        layer=task.descriptor.digest,
    )
    if task.role == "file":
        budget.add(loose)
        return [loose]
    descriptor = task.descriptor
    opened = (
        fetcher.fetch(descriptor)
        if descriptor.data is None
        else nullcontext(BlobReader(BytesStream(descriptor.data), descriptor))
    )
    async with opened as reader:
        try:
            found = await run_in_thread(_read_layer, reader, task, budget)
        except LimitExceededError:
            raise
        except (InvalidPackageError, UnsupportedError):
            await reader.drain(len)  # if the bytes are wrong, that is the reason
            if task.role != "perhaps":
                raise
            found = None
        await reader.drain(len)
    if found is None:  # no archive of a folder, but a file that is one
        budget.add(loose)
        return [loose]
    return found


def _read_layer(reader: BlobReader, task: LayerTask, budget: _Budget) -> list[PackageFile] | None:
    """Read an archive to its end, in a worker thread; None if it is not one of a folder."""

    def read(max_bytes: int) -> bytes:
        return from_thread.run(reader.read, max_bytes)

    # What marks a directory is its annotation, whatever its media type.
    media_type = task.descriptor.media_type if task.role == "layer" else None
    stream = open_layer(read, media_type, limits=budget.limits)
    tar = TarReader(
        stream.read,
        limits=budget.limits,
        algorithm=task.algorithm,
        needs_end=task.diff_id is None,
    )
    found: list[PackageFile] = []
    for entry in tar:
        from_thread.check_cancelled()
        if task.role == "perhaps" and not _lies_under(entry.name, task.under):
            return None
        one = _of_tar(entry, task)
        budget.add(one)
        found.append(one)
    task.check_digests(tar.archive_digest, tar.stream_digest)
    return found if found or task.role != "perhaps" else None


def _lies_under(name: str, under: tuple[str, ...]) -> bool:
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    return parts[: len(under)] == under


def _of_tar(entry: TarEntry, task: LayerTask) -> PackageFile:
    layer = task.descriptor.digest
    name = "/".join((*task.base, entry.name))
    folder, slash, base = name.rpartition("/")
    if task.role == "layer" and base == OPAQUE:
        return PackageFile(name=folder or ".", kind="opaque", layer=layer)
    if task.role == "layer" and base.startswith(WHITEOUT):
        hidden = folder + slash + base.removeprefix(WHITEOUT)
        return PackageFile(name=hidden, kind="whiteout", layer=layer)
    return PackageFile(
        name=name,
        kind=_KINDS[entry.kind],
        size=entry.size,
        executable=entry.kind is Kind.FILE and bool(entry.mode & stat.S_IXUSR),
        link=entry.link,
        layer=layer,
    )


def _of_disk(name: str, entry: "os.DirEntry[str]") -> PackageFile:
    info = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(info.st_mode):
        return PackageFile(name=name, kind="directory")
    if stat.S_ISLNK(info.st_mode):
        return PackageFile(name=name, kind="symlink", link=os.readlink(entry.path))  # noqa: PTH115
    if stat.S_ISFIFO(info.st_mode):
        return PackageFile(name=name, kind="fifo")
    if not stat.S_ISREG(info.st_mode):
        return PackageFile(name=name, kind="device")
    executable = bool(info.st_mode & stat.S_IXUSR)
    return PackageFile(name=name, kind="file", size=info.st_size, executable=executable)
