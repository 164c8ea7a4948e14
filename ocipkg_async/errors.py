"""Every exception of the package, one tree.

::

    OCIError
    ├── InvalidArgumentError (ValueError)       options that contradict each other
    ├── InvalidReferenceError (ValueError)
    ├── InvalidDigestError (ValueError)
    ├── InvalidPlatformError (ValueError)
    ├── InvalidDocumentError (ValueError)       manifest, index, config, descriptor
    ├── InvalidLayoutError (ValueError)         image-layout directory or oci-archive
    ├── InvalidPackageError (ValueError)        layer that cannot be unpacked, input that cannot be packed
    │   ├── UnsafeArchiveError                  would write outside, over a link, a device …
    │   └── LimitExceededError                  more entries, bytes or depth than allowed
    ├── UnsupportedError                        well-formed, but not supported here
    ├── NotFoundError (LookupError)
    ├── AlreadyExistsError
    ├── IntegrityError                          content is not what its descriptor says
    │   ├── TooShortError, TooLongError, DigestMismatchError
    │   └── TagMovedError                       a tag points to something else than what was locked
    ├── TransportError                          no usable HTTP answer
    │   ├── ConnectError, TimedOutError, RedirectError, ProtocolError
    ├── RegistryError                           an HTTP answer that says no
    │   ├── UnauthorizedError (401), DeniedError (403), RateLimitedError (429)
    │   └── RegistryNotFoundError (404, also NotFoundError)
    ├── CredentialError                         credential file or helper program
    ├── BuildError                              a build program failed, such as cargo; see ``status``
    ├── StorageError                            local file system
    │   └── DiskFullError
    ├── ClosedError                             client used before entering or after leaving it
    └── MultipleErrors                          several failed in different ways; see ``errors``

Each carries an optional ``hint``: what to do next, one sentence for a person. Fields are plain
values, so an error can be logged, pickled or shown without touching the network objects it
came from. No message holds a secret: URLs are given without their query.
"""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "AlreadyExistsError",
    "BuildError",
    "ClosedError",
    "ConnectError",
    "CredentialError",
    "DeniedError",
    "DigestMismatchError",
    "DiskFullError",
    "ErrorDetail",
    "IntegrityError",
    "InvalidArgumentError",
    "InvalidDigestError",
    "InvalidDocumentError",
    "InvalidLayoutError",
    "InvalidPackageError",
    "InvalidPlatformError",
    "InvalidReferenceError",
    "LimitExceededError",
    "MultipleErrors",
    "NotFoundError",
    "OCIError",
    "ProtocolError",
    "RateLimitedError",
    "RedirectError",
    "RegistryError",
    "RegistryNotFoundError",
    "StorageError",
    "TagMovedError",
    "TimedOutError",
    "TooLongError",
    "TooShortError",
    "TransportError",
    "UnauthorizedError",
    "UnsafeArchiveError",
    "UnsupportedError",
]


class OCIError(Exception):
    """Base of every exception this package raises.

    Attributes:
        hint: what a person can do next, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Subclasses take keyword-only fields; rebuild from the state instead of the arguments.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    kind: type[OCIError], args: tuple[object, ...], state: dict[str, object]
) -> "OCIError":
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidArgumentError(OCIError, ValueError):
    """Options that do not go together, or a value out of its range."""


class InvalidReferenceError(OCIError, ValueError):
    """Text that is not a reference."""


class InvalidDigestError(OCIError, ValueError):
    """Text that is not a digest."""


class InvalidPlatformError(OCIError, ValueError):
    """Text that is not a platform or target triple."""


class InvalidDocumentError(OCIError, ValueError):
    """A manifest, index, config or descriptor that breaks the image specification."""


class InvalidLayoutError(OCIError, ValueError):
    """A directory or archive that is not the image layout it should be."""


class InvalidPackageError(OCIError, ValueError):
    """Files that cannot be packed, or a layer that cannot be unpacked."""


class UnsafeArchiveError(InvalidPackageError):
    """An archive entry that could write outside its folder, over a link, or a special file."""


class LimitExceededError(InvalidPackageError):
    """Content that needs more entries, bytes, depth or ratio than the limits allow."""


class UnsupportedError(OCIError):
    """Well-formed input of a kind that is not supported."""


class NotFoundError(OCIError, LookupError):
    """A tag, manifest, blob, package or file that is not there."""


class AlreadyExistsError(OCIError):
    """A destination that exists and was not to be overwritten."""


class IntegrityError(OCIError):
    """Content that is not what its descriptor says; nothing of it was kept.

    Attributes:
        expected: the digest or size in the descriptor, as text.
        actual: what was found, as text.
    """

    def __init__(
        self, message: str, *, expected: str, actual: str, hint: str | None = None
    ) -> None:
        super().__init__(
            message,
            hint=hint or "fetch it again; if it fails again, the registry or the archive is broken",
        )
        self.expected = expected
        self.actual = actual


class TooShortError(IntegrityError):
    """Content that ended before the size in its descriptor."""


class TooLongError(IntegrityError):
    """Content that went on past the size in its descriptor."""


class DigestMismatchError(IntegrityError):
    """Content of the right size whose digest is another one."""


class TagMovedError(IntegrityError):
    """A tag that points to something else than when it was locked."""


class TransportError(OCIError):
    """No usable HTTP answer arrived."""


class ConnectError(TransportError):
    """The host could not be reached, or TLS could not be set up."""


class TimedOutError(TransportError, TimeoutError):
    """The host did not answer in time, or the body stalled."""


class RedirectError(TransportError):
    """A redirect that must not be followed: downgrade, loop, forbidden address."""


class ProtocolError(TransportError):
    """An answer that breaks the protocol: wrong header, body or status."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One entry of the distribution specification's error document."""

    code: str
    message: str = ""


