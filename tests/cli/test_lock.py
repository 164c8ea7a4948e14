"""``lock``, and ``get`` and ``path`` with a lock file or without a registry."""

import json
import os
from pathlib import Path

import pytest

from cli.running import finish, run, run_json, start
from client.trees import make_tree
from ocipkg_async.cli.exit_codes import INTEGRITY, NETWORK, NOT_FOUND, USAGE
from ocipkg_async.store import LockFile
from ocipkg_async.testing import run_registry

ONE_TRY = ("--retries", "0")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, in which the commands run."""
    folder = tmp_path / "project"
    (folder / "build/deep").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def stopped(tree: Path, project: Path) -> str:
    """A package that is locked and installed, whose registry is down."""
    with run_registry() as registry:
        name = f"{registry.host}/a:v1"
        run("pack", tree, "-o", name)
        run("lock", name)
        run("get", name, "--locked")
    assert (project / "ocipkg.lock").is_file()
    return name


def push(tmp_path: Path, reference: str, text: str) -> str:
    """Push a package with one file, and return its digest."""
    tree = make_tree(tmp_path / text, {"text": text.encode()})
    return run("pack", tree, "-o", reference).stdout.strip()


def test_lock_prints_what_changes(tmp_path: Path, project: Path, name: str) -> None:
    one, two = f"{name}:v1", f"{name}:v2"
    old = push(tmp_path, one, "old")
    push(tmp_path, two, "other")
    assert run("lock", one).stdout == f"added {one} {old}\n"
    kept = run("lock", one)
    assert (kept.stdout, kept.stderr) == ("", f"nothing changed in {project / 'ocipkg.lock'}\n")
    new = push(tmp_path, one, "new")
    assert run("lock", "--update").stdout == f"changed {one} {old} -> {new}\n"
    run("lock", two)
    shown = run("lock").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["NAME", one, two]
    assert run("lock", "--remove", one).stdout == f"removed {one}\n"
    assert run("lock", "--remove", one, code=NOT_FOUND).stderr.startswith("error: ")
    assert [str(p.reference) for p in read(project / "ocipkg.lock").packages] == [two]


def read(path: Path) -> LockFile:
    return LockFile.parse(path.read_bytes())


def test_lock_as_json(tmp_path: Path, project: Path, name: str) -> None:
    digest = push(tmp_path, f"{name}:v1", "text")
    package = {"reference": f"{name}:v1", "digest": digest, "platforms": {}}
    document = {"file": str(project / "ocipkg.lock"), "packages": [package]}
    change = {"reference": f"{name}:v1", "old": None, "new": digest}
    assert run_json("lock", f"{name}:v1") == {**document, "changes": [change]}
    assert run_json("lock") == {**document, "changes": []}
    change = {"reference": f"{name}:v1", "old": digest, "new": None}
    gone = run_json("lock", "--remove", f"{name}:v1")
    assert gone == {**document, "packages": [], "changes": [change]}


def test_file_is_found_from_the_folders_below(
    tmp_path: Path, project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(tmp_path, f"{name}:v1", "text")
    missing = run("get", f"{name}:v1", "--locked", code=NOT_FOUND).stderr
    assert f"there is no ocipkg.lock in {project}, nor in a folder above" in missing
    assert "hint: make one with: ocipkg-async lock REF" in missing
    run("lock", f"{name}:v1")
    monkeypatch.chdir(project / "build/deep")
    installed = run("get", f"{name}:v1", "--locked").stdout
    assert run("path", f"{name}:v1", "--locked").stdout == installed
    assert run("lock", f"{name}:v1").stderr.startswith("nothing changed in")
    assert os.listdir() == []  # noqa: PTH208 - the folder we are in
    # One that is nearer, or named, comes first.
    run("lock", "--lock-file", "ocipkg.lock", f"{name}:v1")
    run("lock", "--remove", f"{name}:v1")
    assert "is not in the lock file" in run("path", f"{name}:v1", "--locked", code=NOT_FOUND).stderr
    above = ("--lock-file", project / "ocipkg.lock")
    assert run("path", f"{name}:v1", *above).stdout == installed


def test_moved_tag_has_its_exit_code(tmp_path: Path, project: Path, name: str) -> None:
    old = push(tmp_path, f"{name}:v1", "old")
    run("lock", f"{name}:v1")
    new = push(tmp_path, f"{name}:v1", "new")
    failed = run("get", f"{name}:v1", "--locked", code=INTEGRITY)
    assert failed.stdout == ""
    assert f"error: {name}:v1 pointed to {old} when it was locked, and now to {new}" in (
        failed.stderr
    )
    assert f"hint: accept the new one with: ocipkg-async lock --update {name}:v1" in failed.stderr
    run("get", f"{name}:v1")
    assert "as it was locked" in run("path", f"{name}:v1", "--locked", code=NOT_FOUND).stderr
    assert project.joinpath("ocipkg.lock").read_text().count(old) == 1


def test_broken_file_has_its_exit_code(project: Path) -> None:
    (project / "ocipkg.lock").write_text("version = 7\n")
    failed = run("get", "ghcr.io/a/b:1", "--locked", code=INTEGRITY).stderr
    assert "has version 7, and this program reads version 1" in failed
    run("lock", "ghcr.io/a/b:1", code=INTEGRITY)
    assert (project / "ocipkg.lock").read_text() == "version = 7\n"
    (project / "ocipkg.lock").unlink()
    assert run("lock", "no reference", code=USAGE).stderr.startswith("error: ")


def test_second_build_needs_no_registry(stopped: str) -> None:
    installed = run("get", stopped, "--locked", "--offline").stdout
    assert Path(installed.strip(), "include/a.h").is_file()
    for arguments in (("--locked",), ("--offline",)):
        assert run("get", stopped, *arguments).stdout == installed
        assert run("path", stopped, *arguments).stdout == installed
    failed = run("get", stopped, *ONE_TRY, code=NETWORK).stderr
    assert f"hint: {stopped} is installed: --offline uses it as it is; " in failed


def test_first_build_needs_one(stopped: str) -> None:
    run("remove", stopped)
    assert "--offline" not in run("get", stopped, "--locked", *ONE_TRY, code=NETWORK).stderr
    failed = run("get", stopped, "--locked", "--offline", code=NOT_FOUND).stderr
    assert f"error: {stopped} is not installed as it was locked" in failed
    assert f"hint: install it once with a connection: ocipkg-async get {stopped} --locked" in failed


def test_processes_that_lock_at_once_keep_each_others_entries(
    tmp_path: Path, project: Path, name: str
) -> None:
    references = [f"{name}:v{number}" for number in range(3)]
    digests = [push(tmp_path, one, one[-2:]) for one in references]
    processes = [start("lock", reference, "--json") for reference in references]
    for process, reference in zip(processes, references, strict=True):
        printed, complaint = finish(process)
        assert (process.returncode, complaint) == (0, "")
        assert reference in [one["reference"] for one in json.loads(printed)["packages"]]
    found = read(project / "ocipkg.lock").packages
    assert [(str(one.reference), one.digest) for one in found] == [
        *zip(references, digests, strict=True)
    ]
    assert sorted(os.listdir(project)) == ["build", "ocipkg.lock"]  # noqa: PTH208 - their names
