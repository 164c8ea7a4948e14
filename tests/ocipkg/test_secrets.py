"""Passwords and upload tokens stay where they belong, and stale ones stop no public pull."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from cli.running import finish, run, start
from client.trees import contents
from ocipkg.conftest import FILES
from ocipkg_async import Client
from ocipkg_async.errors import UnauthorizedError
from registries import RunningRegistry
from transport.servers import Answer, Seen, serve, text


@pytest.mark.interop
def test_no_upload_token_is_in_the_log(
    plain_registry: RunningRegistry, repository_name: str, source: Path, tmp_path: Path
) -> None:
    """docker-registry signs where an upload goes on, in the query of its address (defect 6)."""
    name = f"{plain_registry.host}/{repository_name}:v1"
    archive = tmp_path / "pkg.tar"
    (source / "random").write_bytes(os.urandom(5000))
    run("pack", source, "-o", archive, "-t", name)
    _, log = finish(start("push", archive, "-v", "--chunk-size", "1000"))
    for method in ("POST", "PATCH", "PUT"):
        assert f"{method} {plain_registry.url}/v2/{repository_name}/blobs/uploads/" in log
    assert "_state" not in log
    assert "?" not in log
    assert plain_registry.log
    assert "_state=" in plain_registry.log.read_text()  # so there was something to tell


async def test_a_password_with_colons_is_kept_and_used(client: Client, home: Path) -> None:
    """The original saves it and ignores it ever after."""
    password = "a:b::c"
    expected = f"Basic {base64.b64encode(f'alice:{password}'.encode()).decode()}"

    def answer(seen: Seen) -> Answer:
        if seen.authorization == expected:
            return text('{"name": "pkg", "tags": ["v1"]}', Content_Type="application/json")
        return text(status=401, WWW_Authenticate='Basic realm="it"')

    async with serve(answer) as server:
        where = await client.login(server.host, "alice", password)
        assert stat.S_IMODE(Path(where).stat().st_mode) == 0o600
        async with Client() as later:
            assert await later.tags(f"{server.host}/pkg") == ["v1"]
    assert where.startswith(str(home))


async def test_a_file_of_docker_desktop_without_a_single_auth_is_used(
    client: Client, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries are empty, since its helper has the passwords; the original ignores the file."""
    expected = f"Basic {base64.b64encode(b'alice:wonderland').decode()}"

    def answer(seen: Seen) -> Answer:
        if seen.authorization == expected:
            return text('{"name": "pkg", "tags": ["v1"]}', Content_Type="application/json")
        return text(status=401, WWW_Authenticate='Basic realm="it"')

    programs = tmp_path / "programs"
    programs.mkdir()
    helper = programs / "docker-credential-desktop"
    helper.write_text('#!/bin/sh\necho \'{"Username":"alice","Secret":"wonderland"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    async with serve(answer) as server:
        config = {"auths": {server.host: {}}, "credsStore": "desktop"}
        (home / ".docker").mkdir()
        (home / ".docker/config.json").write_text(json.dumps(config))
        assert await client.tags(f"{server.host}/pkg") == ["v1"]


@pytest.mark.interop
async def test_stale_credentials_in_a_file_stop_no_public_pull(
    token_registry: RunningRegistry, repository_name: str, client: Client, source: Path, home: Path
) -> None:
    """Issue 115 of the original; see tests/transport/auth/test_refused.py for all of it."""
    name = f"{token_registry.host}/{repository_name}:v1"
    log_in(home, token_registry, token_registry.password)
    await client.pack([source], name)
    log_in(home, token_registry, "long ago")
    async with Client(client.options) as later:
        assert contents((await later.get(name)).path) == FILES
        with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
            await later.pack([source], name)
    assert f"ocipkg-async logout {token_registry.host}" in (caught.value.hint or "")


def log_in(home: Path, registry: RunningRegistry, password: str | None) -> None:
    """Write Docker's file, as a login once did."""
    pair = base64.b64encode(f"{registry.username}:{password}".encode()).decode()
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker/config.json").write_text(
        json.dumps({"auths": {registry.host: {"auth": pair}}})
    )


@pytest.mark.interop
def test_the_command_says_that_stored_credentials_were_refused(
    token_registry: RunningRegistry, repository_name: str, home: Path
) -> None:
    host = token_registry.host
    log_in(home, token_registry, "long ago")
    shown = run("get", f"{host}/{repository_name}:v1", code=4).stderr
    assert "refused the stored credential" in shown
    assert f"ocipkg-async logout {host}" in shown
    assert "long ago" not in shown
