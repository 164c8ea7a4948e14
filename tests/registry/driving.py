"""Repositories to test with, the content they get, and what a registry saw of it."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ocipkg_async.content import BytesSource, Pusher
from ocipkg_async.events import OnEvent, ignore
from ocipkg_async.registry import DEFAULT_MAX_MANIFEST_BYTES, Repository, TransferOptions
from ocipkg_async.server import EmbeddedRegistry, Faults, RequestLog
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Manifest, Reference, media_types
from ocipkg_async.transport import CredentialProvider, Transport
from transport.servers import Answer, Handler, Seen, quick, text

ARTIFACT = "application/vnd.test.artifact"


@asynccontextmanager
async def opened(
    host: str,
    name: str = "test/repository",
    *,
    credentials: CredentialProvider | None = None,
    on_event: OnEvent = ignore,
    chunk_bytes: int | None = None,
    transfer: TransferOptions | None = None,
    max_manifest_bytes: int = DEFAULT_MAX_MANIFEST_BYTES,
    **options: Any,
) -> AsyncIterator[Repository]:
    """A repository over a transport of its own that waits for nothing long."""
    transport = Transport(quick(**options), credentials=credentials, on_event=on_event)
    async with transport:
        yield Repository(
            transport,
            Reference(registry=host, repository=name),
            options=transfer or TransferOptions(chunk_bytes=chunk_bytes),
            max_manifest_bytes=max_manifest_bytes,
        )


def blob(size: int, seed: int = 0) -> tuple[Descriptor, bytes]:
    """Bytes that do not repeat, and their descriptor."""
    data = random.Random(f"{seed} {size}").randbytes(size)  # noqa: S311 - content
    return Descriptor.of(data, media_types.OCTET_STREAM), data


async def push_blob(store: Pusher, size: int = 1000, seed: int = 0) -> tuple[Descriptor, bytes]:
    descriptor, data = blob(size, seed)
    await store.push(descriptor, BytesSource(data))
    return descriptor, data


async def push_artifact(
    store: Pusher, text: str = "v1", *, subject: Descriptor | None = None, kind: str = ARTIFACT
) -> Manifest:
    """Push a manifest whose only blob is the empty one."""
    await store.push(EMPTY, BytesSource(EMPTY_JSON))
    document = Manifest.build(
        config=EMPTY,
        layers=(EMPTY,),
        artifact_type=kind,
        subject=subject,
        annotations={"text": text},
    )
    await store.push(document.descriptor, BytesSource(document.raw))
    return document


async def read(repository: Repository, descriptor: Descriptor) -> bytes:
    """Everything of a blob or manifest."""
    async with repository.fetch(descriptor) as reader:
        pieces = []
        while data := await reader.read():
            pieces.append(data)
    return b"".join(pieces)


@dataclass(slots=True)
class Watched:
    """An embedded registry and every request that it answered."""

    registry: EmbeddedRegistry
    faults: Faults
    log: list[RequestLog] = field(default_factory=list[RequestLog])

    @property
    def host(self) -> str:
        return self.registry.host

    def count(self, method: str, part: str = "") -> int:
        return sum(one.method == method and part in one.path for one in self.log)

    @property
    def methods(self) -> Counter[str]:
        return Counter(one.method for one in self.log)

    async def settled(self) -> None:
        """Wait until all that was answered is in the log: a client may have a large blob before."""
        await self.registry.settled(timeout_s=60)

    def open_uploads(self) -> int:
        """Uploads that were opened and never ended."""
        return len(list((self.registry.root / "_uploads").iterdir()))


@asynccontextmanager
async def watched(**faults: Any) -> AsyncIterator[Watched]:
    """Run an embedded registry with faults."""
    log: list[RequestLog] = []
    switches = Faults(**faults)
    async with EmbeddedRegistry(faults=switches, on_request=log.append) as registry:
        yield Watched(registry, switches, log)


def scripted(**steps: Handler | list[Handler]) -> Handler:
    """A handler with one answer for each method, or one after the other, the last for all later.

    DELETE is answered with 204 if nothing is said of it.
    """
    left = {
        method: list(made) if isinstance(made, list) else [made] for method, made in steps.items()
    }
    left.setdefault("DELETE", [said(204)])

    def answer(seen: Seen) -> Answer | Awaitable[Answer]:
        mine = left[seen.method]
        step = mine.pop(0) if len(mine) > 1 else mine[0]
        return step(seen)

    return answer


def said(status: int, body: str = "", **headers: str) -> Handler:
    """A step of `scripted` that always says the same."""
    return lambda _seen: text(body, status=status, **headers)
