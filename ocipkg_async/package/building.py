"""Builds the tree of a package in a staging folder: every layer fetched, verified and applied."""

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from anyio import from_thread, to_thread

from ..content import Downloader, Fetcher, fetch_bytes, finish_in_thread
from ..errors import InvalidArgumentError
from ..events import Action, OnEvent, Warned
from ..spec import Descriptor, Manifest
from .extract import Extractor, Mode
from .kept_layers import kept_layers
from .layer_job import LayerJob
from .layer_plan import IMAGE_CONFIGS, LayerTask, Unpack, UnpackPlan, plan_unpack
from .limits import UnpackLimits
from .listing import ListedFolder
from .merge import in_the_way
from .staging import BLOBS, TREE, partials_folder

Place = Callable[[ListedFolder], None]
"""Moves the finished tree to where it belongs, in a worker thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackReport:
    """What was unpacked.

    Attributes:
        files: how many files, every hard link counted.
        bytes: bytes in them, hard links counted once.
        skipped: layers that were not unpacked, each with the reason.
        special: devices and FIFOs that were left out.
    """

    files: int
    bytes: int
    skipped: tuple[tuple[Descriptor, str], ...] = ()
    special: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """A package to unpack, and how; the arguments of `install.unpack_new`.

    Attributes:
        listing: whether a list of what was unpacked is wanted, with digests.
    """

    fetcher: Fetcher
    manifest: Manifest
    limits: UnpackLimits
    mode: Mode | None
    unpack: Unpack
    keep_times: bool
    read_only: bool
    partial: Path | None
    resume: bool
    concurrency: int
    listing: bool
    action: Action
    on_event: OnEvent

    async def run(self, staging: Path, occupied: Path | None, place: Place) -> UnpackReport:
        """Fetch and unpack everything into the staging folder's tree, and put that in its place.

        Args:
            staging: made by `staging_folder`.
            occupied: a folder; what is in the way there is told before anything is fetched, as far
                as the manifest tells the names.
            place: puts the tree in its place.

        Raises:
            OCIError: as `install.unpack`.
        """
        plan = await self._plan()
        if occupied is not None:
            await to_thread.run_sync(_check_titles, plan.tasks, occupied)
        async with AsyncExitStack() as stack:
            partials = None
            if self.resume and isinstance(self.fetcher, Downloader):
                partials = await stack.enter_async_context(
                    partials_folder(self.partial, staging.parent, on_left=self._left)
                )
            # What arrived is kept until the files are in place.
            kept = await stack.enter_async_context(kept_layers(partials))
            extractor = await to_thread.run_sync(functools.partial(self._start, staging, plan))
            try:
                await LayerJob(
                    self.fetcher,
                    plan.tasks,
                    staging / BLOBS,
                    extractor,
                    limits=self.limits,
                    kept=kept,
                    concurrency=self.concurrency,
                    action=self.action,
                    on_event=self.on_event,
                ).run()
                await to_thread.run_sync(extractor.finish)
                listing = ListedFolder()
                if self.listing:
                    listing = await to_thread.run_sync(extractor.listing)
            finally:
                await finish_in_thread(extractor.close)
            await to_thread.run_sync(place, listing)
        if extractor.special:
            text = f"{extractor.special} devices or FIFOs were left out"
            self.on_event(Warned(action="unpack", text=text))
        return UnpackReport(
            files=extractor.files,
            bytes=extractor.bytes,
            skipped=plan.skipped,
            special=extractor.special,
        )

    async def _plan(self) -> UnpackPlan:
        manifest = self.manifest
        if not isinstance(manifest, Manifest):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgumentError(
                "an index cannot be unpacked", hint="select the manifest of one platform first"
            )
        config = None
        if manifest.config is not None and manifest.config.media_type in IMAGE_CONFIGS:
            config = await fetch_bytes(self.fetcher, manifest.config)
        return plan_unpack(manifest, config, limits=self.limits, mode=self.mode, unpack=self.unpack)

    def _start(self, staging: Path, plan: UnpackPlan) -> Extractor:
        return Extractor(
            staging / TREE,
            mode=plan.mode,
            limits=self.limits,
            keep_times=self.keep_times,
            read_only=self.read_only,
            listing=self.listing,
            check=from_thread.check_cancelled,
        )

    def _left(self, folder: Path) -> None:
        text = f"what arrived is kept in {folder}; run this again to go on"
        self.on_event(Warned(action="unpack", text=text))


def _check_titles(tasks: Sequence[LayerTask], folder: Path) -> None:
    for task in tasks:
        path = folder.joinpath(*task.path)
        if task.role == "file" and os.path.lexists(path):
            raise in_the_way(path, mixed=path.is_dir() and not path.is_symlink())
