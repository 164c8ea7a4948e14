"""What is installed is what was verified, and it is fetched once (defect 1: two downloads)."""

from collections import Counter
from pathlib import Path

import pytest

from client.trees import contents
from faulty.faults import Corrupt
from faulty.proxy import FaultyProxy
from faulty.when import When
from ocipkg.conftest import FILES
from ocipkg_async import Client
from ocipkg_async.errors import DigestMismatchError, NotFoundError
from ocipkg_async.server import EmbeddedRegistry


async def test_a_get_asks_for_each_blob_once_and_a_second_get_for_none(
    client: Client, embedded: EmbeddedRegistry, source: Path
) -> None:
    async with FaultyProxy(embedded.host) as proxy:
        name = f"{proxy.host}/pkg:v1"
        await client.pack([source], name)
        proxy.exchanges.clear()
        await client.get(name)
        assert sorted(blobs(proxy).values()) == [1, 1]  # config and layer
        await client.get(name)
        assert sorted(blobs(proxy).values()) == [1, 1]


def blobs(proxy: FaultyProxy) -> Counter[str]:
    """How often each blob was asked for."""
    asked = [one.target for one in proxy.exchanges if one.method == "GET"]
    return Counter(target for target in asked if "/blobs/" in target)


async def test_another_answer_the_second_time_installs_nothing_else(
    client: Client, embedded: EmbeddedRegistry, source: Path
) -> None:
    """The original unpacks its second download, which it does not check."""
    second = Corrupt(offset=100, when=When(path="/blobs/", skip=2, times=None))
    async with FaultyProxy(embedded.host, second) as proxy:
        name = f"{proxy.host}/pkg:v1"
        await client.pack([source], name)
        package = await client.get(name)
        assert contents(package.path) == FILES
        await client.remove(name)
        with pytest.raises(DigestMismatchError):
            await client.get(name)
        with pytest.raises(NotFoundError):
            await client.find(name)
        assert not package.path.exists()
