"""Real registries on free loopback ports, as fixtures.

Each fixture yields a `RunningRegistry`, shared by all tests of the run: use `repository_name`
for a name that no other test writes to.
"""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from anyio.from_thread import start_blocking_portal

from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.testing import run_registry
from peers import require
from token_server import ISSUER, SERVICE, TokenServer, new_authority

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20

USERNAME = "alice"
PASSWORD = "wonderland"
# bcrypt of the password above at the lowest cost: the registry checks it with every request.
HTPASSWD = f"{USERNAME}:$2y$04$QUIihW/LZOYJj2X6HzdE8ugSncWEZrFE3.BgGZlghYzVHyR2mdT9y\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRegistry:
    """A registry that answers, and what a client needs to be served by it."""

    host: str
    """Host and port, as in a reference."""
    scheme: str = "http"
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    username: str | None = None
    password: str | None = None
    log: Path | None = None
    """What the registry printed, with a line for each request; the embedded one has none."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


@pytest.fixture
def repository_name() -> str:
    """A repository that no other test of the run uses."""
    return f"test/{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Debian's distribution 2.8 over plain HTTP, open to everybody."""
    with docker_registry(tmp_path_factory.mktemp("plain_registry")) as running:
        yield RunningRegistry(host=running.host, log=running.log)


@pytest.fixture(scope="session")
def distribution_v3_registry(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningRegistry]:
    """Distribution 3 over plain HTTP, open to everybody; ``nox -s peers`` builds it."""
    program = require("registry")
    folder = tmp_path_factory.mktemp("distribution_v3_registry")
    with docker_registry(folder, program=program) as running:
        yield RunningRegistry(host=running.host, log=running.log)


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedRegistry]:
    """Our own registry, empty, in the test's event loop."""
    async with EmbeddedRegistry() as running:
        yield running


@pytest.fixture(scope="session")
def threaded_registry() -> Iterator[RunningRegistry]:
    """Our own registry in another thread's event loop, for callers that block."""
    with run_registry() as running:
        yield RunningRegistry(host=running.host)


@pytest.fixture(
    params=["embedded", pytest.param("docker-registry", marks=pytest.mark.interop)],
)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[RunningRegistry]:
    """Our own registry and a real one, open to everybody: what one takes the other must take."""
    if request.param == "embedded":
        async with EmbeddedRegistry() as running:
            yield RunningRegistry(host=running.host)
    else:
        yield request.getfixturevalue("plain_registry")


@pytest.fixture(scope="session")
def htpasswd_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Distribution 2.8 that asks for a user name and password (Basic) for everything."""
    folder = tmp_path_factory.mktemp("htpasswd_registry")
    users = folder / "htpasswd"
    users.write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test registry", "path": str(users)}}
    with docker_registry(folder, auth=auth) as running:
        yield RunningRegistry(
            host=running.host, log=running.log, username=USERNAME, password=PASSWORD
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A test authority with a certificate for loopback servers and one for a client."""

    ca_file: Path
    server_cert_file: Path
    server_key_file: Path
    client_cert_file: Path
    client_key_file: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    names = ("ca", "server_cert", "server_key", "client_cert", "client_key")
    files = Certificates(**{f"{name}_file": folder / f"{name}.pem" for name in names})
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files.ca_file)
    for identities, cert_file, key_file in (
        (("127.0.0.1", "localhost"), files.server_cert_file, files.server_key_file),
        (("client@example.org",), files.client_cert_file, files.client_key_file),
    ):
        issued = authority.issue_cert(*identities)
        issued.private_key_pem.write_to_path(key_file)
        for pem in issued.cert_chain_pems:
            pem.write_to_path(cert_file, append=True)
    return files


