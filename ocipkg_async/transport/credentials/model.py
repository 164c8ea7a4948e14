"""What is known of a user at a registry, and who can be asked for it."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One user's secrets for one registry; its repr shows none of them (S-17).

    Attributes:
        username: user name; must not contain ``:`` (A-30).
        password: password or personal access token.
        identity_token: OAuth2 refresh token, sent to the token server only (A-13).
        registry_token: ready bearer token, sent as it is, never to a token server (A-20).
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


class CredentialProvider(Protocol):
    """Somebody who can be asked for credentials."""

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:
        """Return what to use at a registry, or None: go on without credentials.

        Args:
            registry: ``host[:port]``, as in `Reference.registry`.
            repository: the repository that is about to be used; some files know credentials for
                a part of a registry.

        Raises:
            CredentialError: there is something, and it cannot be used.
        """
        ...
