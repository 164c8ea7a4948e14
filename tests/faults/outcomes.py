"""How a transfer under faults may end: what the cells of the tables say."""

from dataclasses import dataclass, replace

from faulty.faults import Fault, Refuse
from faulty.when import When
from ocipkg_async.errors import OCIError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transfer may end.

    Attributes:
        right: with the right bytes.
        error: or with this error.
    """

    right: bool
    error: type[OCIError] | tuple[type[OCIError], ...] = ()


RIGHT = Outcome(right=True)
CUT = 5000
"""Where connections break."""


def fails(*errors: type[OCIError]) -> Outcome:
    return Outcome(right=False, error=errors)


def either(*errors: type[OCIError]) -> Outcome:
    return Outcome(right=True, error=errors)


def burst(when: When) -> tuple[Fault, ...]:
    """One server error after the other."""
    statuses = (500, 502, 503, 504)
    return tuple(Refuse(status=s, when=replace(when, skip=n)) for n, s in enumerate(statuses))
