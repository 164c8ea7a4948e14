"""A store, and a package that it can install."""

from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async.content import MemoryStore
from ocipkg_async.package import pack
from ocipkg_async.spec import Descriptor
from ocipkg_async.store import LocalStore


@pytest.fixture
async def store(tmp_path: Path) -> LocalStore:
    return await LocalStore.open(tmp_path / "store")


@pytest.fixture
async def source() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def root(source: MemoryStore, tmp_path: Path) -> Descriptor:
    return await pack(source, [make_tree(tmp_path / "tree")])
