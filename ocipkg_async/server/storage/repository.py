"""One repository: what its layout has for clients, and how they change it (C-34 to C-39)."""

from pathlib import Path

from ...content import fetch_bytes, fetch_document, run_in_thread
from ...content.shared_lock import SharedLock
from ...errors import InvalidDocumentError, NotFoundError
from ...layout import Layout
from ...layout.blob_folder import renew
from ...spec import Descriptor, Digest, Index, Manifest, image_layout, media_types
from ...spec.decoding import encode_json
from ...spec.reference import is_tag
from ..failures import blob_unknown, manifest_unknown, unsupported
from .referrers import MAX_PAGE_BYTES, fallback_tag, merged


class Repository:
    """One repository.

    Attributes:
        name: its name.
        layout: where its content is.
        writing: held by who checks what is there and then adds to it, shared; alone by who removes.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self.name = name
        self.layout = layout
        self.writing = SharedLock()

    async def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether there is a blob of this digest and size."""
        blob = Descriptor(
            media_type=media_types.OCTET_STREAM, digest=descriptor.digest, size=descriptor.size
        )
        return await self.layout.exists(blob)

    async def adopt(self, digest: Digest, file: Path) -> None:
        """Take over a verified file as a blob."""
        await self.layout.adopt(digest, file)

    async def link(self, digest: Digest, source: "Repository") -> bool:
        """Take over a blob of another repository; whether it was there."""
        return await self.layout.link_blob(digest, source.layout)

    async def manifest(self, name: str) -> Descriptor:
        """Return what a tag or digest points to: what was pushed as a manifest, or lies in an index.

        Raises:
            RefusedError: 404, nothing, or a blob.
        """
        descriptor = await self.layout.find_listed(name)
        if descriptor is None:
            raise manifest_unknown(name)
        return descriptor

    async def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether there is a manifest of this digest and size; it stays for a while if there is."""
        return await self.layout.find_listed(descriptor.digest) is not None and await self.has_blob(
            descriptor
        )

    async def read(self, descriptor: Descriptor) -> bytes:
        """Return the bytes of a manifest.

        Raises:
            RefusedError: 404, they are not there.
        """
        try:
            return await fetch_bytes(self.layout, descriptor)
        except NotFoundError as error:
            raise manifest_unknown(descriptor.digest) from error

    async def renew(self, digest: Digest) -> None:
        """Keep a manifest that a client found, and may not send again, from a collection for a while."""
        await run_in_thread(renew, self.layout.path / image_layout.blob_path(digest))

    async def put(self, document: Manifest | Index, tags: list[str]) -> None:
        """Keep a manifest and let tags point to it, all of them at once."""
        await self.layout.put(document, *tags)

    async def tags(self) -> list[str]:
        """Return the tags, sorted. Names that other tools wrote and that are no tags are left out."""
        return sorted(name for name in await self.layout.tags() if is_tag(name))

    async def untag(self, tag: str) -> None:
        """Remove a tag; its manifest stays.

        Raises:
            RefusedError: 404.
        """
        try:
            await self.layout.untag(tag)
        except NotFoundError as error:
            raise manifest_unknown(tag) from error

    async def delete_manifest(self, digest: Digest) -> None:
        """Remove a manifest and all its tags; the children of an index stay (C-36).

        Raises:
            RefusedError: 404.
        """
        descriptor = await self.manifest(digest)
        # Force: it is gone for clients, even where an index still lists it. A layout does not list
        # what is reachable through an index; for the children it now has to.
        children = await self._children(descriptor)
        try:
            await self.layout.delete(descriptor, force=True, keep=children)
        except NotFoundError as error:
            raise manifest_unknown(digest) from error

    async def _children(self, descriptor: Descriptor) -> list[Descriptor]:
        if not media_types.is_index(descriptor.media_type):
            return []
        try:
            index = await fetch_document(self.layout, descriptor, max_bytes=descriptor.size)
        except NotFoundError:
            return []  # it was removed while another one listed it
        return [child.plain() for child in index.successors if child.is_document]

    async def delete_blob(self, digest: Digest) -> None:
        """Remove a blob.

        Raises:
            RefusedError: 404; 405 for a manifest.
        """
        if await self.layout.find_listed(digest) is not None:
            raise unsupported(f"{digest} is a manifest, and is deleted as one")
        blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=0)
        try:
            await self.layout.delete(blob)
        except NotFoundError as error:
            raise blob_unknown(digest) from error

    async def referrers(
        self, subject: Digest, *, artifact_type: str | None, last: str | None
    ) -> list[Descriptor]:
        """Return the manifests that refer to a subject, those under its fallback tag included.

        They are sorted by digest and begin behind `last`. Those of the first page are whole; more
        of their annotations, which may be long, is not held in memory at once.
        """
        found = {one.entry.digest: one for one in await self.layout.briefly_referrers(subject)}
        brief = [one.entry for one in found.values()]
        every = merged(brief, await self._listed(subject), artifact_type=artifact_type)
        rest = [one for one in every if last is None or one.digest > last]
        size = 0
        for at, one in enumerate(rest):
            if one.digest in found:
                rest[at] = await self.layout.whole_referrer(found[one.digest])
            size += len(encode_json(rest[at]))
            if at and size > MAX_PAGE_BYTES:
                break
        return rest

    async def _listed(self, subject: Digest) -> list[Descriptor]:
        """Return what clients of the fallback tag listed, as far as it is here (C-37)."""
        try:
            tagged = await self.layout.find_listed(fallback_tag(subject))
            if tagged is None:
                return []
            document = await fetch_document(self.layout, tagged, max_bytes=tagged.size)
        except (NotFoundError, InvalidDocumentError):
            return []
        if not isinstance(document, Index):
            return []
        return [one for one in document.manifests if await self.has_blob(one)]
