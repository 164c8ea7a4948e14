"""A registry with its driver, and one whose faults can be switched on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocipkg_async.server import EmbeddedRegistry, Faults
from server.driving import Driver, Start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        # aiohttp sends a PUT again when the connection breaks; here one request is one request.
        session._retry_connection = False
        yield session


@pytest.fixture
async def driver(embedded: EmbeddedRegistry, http: aiohttp.ClientSession) -> Driver:
    """Drives an empty registry."""
    return Driver(http, embedded.url)


@pytest.fixture
async def start(http: aiohttp.ClientSession) -> AsyncIterator[Start]:
    """Starts further registries, with options; they end with the test."""
    async with AsyncExitStack() as stack:

        async def run(root: Path | None = None, **options: Any) -> Driver:
            registry = await stack.enter_async_context(EmbeddedRegistry(root, **options))
            return Driver(http, registry.url)

        yield run


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def faulty(start: Start, faults: Faults) -> Driver:
    """Drives an empty registry that has `faults`."""
    return await start(faults=faults)
