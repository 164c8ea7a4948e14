"""How a transport behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._version import __version__
from ..errors import InvalidArgumentError
from .retry import RetryPolicy

USER_AGENT = f"ocipkg-async/{__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """How a transport behaves; every default is made for the open Internet.

    Attributes:
        connect_timeout_s: seconds for name resolution, TCP and TLS together.
        read_timeout_s: seconds without a single byte, sent or received, until a request is given up.
            There is no limit on the whole of a transfer (D-120).
        answer_timeout_s: seconds a server may take to answer after it got a whole body; storing a
            large blob takes some registries minutes.
        connections_per_host: requests that run at once to one host, uploads counted apart. An
            eighth is kept from bulk downloads.
        bytes_per_s: what the blobs of one client may take of the line, in each direction: a copy
            between registries receives and sends as much. None: no limit.
        retry: what is repeated, and how often.
        max_redirects: redirects in a row (S-10).
        ca_file: certificates in PEM to trust besides the system's.
        client_cert: certificate in PEM to show to registries, never to where they redirect.
        client_key: its key, where it is not in the same file.
        insecure: verify no certificate at all. Prefer `insecure_hosts` (S-15).
        insecure_hosts: ``host[:port]`` whose certificates are not verified.
        plain_http: speak http (True) or https (False) with registries; None: http only with this
            machine (R-13).
        proxies_from_environment: honour HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
        token_realms: hosts of token servers to trust with passwords, or on internal addresses, though
            they do not belong to the registry's site (S-13).
        redirect_hosts: internal hosts that a registry may redirect to (S-10).
        user_agent: User-Agent header (D-11).
        headers: further headers, sent to registries, never to where they redirect.

    Raises:
        InvalidArgumentError: a number is out of its range, or a key has no certificate.
    """

    connect_timeout_s: float = 30.0
    read_timeout_s: float = 60.0
    answer_timeout_s: float = 600.0
    # The sixteen connections that one download may use, and the two slots kept for small requests.
    connections_per_host: int = 18
    bytes_per_s: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_redirects: int = 10
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    insecure: bool = False
    insecure_hosts: frozenset[str] = frozenset()
    plain_http: bool | None = None
    proxies_from_environment: bool = True
    token_realms: frozenset[str] = frozenset()
    redirect_hosts: frozenset[str] = frozenset()
    user_agent: str = USER_AGENT
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def __post_init__(self) -> None:
        if self.connections_per_host < 1:
            raise InvalidArgumentError("connections_per_host must be at least 1")
        if self.bytes_per_s is not None and self.bytes_per_s < 1:
            raise InvalidArgumentError(
                f"bytes_per_s must be at least 1, not {self.bytes_per_s}; None is no limit"
            )
        if min(self.connect_timeout_s, self.read_timeout_s, self.answer_timeout_s) <= 0:
            raise InvalidArgumentError("time limits must be positive")
        if self.client_key is not None and self.client_cert is None:
            raise InvalidArgumentError("client_key needs client_cert")
