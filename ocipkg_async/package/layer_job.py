"""Fetches the layers of a plan, several at a time, and unpacks them in order as they arrive."""

import os
import shutil
import stat
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO

import anyio
from anyio import from_thread, to_thread

from ..content import BlobReader, Downloader, Fetcher, LocalFiles, Meter
from ..content.files import write_all
from ..content.reader import BytesStream
from ..errors import InvalidPackageError, UnsupportedError, single_error, storage_errors
from ..events import Action, OnEvent, Planned
from ..spec import Descriptor, Digest
from .decompress import open_layer
from .entry_names import split_name
from .extract import Extractor
from .kept_layers import KeptLayers
from .layer_plan import LayerTask
from .limits import Budget, UnpackLimits
from .tar_reader import TarReader

CONCURRENT_LAYERS = 4
"""Layers fetched at a time: enough to hide latency; a large blob uses several connections itself."""

# Registries are asked for parts of blobs from some megabytes on; smaller ones are nothing to go on with.
_WORTH_HOLDING_BYTES = 1 << 20
_COPY_BYTES = 1 << 20

_Key = tuple[Digest, int]


class LayerJob:
    """Carries out the tasks of one plan.

    Args:
        fetcher: the store.
        tasks: the layers, in order.
        blobs: an empty private folder for what is fetched.
        extractor: where the layers are applied.
        limits: how much they may need.
        kept: where large downloads are, for a later run to go on with; None: nothing is left for
            later runs.
        concurrency: layers fetched at a time.
        action: what events call it.
        on_event: progress.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        tasks: tuple[LayerTask, ...],
        blobs: Path,
        extractor: Extractor,
        *,
        limits: UnpackLimits,
        kept: KeptLayers | None,
        concurrency: int,
        action: Action,
        on_event: OnEvent,
    ) -> None:
        self._fetcher = fetcher
        self._tasks = tasks
        self._blobs = blobs
        self._extractor = extractor
        self._limits = limits
        self._kept = kept
        self._concurrency = concurrency
        self._action: Action = action
        self._on_event = on_event
        self._uses = Counter(_key(task) for task in tasks)
        self._arrived = {key: anyio.Event() for key in self._uses}
        self._paths: dict[_Key, Path] = {}
        self._files: list[LayerTask] = []

    async def run(self) -> None:
        """Fetch and unpack all layers.

        Raises:
            OCIError: as `install.unpack`; the tree is unfinished then.
        """
        blobs = {_key(task): task.descriptor for task in reversed(self._tasks)}
        total = sum(descriptor.size for descriptor in blobs.values())
        self._on_event(Planned(action=self._action, total=total))
        slots = anyio.CapacityLimiter(self._concurrency)
        with single_error():
            async with anyio.create_task_group() as group:
                for key in self._arrived:  # in the order in which they are needed
                    group.start_soon(self._fetch, key, blobs[key], slots)
                for task in self._tasks:
                    await self._arrived[_key(task)].wait()
                    await self._present(self._unpack_layer, task)
        # Last: what became a file of the tree is of no use to a later run.
        for task in self._files:
            await self._present(self._add_file, task)

    async def _fetch(self, key: _Key, descriptor: Descriptor, slots: anyio.CapacityLimiter) -> None:
        async with slots:
            meter = Meter(self._on_event, action=self._action, descriptor=descriptor)
            meter.started()
            self._paths[key] = await self._get(key, descriptor, meter)
            meter.finished()
        self._arrived[key].set()

    async def _present(self, step: Callable[[LayerTask], Awaitable[None]], task: LayerTask) -> None:
        """Do something with a layer that arrived; fetch it again if it was taken away.

        Another process that unpacks the same takes what both wait for when it has everything; and
        one that deletes or collects takes what is unpacked where it lies in a layout.
        """
        key = _key(task)
        while True:
            try:
                await step(task)
            except _TakenError:
                meter = Meter(self._on_event, action=self._action, descriptor=task.descriptor)
                self._paths[key] = await self._get(key, task.descriptor, meter)
            else:
                return

    async def _get(self, key: _Key, descriptor: Descriptor, meter: Meter) -> Path:
        """Return a file with a blob that was verified."""
        path = self._blobs / f"{descriptor.digest.encoded}-{descriptor.size}"
        if (downloaded := await self._download(descriptor, path, meter)) is not None:
            return downloaded
        archive = all(t.role in {"layer", "directory"} for t in self._tasks if _key(t) == key)
        async with self._open(descriptor) as reader:
            reader.meter = meter
            if archive and isinstance(self._fetcher, LocalFiles):
                local = await to_thread.run_sync(self._fetcher.local_path, descriptor)
                if local is not None and await to_thread.run_sync(_is_stable, local):
                    await reader.drain(len)  # only verified; it is unpacked where it lies
                    return local
            with storage_errors(f"write {path}"):
                file = await to_thread.run_sync(lambda: path.open("xb", buffering=0))
                try:
                    await reader.drain(lambda data: write_all(file, data))
                finally:
                    file.close()
        return path

    async def _download(self, descriptor: Descriptor, path: Path, meter: Meter) -> Path | None:
        """Let the store write a large blob to a file; return it, or None if the store did not."""
        if descriptor.data is not None or not isinstance(self._fetcher, Downloader):
            return None
        if self._kept is not None and descriptor.size >= _WORTH_HOLDING_BYTES:
            path = await self._kept.hold(path.name)
        return path if await self._fetcher.download(descriptor, path, meter=meter) else None

    def _open(self, descriptor: Descriptor) -> AbstractAsyncContextManager[BlobReader]:
        if descriptor.data is None:
            return self._fetcher.fetch(descriptor)
        return nullcontext(BlobReader(BytesStream(descriptor.data), descriptor))

    async def _unpack_layer(self, task: LayerTask) -> None:
        await to_thread.run_sync(self._unpack, task)

    def _unpack(self, task: LayerTask) -> None:
        """Unpack one layer, in a worker thread; files are added when all the others are there."""
        path = self._paths[_key(task)]
        if task.role == "file" or (task.role == "perhaps" and not self._lies_under(task, path)):
            self._files.append(task)
            return
        self._apply(task, path)
        if self._used(task, path):
            path.unlink()

    async def _add_file(self, task: LayerTask) -> None:
        key = _key(task)
        path = self._paths[key]
        if self._kept is not None and self._is_kept(path):
            own = self._blobs / path.name
            with ExitStack() as stack:
                # Open before it may be taken away: another process may want it as well.
                file = await to_thread.run_sync(stack.enter_context, self._opened(path))
                alone = await self._kept.claim(path)
                await to_thread.run_sync(_bring, path, file, own, alone)
            self._paths[key] = own
        await to_thread.run_sync(self._add_own, task)

    def _add_own(self, task: LayerTask) -> None:
        path = self._paths[_key(task)]
        move = self._used(task, path)
        self._extractor.add_file(task.path, path, move=move, digest=task.descriptor.digest)

    def _used(self, task: LayerTask, path: Path) -> bool:
        """Count a use of a blob; return whether its file is now free, and nobody else's."""
        key = _key(task)
        self._uses[key] -= 1
        return path.parent == self._blobs and not self._uses[key]

    def _is_kept(self, path: Path) -> bool:
        return self._kept is not None and path in self._kept.paths

    def _apply(self, task: LayerTask, path: Path) -> None:
        layer = task.role == "layer"
        with self._opened(path) as file:
            reader = self._reader(task, file)
            self._extractor.apply(
                reader, base=task.base, under=task.under, whiteouts=layer, replace=layer
            )
        task.check_digests(reader.archive_digest, reader.stream_digest)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[IO[bytes]]:
        with storage_errors(f"read {path}"), ExitStack() as stack:
            # What is not our own may go: a layer that is kept, or a blob of a layout.
            with nullcontext() if path.parent == self._blobs else _taken(path):
                file = stack.enter_context(path.open("rb", buffering=0))
            yield file

    def _lies_under(self, task: LayerTask, path: Path) -> bool:
        """Whether a layer is an archive with all its names below the title."""
        budget = Budget(self._limits)
        try:
            with self._opened(path) as file:
                for entry in self._reader(task, file):
                    budget.entry()
                    parts = split_name(entry.name, self._limits, portable=False)
                    if parts[: len(task.under)] != task.under:
                        return False
        except (InvalidPackageError, UnsupportedError):
            return False
        return budget.entries > 0

    def _reader(self, task: LayerTask, file: IO[bytes]) -> TarReader:
        # What marks a directory is its annotation, whatever its media type.
        media_type = task.descriptor.media_type if task.role == "layer" else None
        stream = open_layer(file.read, media_type, limits=self._limits)

        def read(max_bytes: int) -> bytes:
            from_thread.check_cancelled()
            return stream.read(max_bytes)

        return TarReader(
            read,
            limits=self._limits,
            algorithm=task.algorithm,
            needs_end=task.diff_id is None,
        )


