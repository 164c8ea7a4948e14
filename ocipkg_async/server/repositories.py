"""The repositories of a registry: one image layout for each, below one root folder (C-31).

``<root>/<repository>/`` is a layout that any tool can read, also while the registry runs. A
repository below another one is a folder beside the other's ``blobs`` and ``index.json``.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import anyio

from ..content import BytesSource, fetch_bytes, fetch_document, run_in_thread
from ..content.files import atomic_file, write_all
from ..errors import (
    InvalidArgumentError,
    InvalidDocumentError,
    InvalidLayoutError,
    NotFoundError,
    storage_errors,
)
from ..layout import Layout
from ..spec import Descriptor, Digest, Document, Index, image_layout, media_types
from ..spec.reference import is_repository, is_tag
from .failures import blob_unknown, manifest_unknown, name_invalid, name_unknown, unsupported
from .ranges import ByteRange
from .referrers import fallback_tag, merged


class Repository:
    """One repository.

    Attributes:
        name: its name.
        layout: where its content is.
        writing: held by whoever checks what is there and then changes it.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self.name = name
        self.layout = layout
        self.writing = anyio.Lock()

    async def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether there is a blob of this digest and size."""
        blob = Descriptor(
            media_type=media_types.OCTET_STREAM, digest=descriptor.digest, size=descriptor.size
        )
        return await self.layout.exists(blob)

    async def part_of_blob(self, digest: Digest, part: ByteRange) -> bytes:
        """Return some bytes of a blob, unverified; an injected fault works on them in memory."""
        path = self.layout.path / image_layout.blob_path(digest)

        def read() -> bytes:
            with storage_errors("read a blob"), path.open("rb") as file:
                file.seek(part.start)
                return file.read(part.length)

        return await run_in_thread(read)

    async def adopt(self, digest: Digest, file: Path) -> None:
        """Take over a verified file as a blob."""
        await self.layout.adopt(digest, file)

    async def link(self, digest: Digest, source: "Repository") -> bool:
        """Take over a blob of another repository; whether it was there."""
        return await self.layout.link_blob(digest, source.layout)

    async def manifest(self, name: str) -> Descriptor:
        """Return what a tag or digest points to.

        Raises:
            RefusedError: 404, nothing, or a blob.
        """
        try:
            descriptor = await self.layout.resolve(name)
        except (NotFoundError, InvalidArgumentError) as error:
            raise manifest_unknown(name) from error
        if not descriptor.is_document:
            raise manifest_unknown(name)
        return descriptor

    async def read(self, descriptor: Descriptor) -> bytes:
        """Return the bytes of a manifest.

        Raises:
            RefusedError: 404, they are not there.
        """
        try:
            return await fetch_bytes(self.layout, descriptor)
        except NotFoundError as error:
            raise manifest_unknown(descriptor.digest) from error

    async def put(self, document: Document, tags: list[str]) -> None:
        """Keep a manifest and let tags point to it."""
        descriptor, source = document.descriptor, BytesSource(document.raw)
        if not tags:
            await self.layout.push(descriptor, source)
            return
        await self.layout.push_tagged(descriptor, source, tags[0])
        for tag in tags[1:]:
            await self.layout.tag(descriptor, tag)

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
        children = await self._children(descriptor)
        # Force: it is gone for clients, even where an index still lists it.
        await self.layout.delete(descriptor, force=True)
        for child in children:
            # A layout does not list what is reachable through an index; now it has to.
            with contextlib.suppress(NotFoundError):
                raw = await fetch_bytes(self.layout, child, max_bytes=child.size)
                await self.layout.push(child, BytesSource(raw))

    async def _children(self, descriptor: Descriptor) -> list[Descriptor]:
        if not media_types.is_index(descriptor.media_type):
            return []
        index = await fetch_document(self.layout, descriptor, max_bytes=descriptor.size)
        return [child.plain() for child in index.successors if child.is_document]

    async def delete_blob(self, digest: Digest) -> None:
        """Remove a blob.

        Raises:
            RefusedError: 404; 405 for a manifest.
        """
        if any(entry.digest == digest for entry in await self.layout.entries()):
            raise unsupported(f"{digest} is a manifest, and is deleted as one")
        blob = Descriptor(media_type=media_types.OCTET_STREAM, digest=digest, size=0)
        try:
            await self.layout.delete(blob)
        except NotFoundError as error:
            raise blob_unknown(digest) from error

    async def referrers(self, subject: Digest, *, artifact_type: str | None) -> list[Descriptor]:
        """Return the manifests that refer to a subject, those under its fallback tag included."""
        found = await self.layout.referrers(subject)
        return merged(found, await self._listed(subject), artifact_type=artifact_type)

    async def _listed(self, subject: Digest) -> list[Descriptor]:
        """Return what clients of the fallback tag listed, as far as it is here (C-37)."""
        try:
            tagged = await self.layout.resolve(fallback_tag(subject))
            document = await fetch_document(self.layout, tagged, max_bytes=tagged.size)
        except (NotFoundError, InvalidArgumentError, InvalidDocumentError):
            return []
        if not isinstance(document, Index):
            return []
        return [one for one in document.manifests if await self.has_blob(one)]


class Repositories:
    """All repositories below `root`, which nobody else serves.

    Attributes:
        root: the folder, resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, Repository] = {}
        self._opening = anyio.Lock()

    async def find(self, name: str) -> Repository | None:
        """Return a repository, or None.

        Raises:
            RefusedError: 400, the name leads out of the root.
        """
        if (repository := self._open.get(name)) is not None:
            return repository
        async with self._opening:
            if name not in self._open and await run_in_thread(self._is_there, name):
                await self._add(name)
        return self._open.get(name)

    async def existing(self, name: str) -> Repository:
        """Return a repository.

        Raises:
            RefusedError: 404, there is none; 400 as `find`.
        """
        repository = await self.find(name)
        if repository is None:
            raise name_unknown(name)
        return repository

    async def create(self, name: str) -> Repository:
        """Return a repository, which is made if there is none."""
        repository = await self.find(name)
        if repository is not None:
            return repository
        async with self._opening:
            if name not in self._open:
                await run_in_thread(_initialise, self._path(name))
                await self._add(name)
        return self._open[name]

    async def names(self) -> list[str]:
        """Return the names of all repositories, sorted."""
        return await run_in_thread(lambda: sorted(_walk(self.root, "")))

    async def _add(self, name: str) -> None:
        layout = await Layout.open(self._path(name))
        self._open[name] = Repository(name, layout)

    def _path(self, name: str) -> Path:
        return self.root.joinpath(*name.split("/"))

    def _is_there(self, name: str) -> bool:
        path = self._path(name)
        with storage_errors(f"look into {path}"):
            # The grammar of names allows no "..", but a folder may be a link to somewhere else.
            if not path.resolve().is_relative_to(self.root):
                raise name_invalid(name)
            return (path / image_layout.INDEX).is_file()


def _initialise(path: Path) -> None:
    """Make an empty layout, also in a folder that has other repositories below it."""
    with storage_errors(f"make {path}"):
        path.mkdir(parents=True, exist_ok=True)
        foreign = [
            entry.name
            for entry in os.scandir(path)
            if not entry.is_dir(follow_symlinks=False)
            and not entry.name.startswith(".")
            and entry.name != image_layout.MARKER
        ]
        if foreign:
            raise InvalidLayoutError(
                f"{path} has files and is not an image layout", hint="choose an empty root folder"
            )
        (path / image_layout.BLOBS / "sha256").mkdir(parents=True, exist_ok=True)
        for name, data in (
            (image_layout.MARKER, image_layout.MARKER_BYTES),
            (image_layout.INDEX, Index.build(manifests=()).raw),
        ):
            with atomic_file(path / name) as file:
                write_all(file, data)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with storage_errors(f"list {folder}"), os.scandir(folder) as entries:
        found = [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            and entry.name != image_layout.BLOBS
            and is_repository(entry.name)
        ]
    for name in found:
        path = folder / name
        if (path / image_layout.INDEX).is_file():
            yield prefix + name
        yield from _walk(path, f"{prefix}{name}/")
