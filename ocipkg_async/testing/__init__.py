"""A registry for tests of anything that talks to one, in one line.

In blocking code, and in tests whose client is another program::

    from urllib.request import urlopen

    from ocipkg_async.testing import run_registry

    with run_registry() as registry:
        urlopen(registry.url + "/v2/").close()
        assert registry.requests[-1].status == 200

In a test suite, with a line in its ``conftest.py`` that gives the fixture ``oci_registry``: see
`ocipkg_async.testing.pytest_plugin`. In a coroutine whose loop the registry may share,
``async with EmbeddedRegistry() as registry`` is the line; there a list's ``append`` as `on_request`
records what is asked, and ``await registry.settled()`` waits for its end.

It listens on a free port of 127.0.0.1, is empty, and takes all that the OCI distribution
specification allows; what it keeps are image layouts below ``registry.root``. It starts and ends
within milliseconds, so that each test may have its own. `Faults` says what it can do wrong.

For TLS, ``trustme`` makes an authority and a certificate; clients then trust ``ca.pem``::

    from pathlib import Path

    import trustme

    from ocipkg_async.testing import TLSFiles, run_registry

    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_and_cert_chain_pem.write_to_path("server.pem")
    files = TLSFiles(certificate=Path("server.pem"), key=Path("server.pem"))
    with run_registry(tls=files) as registry:
        assert registry.url.startswith("https://127.0.0.1:")
"""

from ..server import Access, EmbeddedRegistry, Faults, RequestLog, TLSFiles
from .recording import Requests
from .running import RunningRegistry, run_registry

__all__ = [
    "Access",
    "EmbeddedRegistry",
    "Faults",
    "RequestLog",
    "Requests",
    "RunningRegistry",
    "TLSFiles",
    "run_registry",
]
