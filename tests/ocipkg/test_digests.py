"""One input, one digest, whatever the machine and the command line (defect 7)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.running import run
from client.trees import make_tree
from ocipkg.conftest import FILES

MANY = FILES | {f"include/{number}.h": b"%d" % number for number in range(20)}


def moved(source: Path) -> tuple[str, ...]:
    """Elsewhere, named in another way."""
    other = source.parent / "elsewhere/other"
    shutil.copytree(source, other)
    os.chdir(other.parent)
    return ("./other/",)


def written_later(source: Path) -> tuple[str, ...]:
    """The same files, made in the other order, at another time."""
    shutil.rmtree(source)
    make_tree(source, dict(reversed(MANY.items())))
    for number, path in enumerate(source.rglob("*")):
        os.utime(path, (number, 1e9 + number))
    return (str(source),)


def of_others(source: Path) -> tuple[str, ...]:
    """Rights that only others have, and, for root, another owner."""
    for path in source.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o640)
        if os.geteuid() == 0:
            os.chown(path, 1234, 5678)
    return (str(source),)


def from_inside(source: Path) -> tuple[str, ...]:
    os.chdir(source)
    return (".", "--threads", "3")


@pytest.mark.parametrize("form", ["ocipkg-v1", "ocipkg-v0"])
@pytest.mark.parametrize("change", [moved, written_later, of_others, from_inside])
def test_the_same_files_have_one_digest(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], tuple[str, ...]],
    form: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    source = make_tree(tmp_path / "source", MANY)
    more = ("-t", "example.org/pkg:v1", "--format", form)
    first = run("pack", source, "-o", tmp_path / "first.tar", *more).stdout
    again = run("pack", *change(source), "-o", tmp_path / "again.tar", *more).stdout
    assert again == first
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "first.tar").read_bytes()
