"""A blob of a registry, read as a stream or written to a file, in the way that suits its size.

Small blobs come in one GET. Large ones come in ranges over several connections: into memory, a
window ahead of the reader, or into a file that another run can go on with. Where a registry does
not serve ranges as it should, one GET brings the whole blob after all.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio

from ...content import BlobReader, Meter, finish_in_thread, run_in_thread
from ...errors import DigestMismatchError, IntegrityError, OCIError, StorageError, single_error
from ...events import Warned
from ...spec import Descriptor, Digest
from ...transport import RetryBudget
from ..endpoint import Endpoint
from ..memory import STREAM_BYTES
from ..options import TransferOptions
from .file_sink import FileSink
from .pace import LIMIT, START, Pace
from .partial import PartialFile, partial_file
from .plan import PARALLEL_BYTES, PART_BYTES, RangePlan
from .ranged import RangedDownload, RangesRefusedError
from .stream_sink import StreamSink
from .whole import open_whole

RESUME_BYTES = 8 << 20
"""Smaller blobs are not worth a journal: fetching them again costs less than the trouble."""
_PUMP_BYTES = 1 << 20


def is_parallel(descriptor: Descriptor, options: TransferOptions) -> bool:
    """Whether a blob is fetched over several connections: it is at least four parts long."""
    least = PARALLEL_BYTES if options.part_bytes is None else 4 * options.part_bytes
    return descriptor.size >= least


def is_saved(descriptor: Descriptor, options: TransferOptions) -> bool:
    """Whether a blob that goes to a file is downloaded by `save_blob`, not read as a stream."""
    return is_parallel(descriptor, options) or (options.resume and descriptor.size >= RESUME_BYTES)


@asynccontextmanager
async def open_blob(
    endpoint: Endpoint, descriptor: Descriptor, *, options: TransferOptions
) -> AsyncIterator[BlobReader]:
    """Open a blob for reading from its first byte.

    Raises:
        NotFoundError: the repository does not have it.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    opened = (
        _open_ranged(endpoint, descriptor, options)
        if is_parallel(descriptor, options)
        else open_whole(endpoint, descriptor)
    )
    async with opened as reader:
        yield reader


