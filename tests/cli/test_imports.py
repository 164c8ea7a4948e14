"""What a command loads: those that find what is installed do without the HTTP library.

A build runs them for each of its crates and targets, and the library takes longer to load than all
that they do.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import PROGRAM, TIME_LIMIT_S, run

NAME = "example.org/pkg:v1"
HEAVY = ("aiohttp", "rich", "ocipkg_async.registry.endpoint", "ocipkg_async.server.application")


@pytest.fixture
def installed(tmp_path: Path, tree: Path) -> None:
    library = tree / "lib/libfoo.a"
    library.write_bytes(b"!<arch>\n")
    run("pack", tree, "-o", tmp_path / "pkg.tar", "-t", NAME)
    run("load", tmp_path / "pkg.tar")


def loaded(*arguments: str, code: int = 0) -> set[str]:
    """Run a command; return which heavy modules it imported.

    The interpreter leaves out those that ``importlib.import_module`` is asked for, and tells what
    they import.
    """
    command = [sys.executable, "-X", "importtime", *PROGRAM[1:], *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
    )
    assert done.returncode == code, done.stderr
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ocipkg_async.store.local" in names
    return names & set(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("path", NAME),
        ("get", NAME, "--offline"),
        ("link", NAME, "--for", "cargo"),
        ("verify",),
        ("load", "pkg.tar"),
        ("inspect", "pkg.tar"),
        ("pack", "tree", "-o", "again.tar"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("installed")
def test_what_is_local_is_done_without_the_http_library(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert loaded(*arguments) == set()


def test_a_registry_is_asked_with_it() -> None:
    assert loaded("tags", "127.0.0.1:1/pkg", code=6) == {
        "aiohttp",
        "ocipkg_async.registry.endpoint",
    }


def test_a_program_loads_it_when_it_starts_and_not_amid_its_work() -> None:
    """So that an event loop does not stand still for it; what the command needs is a part of it."""
    code = "import sys, ocipkg_async; ocipkg_async.Client; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
