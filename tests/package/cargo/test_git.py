"""The state of the sources, in every state that a repository can be in."""

from pathlib import Path

import pytest

from client.trees import make_tree
from ocipkg_async.errors import NotFoundError
from ocipkg_async.package.cargo.git import read_revision
from ocipkg_async.package.cargo.naming import Revision
from package.cargo.repository import commit_all, git

FILES = {"crate/Cargo.toml": b"", "crate/src/lib.rs": b"", "other.txt": b"", ".gitignore": b"*.o\n"}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the temporary folder is in, it is no repository."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "repository", FILES)


@pytest.fixture
def manifest(folder: Path) -> Path:
    return folder / "crate" / "Cargo.toml"


async def test_clean(folder: Path, manifest: Path) -> None:
    commit = commit_all(folder)
    make_tree(folder, {"ignored.o": b"", "crate/ignored.o": b""})
    assert await read_revision(manifest) == Revision(commit=commit)


async def test_neither_hooks_nor_the_caller_lead_elsewhere(
    folder: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_tree(tmp_path / "other", {"file": b""})
    commit_all(other)
    commit = commit_all(folder)
    ran = tmp_path / "ran"
    script = tmp_path / "fsmonitor"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    script.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(script))
    make_tree(folder, {"new.txt": b""})
    # As a hook of another repository has them.
    for name, value in (("DIR", ".git"), ("WORK_TREE", ""), ("INDEX_FILE", ".git/index")):
        monkeypatch.setenv(f"GIT_{name}", str(other / value))
    assert await read_revision(manifest) == Revision(commit=commit, changes=("new.txt",))
    assert not ran.exists()


async def test_no_repository(manifest: Path) -> None:
    assert await read_revision(manifest) is None


async def test_no_commit_yet(folder: Path, manifest: Path) -> None:
    git(folder, "init", "-q")
    found = await read_revision(manifest)
    assert found is not None
    assert found.commit is None
    assert "crate/Cargo.toml" in found.changes


async def test_changes_anywhere_in_the_repository(folder: Path, manifest: Path) -> None:
    commit = commit_all(folder)
    make_tree(folder, {"other.txt": b"changed", "crate/ä new\nfile.rs": b""})
    git(folder, "mv", "crate/src/lib.rs", "crate/src/main.rs")
    found = await read_revision(manifest)
    assert found is not None
    assert found.commit == commit
    assert sorted(found.changes) == ["crate/src/main.rs", "crate/ä new\nfile.rs", "other.txt"]


async def test_what_building_writes_is_no_change(
    folder: Path, manifest: Path, tmp_path: Path
) -> None:
    commit = commit_all(folder)
    make_tree(folder, {"target/debug/x": b"", "a*.tar": b"", "ab.tar": b""})
    link = tmp_path / "link"
    link.symlink_to(folder)
    outputs = [link / "target", folder / "a*.tar", tmp_path / "elsewhere"]
    assert await read_revision(manifest, outputs=outputs) == Revision(
        commit=commit, changes=("ab.tar",)
    )


async def test_a_lock_file_that_cargo_wrote_is_no_change(folder: Path, manifest: Path) -> None:
    first = commit_all(folder)
    lock = folder / "crate/Cargo.lock"
    lock.write_text("1")
    assert await read_revision(manifest, lock=lock) == Revision(commit=first)
    second = commit_all(folder)
    lock.write_text("2")
    assert await read_revision(manifest, lock=lock) == Revision(
        commit=second, changes=("crate/Cargo.lock",)
    )


async def test_detached_head(folder: Path, manifest: Path) -> None:
    commit = commit_all(folder)
    git(folder, "checkout", "-q", "--detach")
    assert await read_revision(manifest) == Revision(commit=commit)


async def test_amidst_merge_and_rebase(folder: Path, manifest: Path) -> None:
    commit_all(folder)
    git(folder, "checkout", "-q", "-b", "side")
    make_tree(folder, {"other.txt": b"side"})
    side = commit_all(folder)
    git(folder, "checkout", "-q", "main")
    make_tree(folder, {"other.txt": b"main"})
    main = commit_all(folder)
    for verb in ("merge", "rebase"):
        with pytest.raises(AssertionError):
            git(folder, verb, "side")
        found = await read_revision(manifest)
        assert found is not None
        assert found.commit == (main if verb == "merge" else side)
        assert found.changes == ("other.txt",)
        git(folder, verb, "--abort")


async def test_a_crate_that_git_ignores(folder: Path, manifest: Path) -> None:
    make_tree(folder, {".gitignore": b"/crate/\n"})
    commit_all(folder)
    assert await read_revision(manifest) is None


async def test_git_that_refuses(folder: Path, manifest: Path) -> None:
    commit_all(folder)
    (folder / ".git" / "config").write_text("[core\n")
    with pytest.raises(NotFoundError, match=r"git does not tell the commit.*bad config"):
        await read_revision(manifest)


async def test_a_person_at_work_is_not_disturbed(folder: Path, manifest: Path) -> None:
    """Neither is the index written, nor does a lock on it matter."""
    commit = commit_all(folder)
    index = folder / ".git" / "index"
    before = index.read_bytes()
    (folder / "other.txt").touch()
    (folder / ".git" / "index.lock").touch()
    assert await read_revision(manifest) == Revision(commit=commit)
    assert index.read_bytes() == before


async def test_without_git(
    folder: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(folder)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="git cannot be started") as caught:
        await read_revision(manifest)
    assert caught.value.hint == "install git"
    (folder / ".git").rename(tmp_path / "gone")
    assert await read_revision(manifest) is None
