"""HTML from text that strangers wrote: elements, and the one place where text is escaped; pure.

Whatever is not `Markup` is made visible and escaped where it enters an element.
"""

from html import escape

MAX_TEXT = 300
"""Longest text of somebody else that is shown."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: what is in it; text is escaped, `Markup` is not.
        attributes: by name, with ``_`` for ``-`` and one more behind a word of Python; empty ones
            are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Return children one after the other, as `element` has them."""
    return Markup("".join(c if isinstance(c, Markup) else escape(visible(c)) for c in children))


def whole(text: str) -> Markup:
    """Return text as it is, whatever its length, for what is copied: a command, a digest."""
    return Markup(escape(text))


def visible(text: str) -> str:
    """Return text of somebody else as one line: shortened, and without what changes the text around it.

    Controls, direction marks and other characters that show nothing appear as ``[U+202E]``.
    """
    line = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(
        c if c.isprintable() else " " if c.isspace() else f"[U+{ord(c):04X}]" for c in line
    )