@pytest.fixture(scope="session")
def tls_registry(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[RunningRegistry]:
    """Distribution 2.8 over TLS, with a certificate from an authority of our own."""
    tls = {
        "certificate": str(certificates.server_cert_file),
        "key": str(certificates.server_key_file),
    }
    with docker_registry(tmp_path_factory.mktemp("tls_registry"), tls=tls) as running:
        yield RunningRegistry(
            host=running.host, scheme="https", log=running.log, ca_file=certificates.ca_file
        )


@pytest.fixture(scope="session")
def mutual_tls_registry(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[RunningRegistry]:
    """Distribution 2.8 over TLS that asks the client for a certificate, too."""
    tls = {
        "certificate": str(certificates.server_cert_file),
        "key": str(certificates.server_key_file),
        "clientcas": [str(certificates.ca_file)],
    }
    with docker_registry(tmp_path_factory.mktemp("mutual_tls_registry"), tls=tls) as running:
        yield RunningRegistry(
            host=running.host,
            scheme="https",
            log=running.log,
            ca_file=certificates.ca_file,
            client_cert_file=certificates.client_cert_file,
            client_key_file=certificates.client_key_file,
        )


@pytest.fixture(scope="session")
def _shared_token_server() -> Iterator[TokenServer]:
    settings = TokenServer(authority=new_authority(), username=USERNAME, password=PASSWORD)
    # A loop of its own: it must answer while a test's loop is busy, and between tests.
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(settings.run()):
        yield settings


@pytest.fixture
def token_server(_shared_token_server: TokenServer) -> Iterator[TokenServer]:
    """The token server behind `token_registry`, with default settings and no requests yet."""
    _shared_token_server.reset()
    yield _shared_token_server
    _shared_token_server.reset()


@pytest.fixture(scope="session")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory, _shared_token_server: TokenServer
) -> Iterator[RunningRegistry]:
    """Distribution 2.8 that sends clients to a token server: all may pull, its user may push."""
    folder = tmp_path_factory.mktemp("token_registry")
    authority = folder / "authority.pem"
    _shared_token_server.authority.cert_pem.write_to_path(authority)
    auth = {
        "token": {
            "realm": _shared_token_server.realm,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(authority),
        }
    }
    with docker_registry(folder, auth=auth) as running:
        yield RunningRegistry(
            host=running.host, log=running.log, username=USERNAME, password=PASSWORD
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server program that listens, and where it writes its log."""

    host: str
    log: Path


@contextmanager
def docker_registry(
    folder: Path,
    *,
    program: str | None = None,
    auth: Mapping[str, Any] | None = None,
    tls: Mapping[str, Any] | None = None,
    proxy: Mapping[str, Any] | None = None,
) -> Iterator[Process]:
    """Run `program`, else Debian's docker-registry, on data in `folder` until the block ends."""
    program = program or require("docker-registry")
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
        },
        # Port 0: the kernel picks a free one, and the log says which.
        "http": {"addr": "127.0.0.1:0", "secret": "not a secret"},
    }
    if tls:
        config["http"]["tls"] = tls
    if auth:
        config["auth"] = auth
    if proxy:
        config["proxy"] = proxy
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    with server([program, "serve", str(file)], folder, listening=r"listening on ([\d.]+:\d+)") as (
        running
    ):
        yield running


@contextmanager
def server(command: list[str], folder: Path, *, listening: str) -> Iterator[Process]:
    """Run a server until the block ends; `listening` finds its host and port in its log."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=_environment(folder)
        )
    try:
        yield Process(host=_wait_for_address(process, log, listening), log=log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(folder: Path) -> dict[str, str]:
    # REGISTRY_* and OTEL_* variables would change the registry's configuration.
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"}


def _wait_for_address(process: subprocess.Popen[bytes], log: Path, listening: str) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(listening, log.read_text(errors="replace"))
        if found and _answers(found[1]):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"{process.args!r} does not answer; it printed:\n{log.read_text(errors='replace')}")


def _answers(host: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        # A TLS server answers plain HTTP with status 400, which will do.
        opener.open(f"http://{host}/v2/", timeout=START_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True
