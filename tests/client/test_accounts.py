"""Logging in and out, and what is used afterwards."""

import json
import stat
from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async import Client, ClientOptions, Credential, StaticCredentials
from ocipkg_async.errors import ConnectError, InvalidReferenceError, UnauthorizedError
from ocipkg_async.transport import RetryPolicy, TransportOptions
from registries import RunningRegistry
from transport.servers import Answer, Seen, bearer, serve, text, token

pytestmark = pytest.mark.interop


async def test_login_is_checked_kept_and_used(
    htpasswd_registry: RunningRegistry, repository_name: str, home: Path, tmp_path: Path
) -> None:
    host = htpasswd_registry.host
    assert htpasswd_registry.username
    assert htpasswd_registry.password
    tree = make_tree(tmp_path / "tree")
    async with Client() as client:
        with pytest.raises(UnauthorizedError):
            await client.login(host, htpasswd_registry.username, "wrong")
        file = home / ".docker" / "config.json"
        assert not file.exists()
        where = await client.login(host, htpasswd_registry.username, htpasswd_registry.password)
        assert where == str(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert host in json.loads(file.read_text())["auths"]
    async with Client() as client:
        await client.pack([tree], f"{host}/{repository_name}:v1")
        assert await client.logout(host)
        assert not await client.logout(host)
    async with Client() as client:
        with pytest.raises(UnauthorizedError) as caught:
            await client.tags(f"{host}/{repository_name}")
        assert "log in" in (caught.value.hint or "")


async def test_authfile_and_given_credentials(
    htpasswd_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    host = htpasswd_registry.host
    assert htpasswd_registry.username
    assert htpasswd_registry.password
    tree = make_tree(tmp_path / "tree")
    options = ClientOptions(authfile=tmp_path / "auth.json")
    async with Client(options) as client:
        where = await client.login(host, htpasswd_registry.username, htpasswd_registry.password)
        assert where == str(tmp_path / "auth.json")
        await client.pack([tree], f"{host}/{repository_name}:v1")
    credential = Credential(
        username=htpasswd_registry.username, password=htpasswd_registry.password
    )
    async with Client(credentials=StaticCredentials({host: credential})) as client:
        assert await client.tags(f"{host}/{repository_name}") == ["v1"]


async def test_login_to_nobody() -> None:
    options = ClientOptions(transport=TransportOptions(retry=RetryPolicy(attempts=1)))
    async with Client(options) as client:
        with pytest.raises(ConnectError, match="connection refused"):
            await client.login("127.0.0.1:1", "a", "b")
        with pytest.raises(InvalidReferenceError):
            await client.login("https://ghcr.io", "a", "b")


@pytest.mark.parametrize("text", ["x y", "http://a.io", "a.io/b", ""])
async def test_login_takes_a_registry_alone(text: str) -> None:
    async with Client() as client:
        for call in (client.login(text, "user", "secret"), client.logout(text)):
            with pytest.raises(InvalidReferenceError, match="is not a registry"):
                await call


async def test_a_login_fails_where_strangers_may_read() -> None:
    """The challenge at /v2/ may name a scope that all may have, as ghcr.io's does."""

    def answer(seen: Seen) -> Answer:
        if seen.path.startswith("/token"):
            return text("wrong", status=403) if seen.authorization else token("anybody")
        if seen.authorization == "Bearer anybody":
            return text("fine")
        return bearer(f"http://{seen.headers['Host']}/token", scope="repository:user/image:pull")

    async with serve(answer) as server, Client() as client:
        with pytest.raises(UnauthorizedError, match="refused"):
            await client.login(server.host, "alice", "wrong")
