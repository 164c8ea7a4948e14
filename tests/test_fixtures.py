"""The fixtures themselves: each registry serves and refuses what it says it does."""

import subprocess

from peers import require
from registries import RunningRegistry


def status(registry: RunningRegistry, path: str, *options: str) -> str:
    command = [require("curl"), "-s", "-o", "-", "-w", "\n%{http_code}", *options]
    if registry.ca_file:
        command += ["--cacert", str(registry.ca_file)]
    return subprocess.run(
        [*command, registry.url + path], capture_output=True, text=True, check=False
    ).stdout.splitlines()[-1]


def test_plain_registry_is_open(plain_registry: RunningRegistry) -> None:
    assert status(plain_registry, "/v2/") == "200"


def test_htpasswd_registry_wants_its_user(htpasswd_registry: RunningRegistry) -> None:
    registry = htpasswd_registry
    assert status(registry, "/v2/") == "401"
    assert status(registry, "/v2/", "-u", f"{registry.username}:{registry.password}") == "200"
    assert status(registry, "/v2/", "-u", f"{registry.username}:wrong") == "401"


def test_tls_registry_is_known_by_its_authority_only(tls_registry: RunningRegistry) -> None:
    assert status(tls_registry, "/v2/") == "200"
    unverified = RunningRegistry(host=tls_registry.host, scheme="https")
    assert status(unverified, "/v2/") == "000"


def test_mutual_tls_registry_wants_a_certificate(mutual_tls_registry: RunningRegistry) -> None:
    registry = mutual_tls_registry
    assert status(registry, "/v2/") == "000"
    certificate = ("--cert", str(registry.client_cert_file), "--key", str(registry.client_key_file))
    assert status(registry, "/v2/", *certificate) == "200"
