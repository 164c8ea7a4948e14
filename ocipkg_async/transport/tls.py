"""TLS settings for each kind of host (S-15)."""

import ssl

from anyio import to_thread

from ..errors import InvalidArgumentError
from .options import TransportOptions


class TLSContexts:
    """The TLS settings of one client, made when they are first needed: that reads files."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._made: dict[tuple[bool, bool], ssl.SSLContext] = {}

    async def for_host(self, netloc: str, host: str, *, own: bool) -> ssl.SSLContext:
        """Return the settings for a host.

        Args:
            netloc: ``host[:port]``.
            host: the host alone.
            own: whether it is a registry or its token server, which gets the same (A-16): others
                do not see the client's certificate.

        Raises:
            InvalidArgumentError: a certificate or key cannot be read.
        """
        options = self._options
        verify = not options.insecure and options.insecure_hosts.isdisjoint({netloc, host})
        client = own and options.client_cert is not None
        kind = (verify, client)
        if kind not in self._made:
            self._made[kind] = await to_thread.run_sync(_context, options, verify, client)
        return self._made[kind]


def _context(options: TransportOptions, verify: bool, client: bool) -> ssl.SSLContext:  # noqa: FBT001 - run_sync passes by position
    # The default context reads the system's certificates, which an unverified connection has no use for.
    context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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
    return context
