"""Which installed packages are too old or too many; pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InvalidArgumentError
from ..spec import Platform
from .values import Package


@dataclass(frozen=True, slots=True)
class Use:
    """A package and when it was used last, in seconds since 1970."""

    package: Package
    last_s: float


def check_retention(*, older_than_s: float | None, keep: int | None) -> None:
    """Check the options of `beyond`.

    Raises:
        InvalidArgumentError: one of them is out of its range.
    """
    if keep is not None and keep < 1:
        raise InvalidArgumentError(f"keep must be at least 1, not {keep}")
    if older_than_s is not None and not older_than_s >= 0:
        raise InvalidArgumentError(f"older_than_s must be at least 0, not {older_than_s}")


def beyond(
    uses: Iterable[Use], *, now_s: float, older_than_s: float | None, keep: int | None
) -> list[Package]:
    """Return the packages that are to go, in their order; with both conditions, those that fulfil both.

    Args:
        uses: all installed packages.
        now_s: the time now, in seconds since 1970.
        older_than_s: go those that were not used for so long.
        keep: stay the last used ones, so many of each repository and platform.
    """
    if older_than_s is None and keep is None:
        return []
    groups: defaultdict[tuple[str, Platform | None], list[Use]] = defaultdict(list)
    every = list(uses)
    for use in every:
        groups[use.package.reference.name, use.package.platform].append(use)
    stay: set[int] = set()
    for group in groups.values():
        group.sort(key=lambda one: one.last_s, reverse=True)
        stay.update(map(id, group[: keep or 0]))
    return [
        use.package
        for use in every
        if id(use) not in stay and (older_than_s is None or now_s - use.last_s > older_than_s)
    ]
