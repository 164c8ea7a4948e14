"""Credentials that a program already has, and asking several providers in turn."""

from collections.abc import Mapping

from .docker_config import registry_name
from .model import Credential, CredentialProvider


class StaticCredentials:
    """Credentials for known registries; names are folded as in credential files (A-43).

    Args:
        credentials: credentials by registry, ``host[:port]``.

    Raises:
        InvalidReferenceError: a key is not ``host[:port]``.
    """

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = {registry_name(key): value for key, value in credentials.items()}

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:  # noqa: ARG002
        """Return the credential for a registry, or None.

        Raises:
            InvalidReferenceError: `registry` is not ``host[:port]``.
        """
        return self._credentials.get(registry_name(registry))


class FixedCredential:
    """One credential, whatever the registry. Where several are contacted, all of them get it."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:  # noqa: ARG002
        """Return the credential."""
        return self._credential


class _FirstOf:
    def __init__(self, providers: tuple[CredentialProvider, ...]) -> None:
        self._providers = providers

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:
        for provider in self._providers:
            credential = await provider.get(registry, repository)
            if credential is not None:
                return credential
        return None


def first_of(*providers: CredentialProvider) -> CredentialProvider:
    """Return a provider that asks each in turn; the first answer counts. Without any: anonymous."""
    return _FirstOf(providers)
