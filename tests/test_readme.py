"""README.md tells the truth: its examples run, and CI runs the test command that it shows."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from ocipkg_async.server import EmbeddedRegistry
from readme_blocks import REGISTRY, TESTED_LANGUAGES, blocks, matches, steps

TOP = Path(__file__).resolve().parent.parent
BLOCKS = blocks((TOP / "README.md").read_text(encoding="utf-8"))
TESTS = sorted({block.test for block in BLOCKS if block.test})

TEST_COMMAND = "test command"
COMMENTS = ("test: ", "not tested: ", TEST_COMMAND)


@pytest.mark.parametrize("name", TESTS)
async def test_examples_run(
    name: str, embedded: EmbeddedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = Path(sys.executable)
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    for block in (block for block in BLOCKS if block.test == name):
        for step in steps(block, python=python, registry=embedded.host):
            # In its own process, with this one's event loop serving the registry.
            done = await anyio.run_process(
                step.argv, cwd=tmp_path, check=False, stderr=subprocess.STDOUT
            )
            printed = done.stdout.decode().replace(embedded.host, REGISTRY)
            where = f"README.md line {block.line}: {step.argv[-1]}\nprinted:\n{printed}"
            assert done.returncode == 0, where
            if step.prints is not None:
                assert matches(step.prints, printed), f"{where}\ninstead of:\n{step.prints}"


@pytest.mark.parametrize("language", sorted(TESTED_LANGUAGES))
def test_each_example_is_run_or_says_why_not(language: str) -> None:
    silent = [
        f"line {block.line}"
        for block in BLOCKS
        if block.language == language and not block.comment.startswith(COMMENTS)
    ]
    assert silent == []


def test_readme_has_python_and_shell_examples() -> None:
    languages = {block.language for block in BLOCKS if block.test}
    assert "python" in languages
    assert languages & {"sh", "console"}


def test_ci_runs_the_test_command() -> None:
    (shown,) = (block.text for block in BLOCKS if block.comment == TEST_COMMAND)
    run = ["bash", str(TOP / ".ci" / "run"), "show"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == shown
    assert "nox" in shown
