"""What went wrong with one try, and whether another one may help."""

from dataclasses import dataclass

from ..errors import OCIError, ProtocolError, RedirectError, RegistryError, TransportError


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The end of one try.

    Attributes:
        error: what the caller gets if no other try follows.
        retryable: whether another try may go better.
        at_once: the connection was stale: the first new try need not wait.
        refused: the host is there, and nothing listens.
        retry_after_s: seconds the server asked to wait, or None.
    """

    error: OCIError
    retryable: bool
    at_once: bool = False
    refused: bool = False
    retry_after_s: float | None = None


class FailedError(Exception):
    """Carries a `Failure` up to where it is decided what follows; it never leaves this folder."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.error))
        self.failure = failure


def failure_of(error: OCIError, *, also: frozenset[int] = frozenset()) -> Failure:
    """Return what an error that was raised already means for another try.

    Args:
        error: from a request.
        also: statuses that are worth another try here, besides the usual ones.
    """
    if isinstance(error, RegistryError):
        retryable = error.status in also or is_retryable(error.status)
        asked_s = error.retry_after_s if retryable else None
        return Failure(error=error, retryable=retryable, retry_after_s=asked_s)
    final = isinstance(error, ProtocolError | RedirectError)
    return Failure(error=error, retryable=isinstance(error, TransportError) and not final)


_NEVER = frozenset({501, 505, 507, 511})
"""Server errors that a repetition cannot change: not implemented, wrong version, full, captive portal."""


def is_retryable(status: int) -> bool:
    """Whether an answer of this status may be another one soon."""
    return status in {408, 429, 499} or (500 <= status <= 599 and status not in _NEVER)
