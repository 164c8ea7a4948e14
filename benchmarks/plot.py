"""Draws how much of its target each figure uses up, as a picture of bars."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Check

# Blue and orange are told apart by all eyes, and by their lightness in grey.
COLOURS = {"met": "#2166ac", "missed": "#e08214", "not measured": "#bbbbbb"}
_WIDEST = 2.0
_ROW_INCHES = 0.27


def draw(checks: Sequence[Check], path: Path, *, title: str) -> None:
    """Write a picture; the name's ending chooses SVG or PNG."""
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "ocipkg_async"
    rows: list[Check | None] = []
    for check in checks:
        if rows and rows[-1] is not None and rows[-1].item != check.item:
            rows.append(None)
        rows.append(check)
    figure = Figure(figsize=(10, 1.3 + _ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        if row is not None:
            _bar(axes, place, row)
    axes.axvline(1, color="black", linewidth=1.2)
    axes.set_xlim(0, _WIDEST)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(
        [place for place, check in enumerate(rows) if check is not None],
        [_label(check) for check in rows if check is not None],
        fontsize=8,
    )
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("part of the target that is used up: left of the line is met")
    axes.xaxis.grid(visible=True, color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _label(check: Check) -> str:
    return f"{check.item}. {check.what.replace('`', '')}"


def _bar(axes: Axes, place: int, check: Check) -> None:
    score = check.score
    axes.barh(place, min(score or 0.0, _WIDEST), color=COLOURS[check.verdict], height=0.72)
    if score is not None and score > _WIDEST:
        axes.text(_WIDEST - 0.02, place, "→", va="center", ha="right", color="white")
    text = f"{check.figure or check.verdict}  ({check.target})"
    axes.text(_WIDEST * 1.02, place, text, va="center", ha="left", fontsize=8)
