"""Events as a progress bar with total, rate and time left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from ..content import Meter
from ..events import (
    Event,
    Finished,
    Planned,
    Progressed,
    Retrying,
    Skipped,
    Started,
    Warned,
)
from .text import count_text, part_text, printable, size_text, time_text

_NAME_WIDTHS = (12, 40)
_OTHER_WIDTH = 58
"""Columns for the bar, sizes, rate, time left and connections; names get the rest of a line."""


@contextmanager
def bar(
    console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Iterator["Bar"]:
    """Show one bar for each kind of work, and one for each piece of content in flight.

    Args:
        console: where; None is standard error.
        clock: seconds, for the rates; for tests.
    """
    console = console or Console(stderr=True)
    least, most = _NAME_WIDTHS
    name_width = min(most, max(least, console.width - _OTHER_WIDTH))
    progress = Progress(
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", max_width=name_width),
        ),
        BarColumn(bar_width=18, table_column=Column(min_width=5)),
        _Size(table_column=_column()),
        _Rate(table_column=_column()),
        _Left(table_column=_column()),
        _Notes(table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=console,
        transient=True,
    )
    with progress:
        yield Bar(progress, clock=clock)


def _column() -> Column:
    return Column(no_wrap=True, justify="right")


class _Size(ProgressColumn):
    """What is there, and the total."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(part_text(int(task.completed), total), style="progress.download")


def _rate(task: Task) -> float:
    """Return bytes per second; bytes that an earlier run left are none that were moved."""
    found = task.fields.get("rate", 0.0)
    return found.rate_bytes_per_s if isinstance(found, Meter) else float(found)


class _Rate(ProgressColumn):
    """Bytes per second in the units of the sizes."""

    def render(self, task: Task) -> Text:
        rate = _rate(task)
        return Text(f"{size_text(rate)}/s" if rate >= 1 else "", style="progress.data.speed")


class _Left(ProgressColumn):
    """Time left, as far as it can be said."""

    def render(self, task: Task) -> Text:
        rate, left = _rate(task), task.remaining
        known = left is not None and (rate >= 1 or not left)
        text = time_text(left / rate if left else 0.0) if known and left is not None else "-:--"
        return Text(text, style="progress.remaining")


class _Notes(ProgressColumn):
    """Several connections, and retries."""

    def render(self, task: Task) -> Text:
        connections: int = task.fields.get("connections", 1)
        retries: int = task.fields.get("retries", 0)
        notes = [f"{connections} conn"] if connections > 1 else []
        if retries:
            notes.append(count_text(retries, "retry", "retries"))
        return Text(", ".join(notes), style="dim")


class Bar:
    """Bars on a terminal, moved by events."""

    def __init__(self, progress: Progress, *, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._overall: dict[str, TaskID] = {}
        self._moved: dict[str, Meter] = {}
        self._pieces: dict[tuple[str, str], TaskID] = {}
        self._done: dict[tuple[str, str], tuple[int, int]] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Planned(total=total):
                self._progress.update(self._whole(event), total=total)
            case Started(total=total):
                key = self._key(event)
                if key not in self._pieces:
                    name = f"  {printable(event.name)}"
                    self._pieces[key] = self._progress.add_task(name, total=total)
            case Progressed():
                self._show_progress(event)
            case Finished():
                self._finish(event)
            case Skipped(descriptor=found) if found is not None and not found.is_document:
                self._progress.advance(self._whole(event), found.size)
            case Retrying(wait_s=wait_s, reason=reason):
                self.say(f"retrying in {wait_s:.1f} s: {reason}")
            case Warned(text=text):
                self.say(f"warning: {text}")
            case _:
                pass

    def _whole(self, event: Event) -> TaskID:
        if event.action not in self._overall:
            meter = self._moved[event.action] = Meter(clock=self._clock)
            self._overall[event.action] = self._progress.add_task(
                event.action, total=None, rate=meter
            )
        return self._overall[event.action]

    def _show_progress(self, event: Progressed) -> None:
        self._move(event, event.done, event.moved)
        piece = self._pieces.get(self._key(event))
        if piece is not None:
            self._progress.update(
                piece,
                completed=event.done,
                rate=event.rate_bytes_per_s,
                connections=event.connections,
                retries=event.retries,
            )

    def _finish(self, event: Finished) -> None:
        key = self._key(event)
        self._move(event, event.done, self._done.get(key, (0, 0))[1])
        if key in self._pieces:
            self._progress.remove_task(self._pieces.pop(key))

    def _move(self, event: Event, done: int, moved: int) -> None:
        key = self._key(event)
        done_before, moved_before = self._done.get(key, (0, 0))
        self._progress.advance(self._whole(event), done - done_before)
        # It is moved by another meter, from nothing, when it is moved once more.
        self._moved[event.action].advance(moved - moved_before if moved >= moved_before else moved)
        self._done[key] = done, moved

    def _key(self, event: Event) -> tuple[str, str]:
        """What tells the content apart: its digest, or its name if that came when it was started."""
        named = event.action, event.name
        if event.descriptor is None or named in self._pieces:
            return named
        return event.action, str(event.descriptor.digest)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