def _bring(path: Path, file: IO[bytes], own: Path, alone: bool) -> None:  # noqa: FBT001
    """Move a file, or copy it where others use it, too."""
    with storage_errors(f"move {path} to {own}"):
        if alone:
            file.close()  # Windows moves no open file
            with _taken(path) if own.parent.is_dir() else nullcontext():
                shutil.move(path, own)  # the folder may have been chosen on another file system
            return
        with own.open("xb", buffering=0) as copy:
            while data := file.read(_COPY_BYTES):
                from_thread.check_cancelled()
                write_all(copy, data)


class _TakenError(Exception):
    """A file that arrived is not there any more; it never leaves this module."""


@contextmanager
def _taken(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise _TakenError(path) from error


def _key(task: LayerTask) -> _Key:
    return task.descriptor.digest, task.descriptor.size


def _is_stable(path: Path) -> bool:
    """Whether no other user may change a file or its folder between being verified and unpacked."""
    if not hasattr(os, "geteuid"):
        return True
    with storage_errors(f"examine {path}"):
        try:
            found = path.stat(), path.parent.stat()
        except FileNotFoundError:
            return False  # it was removed, but is open
    owners = {0, os.geteuid()}
    return all(one.st_uid in owners and not one.st_mode & stat.S_IWOTH for one in found)
