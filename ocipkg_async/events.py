"""What happens during a transfer, as plain values for a callback.

Example:
    ::

        def show(event: Event) -> None:
            if isinstance(event, Progressed):
                print(event.descriptor.digest.short, event.done, "of", event.total)

        async with Client(on_event=show) as client:
            await client.get("ghcr.io/org/pkg:v1")

A callback runs on the event loop between two pieces of a transfer: it must not block. An
exception that it raises ends the transfer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .spec import Descriptor

Action = Literal["download", "upload", "copy", "pack", "unpack", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event tells.

    Attributes:
        action: what is being done.
        descriptor: the content it is done to; while packing its digest is not known yet, and the
            descriptor is None.
        name: a word for people: a file name, a reference, or the short digest.
    """

    action: Action
    descriptor: Descriptor | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The total became known, or grew.

    Attributes:
        total: bytes that this operation will move or has moved, as far as known.
    """

    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A piece of content is about to be moved.

    Attributes:
        total: its size in bytes, or None where it is not known.
    """

    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed(Event):
    """Some bytes were moved.

    Attributes:
        done: bytes of this content that are there so far; falls back when a transfer starts again.
        total: its size in bytes, or None.
        rate_bytes_per_s: bytes per second moved lately; what an earlier run left does not count.
        connections: connections that move it now.
        retries: how often something of it was asked for again.
        moved: bytes of it that this run moved: without what an earlier run left, and with what was
            moved more than once.
    """

    done: int
    total: int | None
    rate_bytes_per_s: float = 0.0
    connections: int = 1
    retries: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The content arrived, verified.

    Attributes:
        done: its size in bytes.
    """

    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Event):
    """Nothing was moved.

    Attributes:
        reason: ``exists`` at the destination, or ``mounted`` from another repository there.
    """

    reason: Literal["exists", "mounted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying(Event):
    """A request failed and is made again.

    Attributes:
        attempt: how many tries failed so far.
        wait_s: seconds until the next try.
        reason: why, one line without secrets.
    """

    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something a person should know, from the registry or from us.

    Attributes:
        text: one line without control characters.
    """

    text: str


OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Do nothing: the callback where none was given."""
