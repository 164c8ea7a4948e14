"""Scopes: what a token allows, ``type:name:action,action`` (A-21 to A-24)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_ANY = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource and what may be done with it.

    Attributes:
        type: ``repository``, ``registry``, with its class if it has one: ``repository(plugin)``.
            A scope of another form, which some servers use, is kept whole here.
        name: resource, such as a repository; it may hold colons.
        actions: sorted, without duplicates; ``*`` swallows the others.
    """

    type: str
    name: str = ""
    actions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        found = sorted({action for action in self.actions if action})
        object.__setattr__(self, "actions", (_ANY,) if _ANY in found else tuple(found))

    @classmethod
    def repository(cls, name: str, *actions: str) -> Self:
        """Return the scope of a repository, such as ``Scope.repository("a/b", "pull")``."""
        return cls("repository", name, actions)

    @classmethod
    def catalog(cls) -> Self:
        """Return the scope that lists the repositories of a registry."""
        return cls("registry", "catalog", (_ANY,))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``type:name:actions``, split at the first and the last colon (A-21)."""
        kind, colon, rest = text.partition(":")
        name, second, actions = rest.rpartition(":")
        if not (colon and second and kind and name):
            return cls(text)
        return cls(kind, name, tuple(actions.split(",")))

    @property
    def only_pull(self) -> bool:
        """Whether nothing but reading is asked for."""
        return self.actions == ("pull",)

    def covers(self, other: "Scope") -> bool:
        """Whether whoever may do this may do `other`."""
        if (self.type, self.name) != (other.type, other.name):
            return False
        return self.actions == (_ANY,) or set(other.actions) <= set(self.actions)

    def __str__(self) -> str:
        if not self.name:
            return self.type
        return f"{self.type}:{self.name}:{','.join(self.actions)}"


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Read the space-separated list of a challenge (A-06)."""
    return tuple(Scope.parse(word) for word in text.split())


def merge(*groups: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return the union, sorted: one scope for each type and name (A-22)."""
    found: dict[tuple[str, str], set[str]] = {}
    for scope in (one for group in groups for one in group):
        found.setdefault((scope.type, scope.name), set()).update(scope.actions)
    return tuple(
        Scope(kind, name, tuple(actions)) for (kind, name), actions in sorted(found.items())
    )


def arrange(scopes: Iterable[Scope], *, first: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return `scopes` with those on the resources of `first` in front; some servers read only one."""
    rank: dict[tuple[str, str], int] = {}
    for scope in first:
        rank.setdefault((scope.type, scope.name), len(rank))
    return tuple(sorted(scopes, key=lambda s: rank.get((s.type, s.name), len(rank))))


def cover(have: Iterable[Scope], need: Iterable[Scope]) -> bool:
    """Whether whoever may do all of `have` may do all of `need` (A-26)."""
    have = merge(have)
    return all(any(mine.covers(theirs) for mine in have) for theirs in need)
