"""Verbs for what is kept on this machine: installed packages and passwords."""

from ..spec import Platform, Reference
from ..spec.reference import parse_domain
from ..store import Package, Problem, Pruned
from .open_client import OpenClient, to_platform, to_reference


class KeepingVerbs(OpenClient):
    """Verbs for installed packages and passwords; see `ocipkg_async.Client`."""

    async def packages(self) -> list[Package]:
        """Return all installed packages, sorted by name."""
        return await (await self.local_store()).packages()

    async def find(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Return an installed package, without asking a registry.

        Raises:
            NotFoundError: it is not installed.
        """
        store = await self.local_store()
        return await store.find(to_reference(reference), to_platform(platform))

    async def remove(
        self, reference: str | Reference, *, platform: str | Platform | None = None
    ) -> Package:
        """Remove an installed package, and what nothing else needs.

        Raises:
            NotFoundError: it is not installed.
            StorageError: the disk refused.
        """
        store = await self.local_store()
        return await store.remove(to_reference(reference), to_platform(platform))

    async def prune(
        self,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove what no installed package needs, and packages that are too old or too many.

        Left-overs of killed or failed runs go always. Waits until nobody installs.

        Args:
            older_than_s: remove packages that were not installed or looked for in so many seconds.
            keep: remove all but so many of each repository and platform, those used last. With
                `older_than_s` what is among them stays however old it is, and what is not goes if
                it is old enough.
            dry_run: only tell what would be removed.

        Raises:
            InvalidArgumentError: an option is out of its range.
            InvalidLayoutError, StorageError: the store is damaged, or the disk refused.
        """
        store = await self.local_store()
        return await store.prune(older_than_s=older_than_s, keep=keep, dry_run=dry_run)

    async def verify(self) -> list[Problem]:
        """Check every blob and every unpacked file of the local store again.

        Layers that were unpacked and are not kept need not be there.

        Returns:
            what is wrong; empty when nothing is.

        Raises:
            StorageError: a file cannot be read, or there is no space to unpack.
        """
        return await (await self.local_store()).verify(limits=self.options.limits)

    async def login(self, registry: str, username: str, password: str) -> str:
        """Check a user name and password with a registry, and keep them.

        Returns:
            where they were kept.

        Raises:
            UnauthorizedError: the registry refuses them; nothing was kept.
            CredentialError: they cannot be kept.
            RegistryError, TransportError: the registry refused, or could not be reached.
        """
        # For logins alone; nothing else here needs the HTTP library.
        from ..registry import ping  # noqa: PLC0415
        from ..transport import (  # noqa: PLC0415
            Credential,
            CredentialFiles,
            FixedCredential,
            Transport,
        )

        _ = self._stores
        parse_domain(registry)
        host = Reference.parse(f"{registry}/x", strict=True)
        credential = Credential(username=username, password=password)
        async with Transport(
            self.options.transport,
            credentials=FixedCredential(credential),
            on_event=self._on_event,
        ) as transport:
            await ping(transport, host.host)
        files = CredentialFiles(authfile=self.options.authfile)
        return await files.put(host.registry, credential)

    async def logout(self, registry: str) -> bool:
        """Forget the user name and password for a registry; return whether there were any.

        Raises:
            CredentialError: the file or helper cannot be used.
        """
        from ..transport import CredentialFiles  # noqa: PLC0415 - as for login

        _ = self._stores
        parse_domain(registry)
        files = CredentialFiles(authfile=self.options.authfile)
        return await files.erase(Reference.parse(f"{registry}/x", strict=True).registry)
