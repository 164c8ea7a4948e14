"""The commands for the local store: what they print, list and remove."""

import os
from pathlib import Path

import click
import pytest

from cli.running import run, run_json
from client.trees import FILES, contents, make_tree
from ocipkg_async.cli.values import Age


@pytest.mark.parametrize(
    ("text", "age_s"),
    [
        ("30d", 2_592_000),
        ("12h", 43_200),
        ("2w", 1_209_600),
        ("5m", 300),
        ("0s", 0),
        (" 1d ", 86_400),
    ],
)
def test_ages(text: str, age_s: float) -> None:
    assert Age().convert(text, None, None) == age_s
    assert Age().convert(age_s, None, None) == age_s


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1.5h", "1 d", "3x", "1d2h", "9" * 20 + "d"]
)
def test_no_ages(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Age().convert(text, None, None)


@pytest.fixture
def three(tree: Path, name: str, tmp_path: Path, store: Path) -> str:
    """Three versions, installed one after the other, long ago."""
    for number in range(3):
        other = make_tree(tmp_path / f"tree{number}", {**FILES, "number": b"%d" % number})
        run("pack", other, "-o", f"{name}:v{number}")
        run("get", f"{name}:v{number}")
        for stamp in (store / "used").iterdir():
            os.utime(stamp, (stamp.stat().st_mtime - 86_400,) * 2)
    return name


def test_prune_by_number(three: str) -> None:
    told = run("prune", "--keep", "1", "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in told[:-1]] == ["NAME", f"{three}:v0", f"{three}:v1"]
    assert told[-1].startswith("would remove 2 folders, 4 blobs and 0 left-overs (")
    assert len(run_json("list")) == 3
    pruned = run("prune", "--keep", "1").stdout.splitlines()
    assert pruned[:-1] == told[:-1]
    assert pruned[-1] == told[-1].replace("would remove", "removed")
    assert [one["reference"] for one in run_json("list")] == [f"{three}:v2"]
    assert run("verify").stdout == ""


def test_prune_by_age(three: str) -> None:
    run("path", f"{three}:v0")  # that is a use
    pruned = run_json("prune", "--older-than", "36h")
    assert [one["reference"] for one in pruned["removed"]] == [f"{three}:v1"]
    assert (pruned["dryRun"], pruned["packages"]) == (False, 1)
    both = run_json("prune", "--older-than", "1h", "--keep", "1", "--dry-run")
    assert [one["reference"] for one in both["removed"]] == [f"{three}:v2"]


def test_prune_with_strange_options() -> None:
    assert "not an age" in run("prune", "--older-than", "tomorrow", code=2).stderr
    assert run("prune", "--keep", "0", code=2).stdout == ""


def test_layers_are_kept_for_save(tree: Path, name: str, tmp_path: Path, store: Path) -> None:
    digest = run("pack", tree, "-o", f"{name}:v1").stdout.strip()
    run("get", f"{name}:v1", "--keep-layers")
    blobs = list((store / "layout/blobs/sha256").iterdir())
    assert len(blobs) == 3
    run("get", f"{name}:v1")
    run("prune")
    assert sorted((store / "layout/blobs/sha256").iterdir()) == sorted(blobs)
    archive = tmp_path / "a.tar"
    assert run("save", f"{name}:v1", "-o", archive).stdout == f"{digest}\n"
    other = "127.0.0.1:9/nobody:v1"  # nothing listens there
    run("load", archive, "-t", other, "--store", tmp_path / "alone")
    failed = run("save", other, "-o", tmp_path / "b.tar", "--store", tmp_path / "alone", code=4)
    assert f"get --keep-layers {other}" in failed.stderr
    run("load", archive, "-t", other, "--store", tmp_path / "kept", "--keep-layers")
    run("save", other, "-o", tmp_path / "b.tar", "--store", tmp_path / "kept")
    assert (tmp_path / "b.tar").stat().st_size == archive.stat().st_size
    (path,) = run_json("load", tmp_path / "b.tar", "--store", tmp_path / "again")
    assert contents(Path(path["path"])) == FILES
