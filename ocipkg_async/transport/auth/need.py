"""What a request wants of a registry, as far as credentials and tokens go by it."""

from dataclasses import dataclass

from ..urls import Origin
from .scope import Scope


@dataclass(frozen=True, slots=True)
class Need:
    """What a request wants to do, and where.

    Attributes:
        registry: name of the registry, by which credentials are stored.
        origin: its origin.
        repository: repository, or None.
        scopes: what the request needs, the most important first.
    """

    registry: str
    origin: Origin
    repository: str | None = None
    scopes: tuple[Scope, ...] = ()

    @property
    def only_reads(self) -> bool:
        """Whether this reads from repositories and does nothing else, which may be open to all.

        A request without scopes asks the registry itself, as a login does, whose point is to be
        known: it does not count.
        """
        return bool(self.scopes) and all(scope.only_pull for scope in self.scopes)
