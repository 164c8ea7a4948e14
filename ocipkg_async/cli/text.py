"""Numbers and names as people read them, and JSON that a terminal may show."""

import json
import math
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size: float) -> str:
    """Return a size in bytes with three digits or so: ``4.21 MiB``."""
    units = iter(_UNITS)
    unit = next(units)
    while size >= 1024 and unit != _UNITS[-1]:
        size /= 1024
        unit = next(units)
    if unit == "B":
        return f"{size:.0f} B"
    return f"{size:.{2 if size < 10 else 1 if size < 100 else 0}f} {unit}"


def part_text(done: int, total: int | None) -> str:
    """Return how much of a whole: ``12.0/128 MiB``, both in the unit of the whole."""
    if total is None:
        return size_text(done)
    number, unit = size_text(total).split()
    factor = 1024 ** _UNITS.index(unit)
    shown = min(done, total) / factor
    digits = 0 if unit == "B" or shown >= 100 else 1 if shown >= 10 else 2
    return f"{shown:.{digits}f}/{number} {unit}"


def time_text(seconds: float) -> str:
    """Return a duration: ``0:07``, ``2:05:09``, or ``3 d`` and more."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours < 48 else f"{hours // 24} d"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """Return a number of things: ``1 file``, ``2 files``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def rate_text(size: int, seconds: float) -> str:
    """Return bytes per second, as text."""
    return f"{size_text(size / seconds)}/s" if seconds > 0 else "-"


def table(rows: list[tuple[str, ...]], *, header: tuple[str, ...] | None = None) -> str:
    """Return rows in columns as wide as their widest cell."""
    lines = [header, *rows] if header else list(rows)
    widths = (
        [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        if lines
        else []
    )
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def printable(text: str) -> str:
    """Return text of others without what a terminal would obey (S-18)."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def json_text(value: Any) -> str:
    """Return a value as JSON, readable, with escapes for what a terminal would obey (S-18)."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
