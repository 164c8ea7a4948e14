"""Several packages to one index: reading what each is for, and pushing the index."""

from collections.abc import Sequence

import msgspec

from ..content import Fetcher, Pusher, fetch_bytes, fetch_document
from ..content.reader import MAX_DOCUMENT_BYTES
from ..content.select import choose
from ..errors import LimitExceededError, NotFoundError, UnsupportedError
from ..events import OnEvent, Warned, ignore
from ..spec import Descriptor, Index, Manifest, Platform
from .builder import push_manifest
from .index_entries import (
    IndexPart,
    common_artifact_type,
    config_platform,
    index_entry,
    is_attestation,
    same_platform,
    tells_platform,
)


async def push_index(
    store: Pusher,
    entries: Sequence[Descriptor],
    *,
    name: str | None = None,
    annotations: dict[str, str] | None = None,
) -> Index:
    """Push an index over manifests that are in the store; the same entries give the same bytes.

    Args:
        store: where the manifests are.
        entries: from `arrange`, or one `index_entry` for each platform.
        name: tag to give.
        annotations: of the index.

    Raises:
        UnsupportedError: a name is given, and the store has none.
        OCIError: the store failed.
    """
    index = Index.build(
        manifests=tuple(entries),
        artifact_type=common_artifact_type(entries),
        annotations=annotations,
    )
    await push_manifest(store, index, name=name)
    return index


async def read_part(
    store: Fetcher,
    root: Descriptor,
    *,
    label: str,
    platform: Platform | None = None,
    max_bytes: int = MAX_DOCUMENT_BYTES,
    on_event: OnEvent = ignore,
) -> tuple[IndexPart, dict[str, str]]:
    """Return what a manifest or index adds to a new index, and the annotations of an index.

    Args:
        store: has it.
        root: the manifest or index; its platform counts before what the content says.
        label: what the user calls it.
        platform: what it is for, or which one of an index; None is what it says itself.
        max_bytes: largest document that is read.
        on_event: told when it says another platform than `platform`.

    Raises:
        NotFoundError: the index has nothing for `platform`.
        IntegrityError, InvalidDocumentError: a document or config is broken.
        UnsupportedError: the index lists something that is no manifest.
        LimitExceededError: indexes are nested too deeply.
    """
    reading = _Reading(store, label, max_bytes, on_event)
    document = await reading.document(root)
    if isinstance(document, Manifest):
        listed = msgspec.structs.replace(document.descriptor, platform=root.platform)
        entry = await reading.entry(listed, document, platform)
        return IndexPart(label=label, entries=(entry,)), {}
    if platform is not None:
        entry = await reading.chosen(document, platform)
        return IndexPart(label=label, entries=(entry,)), {}
    entries = await reading.entries(document, 1)
    part = IndexPart(label=label, entries=tuple(entries), replaceable=True)
    return part, document.annotations


class _Reading:
    """One source, while it is read."""

    def __init__(self, store: Fetcher, label: str, max_bytes: int, on_event: OnEvent) -> None:
        self._store = store
        self._label = label
        self._max_bytes = max_bytes
        self._on_event = on_event

    async def document(self, descriptor: Descriptor) -> Manifest | Index:
        if not descriptor.is_document:
            raise UnsupportedError(
                f"{self._label} lists {descriptor.digest} of type {descriptor.media_type}, "
                "which is neither a manifest nor an index"
            )
        return await fetch_document(self._store, descriptor, max_bytes=self._max_bytes)

    async def entry(
        self, descriptor: Descriptor, manifest: Manifest, wanted: Platform | None
    ) -> Descriptor:
        """Return the entry of a manifest; without platform if neither anybody nor it says one."""
        said = descriptor.platform or await self._said(manifest)
        if wanted is not None and said is not None and not same_platform(wanted, said):
            text = f"{self._label} says it is for {said}; it is listed for {wanted}"
            self._on_event(Warned(action="copy", text=text))
        platform = wanted or said
        kind = descriptor.artifact_type or manifest.artifact_type
        if platform is None:
            return msgspec.structs.replace(descriptor, artifact_type=kind)
        return index_entry(descriptor, platform, artifact_type=kind)

    async def entries(self, index: Index, depth: int) -> list[Descriptor]:
        """Return the manifests of an index, those of indexes in it included."""
        if depth > Index.MAX_DEPTH:
            raise LimitExceededError(f"the indexes in {self._label} are nested too deeply")
        found: list[Descriptor] = []
        for one in index.manifests:
            if is_attestation(one):
                found.append(one)
                continue
            document = await self.document(one)
            if isinstance(document, Index):
                found += await self.entries(document, depth + 1)
            else:
                found.append(await self.entry(one, document, None))
        return found

    async def chosen(self, index: Index, platform: Platform) -> Descriptor:
        """Return the entry of an index for one platform, and no other that would run there."""
        for _ in range(Index.MAX_DEPTH):
            one = choose(index, platform)
            if one.platform is not None and not same_platform(one.platform, platform):
                raise NotFoundError(
                    f"{self._label} has no manifest for {platform}",
                    hint=f"it has one for {one.platform}, which is not the same",
                )
            document = await self.document(one)
            if isinstance(document, Manifest):
                return await self.entry(one, document, platform)
            index = document
        raise LimitExceededError(f"the indexes in {self._label} are nested too deeply")

    async def _said(self, manifest: Manifest) -> Platform | None:
        config = manifest.config
        if config is None or not tells_platform(config.media_type):
            return None
        raw = await fetch_bytes(self._store, config, max_bytes=self._max_bytes)
        return config_platform(raw, config.media_type)
