"""Events as a progress bar with total, rate and time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

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
from .text import printable, size_text

_NAME_WIDTH = 40


@contextmanager
def bar() -> Iterator["Bar"]:
    """Show one bar for each kind of work, and one for each piece of content in flight."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        yield Bar(progress)


class _Rate(ProgressColumn):
    """Bytes per second in the units of the sizes."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size_text(speed)}/s" if speed else "", style="progress.data.speed")


class Bar:
    """Bars on a terminal, moved by events."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._overall: dict[str, TaskID] = {}
        self._pieces: dict[tuple[str, str], TaskID] = {}
        self._done: dict[tuple[str, str], int] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Planned(total=total):
                self._progress.update(self._whole(event), total=total)
            case Started(total=total):
                name = printable(event.name)[:_NAME_WIDTH]
                self._pieces[self._key(event)] = self._progress.add_task(f"  {name}", total=total)
            case Progressed(done=done):
                self._move(event, done)
            case Finished(done=done):
                self._move(event, done)
                piece = self._pieces.pop(self._key(event), None)
                if piece is not None:
                    self._progress.remove_task(piece)
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
            self._overall[event.action] = self._progress.add_task(event.action, total=None)
        return self._overall[event.action]

    def _move(self, event: Event, done: int) -> None:
        key = self._key(event)
        self._progress.advance(self._whole(event), done - self._done.get(key, 0))
        self._done[key] = done
        if key in self._pieces:
            self._progress.update(self._pieces[key], completed=done)

    def _key(self, event: Event) -> tuple[str, str]:
        """What tells the content apart: its digest, or its name if that came when it was started."""
        named = event.action, event.name
        if event.descriptor is None or named in self._pieces:
            return named
        return event.action, str(event.descriptor.digest)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
