"""Registries that the original, and who used it, could not work with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from client.trees import contents, push_index
from faulty.faults import Refuse
from faulty.proxy import FaultyProxy
from faulty.when import When
from ocipkg.conftest import FILES
from ocipkg_async import Client, ClientOptions
from ocipkg_async.registry import TransferOptions
from ocipkg_async.server import EmbeddedRegistry, Faults
from ocipkg_async.server.faults import LocationForm
from ocipkg_async.spec import Platform
from transport.servers import Answer, Seen, bearer, serve, text, token


@pytest.fixture
async def chunking(tmp_path: Path) -> AsyncIterator[Client]:
    """A client that sends blobs in chunks."""
    transfer = TransferOptions(chunk_bytes=1000)
    async with Client(ClientOptions(store=tmp_path / "store", transfer=transfer)) as client:
        yield client


@pytest.mark.parametrize("status", [400, 403, 405, 411, 415, 501])
async def test_a_registry_that_refuses_chunked_uploads(
    client: Client,
    chunking: Client,
    embedded: EmbeddedRegistry,
    source: Path,
    status: int,
) -> None:
    """In chunks that were asked for, and from files straight into the registry."""
    (source / "random").write_bytes(bytes(range(256)) * 50)
    expected = contents(source)
    refuse = Refuse(status=status, read_body=True, when=When(method="PATCH", times=None))
    async with FaultyProxy(embedded.host, refuse) as proxy:
        for number, pushing in enumerate((client, chunking)):
            name = f"{proxy.host}/pkg{number}:v1"
            await pushing.pack([source], name)
            assert contents((await client.get(name)).path) == expected
        assert proxy.hits[f"refuse {status}"] <= 3


async def test_a_registry_that_refuses_whole_uploads(
    client: Client, embedded: EmbeddedRegistry, source: Path, tmp_path: Path
) -> None:
    """It takes neither a POST nor a PUT with a body; everything goes by PATCH."""
    layout = f"oci:{tmp_path / 'layout'}"
    refuse = Refuse(status=405, read_body=True, when=When(method="PUT", path="/uploads/", times=1))
    async with FaultyProxy(embedded.host, refuse) as proxy:
        name = f"{proxy.host}/pkg:v1"
        await client.pack([source], layout, name=name)
        await client.push(layout)
        bodies = {one.method for one in proxy.exchanges if one.received and one.status == 202}
        assert bodies == {"PATCH"}
        assert contents((await client.get(name)).path) == FILES


@pytest.mark.parametrize("location", ["absolute", "relative", "query", "state"])
async def test_every_form_of_the_place_to_upload_to(
    client: Client, source: Path, location: LocationForm
) -> None:
    """Google's registry and others send ones with a query, whose escapes must come back as sent."""
    faults = Faults(location=location)
    async with EmbeddedRegistry(faults=faults) as registry:
        await client.pack([source], f"{registry.host}/pkg:v1")
        assert contents((await client.get(f"{registry.host}/pkg:v1")).path) == FILES


async def test_the_index_entry_for_this_machine_is_taken(
    client: Client, embedded: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Issue 136 of the original, which dies at an index."""
    here = str(Platform.host())
    name = f"{embedded.host}/pkg:v1"
    await push_index(client, name, tmp_path, ("plan9/386", here, "windows/arm64"))
    package = await client.get(name)
    assert (package.path / "platform").read_text() == here
    await client.pull(name, tmp_path / "out")
    assert (tmp_path / "out/platform").read_text() == here


async def test_an_anonymous_pull_asks_for_the_right_to_pull_alone(tmp_path: Path) -> None:
    """Issues 41 and 74 of the original: ghcr.io gives strangers no other token."""

    def answer(seen: Seen) -> Answer:
        if seen.path.startswith("/token"):
            asked.append(seen.path)
            return token("pull")
        if seen.authorization != "Bearer pull":
            return bearer(f"http://{seen.headers['Host']}/token", service="ghcr.io")
        return (
            web.Response(status=404)
            if seen.path != "/v2/org/pkg/tags/list"
            else text('{"name": "org/pkg", "tags": ["v1"]}', Content_Type="application/json")
        )

    asked: list[str] = []
    async with serve(answer) as server, Client(ClientOptions(store=tmp_path / "store")) as client:
        assert await client.tags(f"{server.host}/org/pkg") == ["v1"]
    (path,) = asked
    assert path.startswith("/token?service=ghcr.io&scope=repository:org/pkg:pull&")


CHALLENGES = [
    'Bearer realm="{url}/token",service="s",scope="repository:pkg:pull,push"',
    'Bearer realm="{url}/token", service="s", scope="repository:pkg:pull"',
    'bearer realm="{url}/token"',
    'BEARER service="s",realm="{url}/token"',
]


@pytest.mark.parametrize("field", ["token", "access_token"])
@pytest.mark.parametrize("challenge", CHALLENGES)
async def test_challenges_that_the_original_refuses(
    client: Client, challenge: str, field: str
) -> None:
    def answer(seen: Seen) -> Answer:
        if seen.path.startswith("/token"):
            return text(f'{{"{field}": "t"}}', Content_Type="application/json")
        if seen.authorization == "Bearer t":
            return text('{"name": "pkg", "tags": ["v1"]}', Content_Type="application/json")
        url = f"http://{seen.headers['Host']}"
        return text(status=401, WWW_Authenticate=challenge.format(url=url))

    async with serve(answer) as server:
        assert await client.tags(f"{server.host}/pkg") == ["v1"]