class RegistryError(OCIError):
    """The registry answered with an error status.

    Attributes:
        status: HTTP status code.
        method: HTTP method of the request.
        url: URL of the request, without its query.
        details: the entries of the registry's error document, if it sent one.
        retry_after_s: seconds the registry asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        method: str,
        url: str,
        details: Sequence[ErrorDetail] = (),
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.method = method
        self.url = url
        self.details = tuple(details)
        self.retry_after_s = retry_after_s


class UnauthorizedError(RegistryError):
    """401: credentials are missing or wrong."""


class DeniedError(RegistryError):
    """403: the credentials do not allow this."""


class RateLimitedError(RegistryError):
    """429: too many requests, still after the retries."""


class RegistryNotFoundError(RegistryError, NotFoundError):
    """404: the registry does not have it."""


class CredentialError(OCIError):
    """A credential file or helper program that cannot be used."""


class BuildError(OCIError):
    """A build program ended with a status that is not 0; nothing was packed.

    Attributes:
        status: the exit status of the program; 128 and the signal's number where one ended it.
        output: the end of what it printed for people, which says why.
    """

    def __init__(
        self, message: str, *, status: int, output: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.output = output


class StorageError(OCIError):
    """The local file system refused.

    Attributes:
        errno: the system's error number, or None.
    """

    def __init__(self, message: str, *, errno: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class DiskFullError(StorageError):
    """No space, quota or file-size limit left; what was half-written is removed."""


class ClosedError(OCIError):
    """A client that was used before entering it or after leaving it."""


class MultipleErrors(OCIError):  # noqa: N818 - it holds errors, it is not one more kind
    """Several concurrent operations failed, in different ways.

    Attributes:
        errors: the failures, in no particular order.
    """

    def __init__(
        self, message: str, *, errors: Sequence[OCIError], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errors = tuple(errors)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def storage_errors(action: str) -> Iterator[None]:
    """Map an `OSError` raised inside to `StorageError`.

    Args:
        action: what is being done, as it completes the sentence "cannot …".

    Raises:
        DiskFullError: no space, quota or file-size limit left.
        StorageError: any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, OCIError):  # TimedOutError is an OSError too
            raise
        reason = error.strerror or str(error)
        message = f"cannot {action}: {reason}"
        if error.errno in _FULL:
            raise DiskFullError(
                message,
                errno=error.errno,
                hint="free space or choose another place, then run it again",
            ) from error
        raise StorageError(message, errno=error.errno) from error


@contextlib.contextmanager
def single_error() -> Iterator[None]:
    """Turn the exception group of a task group into one exception.

    A group of one is replaced by its member; several `OCIError` of one class by the first, so that
    callers catch it as what it is, with notes about the others; several of different classes
    become `MultipleErrors`. A group that holds anything else (a bug, a `KeyboardInterrupt`) is
    passed on as it is.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        if len(leaves) == 1:
            raise leaves[0] from leaves[0].__cause__
        known = [leaf for leaf in leaves if isinstance(leaf, OCIError)]
        if len(known) != len(leaves):
            raise
        texts = sorted({str(leaf) for leaf in known})
        if len({type(leaf) for leaf in known}) == 1:
            first = known[0]
            for text in texts:
                if text != str(first):
                    first.add_note(f"and {text}")
            raise first from first.__cause__
        hint = next((leaf.hint for leaf in known if leaf.hint), None)
        message = f"{len(known)} operations failed: " + "; ".join(texts)
        raise MultipleErrors(message, errors=known, hint=hint) from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for member in group.exceptions:
        if isinstance(member, BaseExceptionGroup):
            yield from _leaves(member)  # pyright: ignore[reportUnknownArgumentType] - narrowing loses its parameter
        else:
            yield member
