"""Static programs to images that run: one layer with the program, an index for several platforms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..content import BytesSource, run_in_thread
from ..errors import InvalidArgumentError, InvalidPackageError, storage_errors
from ..events import OnEvent, Planned, ignore
from ..native import identify
from ..spec import Descriptor, Manifest, Platform, media_types
from .builder import PackStore, push_layer, push_manifest, time_given
from .collect import entry_at
from .compress import DEFAULT, Compression
from .entry import Entry
from .index_builder import push_index
from .index_entries import index_entry
from .run_config import (
    LAYER_TYPES,
    RunConfig,
    check_program_name,
    program_platform,
    run_config_json,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    path: Path
    entry: Entry
    platform: Platform


async def push_runnable(
    store: PackStore,
    executables: Sequence[Path],
    *,
    name: str | None = None,
    name_as: str | None = None,
    config: RunConfig | None = None,
    compression: Compression = DEFAULT,
    annotations: dict[str, str] | None = None,
    mtime_s: int | None = None,
    label: str = "",
    on_event: OnEvent = ignore,
) -> Descriptor:
    """Write static programs as images into a store; several, of several platforms, with an index.

    Args:
        store: where to.
        executables: one for each platform. The images run them by one name, that of the first.
        name: tag to give.
        name_as: the name of the program in the images instead.
        config: how it runs.
        compression: of the layers.
        annotations: of each manifest, and of the index.
        mtime_s: time of the files and of the images, in seconds since 1970; None for
            ``SOURCE_DATE_EPOCH``. Without either files have time 0, and images none.
        label: what events call the images; empty is `name`, else that of the program.
        on_event: told the total and the progress.

    Returns:
        the descriptor of the manifest, or of the index where there are several executables.

    Raises:
        InvalidArgumentError: no executable, two for one platform, or a name that cannot be.
        InvalidPackageError: a file is no static program for Linux, or changed meanwhile.
        NotFoundError: a file is not there.
        StorageError: a file cannot be read.
        UnsupportedError: a name is given, and the store has none.
    """
    if not executables:
        raise InvalidArgumentError("there is no program", hint="give one for each platform")
    created_s = time_given() if mtime_s is None else mtime_s
    called = check_program_name(executables[0].name if name_as is None else name_as)
    programs = [await run_in_thread(partial(_examine, path, called)) for path in executables]
    _check_platforms(programs)
    on_event(Planned(action="pack", total=sum(program.entry.size for program in programs)))
    label = label or name or called
    images: list[tuple[Manifest, Platform]] = []
    for program in programs:
        layer = await push_layer(
            store,
            [program.entry],
            media_type=LAYER_TYPES[compression.algorithm],
            compression=compression,
            mtime_s=created_s or 0,
            label=label if len(programs) == 1 else f"{label} ({program.platform})",
            on_event=on_event,
        )
        raw = run_config_json(
            program.platform,
            called,
            config or RunConfig(),
            diff_id=layer.info.diff_id,
            created_s=created_s,
        )
        descriptor = Descriptor.of(raw, media_types.OCI_CONFIG)
        await store.push(descriptor, BytesSource(raw))
        manifest = Manifest.build(
            config=descriptor, layers=(layer.descriptor.plain(),), annotations=annotations
        )
        images.append((manifest, program.platform))
    if len(images) == 1:
        manifest = images[0][0]
        await push_manifest(store, manifest, name=name)
        return manifest.descriptor
    for manifest, _ in images:
        await push_manifest(store, manifest, name=None)
    entries = [index_entry(manifest.descriptor, platform) for manifest, platform in images]
    index = await push_index(store, entries, name=name, annotations=annotations)
    return index.descriptor


def _examine(path: Path, name: str) -> _Program:
    entry = entry_at(name, str(path), follow_symlinks=True)
    if entry.kind != "file":
        raise InvalidPackageError(f"{path} is a {entry.kind}", hint="give the program itself")
    binary = identify(path)
    with storage_errors(f"read {path}"), path.open("rb") as file:
        script = file.read(2) == b"#!"
    platform = program_platform(binary, str(path), script=script)
    # Whoever copied it here may have lost the bit.
    return _Program(path=path, entry=replace(entry, executable=True), platform=platform)


def _check_platforms(programs: Sequence[_Program]) -> None:
    seen: dict[Platform, _Program] = {}
    for program in programs:
        other = seen.setdefault(program.platform, program)
        if other is not program:
            raise InvalidArgumentError(
                f"{other.path} and {program.path} are both for {program.platform}",
                hint="give one program for each platform; make an image of each otherwise",
            )
