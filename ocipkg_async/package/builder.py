"""Files to a package in ocipkg's V1 format, pushed into a store in one pass.

Nothing is written to a temporary file: the tar is compressed and pushed while the files are
read, and its digest is known at the end.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import from_thread, to_thread

from ..content import (
    BytesSource,
    Meter,
    ProducerSource,
    Pusher,
    StreamPusher,
    TaggedPusher,
    Tagger,
)
from ..errors import InvalidArgumentError, UnsupportedError
from ..events import Action, Finished, OnEvent, Planned, Warned, ignore
from ..native import LinkMetadata
from ..spec import Descriptor, Index, Manifest, Platform
from .compress import DEFAULT, Compression
from .entry import Entry, leaving_links, lost_names, top_level
from .formats import Contents, PackageFormat, check_options, config_of, layer_type, manifest_of
from .layer_writer import LayerInfo, write_layer
from .named import collect_named

_SHOWN = 3  # names in a warning
_COUNT_BYTES = 4 << 20
"""How often progress is counted: a hop to the event loop costs more than a megabyte of hashing."""


class PackStore(Pusher, StreamPusher, Protocol):
    """A store that packages can be written into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedLayer:
    """A layer in a store, and what is known of it."""

    descriptor: Descriptor
    info: LayerInfo


def source_date_epoch(environ: Mapping[str, str] | None = None) -> int:
    """Return the time for all entries: ``SOURCE_DATE_EPOCH`` in seconds since 1970, else 0.

    Raises:
        InvalidArgumentError: the variable holds something else.
    """
    return time_given(environ) or 0


def time_given(environ: Mapping[str, str] | None = None) -> int | None:
    """Return ``SOURCE_DATE_EPOCH``, None where it is not set."""
    text = (os.environ if environ is None else environ).get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidArgumentError(
            f"SOURCE_DATE_EPOCH is {text[:40]!r}", hint="set it to seconds since 1970, or unset it"
        )
    return int(text)


async def pack(
    store: PackStore,
    paths: Sequence[Path],
    *,
    named: Mapping[str, Path] | None = None,
    format: PackageFormat = "ocipkg-v1",  # noqa: A002 - the word for it
    platform: Platform | None = None,
    link: LinkMetadata | None = None,
    name: str | None = None,
    compression: Compression = DEFAULT,
    annotations: dict[str, str] | None = None,
    mtime_s: int | None = None,
    follow_symlinks: bool = False,
    label: str = "",
    on_event: OnEvent = ignore,
) -> Descriptor:
    """Write files as a package into a store.

    The same files give the same tar on any machine; the config records its digest. The digest of
    the compressed layer depends on the compressor too; see `Compression`.

    Args:
        store: where to.
        paths: one directory, for its contents; or files and directories, each packed under its
            base name.
        named: further files and directories, by the slash-separated names they get in the package.
        format: ``ocipkg-v1``, or ``ocipkg-v0`` for readers older than ocipkg 0.3, which is
            an ordinary image: its annotations are labels of the config.
        platform: what the package is for, as its config says; for ``ocipkg-v0``, which must name
            one, None is this host's.
        link: how the package wants to be linked.
        name: tag to give, as the store wants it: the full reference for layouts and archives.
        compression: of the layer. ocipkg itself reads gzip only.
        annotations: of the package.
        mtime_s: time of all files, in seconds since 1970; None for ``SOURCE_DATE_EPOCH``, else 0.
        follow_symlinks: pack what symlinks point to, instead of the links.
        label: what events call the package; empty is `name`.
        on_event: told the total, progress about every 4 MiB, and links and names that are lost when it
            is unpacked.

    Returns:
        the descriptor of the manifest.

    Raises:
        InvalidArgumentError: something in `named` is no name, or the format has no place for `link`
            or for another option.
        InvalidPackageError: nothing to pack, names that collide, a special file, a name that is
            not UTF-8, or a file that changed while it was read.
        NotFoundError: a path is not there.
        StorageError: a file cannot be read.
        UnsupportedError: the store cannot do what is needed, or the format has no such compression.
    """
    annotations = annotations or {}
    created_s = time_given() if mtime_s is None else mtime_s
    mtime_s = created_s or 0
    media_type = layer_type(format, compression.algorithm)
    check_options(format, annotations, link)
    entries = await to_thread.run_sync(
        lambda: collect_named(
            paths,
            named or {},
            follow_symlinks=follow_symlinks,
            check=from_thread.check_cancelled,
        )
    )
    warn_of_links(leaving_links(entries), "pack", on_event)
    lost = lost_names(entries, portable=format != "ocipkg-v0")  # images may have any name
    _warn(
        "what has these names is refused or left out when this is unpacked", lost, "pack", on_event
    )
    on_event(Planned(action="pack", total=sum(entry.size for entry in entries)))
    layer = await push_layer(
        store,
        entries,
        media_type=media_type,
        compression=compression,
        mtime_s=mtime_s,
        label=label or name or "",
        on_event=on_event,
    )
    contents = Contents(
        layer=layer.descriptor,
        diff_id=layer.info.diff_id,
        top_level=top_level(entries),
        annotations=annotations,
        platform=platform,
        link=link,
        created_s=created_s,
    )
    config, config_descriptor = config_of(format, contents)
    await store.push(config_descriptor, BytesSource(config))
    manifest = manifest_of(format, contents, config_descriptor)
    await push_manifest(store, manifest, name=name)
    return manifest.descriptor


