"""Collecting what no repository needs any more, while the registry serves (C-41)."""

from dataclasses import dataclass

from ...errors import InvalidArgumentError, OCIError
from ...spec import Digest
from .repositories import Repositories

GRACE_S = 3600.0
"""Longer than a push takes from its first blob to its manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was collected in one repository.

    Attributes:
        repository: its name.
        removed: digest and size of each blob and manifest that was removed, or would be.
        error: why nothing was removed, or None.
    """

    repository: str
    removed: tuple[tuple[Digest, int], ...] = ()
    error: OCIError | None = None

    @property
    def bytes(self) -> int:
        """Size of all that was removed; a blob that another repository has takes its place still."""
        return sum(size for _, size in self.removed)


async def collect(
    repositories: Repositories, *, grace_s: float, untagged: bool, dry_run: bool
) -> list[Collected]:
    """Collect in all repositories, one after the other, as `EmbeddedRegistry.collect` says.

    Pushes to a repository wait only while its files are removed.

    Raises:
        InvalidArgumentError: `grace_s` is negative.
        StorageError: the root cannot be read.
    """
    if not grace_s >= 0:
        raise InvalidArgumentError(f"grace_s={grace_s} is negative")
    collected = [
        await _collect(repositories, name, grace_s=grace_s, untagged=untagged, dry_run=dry_run)
        for name in await repositories.names()
    ]
    if not dry_run:
        await repositories.tidy(older_than_s=grace_s)
    return collected


async def _collect(
    repositories: Repositories, name: str, *, grace_s: float, untagged: bool, dry_run: bool
) -> Collected:
    try:
        repository = await repositories.find(name)
        if repository is None:
            return Collected(repository=name)
        removed = await repository.layout.collect(
            grace_s=grace_s, untagged=untagged, dry_run=dry_run, held=repository.writing.alone()
        )
    except OCIError as error:
        return Collected(repository=name, error=error)
    return Collected(repository=name, removed=tuple(removed))
