"""What a proxy between a client and a registry does wrong, as plain values. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .when import BLOBS, Asked, When

How = Literal["close", "end", "reset", "stall"]
"""``close`` hangs up, ``end`` says that no more comes (a clean FIN), ``reset`` breaks the
connection (SO_LINGER 0), ``stall`` says nothing more for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The answer breaks off after `at` bytes of its body; a shorter one is not hit.

    With ``reset`` what was sent shortly before may be lost as well.
    """

    at: int
    how: How = "close"
    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutUpload:
    """The request's body breaks off after `at` bytes went to the registry.

    A client that hangs up while nothing is read cannot be noticed. So what still comes in a ``stall``
    is read, and thrown away, after `hold_s`.
    """

    at: int
    how: How = "close"
    hold_s: float = 3600.0
    when: When = field(default_factory=lambda: When(method="PATCH|PUT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The body comes in pieces of `piece` bytes, one each `interval_s`."""

    piece: int
    interval_s: float
    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt:
    """Byte `offset` of the blob is another one, whatever range it is part of."""

    offset: int
    when: When = field(default_factory=lambda: BLOBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shorten:
    """A complete answer in chunks that ends after `at` bytes."""

    at: int
    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengthen:
    """A complete answer in chunks that has `by` bytes more than were asked for."""

    by: int
    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """The blob seems to be `by` bytes longer or shorter, in all that the server says and sends.

    An answer of 200 has another length, one of 206 another total.
    """

    by: int
    when: When = field(default_factory=lambda: BLOBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """The answer has another status or other headers.

    In values ``{first}``, ``{last}`` and ``{total}`` stand for what ``Content-Range`` said, and
    ``{count}`` for how often this fault struck before.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    when: When = field(default_factory=lambda: BLOBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrange:
    """The Range header is lost on the way: a 200 brings the whole blob."""

    when: When = field(default_factory=lambda: When(ranged=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Another range is sent than was asked for, `by` bytes further on.

    Its ``Content-Range`` says so, or, where it is not `honest`, claims to be the right one.
    """

    by: int
    honest: bool = True
    when: When = field(default_factory=lambda: When(ranged=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The proxy answers itself, with an error document.

    Attributes:
        status: of the answer.
        retry_after_s: what Retry-After asks for; None: there is no such header.
        date: Retry-After is an HTTP date.
        code: of the error document.
        message: of the error document.
        read_body: take the request's body before; else answer at once and hang up.
    """

    status: int
    retry_after_s: int | None = None
    date: bool = False
    code: str = "UNKNOWN"
    message: str = "the proxy refuses"
    read_body: bool = False
    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireToken:
    """From this request on its token is refused: the registry is asked without, and wants a new one."""

    when: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """A 307 to a second host, with a signed URL that dies; the next redirect has a new one.

    Attributes:
        requests: how many requests one URL is good for; None: any.
        lifetime_s: how long it is good; None: for ever.
        status: what the second host answers after that.
    """

    requests: int | None = None
    lifetime_s: float | None = None
    status: int = 403
    when: When = field(default_factory=lambda: replace(BLOBS, storage=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer:
    """The registry gets all of the request and answers; the client is hung up on instead."""

    when: When = field(default_factory=lambda: When(method="PUT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StickRange:
    """PATCH is answered with 201 and the ``Range`` of the session's first chunk, as by ECR."""

    when: When = field(
        default_factory=lambda: When(method="PATCH|GET", path="/uploads/", times=None)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """From this request on its upload session is gone: the registry is told to, and 404."""

    when: When = field(default_factory=lambda: When(method="PATCH|PUT", path="/uploads/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLimit:
    """A PATCH whose ``Content-Length`` is larger is answered with 416, as by GHCR."""

    max_bytes: int = 4 << 20
    when: When = field(default_factory=lambda: When(method="PATCH", times=None))


Fault = (
    Cut
    | CutUpload
    | Drip
    | Corrupt
    | Shorten
    | Lengthen
    | Resize
    | Amend
    | Unrange
    | Shift
    | Refuse
    | ExpireToken
    | Redirect
    | LoseAnswer
    | StickRange
    | Forget
    | PatchLimit
)


def name_of(fault: Fault) -> str:
    """What a record calls it."""
    name = type(fault).__name__.lower()
    match fault:
        case Cut() | CutUpload():
            return f"{name} {fault.how}"
        case Refuse():
            return f"{name} {fault.status}"
        case _:
            return name


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seen: int = 0


class Plan:
    """Faults that are armed, and how often each was due."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._armed = [_Armed(fault) for fault in faults]

    def add(self, *faults: Fault) -> None:
        self._armed += map(_Armed, faults)

    def clear(self) -> None:
        self._armed.clear()

    def due(self, asked: Asked) -> list[tuple[Fault, int]]:
        """The faults that hit a request, each with how often it was due before; counts them."""
        found: list[tuple[Fault, int]] = []
        for armed in self._armed:
            when = armed.fault.when
            if not when.fits(asked):
                continue
            count = armed.seen - when.skip
            armed.seen += 1
            if count >= 0 and (when.times is None or count < when.times):
                found.append((armed.fault, count))
        return found