async def push_layer(
    store: StreamPusher,
    entries: Sequence[Entry],
    *,
    media_type: str,
    compression: Compression,
    mtime_s: int,
    prefix: str = "",
    label: str = "",
    action: Action = "pack",
    on_event: OnEvent = ignore,
) -> PackedLayer:
    """Write entries as one layer into a store, with progress.

    Raises:
        InvalidPackageError, InvalidArgumentError, StorageError: as `write_layer`.
    """
    total = sum(entry.size for entry in entries)
    label = label or prefix
    infos: list[LayerInfo] = []

    def produce(write: Callable[[bytes], None]) -> None:
        counted = 0
        from_thread.run_sync(meter.stand, 0)  # a push may start again

        def on_block(_name: str, done: int) -> None:
            nonlocal counted
            from_thread.check_cancelled()
            if done - counted >= _COUNT_BYTES:
                from_thread.run_sync(meter.advance, done - counted)
                counted = done

        info = write_layer(
            entries,
            write,
            compression=compression,
            mtime_s=mtime_s,
            prefix=prefix,
            on_block=on_block,
        )
        infos.append(info)

    meter = Meter(on_event, action=action, name=label, total=total)
    meter.started()
    descriptor = await store.push_stream(media_type, ProducerSource(produce))
    on_event(Finished(action=action, name=label, descriptor=descriptor, done=total))
    return PackedLayer(descriptor=descriptor, info=infos[-1])


async def push_manifest(store: Pusher, manifest: Manifest | Index, *, name: str | None) -> None:
    """Push a manifest or index, and name it where a name is given.

    Raises:
        UnsupportedError: a name is given, and the store has none.
    """
    source = BytesSource(manifest.raw)
    if name is None:
        await store.push(manifest.descriptor, source)
    elif isinstance(store, TaggedPusher):
        await store.push_tagged(manifest.descriptor, source, name)
    elif isinstance(store, Tagger):
        await store.push(manifest.descriptor, source)
        await store.tag(manifest.descriptor, name)
    else:
        raise UnsupportedError("this store cannot name what it holds", hint="leave out the name")


def warn_of_links(links: Sequence[Entry], action: Action, on_event: OnEvent) -> None:
    """Tell which symlinks whoever unpacks will refuse, if there are any."""
    _warn("these symlinks are refused when this is unpacked", links, action, on_event)


def _warn(what: str, entries: Sequence[Entry], action: Action, on_event: OnEvent) -> None:
    if entries:
        shown = ", ".join(ascii(entry.name) for entry in entries[:_SHOWN])
        more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
        on_event(Warned(action=action, text=f"{what}: {shown}{more}"))
