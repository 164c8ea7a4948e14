"""Lists in pages: ``n``, ``last`` and the ``Link`` to the next page (D-101, C-38)."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from .failures import RefusedError


class Page(NamedTuple):
    """Part of a sorted list.

    Attributes:
        names: this page.
        link: value of the ``Link`` header, or None on the last page.
    """

    names: list[str]
    link: str | None


def page_size(text: str | None, *, max_page: int) -> int:
    """Return the page size that a query asks for, at most `max_page`.

    Raises:
        RefusedError: 400, `text` is no number.
    """
    if text is None:
        return max_page
    if not text.isascii() or not text.isdigit():
        raise RefusedError(400, "UNSUPPORTED", f"n={text[:20]!r} is not a number")
    return min(int(text[:19]), max_page)


def page_of(names: Sequence[str], *, path: str, n: int, last: str | None) -> Page:
    """Cut one page out of `names`, which are sorted.

    Args:
        names: the whole list.
        path: path of the list, for the link.
        n: page size; 0 gives an empty page without a link.
        last: the page starts behind this name, which need not be in the list.
    """
    start = bisect_right(names, last) if last is not None else 0
    page = list(names[start : start + n])
    more = page and start + n < len(names)
    link = f'<{path}?n={n}&last={quote(page[-1], safe="")}>; rel="next"' if more else None
    return Page(page, link)
