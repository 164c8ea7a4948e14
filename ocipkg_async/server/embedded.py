"""The registry as a context manager (C-30)."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import anyio
from aiohttp import web

from ..errors import ClosedError, InvalidArgumentError
from .access import Access, check_exposure, entrance, exposed_passwords, only_address_protects
from .application import Dispatcher, OnRequest, expectation
from .connections import Limits, TLSFiles, listening, server_tls
from .expiring import expiring
from .faults import Faults
from .injecting import Injector
from .service import MAX_MANIFEST_BYTES, MAX_PAGE_ENTRIES, Options, Service
from .sessions import MAX_SESSIONS, Sessions
from .storage import GRACE_S, UPLOADS, Collected, Repositories, collect, root_folder

_log = logging.getLogger("ocipkg_async.server")

SETTLE_S = 1.0
"""Ends of answers are reported within a turn of a thread, which may take so long on a busy machine."""


class EmbeddedRegistry:
    """An OCI registry in this process, over image-layout folders.

    Example:
        ::

            async with EmbeddedRegistry(Path("registry")) as registry:
                print(registry.url)

    Args:
        root: folder of the repositories, made if missing, where all that was acknowledged survives
            a power failure; None is a private temporary folder that is removed at the end.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        insecure_listen: allow an address that other machines can reach without users or
            client certificates: all who reach it may do everything.
        access: who may do what; None lets everybody do everything.
        tls: serve HTTPS with these files; None is plain HTTP.
        max_manifest_bytes: longest manifest that is taken; at most 4 MiB, what a layout keeps.
        delete: allow deleting; else 405.
        referrers: have the referrers API; else 404, as older registries.
        sparse: take a manifest whose blobs, or an index whose manifests, are not there.
        page_entries: longest page of tags, repositories and referrers.
        max_uploads: how many uploads may be open at once.
        limits: what clients may take of connections, bytes and time; None is the usual.
        shutdown_timeout_s: how long requests in progress may go on at the end.
        on_request: called on the event loop with each answered request.
        on_warning: called on the event loop with what the registry's owner should know: passwords
            that travel unencrypted, a changed file that cannot be used, why a request was answered
            with 500 or 507. None logs it (``ocipkg_async.server``).
        faults: what it does wrong, for tests; its attributes may be changed while it runs.

    Raises:
        InvalidArgumentError: the address is not loopback and there is none of users, client
            certificates and `insecure_listen`; or `port`, `max_manifest_bytes`, `page_entries` or
            `max_uploads` is out of range.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        insecure_listen: bool = False,
        access: Access | None = None,
        tls: TLSFiles | None = None,
        max_manifest_bytes: int = MAX_MANIFEST_BYTES,
        delete: bool = True,
        referrers: bool = True,
        sparse: bool = False,
        page_entries: int = MAX_PAGE_ENTRIES,
        max_uploads: int = MAX_SESSIONS,
        limits: Limits | None = None,
        shutdown_timeout_s: float = 1.0,
        on_request: OnRequest | None = None,
        on_warning: Callable[[str], None] | None = None,
        faults: Faults | None = None,
    ) -> None:
        check_exposure(host, access=access, tls=tls, insecure_listen=insecure_listen)
        for name, value, least, most in (
            ("port", port, 0, 65535),
            ("max_manifest_bytes", max_manifest_bytes, 1, MAX_MANIFEST_BYTES),
            ("page_entries", page_entries, 1, sys.maxsize),
            ("max_uploads", max_uploads, 1, sys.maxsize),
        ):
            if not least <= value <= most:
                raise InvalidArgumentError(f"{name}={value} is not between {least} and {most}")
        self._root = root
        self._address = host
        self._port = port
        self._access = access
        self._tls = tls
        self._shutdown_timeout_s = shutdown_timeout_s
        self._max_uploads = max_uploads
        self._limits = limits or Limits()
        self._on_request = on_request
        self._warn = on_warning or _log.warning
        self._faults = faults
        self._options = Options(
            max_manifest_bytes=max_manifest_bytes,
            delete=delete,
            referrers=referrers,
            sparse=sparse,
            page_entries=page_entries,
            users=access is not None and access.has_users,
        )
        self._stack: AsyncExitStack | None = None
        self._port_bound: int | None = None
        self._folder: Path | None = None
        self._dispatcher: Dispatcher | None = None
        self._repositories: Repositories | None = None

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
        return f"{'http' if self._tls is None else 'https'}://{self.host}"

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            InvalidArgumentError: a file of `access` or `tls` cannot be used.
            StorageError: the root cannot be used, or another registry serves it.
            ConnectError: the address cannot be listened on.
        """
        async with AsyncExitStack() as stack:
            root = await stack.enter_async_context(root_folder(self._root))
            # A private folder is gone with the process: nothing of it need survive a power failure.
            repositories = Repositories(root, flush="none" if self._root is None else "all")
            service = Service(
                repositories=repositories,
                sessions=Sessions(
                    root / UPLOADS,
                    clock=time.monotonic,
                    max_sessions=self._max_uploads,
                    idle_s=self._limits.upload_idle_s,
                ),
                options=self._options,
                limits=self._limits,
            )
            await stack.enter_async_context(expiring(service.sessions, on_warning=self._warn))
            if text := exposed_passwords(self._address, access=self._access, tls=self._tls):
                self._warn(text)
            self._port_bound = await self._listen(service, stack)
            self._folder = root
            self._repositories = repositories
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
        self._port_bound = self._folder = self._repositories = None
        if stack is not None:
            with anyio.CancelScope(shield=True):
                await stack.__aexit__(kind, error, trace)

    async def run(self, *, on_start: Callable[[Self], None] | None = None) -> NoReturn:
        """Serve until cancelled.

        Args:
            on_start: called once with the running registry, to show its address.

        Raises:
            InvalidArgumentError, StorageError, ConnectError: as when entering.
        """
        async with self:
            if on_start is not None:
                on_start(self)
            await anyio.sleep_forever()
        raise AssertionError  # nothing but an exception ends the sleep

    async def collect(
        self, *, grace_s: float = GRACE_S, untagged: bool = False, dry_run: bool = False
    ) -> list[Collected]:
        """Remove the blobs that no manifest needs any more, such as those of deleted manifests (C-41).

        It is done only when asked, and may be done while clients push: what is younger than
        `grace_s` stays, and a blob that a client found or mounted is as good as new.

        Args:
            grace_s: longer than any push takes from its first blob to its manifest; 0 only while
                nobody pushes.
            untagged: remove manifests, too, that have no tag, are in no index that stays and refer
                to nothing that does, and lost their last tag longer ago than `grace_s`.
            dry_run: remove nothing; say what would be.

        Returns:
            what was removed, for each repository; a damaged one does not stop the others.

        Raises:
            ClosedError: the registry is not running.
            InvalidArgumentError: `grace_s` is negative.
            StorageError: the root cannot be read.
        """
        if self._repositories is None:
            raise ClosedError("the registry is not running", hint="enter it with `async with`")
        return await collect(
            self._repositories, grace_s=grace_s, untagged=untagged, dry_run=dry_run
        )

    async def settled(self, *, timeout_s: float = SETTLE_S) -> None:
        """Wait until `on_request` was called with every request whose answer a client has whole.

        The last bytes of an answer may be with the client before the registry knows; a test that
        reads what it recorded waits for this. Answers that have not begun are not waited for.

        Args:
            timeout_s: how long to wait for those that are on their way.
        """
        if self._dispatcher is not None:
            with anyio.move_on_after(timeout_s):
                await self._dispatcher.settled()

    async def _listen(self, service: Service, stack: AsyncExitStack) -> int:
        application = web.Application()
        injector = None
        if self._faults is not None:
            injector = Injector(self._faults, service)
            application.on_response_prepare.append(injector.amend)
        admitting = tls = None
        if self._access is not None:
            admitting = await stack.enter_async_context(
                entrance(
                    self._access,
                    limits=self._limits,
                    faults=self._faults,
                    on_warning=self._warn,
                )
            )
        if self._tls is not None:
            tls = await stack.enter_async_context(server_tls(self._tls, on_warning=self._warn))
        dispatcher = self._dispatcher = Dispatcher(
            service,
            on_request=self._on_request,
            on_warning=self._warn,
            injector=injector,
            entrance=admitting,
            refuse_rebound=only_address_protects(self._address, access=self._access, tls=self._tls),
        )
        application.router.add_route(
            "*", "/{path:(?s:.*)}", dispatcher.answer, expect_handler=expectation
        )
        return await stack.enter_async_context(
            listening(
                application,
                host=self._address,
                port=self._port,
                tls=tls,
                limits=self._limits,
                shutdown_timeout_s=self._shutdown_timeout_s,
                on_warning=self._warn,
            )
        )
