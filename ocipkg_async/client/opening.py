"""The one place that turns a target into a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from ..content import ReadStore, Store, StreamPusher
from ..errors import (
    InvalidArgumentError,
    InvalidReferenceError,
    NotFoundError,
    RegistryError,
    TransportError,
)
from ..events import OnEvent
from ..layout import ArchiveReader, ArchiveWriter, Layout
from ..layout.names import as_digest, find
from ..spec import Descriptor, Reference, annotations
from ..transport import CredentialProvider
from .options import ClientOptions
from .target import Target

if TYPE_CHECKING:
    from ..registry import Repository
    from .network import Network


class WritableStore(Store, StreamPusher, Protocol):
    """What every target can do that is written to."""


class Stores:
    """Opens registries when they are first needed, layouts and archives.

    Args:
        options: of the client.
        credentials: where user names and passwords come from; None: the usual files.
        on_event: gets what happens.
    """

    def __init__(
        self, options: ClientOptions, credentials: CredentialProvider | None, on_event: OnEvent
    ) -> None:
        self._options = options
        self._credentials = credentials
        self._on_event = on_event
        self._network: Network | None = None

    @property
    def network(self) -> "Network":
        """The registries."""
        if self._network is None:
            # What is done without a registry does without the HTTP library, too.
            from .network import Network  # noqa: PLC0415

            self._network = Network(self._options, self._credentials, self._on_event)
        return self._network

    async def aclose(self) -> None:
        """Close all connections."""
        network, self._network = self._network, None
        if network is not None:
            await network.transport.__aexit__(None, None, None)

    def repository(self, reference: Reference) -> "Repository":
        """Return the repository that a reference names."""
        return self.network.repository(reference)

    @asynccontextmanager
    async def local(self, target: Target) -> AsyncIterator[Layout | ArchiveReader]:
        """Open a layout or archive for reading.

        Raises:
            InvalidArgumentError: the target is a reference.
            NotFoundError: there is no such file or folder.
            InvalidLayoutError: it is something else, or broken.
        """
        if target.path is None:
            raise InvalidArgumentError(
                f"{target} is a reference; there is no archive or layout of this name",
                hint="between registries use copy; to push files give their paths; and an installed"
                " package, save it first",
            )
        if target.kind == "layout":
            yield await Layout.open(target.path, read_only=True)
        else:
            async with ArchiveReader.open(target.path) as archive:
                yield archive

    @asynccontextmanager
    async def writable(
        self, target: Target, *, overwrite: bool = False
    ) -> AsyncIterator[WritableStore]:
        """Open a store for writing; an archive appears when the block ends without an exception.

        Raises:
            AlreadyExistsError: the archive exists.
            InvalidLayoutError: the folder holds something that is no layout.
            StorageError: it cannot be written.
        """
        if target.reference is not None:
            yield self.repository(target.reference)
        elif target.path is not None and target.kind == "layout":
            yield await Layout.open(target.path, create=True)
        elif target.path is not None:
            async with ArchiveWriter.open(target.path, overwrite=overwrite) as archive:
                yield archive

    @asynccontextmanager
    async def opened(self, target: Target) -> AsyncIterator[tuple[ReadStore, Descriptor]]:
        """Open a store for reading, and find what the target names in it, with its annotations.

        Raises:
            NotFoundError: there is no such thing.
            InvalidArgumentError: a layout holds several packages and the target names none.
        """
        if target.reference is not None:
            reference = target.reference.with_default_tag()
            repository = self.repository(reference)
            try:
                root = await repository.resolve(reference.selector)
            except (NotFoundError, RegistryError, TransportError) as error:
                if target.guessed:
                    error.hint = (
                        f"it was taken for a repository, since there is no file or folder of this"
                        f" name{f'; {error.hint}' if error.hint else ''}"
                    )
                raise
            yield repository, root
        else:
            async with self.local(target) as store:
                yield store, (await entries(store, target, single=True))[0]


async def entries(
    store: Layout | ArchiveReader, target: Target, *, single: bool = False
) -> list[Descriptor]:
    """Return the entries of a layout or archive that a target names: one, or all that have a name.

    Raises:
        NotFoundError: there is no such name, or nothing at all; the hint lists what there is.
        InvalidArgumentError: `single`, and there are several.
    """
    if target.name is not None:
        return [await _named(store, target.name)]
    if single:
        try:
            return [await store.only()]
        except InvalidArgumentError as error:
            error.hint = f"write {target}:NAME; {error.hint}"
            raise
    found = await store.entries()
    if not found:
        raise NotFoundError(f"{target} is empty", hint="pack or copy something into it first")
    # What has no name beside others that have one is not a package: a signature, an SBOM.
    return [entry for entry in found if name_of(entry)] or found


async def _named(store: Layout | ArchiveReader, name: str) -> Descriptor:
    """Return the entry with a name, its annotations included, or the content with a digest."""
    if as_digest(name) is None:
        return find(await store.entries(), name)
    wanted = await store.resolve(name)
    return next((e for e in await store.entries() if e.digest == wanted.digest), wanted)


def name_of(entry: Descriptor) -> str | None:
    """Return the name of an entry: containerd's full one, else the layout's own (I-05)."""
    notes = entry.annotations or {}
    return notes.get(annotations.CONTAINERD_IMAGE_NAME) or notes.get(annotations.REF_NAME)


_GIVE_ONE = "give the reference to use: with --to for push, -t for load and pack"


def reference_of(entry: Descriptor, target: Target) -> Reference:
    """Return the full reference that an entry is named.

    Raises:
        InvalidArgumentError: it has no name, or one that names no registry.
    """
    name = name_of(entry)
    if name is not None and "/" in name:
        try:
            return Reference.parse(name)
        except InvalidReferenceError as error:
            raise InvalidArgumentError(
                f"the package in {target} has the name {name!r}, which is no reference",
                hint=_GIVE_ONE,
            ) from error
    raise InvalidArgumentError(
        f"the package in {target} has "
        + (f"the name {name!r}, which names no registry" if name else "no name"),
        hint=_GIVE_ONE,
    )


def output_names(target: Target, name: str | None, root: Descriptor | None = None) -> list[str]:
    """Return the names that content gets in an output.

    Args:
        target: the output.
        name: the reference that was asked for, or None.
        root: the content, where it is known before.

    Raises:
        InvalidArgumentError: the output is a reference, which is its name already, and another
            name was asked for; or one with a digest that the content does not have.
        InvalidReferenceError: `name` is no reference.
    """
    if target.reference is not None:
        if name is not None:
            raise InvalidArgumentError(
                "a name was given, but the output is a reference already", hint="leave out the name"
            )
        return pushed_tags(target.reference, root)
    if name is not None:
        return [str(Reference.parse(name).with_default_tag())]
    return [target.name] if target.name else []


def check_digest(reference: Reference, root: Descriptor | None) -> None:
    """Make sure that a name with a digest is given to the content with this digest alone.

    Raises:
        InvalidArgumentError: it would stand for something else.
    """
    if reference.digest is not None and (root is None or root.digest != reference.digest):
        raise InvalidArgumentError(
            f"{reference} is to be written, but its digest "
            + (f"is not {root.digest}" if root else "follows from what is written"),
            hint="leave out the digest, and give a tag",
        )


def pushed_tags(reference: Reference, root: Descriptor | None = None) -> list[str]:
    """Return the tags for content that is pushed to a reference.

    Args:
        reference: where it goes.
        root: the content; None is content whose digest is not known yet.

    Raises:
        InvalidArgumentError: the reference has a digest that the content does not have.
    """
    check_digest(reference, root)
    tag = reference.with_default_tag().tag
    return [tag] if tag else []
