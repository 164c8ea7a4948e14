"""What the tests of commands share: a store of their own, a tree to pack, a registry."""

from pathlib import Path

import pytest

from client.trees import make_tree
from registries import RunningRegistry


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCIPKG_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def name(threaded_registry: RunningRegistry, repository_name: str) -> str:
    return f"{threaded_registry.host}/{repository_name}"
