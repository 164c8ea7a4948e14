"""The registries of one client: connections, credentials, and one store for each repository.

Imported late, since the HTTP library takes longer to load than an installed package to find.
"""

from ..events import OnEvent
from ..registry import RegistryMemory, Repository
from ..spec import Reference
from ..transport import CredentialFiles, CredentialProvider, Transport
from .options import ClientOptions


class Network:
    """Keeps one `Repository` for each name, over one transport.

    What a repository learnt about its registry, and its locks, are shared that way.

    Args:
        options: of the client.
        credentials: where user names and passwords come from; None: the usual files.
        on_event: gets what the transport tells.
    """

    def __init__(
        self, options: ClientOptions, credentials: CredentialProvider | None, on_event: OnEvent
    ) -> None:
        self.transport = Transport(
            options.transport,
            credentials=credentials or CredentialFiles(authfile=options.authfile),
            on_event=on_event,
        )
        self.transport.start()
        self._options = options
        self._repositories: dict[str, Repository] = {}
        self._memory = RegistryMemory()

    def repository(self, reference: Reference) -> Repository:
        """Return the repository that a reference names."""
        found = self._repositories.get(reference.name)
        if found is None:
            found = self._repositories[reference.name] = Repository(
                self.transport,
                reference,
                max_manifest_bytes=self._options.max_manifest_bytes,
                options=self._options.transfer,
                memory=self._memory,
            )
        return found
