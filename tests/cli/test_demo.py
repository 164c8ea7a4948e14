"""The demo works on a registry of its own and on a real one, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from cli.running import run, run_json
from client.trees import everything
from registries import RunningRegistry


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("what", ["tree", "tree/lib/a.txt", None])
def test_demo(what: str | None, tree: Path, temporary: Path, store: Path) -> None:
    result = run("demo", *([tree.parent / what] if what else []))
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[-1] == "what came back is what was packed"
    steps = [line.split()[0] for line in lines if " s  " in line]
    assert steps == ["pack", "push", "get", "compare"]
    assert everything(temporary) == []
    assert not store.exists()


@pytest.mark.interop
def test_demo_on_a_real_registry(
    tree: Path, plain_registry: RunningRegistry, repository_name: str, temporary: Path
) -> None:
    reference = f"{plain_registry.host}/{repository_name}:v1"
    found = run_json("demo", tree, "--to", reference)
    assert [step["step"] for step in found["steps"]] == ["pack", "push", "get", "compare"]
    assert run("resolve", reference).stdout.strip() == found["digest"]
    assert everything(temporary) == []


def test_demo_of_nothing(tmp_path: Path, temporary: Path) -> None:
    run("demo", tmp_path / "nothing", code=2)
    (tmp_path / "empty").mkdir()
    run("demo", tmp_path / "empty", code=5)
    assert everything(temporary) == []
