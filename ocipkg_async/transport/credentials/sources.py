"""The files, and the variable, that are looked at for credentials: read, with their warnings."""

import errno
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import CredentialError, StorageError
from .containers_auth import (
    INLINE_VARIABLE,
    Location,
    Surroundings,
    chosen_location,
    home_directory,
    usual_locations,
    written_location,
)
from .credential_file import parse, read_file
from .docker_config import FileKind, Json, check_variable

_log = logging.getLogger(__name__)
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that was read.

    Attributes:
        where: its name, for people.
        kind: the rules for it.
        config: what it holds; secrets, so no repr shows it.
    """

    where: str
    kind: FileKind
    config: Json = field(repr=False)


class Sources:
    """Where one user's credentials may be."""

    def __init__(self, authfile: Path | None, environ: Mapping[str, str]) -> None:
        self._authfile = authfile
        self._environ = environ
        self._warned: set[str] = set()

    def places(self) -> list[Location | None]:
        """Return where to look, in order; None stands for ``DOCKER_AUTH_CONFIG`` (A-45, A-46)."""
        chosen = chosen_location(self._authfile, self._environ)
        if chosen is not None:
            return [chosen]
        around = Surroundings(
            home=home_directory(self._environ),
            uid=os.getuid() if hasattr(os, "getuid") else None,
            linux=sys.platform.startswith("linux"),
        )
        return [None, *usual_locations(self._environ, around)]

    async def load(self, place: Location | None, *, missing_ok: bool = False) -> Source | None:
        """Read one place; None if there is nothing.

        A usual place that this user may not read is skipped with a warning: a service often runs
        with a home directory that is not its own.

        Raises:
            CredentialError: it is broken; or it was named by hand, does not exist, and that is
                not `missing_ok` (A-47).
            StorageError: it cannot be read.
        """
        if place is None:
            return self._variable()
        try:
            found = await read_file(place.path)
        except StorageError as error:
            if place.chosen_by or error.errno not in _UNREADABLE:
                raise
            self.warn(f"{error}; its credentials are not used")
            return None
        if found is None:
            if place.chosen_by and not missing_ok:
                raise CredentialError(
                    f"the credential file {place.path} does not exist",
                    hint=f"log in to create it, or correct {place.chosen_by}",
                )
            return None
        config, exposed = found
        if exposed:
            self.warn(f"{place.path} can be used by other users; chmod 600 closes it")
        return Source(where=str(place.path), kind=place.kind, config=config)

    async def written(self, *, missing_ok: bool = True) -> tuple[Location, Source | None]:
        """Return the place that a login writes to, and what it holds now.

        Raises:
            CredentialError, StorageError: as `load`.
        """
        home = home_directory(self._environ)
        place = written_location(self._authfile, self._environ, home)
        return place, await self.load(place, missing_ok=missing_ok)

    def warn(self, text: str) -> None:
        """Warn once: credentials are asked for with every token."""
        if text not in self._warned:
            self._warned.add(text)
            _log.warning("%s", text)

    def _variable(self) -> Source | None:
        text = self._environ.get(INLINE_VARIABLE)
        if not text:
            return None
        where = f"the variable {INLINE_VARIABLE}"
        config = check_variable(parse(text.encode(errors="replace"), where=where), where=where)
        return Source(where=where, kind="docker", config=config)
