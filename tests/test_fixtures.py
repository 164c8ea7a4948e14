"""The fixtures themselves: each registry serves and refuses what it says it does."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from ocipkg_async.server import EmbeddedRegistry
from peers import require
from registries import RunningRegistry
from token_server import SERVICE, TokenServer

pytestmark = pytest.mark.interop


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


def skopeo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require("skopeo"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_layout(folder: Path) -> None:
    """An image layout with one empty artifact, tagged v1."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(content: bytes) -> dict[str, str | int]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **add(b"{}")}
    manifest = {"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": []}
    entry = {
        "mediaType": manifest_type,
        **add(json.dumps(manifest).encode()),
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@pytest.mark.parametrize(
    "name", ["plain", "htpasswd", "tls", "mutual_tls", "token", "distribution_v3"]
)
def test_each_registry_takes_and_gives_an_image(
    name: str, request: pytest.FixtureRequest, repository_name: str, tmp_path: Path
) -> None:
    registry: RunningRegistry = request.getfixturevalue(f"{name}_registry")
    write_layout(tmp_path / "layout")
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    for file, copied in (
        (registry.ca_file, "ca.crt"),
        (registry.client_cert_file, "client.cert"),
        (registry.client_key_file, "client.key"),
    ):
        if file:
            shutil.copyfile(file, certificates / copied)
    verify = str(registry.scheme == "https").lower()
    if registry.username and registry.password:
        login = ("login", "-u", registry.username, "-p", registry.password, "--cert-dir")
        logged_in = skopeo(*login, certificates, f"--tls-verify={verify}", registry.host)
        assert logged_in.returncode == 0, logged_in.stderr
    target = f"docker://{registry.host}/{repository_name}:v1"
    push = ("copy", f"--dest-tls-verify={verify}", "--dest-cert-dir", certificates)
    pushed = skopeo(*push, f"oci:{tmp_path / 'layout'}:v1", target)
    assert pushed.returncode == 0, pushed.stderr
    pull = ("copy", f"--src-tls-verify={verify}", "--src-cert-dir", certificates)
    pulled = skopeo(*pull, target, f"oci:{tmp_path / 'pulled'}:v1")
    assert pulled.returncode == 0, pulled.stderr
    sent, received = (
        json.loads((tmp_path / folder / "index.json").read_bytes())["manifests"][0]["digest"]
        for folder in ("layout", "pulled")
    )
    assert received == sent


def token(server: TokenServer, *options: str) -> dict[str, str]:
    command = [require("curl"), "-s", *options, server.realm]
    answer = subprocess.run(command, capture_output=True, check=True)
    return json.loads(answer.stdout)  # type: ignore[no-any-return]


def bearer(answer: dict[str, str]) -> tuple[str, str]:
    return "-H", f"Authorization: Bearer {answer['access_token']}"


def test_token_registry_wants_a_token_for_the_right_repository(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    scope = f"repository:{repository_name}:pull,push"
    ask = ("-G", "-d", f"service={SERVICE}", "-d", f"scope={scope}")
    anonymous = token(token_server, *ask)
    user = token(token_server, *ask, "-u", f"{token_server.username}:{token_server.password}")
    start = ("-X", "POST")
    uploads = f"/v2/{repository_name}/blobs/uploads/"
    tags = f"/v2/{repository_name}/tags/list"
    assert status(token_registry, uploads, *start) == "401"
    assert status(token_registry, uploads, *start, *bearer(anonymous)) == "401"
    assert status(token_registry, uploads, *start, *bearer(user)) == "202"
    assert status(token_registry, tags, *bearer(anonymous)) == "404"
    assert status(token_registry, "/v2/another/tags/list", *bearer(anonymous)) == "401"
    assert [(asked.username, asked.scopes) for asked in token_server.requests] == [
        (None, (scope,)),
        (token_server.username, (scope,)),
    ]


def test_token_registry_refuses_an_expired_token(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    ask = ("-G", "-d", f"service={SERVICE}", "-d", f"scope=repository:{repository_name}:pull")
    token_server.lifetime_s = -120
    tags = f"/v2/{repository_name}/tags/list"
    assert status(token_registry, tags, *bearer(token(token_server, *ask))) == "401"


def test_token_server_gives_refresh_tokens(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    def post(**form: str) -> dict[str, str]:
        form |= {"service": SERVICE, "client_id": "test", "scope": f"repository:{name}:pull,push"}
        return token(token_server, *(f"-d{key}={value}" for key, value in form.items()))

    name = repository_name
    first = post(
        grant_type="password",
        username=token_server.username,
        password=token_server.password,
        access_type="offline",
    )
    second = post(grant_type="refresh_token", refresh_token=first["refresh_token"])
    uploads = f"/v2/{name}/blobs/uploads/"
    assert status(token_registry, uploads, "-X", "POST", *bearer(second)) == "202"
    assert "errors" in post(grant_type="password", username="alice", password="wrong")
    assert "errors" in post(grant_type="refresh_token", refresh_token="unknown")


async def test_registry_is_the_embedded_and_a_real_one(
    registry: RunningRegistry, repository_name: str
) -> None:
    tags = f"{registry.url}/v2/{repository_name}/tags/list"
    async with aiohttp.ClientSession() as session, session.get(tags) as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_embedded_registry_answers(embedded: EmbeddedRegistry) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://{embedded.host}/v2/")
        assert answer.status == 200
