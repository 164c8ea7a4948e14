"""Response headers, without the types of the HTTP library."""

from collections.abc import Iterable, Iterator
from typing import overload


class Headers:
    """Headers of an answer; names compare without case (D-07)."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple((name.lower(), value.strip()) for name, value in pairs)

    @overload
    def get(self, name: str, default: str) -> str: ...

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a header, or `default`."""
        wanted = name.lower()
        return next((value for key, value in self._pairs if key == wanted), default)

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header that may stand several times (D-124)."""
        wanted = name.lower()
        return [value for key, value in self._pairs if key == wanted]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __repr__(self) -> str:
        # Values may hold secrets: signed locations, cookies, tokens (S-17).
        return f"Headers({', '.join(sorted({name for name, _ in self._pairs}))})"
