"""``serve`` collects when it is told to, and says what it removed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.running import finish, run, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

OFTEN = ("--collect-every", "0.002")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry's folder: an old package that lost its tag, and a new one."""
    file, target = tmp_path / "file", f"oci:{tmp_path / 'registry' / 'a' / 'b'}:v1"
    for text in ("old", "new"):
        file.write_text(text)
        run("pack", file, "-o", target)
    for path in (tmp_path / "registry").rglob("blobs/*/*"):
        os.utime(path, (time.time() - 7200,) * 2)
    return tmp_path / "registry"


@contextmanager
def served(folder: Path, *args: object) -> Iterator["subprocess.Popen[str]"]:
    process = start("serve", folder, "--port", "0", *args)
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("http://")
        yield process
    finally:
        process.kill()
        process.communicate()


def blobs(folder: Path) -> int:
    return len([path for path in folder.rglob("blobs/*/*") if path.name[0] != "."])


def line_of(process: "subprocess.Popen[str]", word: str) -> str:
    """Wait for a line on stderr."""
    assert process.stderr
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"it ended without a line of {word}")


def test_nothing_is_collected_unless_told(folder: Path) -> None:
    before = blobs(folder)
    with served(folder) as process:
        time.sleep(0.5)
        process.terminate()
        _, errors = finish(process)
    assert "\ncollected " not in errors
    assert blobs(folder) == before


def test_untagged_manifests_and_their_blobs(folder: Path) -> None:
    before = blobs(folder)
    with served(folder, *OFTEN, "--collect-untagged") as process:
        assert re.fullmatch(
            r"collected \d blobs, [\d.]+ K?i?B, in 1 repository\n", line_of(process, "collected")
        )
        process.terminate()
        _, errors = finish(process)
    assert process.returncode == 0
    # What there is nothing to say of is not said.
    assert "\ncollected " not in errors
    assert 0 < blobs(folder) < before
    assert run("tags", f"oci:{folder / 'a' / 'b'}").stdout == "v1\n"


def test_manifests_stay_without_the_option_and_young_ones_with_it(folder: Path) -> None:
    before = blobs(folder)
    lost = folder / "a" / "b" / "blobs" / "sha256" / (64 * "0")
    for args, removed in ((OFTEN, 1), ((*OFTEN, "--collect-untagged", "--grace", "180"), 0)):
        lost.write_text("x")
        os.utime(lost, (time.time() - 7200,) * 2)
        with served(folder, *args) as process:
            if removed:
                assert line_of(process, "collected") == "collected 1 blob, 1 B, in 1 repository\n"
            else:
                time.sleep(0.5)
        assert blobs(folder) == before + 1 - removed


def test_damaged_repository_is_named_and_the_registry_goes_on(folder: Path) -> None:
    run("pack", folder / "a" / "b" / "oci-layout", "-o", f"oci:{folder / 'broken'}:v1")
    (folder / "broken" / "index.json").write_text("{")
    with served(folder, *OFTEN, "--progress", "json") as process:
        for _ in range(2):
            found = json.loads(line_of(process, '"event"'))
            assert (found["event"], found["repository"]) == ("collected", "broken")
            assert "index.json" in found["error"]
    with served(folder, *OFTEN) as process:
        line = line_of(process, "warning")
        assert line.startswith("warning: nothing was collected in broken: ")


@pytest.mark.parametrize("option", [("--grace", "5"), ("--collect-untagged",)])
def test_options_that_need_another(tmp_path: Path, option: tuple[str, ...]) -> None:
    done = run("serve", tmp_path / "registry", *option, code=2)
    assert f"{option[0]} needs --collect-every" in done.stderr
