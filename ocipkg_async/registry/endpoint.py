"""One repository on one registry, as the parts that speak its API see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import anyio

from ..content import Source
from ..transport import Request, Scope, Transport
from .capabilities import Capabilities
from .memory import HostMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go, and what they need.

    Attributes:
        transport: sends them.
        registry: host[:port] that is contacted.
        repository: name on it.
        capabilities: what this repository was seen to support.
        memory: what is known of the registry, by all its repositories.
        edits: held while a list of referrers is read, changed and written (D-95).
    """

    transport: Transport
    registry: str
    repository: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    memory: HostMemory = field(default_factory=HostMemory)
    edits: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def pull(self) -> tuple[Scope, ...]:
        """What reading needs (A-23)."""
        return (Scope.repository(self.repository, "pull"),)

    @property
    def push(self) -> tuple[Scope, ...]:
        """What writing needs."""
        return (Scope.repository(self.repository, "pull", "push"),)

    @property
    def delete(self) -> tuple[Scope, ...]:
        """What deleting needs."""
        return (Scope.repository(self.repository, "delete", "pull"),)

    def url(self, path: str, **query: str) -> str:
        """Return the URL of ``/v2/<repository>/<path>``."""
        pairs = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        base = f"{self.transport.base_url(self.registry)}/v2/{self.repository}/{path}"
        return f"{base}?{pairs}" if pairs else base

    def request(
        self,
        method: str,
        url: str,
        *,
        scopes: tuple[Scope, ...],
        accept: frozenset[int] = frozenset({200}),
        headers: Mapping[str, str] | None = None,
        body: bytes | Source | None = None,
        retry: bool = True,
        credentials: bool = True,
    ) -> Request:
        """Return a request for this repository."""
        return Request(
            method=method,
            url=url,
            registry=self.registry,
            repository=self.repository,
            scopes=scopes,
            accept=accept,
            headers=headers or {},
            body=body,
            retry=retry,
            credentials=credentials,
        )
