"""The ``WWW-Authenticate`` header (A-01 to A-06), read in one pass without going back."""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
_TOKEN68 = frozenset(string.ascii_letters + string.digits + "-._~+/")
_BLANK = frozenset(" \t")
_EQUALS = frozenset("=")
_BARE = frozenset(string.ascii_letters + string.digits + string.punctuation) - frozenset('",')
"""Unquoted values: some servers leave out the quotes even round a URL."""
_MAX_HEADER = 64 << 10
"""A header cannot be longer by far; the HTTP library's own limit is lower."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a server offers.

    Attributes:
        scheme: lower case, such as ``bearer``.
        parameters: by lower-case key; of a key that stands twice the first counts (A-03).
        token68: what some schemes have instead of parameters.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    token68: str = ""


class _Broken(Exception):  # noqa: N818 - internal signal
    pass


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def ended(self) -> bool:
        return self._at >= len(self._text)

    def peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def at_item_end(self) -> bool:
        return self.peek() in {"", ","}

    def take(self, wanted: str) -> bool:
        if self.peek() != wanted:
            return False
        self._at += 1
        return True

    def run(self, allowed: frozenset[str]) -> str:
        start = self._at
        while not self.ended() and self._text[self._at] in allowed:
            self._at += 1
        return self._text[start : self._at]

    def quoted(self) -> str:
        """Read on after an opening quote, to the closing one (A-02)."""
        pieces: list[str] = []
        while not self.ended():
            char = self._text[self._at]
            self._at += 1
            if char == '"':
                return "".join(pieces)
            if char == "\\":
                char = self.peek()
                self._at += 1
            if (char < " " and char != "\t") or char == "\x7f":
                raise _Broken
            pieces.append(char)
        raise _Broken


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read all challenges of all header lines, in order; a broken line gives none (A-05)."""
    found: list[Challenge] = []
    for value in values:
        if len(value) <= _MAX_HEADER:
            try:
                found.extend(_parse_line(value))
            except _Broken:
                continue
    return found


def _parse_line(text: str) -> list[Challenge]:
    scanner = _Scanner(text)
    found: list[tuple[str, dict[str, str], str]] = []
    while _skip_empty_items(scanner):
        word = scanner.run(_TOKEN)
        if not word:
            raise _Broken
        blank = scanner.run(_BLANK)
        if scanner.take("="):
            # A parameter after a comma belongs to the challenge before it.
            if not found or found[-1][2]:
                raise _Broken
            scanner.run(_BLANK)
            found[-1][1].setdefault(word.lower(), _value(scanner))
        elif scanner.at_item_end():
            found.append((word.lower(), {}, ""))
        elif blank:
            found.append((word.lower(), *_first(scanner)))
        else:
            raise _Broken
        scanner.run(_BLANK)
        if not scanner.at_item_end():
            raise _Broken
    return [Challenge(*parts) for parts in found]


def _skip_empty_items(scanner: _Scanner) -> bool:
    """Skip blanks, commas and so empty items; return whether anything is left."""
    while scanner.run(_BLANK) or scanner.take(","):
        pass
    return not scanner.ended()


def _first(scanner: _Scanner) -> tuple[dict[str, str], str]:
    """Read what follows a scheme: its first parameter, or a token68."""
    word = scanner.run(_TOKEN | _TOKEN68)
    scanner.run(_BLANK)
    equals = scanner.run(_EQUALS)
    scanner.run(_BLANK)
    if word and scanner.at_item_end():
        return {}, word + equals
    if not word or equals != "=" or not _TOKEN.issuperset(word):
        raise _Broken
    return {word.lower(): _value(scanner)}, ""


def _value(scanner: _Scanner) -> str:
    if scanner.take('"'):
        return scanner.quoted()
    value = scanner.run(_BARE)
    if not value:
        raise _Broken
    return value
