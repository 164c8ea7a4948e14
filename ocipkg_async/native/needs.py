"""Which libraries of a package a library of it loads."""

from pathlib import Path

from ..spec import Platform
from .candidates import Candidate, look_through


def load_order(folder: Path, library: Path, platform: Platform) -> tuple[Path, ...]:
    """Return what to load, in order: the package's libraries that a library needs, then itself.

    A loader looks for needed libraries in its own places, not beside the library; but those that a
    process has already are found by the name that they give themselves. It blocks.

    Args:
        folder: where the package is unpacked.
        library: the library in it.
        platform: what loads it.

    Raises:
        StorageError: the folder cannot be read.
        LimitExceededError: there is far more in it than in any package.
    """
    fitting = [
        one
        for one in look_through(folder).candidates
        if one.binary is not None and one.binary.kind == "dynamic" and one.binary.fits(platform)
    ]
    by_name: dict[str, Candidate] = {}
    for one in fitting:
        for name in _names(one):
            by_name.setdefault(name, one)
    order: dict[Path, Path] = {}
    start = next((one for one in fitting if one.path == library), None)
    if start is not None:
        _visit(start, by_name, order, set())
        order.pop(start.real, None)
    return (*order.values(), library)


def _names(one: Candidate) -> tuple[str, ...]:
    """Return the names that it is needed by; Windows does not mind their case."""
    own = one.binary.soname if one.binary is not None else None
    return (own or one.path.name, one.path.name, one.path.name.lower())


def _visit(
    one: Candidate, by_name: dict[str, Candidate], order: dict[Path, Path], seen: set[Path]
) -> None:
    """Put what a library needs into the order, then itself, without recursion: depth is not ours."""
    stack: list[tuple[Candidate, bool]] = [(one, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            order.setdefault(current.real, current.path)
            continue
        if current.real in seen:
            continue
        seen.add(current.real)
        stack.append((current, True))
        needed = current.binary.needed if current.binary is not None else ()
        found = [_find(name, by_name) for name in needed]
        stack.extend((other, False) for other in reversed(found) if other is not None)


def _find(name: str, by_name: dict[str, Candidate]) -> Candidate | None:
    base = name.rpartition("/")[2]  # Apple's: @rpath/libfoo.dylib
    return by_name.get(name) or by_name.get(base) or by_name.get(base.lower())
