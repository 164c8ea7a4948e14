"""How a transport behaves."""

import ssl
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
        connections_per_host: requests that run at once to one host, uploads counted apart.
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
    """

    connect_timeout_s: float = 30.0
    read_timeout_s: float = 60.0
    answer_timeout_s: float = 600.0
    connections_per_host: int = 16
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
        if min(self.connect_timeout_s, self.read_timeout_s, self.answer_timeout_s) <= 0:
            raise InvalidArgumentError("time limits must be positive")
        if self.client_key is not None and self.client_cert is None:
            raise InvalidArgumentError("client_key needs client_cert")


class TLSContexts:
    """The TLS settings of each kind of host. Making it reads files: do so in a worker thread.

    Raises:
        InvalidArgumentError: a certificate or key cannot be read.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._plain = _context(options)
        self._registry = _context(options, client=True) if options.client_cert else self._plain
        self._insecure = _context(options, verify=False, client=True)

    def for_host(self, netloc: str, host: str, *, registry: bool) -> ssl.SSLContext:
        """Return the settings for a host.

        Args:
            netloc: ``host[:port]``.
            host: the host alone.
            registry: whether it is a registry or its token server, which gets the same (S-15, A-16).
        """
        options = self._options
        if options.insecure or not options.insecure_hosts.isdisjoint({netloc, host}):
            return self._insecure
        return self._registry if registry else self._plain


def _context(
    options: TransportOptions, *, verify: bool = True, client: bool = False
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        if options.ca_file is not None:
            context.load_verify_locations(options.ca_file)
        if client and options.client_cert is not None:
            context.load_cert_chain(options.client_cert, options.client_key)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidArgumentError(
            f"a certificate or key cannot be used: {error.strerror or type(error).__name__}",
            hint="ca_file, client_cert and client_key are files in PEM form",
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
