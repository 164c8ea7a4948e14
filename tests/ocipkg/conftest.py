"""What the regression tests share: a client with a store of its own, and a tree to pack."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async import Client, ClientOptions
from ocipkg_async.transport import RetryPolicy, TransportOptions

FILES = {"libfoo.a": b"objects" * 1000, "include/foo.h": b"int foo(void);\n"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "source", FILES)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def client(store: Path) -> AsyncIterator[Client]:
    """A client that gives up soon."""
    retry = RetryPolicy(attempts=2, first_wait_s=0.01, longest_wait_s=0.01)
    options = ClientOptions(store=store, transport=TransportOptions(retry=retry))
    async with Client(options) as client:
        yield client
