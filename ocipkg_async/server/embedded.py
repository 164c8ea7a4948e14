"""The registry as a context manager (C-30)."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import anyio
from aiohttp import web

from ..content import finish_in_thread, run_in_thread
from ..content.locks import file_lock
from ..errors import (
    ClosedError,
    InvalidArgumentError,
    StorageError,
    TimedOutError,
    storage_errors,
)
from ..spec.reference import is_loopback
from .application import Dispatcher, OnRequest
from .faults import Faults
from .injecting import Injector
from .listening import listening
from .repositories import Repositories
from .service import MAX_MANIFEST_BYTES, MAX_PAGE_ENTRIES, Options, Service
from .sessions import MAX_SESSIONS, Sessions

UPLOADS = "_uploads"
"""Unfinished uploads, beside the repositories and in their file system; no repository has this name."""
LOCK = ".registry.lock"


class EmbeddedRegistry:
    """An OCI registry in this process, over image-layout folders.

    Example:
        ::

            async with EmbeddedRegistry(Path("registry")) as registry:
                print(registry.url)

    Args:
        root: folder of the repositories, made if missing; None is a private temporary folder
            that is removed at the end.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        insecure_listen: allow an address that other machines can reach. There is no
            authentication and no TLS.
        max_manifest_bytes: longest manifest that is taken; at most 4 MiB, what a layout keeps.
        delete: allow deleting; else 405.
        referrers: have the referrers API; else 404, as older registries.
        sparse: take a manifest whose blobs, or an index whose manifests, are not there.
        page_entries: longest page of tags, repositories and referrers.
        max_uploads: how many uploads may be open at once.
        shutdown_timeout_s: how long requests in progress may go on at the end.
        on_request: called on the event loop with each answered request.
        faults: what it does wrong, for tests; its attributes may be changed while it runs.

    Raises:
        InvalidArgumentError: the address is not loopback and `insecure_listen` is not set, or
            `max_manifest_bytes` is out of range.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        insecure_listen: bool = False,
        max_manifest_bytes: int = MAX_MANIFEST_BYTES,
        delete: bool = True,
        referrers: bool = True,
        sparse: bool = False,
        page_entries: int = MAX_PAGE_ENTRIES,
        max_uploads: int = MAX_SESSIONS,
        shutdown_timeout_s: float = 1.0,
        on_request: OnRequest | None = None,
        faults: Faults | None = None,
    ) -> None:
        if not is_loopback(host) and not insecure_listen:
            raise InvalidArgumentError(
                f"{host} can be reached from other machines, and this registry has no passwords",
                hint="listen on 127.0.0.1, or say that you mean it (insecure_listen, --insecure-listen)",
            )
        if not 0 < max_manifest_bytes <= MAX_MANIFEST_BYTES:
            raise InvalidArgumentError(
                f"max_manifest_bytes={max_manifest_bytes} is not between 1 and {MAX_MANIFEST_BYTES}"
            )
        self._root = root
        self._address = host
        self._port = port
        self._shutdown_timeout_s = shutdown_timeout_s
        self._max_uploads = max_uploads
        self._on_request = on_request
        self._faults = faults
        self._options = Options(
            max_manifest_bytes=max_manifest_bytes,
            delete=delete,
            referrers=referrers,
            sparse=sparse,
            page_entries=page_entries,
        )
        self._stack: AsyncExitStack | None = None
        self._port_bound: int | None = None
        self._folder: Path | None = None

    @property
    def root(self) -> Path:
        """Folder of the repositories, each an image layout.

        Raises:
            ClosedError: the registry is not running.
        """
        if self._folder is None:
            raise ClosedError("the registry is not running", hint="enter it with `async with`")
        return self._folder

    @property
    def host(self) -> str:
        """Host and port, as in a reference.

        Raises:
            ClosedError: the registry is not running.
        """
        if self._port_bound is None:
            raise ClosedError("the registry is not running", hint="enter it with `async with`")
        address = f"[{self._address}]" if ":" in self._address else self._address
        return f"{address}:{self._port_bound}"

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end.

        Raises:
            ClosedError: the registry is not running.
        """
        return f"http://{self.host}"

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            StorageError: the root cannot be used, or another registry serves it.
            ConnectError: the address cannot be listened on.
        """
        async with AsyncExitStack() as stack:
            root = await stack.enter_async_context(_folder(self._root))
            await stack.enter_async_context(_only_one(root))
            await run_in_thread(_clear_uploads, root / UPLOADS)
            service = Service(
                repositories=Repositories(root),
                sessions=Sessions(
                    root / UPLOADS, clock=time.monotonic, max_sessions=self._max_uploads
                ),
                options=self._options,
            )
            self._port_bound = await self._listen(service, stack)
            self._folder = root
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening, end requests in progress, remove what is temporary."""
        stack, self._stack = self._stack, None
        self._port_bound = self._folder = None
        if stack is not None:
            with anyio.CancelScope(shield=True):
                await stack.__aexit__(kind, error, trace)

    async def run(self, *, on_start: Callable[[Self], None] | None = None) -> NoReturn:
        """Serve until cancelled.

        Args:
            on_start: called once with the running registry, to show its address.

        Raises:
            StorageError, ConnectError: as when entering.
        """
        async with self:
            if on_start is not None:
                on_start(self)
            await anyio.sleep_forever()
        raise AssertionError  # nothing but an exception ends the sleep

    async def _listen(self, service: Service, stack: AsyncExitStack) -> int:
        application = web.Application()
        injector = None
        if self._faults is not None:
            injector = Injector(self._faults, service)
            application.on_response_prepare.append(injector.amend)
        dispatcher = Dispatcher(service, on_request=self._on_request, injector=injector)
        application.router.add_route("*", "/{path:.*}", dispatcher.answer)
        return await stack.enter_async_context(
            listening(
                application,
                host=self._address,
                port=self._port,
                shutdown_timeout_s=self._shutdown_timeout_s,
            )
        )


@asynccontextmanager
async def _folder(root: Path | None) -> AsyncIterator[Path]:
    """Make the root folder; a private one is removed at the end."""
    folder = await run_in_thread(_make_folder, root)
    try:
        yield folder
    finally:
        if root is None:
            await finish_in_thread(partial(shutil.rmtree, folder, ignore_errors=True))


@asynccontextmanager
async def _only_one(root: Path) -> AsyncIterator[None]:
    """Keep a second registry off the same root: each trusts its own memory of open uploads."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(file_lock(root / LOCK, timeout_s=0))
        except TimedOutError as error:
            raise StorageError(
                f"another registry serves {root}", hint="end it, or choose another folder"
            ) from error
        yield


def _make_folder(root: Path | None) -> Path:
    with storage_errors("make the registry's folder"):
        if root is None:
            return Path(tempfile.mkdtemp(prefix="oci-registry-")).resolve()
        root.mkdir(parents=True, exist_ok=True)
        return root.resolve()


def _clear_uploads(folder: Path) -> None:
    """Remove what a killed registry left; the root's lock says that nobody else writes there."""
    with storage_errors(f"clear {folder}"):
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
