"""In which requests a blob goes to a registry, and what a refusal means for the next. Without I/O.

One PUT of the whole is the form that every registry takes. Chunks go where they are asked for,
where a registry demands them, and where an upload is to be resumable. What the user asked for
comes before what the table of quirks says, and what the registry itself said before both.
"""

from dataclasses import dataclass
from enum import Enum, auto

from ...errors import OCIError, ProtocolError, RedirectError, RegistryError, TransportError
from ..capabilities import Capabilities
from ..quirks import Quirks

PATCH = "patch"
"""Names of what is learnt of a registry: whether it takes PATCH requests,"""
WHOLE = "whole"
"""a PUT of a whole blob,"""
SESSIONS = "sessions"
"""whether an upload whose connection broke can be gone on with,"""
STREAM = "stream"
"""a PATCH that does not say its length,"""
CHUNK_MAX = "chunk-max"
"""how long a PATCH may be,"""
CHUNK_MIN = "chunk-min"
"""and its ``OCI-Chunk-Min-Length``."""

RESUMABLE_CHUNK_BYTES = 64 << 20
"""What is lost at worst where a registry keeps only whole chunks; and a round trip is nothing to it."""
DEMANDED_CHUNK_BYTES = 16 << 20
"""Where a registry wants chunks it says rarely how large; most take this."""
MAX_FORMS = 4
"""How often one upload tries another form; there are not more."""
_SMALLER = (4 << 20, 1 << 20)
"""What is tried after "too large": the limit of GHCR, then that of an nginx without settings."""

SESSION_LOST = frozenset({404, 416})
"""What a registry that forgot an upload answers; a new session may go better (D-63)."""
ASKABLE = frozenset({408, 416, 429, 499, *range(500, 600)})
"""What is said of one request and not of its session."""
# What a gateway says that did not wait for the end, or lost it.
_ANSWER_LOST = frozenset({502, 504})
_NO_METHOD = frozenset({405, 415, 501})
# What gateways say that let no PATCH through. To one that begins a session it can mean little else.
_BARRED = frozenset({400, 403})
_LENGTH_REQUIRED = 411


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the rest of a blob is sent.

    Attributes:
        chunk_bytes: size of its chunks; None: all of it in the PUT.
        empty_put: the last chunk is a PATCH too, so that the PUT, which cannot be resumed and may
            be refused, has no body.
    """

    chunk_bytes: int | None = None
    empty_put: bool = False

    def next_chunk(self, *, offset: int, size: int) -> int | None:
        """Return the length of the next PATCH, or None: what is left goes into the PUT."""
        left = size - offset
        if self.chunk_bytes is None or not left:
            return None
        if left > self.chunk_bytes:
            return self.chunk_bytes
        return left if self.empty_put else None


def form_of(
    *,
    size: int,
    wanted: int | None,
    resumable: bool,
    min_chunk_bytes: int,
    quirks: Quirks,
    learned: Capabilities,
) -> Form:
    """Return how a blob is sent.

    Args:
        size: of the blob.
        wanted: the chunk size that the user chose, or None.
        resumable: it shall be possible to go on after a cut.
        min_chunk_bytes: what the registry asked for when it opened the session, or 0.
        quirks: of the registry.
        learned: about the registry.
    """
    demanded = learned.known(WHOLE) is False
    if learned.known(PATCH) is False or not (wanted or resumable or demanded):
        return Form()
    if wanted is not None:
        chunk = wanted
    else:
        chunk = RESUMABLE_CHUNK_BYTES if resumable else DEMANDED_CHUNK_BYTES
        chunk = min(quirks.chunk_bytes or chunk, quirks.chunk_max_bytes or chunk)
        if quirks.max_chunks:
            chunk = max(chunk, -(-size // quirks.max_chunks))
        chunk = max(chunk, quirks.chunk_min_bytes)
    limit = learned.number(CHUNK_MAX)
    chunk = min(chunk, limit) if limit else chunk
    chunk = max(chunk, min_chunk_bytes or learned.number(CHUNK_MIN) or 0)
    return Form(chunk_bytes=chunk, empty_put=(resumable or demanded) and not quirks.last_in_put)


def may_resume(quirks: Quirks, learned: Capabilities) -> bool:
    """Whether it is worth asking where a broken upload stands."""
    return (
        quirks.resumes
        and learned.known(SESSIONS) is not False
        and learned.known(PATCH) is not False
    )


def loses_answers(error: OCIError) -> bool:
    """Whether a request that failed so may have done its work all the same."""
    if isinstance(error, RegistryError):
        return error.status in _ANSWER_LOST
    final = isinstance(error, ProtocolError | RedirectError)
    return isinstance(error, TransportError) and not final


class Refused(Enum):
    """What a registry does not take."""

    PATCH = auto()
    WHOLE = auto()
    LENGTH = auto()
    UNSIZED = auto()


def refusal(error: OCIError, *, length: int, first: bool = False) -> Refused | None:
    """Return what an error says about the form of the request, or None: it is about something else.

    Args:
        error: of a PUT or PATCH.
        length: of its body.
        first: its body was the first of a session, and so cannot be in the wrong place.
    """
    if not isinstance(error, RegistryError) or not length:
        return None
    if error.status in _NO_METHOD:
        return {"PATCH": Refused.PATCH, "PUT": Refused.WHOLE}.get(error.method)
    if error.method == "PATCH" and error.status == _LENGTH_REQUIRED:
        return Refused.UNSIZED
    if error.method == "PATCH" and error.status in _BARRED and first:
        return Refused.PATCH
    # 416 is said to a chunk in the wrong place, too.
    means_length = _says_too_large(error) or (first and length > _SMALLER[0])
    too_large = error.status == 413 or (error.status == 416 and means_length)
    if not too_large or (error.method == "PUT" and length <= _SMALLER[-1]):
        return None
    return Refused.LENGTH


def _says_too_large(error: RegistryError) -> bool:
    text = str(error).lower()
    return "too large" in text or "too big" in text or "too long" in text


def learn(what: Refused, error: OCIError, *, length: int, learned: Capabilities) -> bool:
    """Remember a refusal; return whether there is another form to try.

    Args:
        what: was refused.
        error: as it was refused.
        length: of the body that was refused.
        learned: about the registry.
    """
    whole = isinstance(error, RegistryError) and error.method == "PUT"
    if what is Refused.LENGTH:
        # Whoever limits the length of a PUT limits that of a PATCH.
        smaller = next((one for one in _SMALLER if one < length), None)
        if smaller is not None:
            learned.learn_number(CHUNK_MAX, min(smaller, learned.number(CHUNK_MAX) or smaller))
            if not whole:
                return True
    name = WHOLE if whole else PATCH
    learned.learn(name, supported=False)
    return learned.known(PATCH if whole else WHOLE) is not False
