"""Getting what is known already: from a lock file, or from the store without a registry."""

from typing import TYPE_CHECKING

import anyio

from ..errors import (
    IntegrityError,
    InvalidDocumentError,
    NotFoundError,
    OCIError,
    RateLimitedError,
    RegistryError,
    TagMovedError,
)
from ..events import OnEvent, Warned
from ..spec import Descriptor, Digest, Platform, Reference
from ..store import LocalStore, LockedPackage, Package

if TYPE_CHECKING:
    from ..registry import Repository


async def installed_as(
    store: LocalStore, reference: Reference, platform: Platform | None
) -> Package | None:
    """Return what is installed under a name, whole; else None."""
    try:
        package = await store.find(reference, platform)
    except (NotFoundError, IntegrityError, InvalidDocumentError):
        return None
    return package if await anyio.Path(package.path).is_dir() else None


async def locked_root(
    repository: "Repository", locked: LockedPackage, digest: Digest, on_event: OnEvent
) -> Descriptor:
    """Return the manifest that was locked, if the tag still points to what it did.

    A tag that is gone changes nothing of what was locked: that is fetched by its digest, with a
    warning.

    Args:
        repository: where it is.
        locked: what was locked.
        digest: the manifest of it that is wanted.
        on_event: gets the warning.

    Raises:
        TagMovedError: the tag points to something else.
        NotFoundError: the manifest is not there any more.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    reference = locked.reference
    update = f"ocipkg-async lock --update {reference}"
    try:
        now: Descriptor | None = await repository.resolve(reference.selector)
    except NotFoundError:
        now = None
    if now is not None and now.digest != locked.digest:
        raise TagMovedError(
            f"{reference} pointed to {locked.digest} when it was locked, and now to {now.digest}",
            expected=locked.digest,
            actual=now.digest,
            hint=f"accept the new one with: {update}; or name the old one by its digest,"
            f" {reference.name}@{locked.digest}, and lock that",
        )
    if now is not None and now.digest == digest:
        return now
    try:
        root = await repository.resolve(digest)
    except NotFoundError as error:
        error.hint = f"what was locked is gone; take what is there now with: {update}"
        raise
    if now is None:
        text = f"{reference} is gone from the registry; what was locked is still there"
        on_event(Warned(action="download", name=str(reference), text=text))
    return root


def not_installed(
    reference: Reference, platform: Platform | None, locked: LockedPackage | None
) -> NotFoundError:
    """Return the error for a package that is needed without a connection, and is not there."""
    what = "as it was locked" if locked is not None else ""
    command = " ".join(
        filter(
            None,
            (
                f"ocipkg-async get {reference}",
                f"--platform {platform}" if platform else "",
                "--locked" if locked is not None else "",
            ),
        )
    )
    return NotFoundError(
        f"{reference} is not installed {what}".rstrip(),
        hint=f"install it once with a connection: {command}",
    )


def has_no_answer(error: OCIError) -> bool:
    """Whether a registry could not answer or does not know, rather than refused."""
    if isinstance(error, RegistryError):
        return error.status >= 500 or isinstance(error, (RateLimitedError, NotFoundError))
    return True


def add_offline_hint(error: OCIError, reference: Reference) -> None:
    """Let an error say that what is installed can be used."""
    hint = f"{reference} is installed: --offline uses it as it is"
    error.hint = f"{hint}; {error.hint}" if error.hint else hint
