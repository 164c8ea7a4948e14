"""What the measurements are held to: a value, its target, and whether it is met."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness import Result, markdown

Verdict = Literal["met", "missed", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure with a target.

    Attributes:
        item: the number of the question it answers.
        what: what is compared with what.
        value: the figure; None where what it is compared with is missing.
        limit: the target.
        at_least: the target is the least that will do, not the most.
        unit: of value and limit; empty for ratios.
    """

    item: int
    what: str
    value: float | None
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def score(self) -> float | None:
        """The part of the target that is used up: 1 and less is met, whichever way it points."""
        if self.value is None:
            return None
        if self.at_least:
            return self.limit / self.value if self.value else float("inf")
        return self.value / self.limit

    @property
    def verdict(self) -> Verdict:
        if self.score is None:
            return "not measured"
        return "met" if self.score <= 1 else "missed"

    @property
    def figure(self) -> str:
        """The value with its unit; empty if it was not measured."""
        if self.value is None:
            return ""
        text = f"{self.value:.3g}" if self.value < 1000 else f"{self.value:.0f}"
        return f"{text} {self.unit}" if self.unit else text

    @property
    def target(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}{unit}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of measurements, and the checks that follow from it.

    Attributes:
        item: the number of the question.
        title: of the table.
        table: in Markdown.
        results: what the table was made of, where the harness measured it.
        checks: figures with targets.
        notes: what a reader of the table should know, such as programs that were missing.
    """

    item: int
    title: str
    table: str
    results: Sequence[Result] = ()
    checks: Sequence[Check] = ()
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What every measurement is told.

    Attributes:
        folder: an empty folder to work in.
        size: bytes of a large blob.
        rounds: how often each program runs.
        quick: try all out rather than measure.
    """

    folder: Path
    size: int
    rounds: int
    quick: bool

    @property
    def warm_up(self) -> int:
        return 0 if self.quick else 1

    def room(self, name: str) -> Path:
        """A new folder for one measurement."""
        made = self.folder / name
        made.mkdir()
        return made


Measurement = Callable[[Setup, Sequence[Section]], Iterator[Section]]
"""Answers one question; it is given what was measured before it, and yields as it goes."""


def find(results: Iterable[Result], name: str) -> Result | None:
    return next((result for result in results if result.contender.name == name), None)


def best_s(results: Iterable[Result], *tools: str) -> float | None:
    """The shortest median of some tools' programs; None if none of them ran."""
    return min((r.median_s for r in results if r.contender.tool in tools), default=None)


def ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def summary(checks: Sequence[Check]) -> str:
    """All checks as one Markdown table."""
    rows = [["", "figure", "value", "target", ""], ["---:", "---", "---:", "---:", "---"]]
    rows.extend([str(c.item), c.what, c.figure, c.target, c.verdict] for c in checks)
    return markdown(rows)
