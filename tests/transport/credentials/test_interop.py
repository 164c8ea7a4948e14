"""Skopeo reads what we write, and we read what it writes."""

import json
import subprocess
from pathlib import Path

import pytest
from anyio import to_thread

from ocipkg_async.transport.credentials import Credential, CredentialFiles
from peers import require
from registries import RunningRegistry

pytestmark = pytest.mark.interop


async def skopeo(*arguments: str) -> str:
    command = [require("skopeo"), *arguments]
    done = await to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ALICE = Credential(username="älice", password="wönder:land")


@pytest.mark.parametrize("name", ["auth.json", "config.json"])
@pytest.mark.parametrize("registry", ["reg.example.io:5000", "docker.io"])
async def test_a43_skopeo_reads_our_entry(tmp_path: Path, name: str, registry: str) -> None:
    path = tmp_path / name
    await CredentialFiles(authfile=path, environ={}).put(registry, ALICE)
    assert await skopeo("login", "--get-login", "--authfile", str(path), registry) == "älice"


@pytest.mark.parametrize("registry", ["reg.example.io:5000", "docker.io"])
async def test_a43_skopeo_removes_our_entry(tmp_path: Path, registry: str) -> None:
    path = tmp_path / "auth.json"
    files = CredentialFiles(authfile=path, environ={})
    await files.put(registry, ALICE)
    await files.put("other.example.io", ALICE)
    await skopeo("logout", "--authfile", str(path), registry)
    assert await files.get(registry) is None
    assert await files.get("other.example.io") == ALICE


async def test_skopeo_login_is_ours_and_ours_is_skopeos(
    tmp_path: Path, htpasswd_registry: RunningRegistry
) -> None:
    host, user = htpasswd_registry.host, htpasswd_registry.username or ""
    password = htpasswd_registry.password or ""
    theirs = tmp_path / "theirs.json"
    secret = ["--username", user, "--password", password]
    await skopeo("login", "--tls-verify=false", *secret, "--authfile", str(theirs), host)
    credential = await CredentialFiles(authfile=theirs, environ={}).get(host, "some/repository")
    assert credential == Credential(username=user, password=password)

    ours = tmp_path / "ours.json"
    await CredentialFiles(authfile=ours, environ={}).put(host, credential)
    assert json.loads(ours.read_text()) == json.loads(theirs.read_text())
