"""A remote repository as a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio

from ..content import BlobReader, Meter, Source, fetch_bytes, fetch_document, verified
from ..errors import (
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    RegistryNotFoundError,
    TransportError,
    UnsupportedError,
)
from ..spec import Descriptor, Digest, Reference, parse_document
from ..spec.reference import is_tag
from ..transport import Transport
from . import manifests, pages, referrers, upload
from .download import is_saved, open_blob, save_blob
from .endpoint import Endpoint
from .memory import RegistryMemory
from .options import TransferOptions

DEFAULT_MAX_MANIFEST_BYTES = 4 << 20
_DELETED = frozenset({200, 202, 204})


class Repository:
    """One repository of a registry. It has every power of a store.

    Args:
        transport: sends the requests.
        reference: names registry and repository; tag and digest in it are not looked at.
        max_manifest_bytes: largest manifest that is read.
        options: how blobs move.
        memory: what is known of registries, shared by the repositories of one client; None is a
            memory of its own.
    """

    def __init__(
        self,
        transport: Transport,
        reference: Reference,
        *,
        max_manifest_bytes: int = DEFAULT_MAX_MANIFEST_BYTES,
        options: TransferOptions | None = None,
        memory: RegistryMemory | None = None,
    ) -> None:
        self.reference = Reference(registry=reference.registry, repository=reference.repository)
        self._endpoint = Endpoint(
            transport=transport,
            registry=reference.host,
            repository=reference.repository,
            memory=(memory or RegistryMemory()).of(reference.host),
        )
        self._max_bytes = max_manifest_bytes
        self._options = options or TransferOptions()
        self._sessions: dict[Digest, upload.UploadSession] = {}
        self._pushes: dict[Digest, anyio.Event] = {}

    async def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest points to.

        Raises:
            NotFoundError: there is no such tag or manifest.
            InvalidReferenceError: `name` is neither a tag nor a digest.
        """
        if ":" in name:
            name = Digest(name)
        elif not is_tag(name):
            raise InvalidReferenceError(f"{name[:150]!r} is neither a tag nor a digest")
        return await manifests.resolve(self._endpoint, name, max_bytes=self._max_bytes)

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        """Open content for reading, verified while it arrives.

        Raises:
            NotFoundError: the repository does not have it.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        if descriptor.is_document:
            opened = manifests.open_manifest(self._endpoint, descriptor, max_bytes=self._max_bytes)
        else:
            opened = open_blob(self._endpoint, descriptor, options=self._options)
        async with opened as reader:
            self._saw(descriptor)
            yield reader

    async def download(
        self,
        descriptor: Descriptor,
        path: Path,
        *,
        meter: Meter | None = None,
        durable: bool = False,
    ) -> bool:
        """Write a large blob to a file, in ranges; see `ocipkg_async.content.Downloader`.

        Raises:
            NotFoundError: the repository does not have it.
            IntegrityError: the registry sent wrong bytes; nothing was kept.
            RegistryError, TransportError: the registry refused, or could not be reached; the next
                call goes on with what arrived.
            DiskFullError, StorageError: the file system refused.
        """
        if descriptor.is_document or not is_saved(descriptor, self._options):
            return False
        await save_blob(
            self._endpoint,
            descriptor,
            path,
            options=self._options,
            meter=meter,
            durable=durable,
        )
        self._saw(descriptor)
        return True

    async def exists(self, descriptor: Descriptor) -> bool:
        """Whether the content is there (D-30)."""
        kind = "manifests" if descriptor.is_document else "blobs"
        request = self._endpoint.request(
            "HEAD",
            self._endpoint.url(f"{kind}/{descriptor.digest}"),
            scopes=self._endpoint.pull,
            accept=frozenset({200, 404}),
            headers={"Accept": descriptor.media_type} if descriptor.is_document else None,
        )
        async with self._endpoint.transport.send(request) as response:
            found = response.status == 200
        if found:
            self._saw(descriptor)
        return found

    async def push(self, descriptor: Descriptor, source: Source) -> None:
        """Store content under its digest. A blob that is being pushed already is waited for.

        A blob that was seen in another repository of the registry is taken over from there.

        Raises:
            IntegrityError: the source's bytes are not what `descriptor` says.
            RegistryError, TransportError: the registry refused, or could not be reached.
            StorageError: `resume_uploads`, and what it keeps cannot be written.
        """
        if descriptor.is_document:
            await self.push_tagged(descriptor, source, descriptor.digest)
            return
        digest = descriptor.digest
        # One upload is enough, and distribution answers wrongly while several end at once (D-67).
        while (other := self._pushes.get(digest)) is not None:
            await other.wait()
            if await self.exists(descriptor):
                return
        ended = self._pushes[digest] = anyio.Event()
        try:
            if digest in self._sessions or not await self._taken_over(descriptor):
                await upload.upload(
                    self._endpoint,
                    descriptor,
                    source,
                    options=self._options,
                    session=self._sessions.pop(digest, None),
                )
                self._saw(descriptor)
        finally:
            del self._pushes[digest]
            ended.set()

    async def _taken_over(self, descriptor: Descriptor) -> bool:
        """Mount a blob from where this client saw it last."""
        blobs, mine = self._endpoint.memory.blobs, self._endpoint.repository
        place = blobs.elsewhere(descriptor.digest, mine)
        if place is None:
            return False
        # A mount that fails leaves an upload that many registries do not let us cancel.
        if not await upload.is_there(replace(self._endpoint, repository=place), descriptor):
            blobs.forget(descriptor.digest, place)
            return False
        return await self.mount(descriptor, place)

    def _saw(self, descriptor: Descriptor) -> None:
        """Remember that a blob is here."""
        if not descriptor.is_document:
            self._endpoint.memory.blobs.add(descriptor.digest, self._endpoint.repository)

    async def push_stream(self, media_type: str, source: Source) -> Descriptor:
        """Store a blob, computing its digest while it is sent.

        Raises:
            RegistryError, TransportError: the registry refused, or could not be reached.
            UnsupportedError: the registry takes whole blobs only, and this can be read only once.
            StorageError: the same, and it cannot be written to a temporary file.
        """
        descriptor = await upload.upload_stream(
            self._endpoint, media_type, source, options=self._options
        )
        self._saw(descriptor)
        return descriptor

    async def push_tagged(self, descriptor: Descriptor, source: Source, name: str) -> None:
        """Store a manifest and name it in one request.

        A manifest with a subject is then listed under the subject's fallback tag, where the
        registry does not list it itself; when that fails, the manifest is there all the same.

        Raises:
            InvalidDocumentError: it is no manifest.
            IntegrityError, RegistryError, TransportError: as `push`.
        """
        async with source.open() as stream:
            raw = await verified(stream, descriptor).read_all(max_bytes=self._max_bytes)
        document = parse_document(raw, media_type=descriptor.media_type, digest=descriptor.digest)
        indexed = await manifests.push(self._endpoint, descriptor, raw, name)
        if document.subject is None or indexed:
            return
        if not await referrers.has_api(self._endpoint, document.subject.digest):
            await referrers.add_referrer(self._endpoint, document, max_bytes=self._max_bytes)

    async def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let a tag point to a manifest that is there.

        Raises:
            NotFoundError: the manifest is not there.
            InvalidReferenceError: `name` is not a tag.
        """
        self.reference.with_tag(name)
        raw = await fetch_bytes(self, descriptor, max_bytes=self._max_bytes)
        await manifests.push(self._endpoint, descriptor, raw, name)

    async def tags(self) -> list[str]:
        """Return all tags, sorted.

        Raises:
            NotFoundError: there is no such repository.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        found: set[str] = set()
        url = self._endpoint.url("tags/list")
        try:
            async for raw, _ in pages.pages(
                self._endpoint, url, scopes=self._endpoint.pull, what="tags"
            ):
                found.update(pages.names(raw, "tags"))
        except RegistryNotFoundError as error:
            raise RegistryNotFoundError(
                f"there is no repository {self.reference}",
                status=error.status,
                method=error.method,
                url=error.url,
                details=error.details,
                hint="check the spelling; a private repository may need login",
            ) from error
        return sorted(found)

    async def untag(self, name: str) -> None:
        """Remove a tag; the manifest and its other tags stay.

        Raises:
            NotFoundError: there is no such tag.
            UnsupportedError: the registry does not remove single tags (D-110).
        """
        self.reference.with_tag(name)
        await self._delete(
            self._endpoint.url(f"manifests/{name}"),
            f"the tag {name}",
            "this registry removes whole manifests only: remove by digest, which removes all its tags",
        )

    async def delete(self, descriptor: Descriptor) -> None:
        """Remove content; the tags of a removed manifest vanish too (D-111, D-112).

        Raises:
            NotFoundError: it is not there.
            UnsupportedError: the registry does not allow it.
        """
        if descriptor.is_document:
            await self._delete_document(descriptor)
        else:
            await self._delete_content("blobs", descriptor.digest)
            self._endpoint.memory.blobs.forget(descriptor.digest, self._endpoint.repository)

    async def _delete_document(self, descriptor: Descriptor) -> None:
        endpoint, limit = self._endpoint, self._max_bytes
        document = await fetch_document(self, descriptor, max_bytes=limit)
        subject = document.subject
        listed = subject is not None and not await referrers.has_api(endpoint, subject.digest)
        if listed:
            # First: a list without an existing manifest does less harm than one with a missing.
            await referrers.remove_referrer(endpoint, document, max_bytes=limit)
        try:
            await self._delete_content("manifests", descriptor.digest)
        except UnsupportedError:
            if listed:
                await referrers.add_referrer(endpoint, document, max_bytes=limit)
            raise

    async def _delete_content(self, kind: str, digest: Digest) -> None:
        await self._delete(
            self._endpoint.url(f"{kind}/{digest}"),
            str(digest),
            "deletion is switched off on this registry",
        )

    def can_mount_from(self, other: object) -> str | None:
        """Return the repository to mount from if `other` lies on the same registry (D-72)."""
        if not isinstance(other, Repository):
            return None
        mine, theirs = self.reference, other.reference
        beside = mine.host == theirs.host and mine.repository != theirs.repository
        return theirs.repository if beside else None

    async def mount(self, descriptor: Descriptor, from_repository: str) -> bool:
        """Try to take a blob over from another repository of this registry (D-70).

        A refusal is no error: the blob is pushed then, through the session that the registry may
        have opened.
        """
        blobs = self._endpoint.memory.blobs
        try:
            session = await upload.mount(self._endpoint, descriptor, from_repository)
        except (RegistryError, TransportError):
            blobs.forget(descriptor.digest, from_repository)
            return False
        if session is None:
            self._saw(descriptor)
            return True
        blobs.forget(descriptor.digest, from_repository)
        self._sessions[descriptor.digest] = session
        return False

    async def referrers(
        self, subject: Digest, *, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the manifests that refer to a subject, by the API or the fallback tag.

        Raises:
            RegistryError, TransportError: the registry refused, or could not be reached.
            InvalidDocumentError: what the registry keeps as the list is none.
        """
        return await referrers.list_referrers(
            self._endpoint, subject, artifact_type=artifact_type, max_bytes=self._max_bytes
        )

    async def _delete(self, url: str, what: str, unsupported: str) -> None:
        request = self._endpoint.request(
            "DELETE", url, scopes=self._endpoint.delete, accept=_DELETED
        )
        try:
            async with self._endpoint.transport.send(request):
                return
        except RegistryNotFoundError as error:
            raise NotFoundError(f"there is no {what} in {self.reference}") from error
        except RegistryError as error:
            if error.status not in {400, 405}:
                raise
            raise UnsupportedError(f"cannot remove {what}: {error}", hint=unsupported) from error
