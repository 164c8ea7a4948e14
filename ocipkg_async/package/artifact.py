"""Files and directories to an artifact as ORAS writes it: one layer for each, named by its title.

A file is a layer as it is. A directory is a gzipped tar whose entries begin with the title; two
annotations tell that it is to be unpacked, and the digest of the tar.
"""

import functools
import stat
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio import from_thread, to_thread

from ..content import BytesSource, FileSource, Meter
from ..errors import (
    InvalidArgumentError,
    InvalidDocumentError,
    InvalidPackageError,
    NotFoundError,
    StorageError,
    UnsupportedError,
    single_error,
    storage_errors,
)
from ..events import OnEvent, Planned, Skipped, ignore
from ..spec import EMPTY_JSON, Descriptor, Digest, Digester, Manifest, media_types
from ..spec import annotations as keys
from .artifact_file import ArtifactFile, refused_by_oras
from .builder import (
    PackStore,
    push_layer,
    push_manifest,
    source_date_epoch,
    warn_of_links,
)
from .collect import collect_directory
from .compress import DEFAULT, Compression
from .entry import Entry
from .file_progress import CountedSource

UNKNOWN_CONFIG = "application/vnd.unknown.config.v1+json"
"""What ORAS writes as type of a config when none is given."""
_HASH_BYTES = 4 << 20
_TRANSFERS = 4


async def push_artifact(
    store: PackStore,
    files: Sequence[ArtifactFile],
    *,
    name: str | None = None,
    artifact_type: str | None = None,
    annotations: dict[str, str] | None = None,
    config: ArtifactFile | None = None,
    compression: Compression = DEFAULT,
    mtime_s: int | None = None,
    follow_symlinks: bool = False,
    transfers: int = _TRANSFERS,
    on_event: OnEvent = ignore,
) -> Descriptor:
    """Push files and directories as one artifact that ORAS can pull.

    Files that the store has already are not sent. No time of creation is added; give one as
    annotation if you want a new digest each time.

    Args:
        store: where to.
        files: what; the layers come in this order.
        name: tag to give.
        artifact_type: of the manifest; None for ORAS's "unknown", or for what the config says.
        annotations: of the manifest.
        config: a file as config, instead of the empty one.
        compression: of directories; ORAS unpacks gzip only.
        mtime_s: time of files inside directories; None for ``SOURCE_DATE_EPOCH``, else 0.
        follow_symlinks: pack what symlinks in directories point to.
        transfers: how many files are hashed and sent at once. With 1 they come into the store in
            order, so that an archive has the same bytes each time.
        on_event: told the total, and the progress of each file.

    Returns:
        the descriptor of the manifest.

    Raises:
        InvalidArgumentError: two files with one title, or a type that is no media type.
        InvalidPackageError: a special file, or one that changed while it was packed.
        NotFoundError: a file is not there.
        StorageError: a file cannot be read.
        UnsupportedError: another compression than gzip.
    """
    _check(files, compression, artifact_type)
    pushing = _Pushing(
        store,
        compression=compression,
        mtime_s=source_date_epoch() if mtime_s is None else mtime_s,
        on_event=on_event,
    )
    await pushing.plan(files, follow_symlinks=follow_symlinks)
    layers = await pushing.push_all(files, transfers=transfers)
    if config is None:
        config_descriptor = await pushing.push_empty()
    else:
        config_descriptor = await pushing.push_file(config, config.media_type or UNKNOWN_CONFIG)
    if artifact_type is None and config is None:
        artifact_type = media_types.UNKNOWN_ARTIFACT
    manifest = Manifest.build(
        artifact_type=artifact_type,
        config=config_descriptor,
        layers=layers or (await pushing.push_empty(),),
        annotations=annotations,
    )
    await push_manifest(store, manifest, name=name)
    return manifest.descriptor


def _check(
    files: Sequence[ArtifactFile], compression: Compression, artifact_type: str | None
) -> None:
    if artifact_type is not None:
        try:
            media_types.check_media_type(artifact_type)
        except InvalidDocumentError as error:
            raise InvalidArgumentError(
                f"the artifact type: {error}", hint="a media type looks like application/json"
            ) from error
    if compression.algorithm != "gzip":
        raise UnsupportedError(
            f"ORAS does not unpack directories compressed with {compression.algorithm}",
            hint="use gzip, or pack the directory as a package",
        )
    titles: dict[str, Path] = {}
    for file in files:
        if file.title in titles:
            raise InvalidArgumentError(
                f"{titles[file.title]} and {file.path} have one title, {file.title!r}",
                hint="give each file once",
            )
        titles[file.title] = file.path


