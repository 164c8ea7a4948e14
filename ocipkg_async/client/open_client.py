"""What all verbs stand on: the client's life, its stores, and values as users write them."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ..content import Fetcher, ReadStore, Store, select_manifest
from ..copy import CopyReport, copy_graph
from ..errors import ClosedError, InvalidArgumentError, InvalidPlatformError
from ..events import Action, OnEvent, Warned, ignore
from ..layout import ArchiveWriter
from ..spec import Descriptor, Manifest, Platform, Reference, media_types
from ..store import LocalStore
from ..transport import CredentialProvider
from .opening import Stores
from .options import ClientOptions
from .platform_check import platform_doubt
from .target import Target

if TYPE_CHECKING:
    from ..registry import Repository

T = TypeVar("T")


class OpenClient:
    """A client without verbs; see `ocipkg_async.Client`."""

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        credentials: CredentialProvider | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self.options = options or ClientOptions()
        self._credentials = credentials
        self._on_event = on_event
        self._opened: Stores | None = None
        self._local: LocalStore | None = None

    async def __aenter__(self) -> Self:
        """Open the client.

        Raises:
            InvalidArgumentError: it is open already.
        """
        if self._opened is not None:
            raise InvalidArgumentError(
                "the client is open already", hint="one `async with` serves all concurrent calls"
            )
        self._opened = Stores(self.options, self._credentials, self._on_event)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    def repository(self, reference: str | Reference) -> "Repository":
        """Return a remote repository as a store, for everything the verbs here do not do."""
        return self._stores.repository(to_reference(reference))

    async def local_store(self) -> LocalStore:
        """Return the local package store, creating it where it is missing.

        Raises:
            StorageError: it cannot be made.
        """
        _ = self._stores  # an open client, as for everything else
        if self._local is None:
            self._local = await LocalStore.open(self.options.store)
        return self._local

    @property
    def _stores(self) -> Stores:
        if self._opened is None:
            raise ClosedError(
                "the client is not open", hint="use it inside: async with Client() as client"
            )
        return self._opened

    async def _select(
        self, store: ReadStore, root: Descriptor, platform: Platform | None
    ) -> Manifest:
        manifest = await select_manifest(
            store, root, platform, max_bytes=self.options.max_manifest_bytes
        )
        if platform is not None and not media_types.is_index(root.media_type):
            doubt = await platform_doubt(store, manifest, platform)
            if doubt is not None:
                self._on_event(Warned(action="verify", descriptor=root.plain(), text=doubt))
        return manifest

    async def _chosen(
        self, store: ReadStore, root: Descriptor, platform: Platform | None
    ) -> Descriptor:
        """The manifest for a platform where one was asked for, else everything."""
        if platform is None:
            return root.plain()
        return (await self._select(store, root, platform)).descriptor

    async def _copy(
        self,
        source: Fetcher,
        destination: Store,
        root: Descriptor,
        names: Sequence[str],
        *,
        deep: bool = False,
        action: Action = "copy",
    ) -> CopyReport:
        return await copy_graph(
            source,
            destination,
            root,
            names=names,
            deep=deep,
            # An archive is written in the order of its pushes; one at a time gives the same bytes.
            concurrency=1 if isinstance(destination, ArchiveWriter) else self.options.concurrency,
            max_document_bytes=self.options.max_manifest_bytes,
            action=action,
            on_event=self._on_event,
        )


def to_reference(value: str | Reference) -> Reference:
    """Return a reference, parsed if it is text."""
    return value if isinstance(value, Reference) else Reference.parse(value)


def to_destination(value: str | Reference) -> Reference:
    """Return a reference to push to; its text must name the registry, as outputs must (see `Target`)."""
    return value if isinstance(value, Reference) else Reference.parse(value, strict=True)


def to_platform(value: str | Platform | None) -> Platform | None:
    """Return a platform, parsed if it is text: its own form, or a target triple."""
    if not isinstance(value, str):
        return value
    if "-" in value and "/" not in value:
        with contextlib.suppress(InvalidPlatformError):
            return Platform.from_target_triple(value)
    return Platform.parse(value)


def to_several(values: Sequence[T], what: str) -> Sequence[T]:
    """Return a list of texts as it is, but not one text: that is a list of its letters to Python.

    Raises:
        InvalidArgumentError: it is one text.
    """
    if isinstance(values, str):
        raise InvalidArgumentError(
            f"{what} is a list, and {values[:100]!r} is one text", hint=f"give [{values[:100]!r}]"
        )
    return values


async def to_target(value: str | Reference, *, output: bool = False) -> Target:
    """Return a target, parsed if it is text."""
    if isinstance(value, Reference):
        return Target(kind="registry", reference=value)
    return await Target.parse(value, output=output)
