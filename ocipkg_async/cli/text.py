"""Numbers and names as people read them, and JSON that a terminal may show."""

import json
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
