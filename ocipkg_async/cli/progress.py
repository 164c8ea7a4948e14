"""Events as a progress bar, as plain lines, or as JSON lines, always on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import click

from ..events import (
    Event,
    Finished,
    OnEvent,
    Progressed,
    Retrying,
    Skipped,
    Warned,
)
from .text import printable, size_text

ProgressKind = Literal["auto", "bar", "plain", "json", "none"]

# A machine that reads along does not need every piece of some 256 KiB.
_JSON_EVERY_S = 0.1
_FIELDS = (
    *("action", "name", "total", "done", "reason", "attempt", "wait_s", "text"),
    *("connections", "retries", "moved"),
)


def say(text: str) -> None:
    """Print a line for people."""
    click.echo(text, err=True)


@dataclass(frozen=True, slots=True)
class Display:
    """Where events are shown, and how to print a line that does not disturb them."""

    on_event: OnEvent
    say: Callable[[str], None] = say


@contextmanager
def display(kind: ProgressKind) -> Iterator[Display]:
    """Show events while the block runs.

    Args:
        kind: ``auto`` is a bar on a terminal and plain lines elsewhere.
    """
    if kind == "auto":
        kind = "bar" if sys.stderr.isatty() else "plain"
    if kind == "bar":
        # rich takes 80 ms to load, which only a terminal should pay.
        from .bar import bar  # noqa: PLC0415

        with bar() as shown:
            yield Display(shown, shown.say)
    else:
        shows: dict[ProgressKind, OnEvent] = {"plain": _plain, "json": _JsonLines()}
        yield Display(shows.get(kind, _warnings))


def _warnings(event: Event) -> None:
    """Print what a person should know even when nothing else is shown."""
    if isinstance(event, Warned):
        click.echo(f"warning: {printable(event.text)}", err=True)


_DONE = {
    "download": "downloaded",
    "upload": "uploaded",
    "copy": "copied",
    "pack": "packed",
    "unpack": "unpacked",
    "verify": "verified",
}


def _plain(event: Event) -> None:
    """One line for each piece of content that is done."""
    name = printable(event.name)
    if isinstance(event, Finished):
        click.echo(f"{_DONE[event.action]} {name} ({size_text(event.done)})", err=True)
    elif isinstance(event, Skipped):
        click.echo(f"{'have' if event.reason == 'exists' else 'mounted'} {name}", err=True)
    elif isinstance(event, Retrying):
        click.echo(f"retrying in {event.wait_s:.1f} s: {printable(event.reason)}", err=True)
    else:
        _warnings(event)


class _JsonLines:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Progressed):
            if now - self._last.get(event.name, 0.0) < _JSON_EVERY_S:
                return
            self._last[event.name] = now
        value: dict[str, Any] = {"event": type(event).__name__.lower()}
        for name in _FIELDS:
            found = getattr(event, name, None)
            if found not in {None, ""}:
                value[name] = found
        if isinstance(event, Progressed):
            value["rate_bytes_per_s"] = round(event.rate_bytes_per_s)
        if event.descriptor is not None:
            value["digest"] = str(event.descriptor.digest)
        click.echo(json.dumps(value), err=True)