class _Pushing:
    """One run of `push_artifact`."""

    def __init__(
        self, store: PackStore, *, compression: Compression, mtime_s: int, on_event: OnEvent
    ) -> None:
        self._store = store
        self._compression = compression
        self._mtime_s = mtime_s
        self._on_event = on_event
        self._entries: dict[Path, list[Entry]] = {}
        self._seen: set[Digest] = set()

    async def plan(self, files: Sequence[ArtifactFile], *, follow_symlinks: bool) -> None:
        """Find what is in the directories, and tell the total."""
        total = 0
        for file in files:
            size = await to_thread.run_sync(_file_size, file.path)
            if size is None:
                entries = await to_thread.run_sync(
                    functools.partial(
                        collect_directory,
                        file.path,
                        follow_symlinks=follow_symlinks,
                        check=from_thread.check_cancelled,
                    )
                )
                warn_of_links(refused_by_oras(entries), "upload", self._on_event)
                self._entries[file.path] = entries
                size = sum(entry.size for entry in entries)
            total += size
        self._on_event(Planned(action="upload", total=total))

    async def push_all(
        self, files: Sequence[ArtifactFile], *, transfers: int
    ) -> tuple[Descriptor, ...]:
        layers: dict[int, Descriptor] = {}
        limiter = anyio.CapacityLimiter(transfers)

        async def push(position: int, file: ArtifactFile) -> None:
            async with limiter:
                if file.path in self._entries:
                    layers[position] = await self._push_directory(file)
                else:
                    layers[position] = await self.push_file(
                        file, file.media_type or media_types.OCI_LAYER_TAR, titled=True
                    )

        with single_error():
            async with anyio.create_task_group() as group:
                for position, file in enumerate(files):
                    group.start_soon(push, position, file)
        return tuple(layers[position] for position in range(len(files)))

    async def push_file(
        self, file: ArtifactFile, media_type: str, *, titled: bool = False
    ) -> Descriptor:
        """Hash a file, then push it unless it is there: a second reading, that often is saved."""
        digester = await to_thread.run_sync(_hash_file, file.path)
        extra = {keys.TITLE: file.title} if titled else {}
        descriptor = Descriptor(
            media_type=media_type,
            digest=digester.digest(),
            size=digester.size,
            annotations=_sorted({**extra, **(file.annotations or {})}) or None,
        )
        if descriptor.digest in self._seen:
            return descriptor  # the same content under another title; its push is under way
        self._seen.add(descriptor.digest)
        plain = descriptor.plain()
        if await self._store.exists(plain):
            self._on_event(
                Skipped(action="upload", descriptor=descriptor, name=file.title, reason="exists")
            )
            return descriptor
        meter = Meter(self._on_event, action="upload", descriptor=descriptor, name=file.title)
        meter.started()
        source = FileSource(file.path, size=descriptor.size)
        await self._store.push(plain, CountedSource(source, meter))
        meter.finished()
        return descriptor

    async def push_empty(self) -> Descriptor:
        """Push the empty content; its descriptor carries it too, as ORAS writes it."""
        empty = Descriptor.of(EMPTY_JSON, media_types.OCI_EMPTY, embed=True)
        if not await self._store.exists(empty.plain()):
            await self._store.push(empty.plain(), BytesSource(EMPTY_JSON))
        return empty

    async def _push_directory(self, file: ArtifactFile) -> Descriptor:
        layer = await push_layer(
            self._store,
            self._entries[file.path],
            media_type=file.media_type or media_types.OCI_LAYER_TAR_GZIP,
            compression=self._compression,
            mtime_s=self._mtime_s,
            prefix=file.title,
            action="upload",
            on_event=self._on_event,
        )
        return Descriptor(
            media_type=layer.descriptor.media_type,
            digest=layer.descriptor.digest,
            size=layer.descriptor.size,
            annotations=_sorted(
                {
                    keys.TITLE: file.title,
                    **(file.annotations or {}),
                    keys.ORAS_CONTENT_DIGEST: layer.info.diff_id,
                    keys.ORAS_UNPACK: "true",
                }
            ),
        )


def _sorted(pairs: dict[str, str]) -> dict[str, str]:
    return dict(sorted(pairs.items()))


def _file_size(path: Path) -> int | None:
    """Return a file's size, None for a directory."""
    try:
        with storage_errors(f"read {path}"):
            info = path.stat()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NotFoundError(
                f"there is no file or folder {path}", hint="check the path"
            ) from error
        raise
    if stat.S_ISDIR(info.st_mode):
        return None
    if not stat.S_ISREG(info.st_mode):
        raise InvalidPackageError(
            f"{path} is neither a file nor a directory", hint="write its content to a file first"
        )
    return info.st_size


def _hash_file(path: Path) -> Digester:
    digester = Digester()
    buffer = bytearray(_HASH_BYTES)
    view = memoryview(buffer)
    with storage_errors(f"read {path}"), path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digester.update(view[:count])
            from_thread.check_cancelled()
    return digester