@asynccontextmanager
async def _open_ranged(
    endpoint: Endpoint, descriptor: Descriptor, options: TransferOptions
) -> AsyncIterator[BlobReader]:
    part_bytes = options.part_bytes or PART_BYTES[0]
    # What is ahead of the reader is in memory, which bounds the connections.
    most = options.connections or min(START, max(1, STREAM_BYTES // part_bytes))
    pace = Pace(fixed=options.connections, start=most, limit=most)
    least = most * part_bytes if options.connections else part_bytes
    transport, shared = endpoint.transport, endpoint.memory.window
    budget = transport.budget()
    sink = StreamSink(window_bytes=lambda: max(least, shared.share()))
    reader = BlobReader(sink, descriptor)
    ranged = RangedDownload(
        endpoint,
        descriptor,
        plan=RangePlan(descriptor.size, pace=pace, part_bytes=part_bytes),
        sink=sink,
        budget=budget,
        meter=lambda: reader.meter,
    )
    sink.on_read = ranged.wake

    async def run() -> None:
        try:
            with transport.limited(budget, what=_what(descriptor)):
                try:
                    await ranged.run()
                except RangesRefusedError as refused:
                    await _pump_whole(endpoint, descriptor, refused, sink, budget)
        except OCIError as error:
            sink.end(error)
        else:
            sink.end()

    shared.open += 1
    try:
        with single_error():
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await sink.begun.wait()
                sink.check()
                yield reader
                group.cancel_scope.cancel()
    finally:
        shared.open -= 1


async def _pump_whole(
    endpoint: Endpoint,
    descriptor: Descriptor,
    refused: RangesRefusedError,
    sink: StreamSink,
    budget: RetryBudget,
) -> None:
    """Give a reader the rest of what it has not read, from one GET."""
    sink.drop()
    async with _whole(endpoint, descriptor, refused, budget) as reader:
        offset = 0
        while data := await reader.read(_PUMP_BYTES):
            await sink.room(offset)
            await sink.put(offset, [data])
            offset += len(data)


@asynccontextmanager
async def _whole(
    endpoint: Endpoint,
    descriptor: Descriptor,
    refused: RangesRefusedError,
    budget: RetryBudget,
) -> AsyncIterator[BlobReader]:
    async with AsyncExitStack() as stack:
        if refused.held is not None:
            await stack.enter_async_context(refused.held)
        yield await stack.enter_async_context(
            open_whole(endpoint, descriptor, response=refused.response, budget=budget)
        )


async def save_blob(
    endpoint: Endpoint,
    descriptor: Descriptor,
    path: Path,
    *,
    options: TransferOptions,
    meter: Meter | None = None,
    durable: bool = False,
) -> None:
    """Write a blob to a file; see `ocipkg_async.content.Downloader`.

    Raises:
        NotFoundError: the repository does not have it.
        IntegrityError: the registry sent wrong bytes; nothing was kept.
        RegistryError, TransportError: the registry refused, or could not be reached; what arrived is
            kept for the next run, unless `options` say otherwise.
        DiskFullError, StorageError: the file system refused.
    """
    transport = endpoint.transport

    def waiting() -> None:
        text = f"another process downloads {descriptor.digest.short}; waiting for it"
        transport.report(Warned(action="download", descriptor=descriptor, text=text))

    budget = transport.budget()
    with transport.limited(budget, what=_what(descriptor)):
        async with partial_file(path, descriptor, resume=options.resume, on_wait=waiting) as file:
            saving = _Saving(
                endpoint, descriptor, file, options, meter=meter or Meter(), budget=budget
            )
            await saving.run(durable=durable)


def _what(descriptor: Descriptor) -> str:
    return f"the download of {descriptor.digest.short}"


class _Saving:
    """One download to a file."""

    def __init__(
        self,
        endpoint: Endpoint,
        descriptor: Descriptor,
        file: PartialFile,
        options: TransferOptions,
        *,
        meter: Meter,
        budget: RetryBudget,
    ) -> None:
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._file = file
        self._options = options
        self._meter = meter
        self._budget = budget

    async def run(self, *, durable: bool) -> None:
        file, wanted = self._file, self._descriptor.digest
        while True:
            inherited = file.found or bool(file.done)
            try:
                found = await self._fill()
            except IntegrityError:
                await run_in_thread(file.discard)
                raise
            if found == wanted and await run_in_thread(partial(file.publish, durable=durable)):
                return
            if not inherited:
                await run_in_thread(file.discard)
                raise DigestMismatchError(
                    f"the content of {wanted} has the digest {found}",
                    expected=wanted,
                    actual=found,
                )
            # A journal may claim what a power failure lost, or somebody changed a file, or removed
            # the one that was found.
            await run_in_thread(file.forget)

    async def _fill(self) -> Digest:
        """Fetch what is missing; return the digest of it all."""
        await run_in_thread(self._file.reserve)
        try:
            return await self._fill_in_ranges()
        except RangesRefusedError as refused:
            await self._fill_whole(refused)
            return self._descriptor.digest

    async def _fill_in_ranges(self) -> Digest:
        descriptor, options = self._descriptor, self._options
        parallel = is_parallel(descriptor, options)
        done = ((0, descriptor.size),) if self._file.found else self._file.done
        self._meter.stand(sum(stop - start for start, stop in done))
        sink = FileSink(self._file, descriptor, done=done)
        ranged = RangedDownload(
            self._endpoint,
            descriptor,
            plan=RangePlan(
                descriptor.size,
                done=done,
                pace=self._pace() if parallel else Pace(fixed=1),
                part_bytes=options.part_bytes if parallel else descriptor.size,
            ),
            sink=sink,
            budget=self._budget,
            meter=lambda: self._meter,
            on_bytes=self._meter.advance,
        )
        try:
            with single_error():
                async with anyio.create_task_group() as group:
                    group.start_soon(sink.follow)
                    await ranged.run()
                    group.cancel_scope.cancel()
            return await sink.digest()
        finally:
            await finish_in_thread(_record, sink)

    def _pace(self) -> Pace:
        # Below a cap more connections bring nothing, whatever a moment's rate says.
        capped = self._endpoint.transport.options.bytes_per_s is not None
        return Pace(fixed=self._options.connections, limit=START if capped else LIMIT)

    async def _fill_whole(self, refused: RangesRefusedError) -> None:
        file, offset = self._file, 0

        def write(data: bytes) -> None:
            nonlocal offset
            file.write(offset, [data])
            offset += len(data)

        async with _whole(self._endpoint, self._descriptor, refused, self._budget) as reader:
            await run_in_thread(file.forget)
            self._meter.stand(0)
            reader.meter = self._meter
            await reader.drain(write)


def _record(sink: FileSink) -> None:
    with suppress(StorageError):  # a later run fetches more; that is not how this one ended
        sink.record()
