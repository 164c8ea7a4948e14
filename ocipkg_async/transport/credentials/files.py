"""The credentials that Docker, podman and their relatives keep, as one provider."""

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import CredentialError, InvalidArgumentError, StorageError
from .containers_auth import Location
from .credential_file import Change, change_file
from .docker_config import (
    FileKind,
    auths,
    decode_entry,
    encode_entry,
    find_credential,
    key_registry,
    registry_name,
    with_entry,
    without_entry,
)
from .helper_program import TIMEOUT_S, HelperProgram
from .helper_settings import default_helper, helper_addresses, helper_name, helper_registries
from .model import Credential
from .sources import Source, Sources

_log = logging.getLogger(__name__)

Stored = tuple[str, str, str]


class CredentialFiles:
    """Credentials in files and helpers, as other programs left them; also writes them.

    Looked at, in this order, and the first match wins (A-46): `authfile` alone if given; else the
    file that ``REGISTRY_AUTH_FILE`` names, alone; else the variable ``DOCKER_AUTH_CONFIG``,
    podman's ``auth.json`` in its places, Docker's ``config.json``, and ``.dockercfg``. A file
    named by hand is read by the rules of its name, ``config.json`` or ``.dockercfg``, else by
    those of ``auth.json``.

    In one file a helper goes before the entry. Where a helper says that it has nothing, the entry
    of the same file counts, and then the next file; Docker stops at the helper (A-42).

    Args:
        authfile: the one file to use.
        environ: environment to use instead of ``os.environ``, with ``HOME``, and ``PATH`` for
            helpers.
        helper_timeout_s: how long a helper may take.
    """

    def __init__(
        self,
        *,
        authfile: Path | None = None,
        environ: Mapping[str, str] | None = None,
        helper_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._helper_timeout_s = helper_timeout_s
        self._sources = Sources(authfile, self._environ)

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:
        """Return the credential for a repository, or None (A-40 to A-49).

        Raises:
            InvalidReferenceError: `registry` is not ``host[:port]``.
            CredentialError: a file, entry or helper that was needed is broken, or the file that
                was asked for does not exist (A-47).
            StorageError: a file cannot be read.
        """
        registry = registry_name(registry)
        for place in self._sources.places():
            source = await self._sources.load(place)
            if source is not None:
                credential = await self._look(source, registry, repository)
                if credential is not None:
                    return credential
        return None

    async def put(self, registry: str, credential: Credential) -> str:
        """Store a credential, with the helper that the file names for the registry, else in the file.

        Written is `authfile`, else what ``REGISTRY_AUTH_FILE`` names, else Docker's file: every
        program that reads any of these files reads that one. Everything else in it stays (A-40,
        A-50).

        A warning in the log names another place that is looked at before the written one and
        has something for the registry.

        Returns:
            where it is now: the path, or the name of the helper program.

        Raises:
            InvalidReferenceError: `registry` is not ``host[:port]``.
            InvalidArgumentError: there is no secret to store, or no file can hold it.
            CredentialError: the file or helper cannot be used.
            StorageError: the file cannot be written.
        """
        registry = registry_name(registry)
        if not encode_entry(credential) or credential == Credential(username=credential.username):
            raise InvalidArgumentError(
                f"there is no secret to store for {registry}",
                hint="give a password or a token",
            )
        place, source = await self._sources.written()
        name, kind = str(place.path), place.kind
        program = self._helper_for(source, registry) if source is not None else None
        if program is None:
            change = functools.partial(
                with_entry, kind=kind, registry=registry, credential=credential, where=name
            )
            await change_file(place.path, change)
        else:
            await program.store(helper_addresses(registry, kind)[0], credential)
            await change_file(place.path, _mark(kind, registry, where=name))
        await self._warn_of_others(registry, place, only_before=True)
        return name if program is None else program.program

    async def erase(self, registry: str) -> bool:
        """Forget what `put` would write: the file's entry, and what the helper has.

        Entries of single repositories stay, and so does what other files hold; a warning in the
        log names those that still have something for the registry.

        Returns:
            whether there was anything.

        Raises:
            InvalidReferenceError, CredentialError, StorageError: as `put`.
        """
        registry = registry_name(registry)
        place, source = await self._sources.written(missing_ok=False)
        removed = False
        if source is not None:
            change = functools.partial(
                without_entry, kind=place.kind, registry=registry, where=source.where
            )
            removed = await change_file(place.path, change)
            program = self._helper_for(source, registry)
            if program is not None:
                for address in helper_addresses(registry, place.kind):
                    removed |= await program.erase(address)
        await self._warn_of_others(registry, place, only_before=False)
        return removed

    async def list(self) -> list[tuple[str, str, str]]:
        """Return registry, user name and place of all that is stored, in the order of `get`.

        The first of a registry is the one in use. A broken entry or helper is a warning in the
        log and hides no others.

        Raises:
            CredentialError: a file is broken, or the file that was asked for does not exist.
            StorageError: a file cannot be read.
        """
        found: list[tuple[str, str, str]] = []
        for place in self._sources.places():
            source = await self._sources.load(place)
            if source is not None:
                found += await self._list_helpers(source)
                found += self._list_entries(source)
        return found

    async def _look(
        self, source: Source, registry: str, repository: str | None
    ) -> Credential | None:
        program = self._helper_for(source, registry)
        if program is not None:
            for address in helper_addresses(registry, source.kind):
                credential = await program.get(address)
                if credential is not None:
                    return credential
        return find_credential(source.config, source.kind, registry, repository, where=source.where)

    def _helper_for(self, source: Source, registry: str) -> HelperProgram | None:
        name = helper_name(source.config, source.kind, registry, where=source.where)
        return self._helper(name) if name else None

    def _helper(self, name: str) -> HelperProgram:
        return HelperProgram(name, environ=self._environ, timeout_s=self._helper_timeout_s)

    async def _list_helpers(self, source: Source) -> Sequence[Stored]:
        config, kind, where = source.config, source.kind, source.where
        names = [*helper_registries(config, kind, where=where).values()]
        names.append(default_helper(config, kind, where=where) or "")
        found: list[Stored] = []
        for name in dict.fromkeys(filter(None, names)):
            try:
                program = self._helper(name)
                known = await program.list()
            except CredentialError as error:
                self._sources.warn(f"{error}; what it keeps is not listed")
                continue
            for address, user in known.items():
                registry = key_registry(address, "docker")
                if registry and helper_name(config, kind, registry, where=where) == name:
                    found.append((registry, user, program.program))
        return found

    def _list_entries(self, source: Source) -> Sequence[Stored]:
        found: list[Stored] = []
        for key, entry in auths(source.config, source.kind, where=source.where).items():
            registry = key_registry(key, source.kind) or key
            if "@" in registry:
                continue  # no key at all, and it may hold a password
            try:
                credential = decode_entry(entry, what=f"the entry for {registry} in {source.where}")
            except CredentialError as error:
                self._sources.warn(str(error))
                continue
            if credential is not None:
                found.append((registry, credential.username, source.where))
        return found

    async def _warn_of_others(self, registry: str, written: Location, *, only_before: bool) -> None:
        """Warn where another place hides what was written, or still has what was erased."""
        if written.chosen_by:
            return
        for place in self._sources.places():
            if place == written:
                if only_before:
                    return
                continue
            try:
                source = await self._sources.load(place)
                if source is None or not find_credential(
                    source.config, source.kind, registry, where=source.where
                ):
                    continue
            except (CredentialError, StorageError):
                continue  # `get` says so
            effect = "is used first" if only_before else "is not removed"
            _log.warning("%s has a credential for %s, which %s", source.where, registry, effect)


def _mark(kind: FileKind, registry: str, *, where: str) -> Change:
    """Return the change that leaves no secret in the file beside the helper's.

    Docker notes with an empty entry what its helper holds; podman notes nothing.
    """
    if kind == "docker":
        return functools.partial(
            with_entry, kind=kind, registry=registry, credential=None, where=where
        )
    return functools.partial(without_entry, kind=kind, registry=registry, where=where)
