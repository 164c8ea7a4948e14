"""Files that appear complete or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moments import just_before
from ocipkg_async.content.files import (
    PARTIAL_PREFIX,
    TEMP_PREFIX,
    atomic_file,
    remove_stale,
    remove_stale_partials,
    remove_tree,
    sync_folder,
    temp_name,
    write_all,
)
from ocipkg_async.content.locks import lock_if_free
from ocipkg_async.errors import DiskFullError, StorageError, storage_errors


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_appears_at_the_end(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    with atomic_file(path, durable=durable) as file:
        write_all(file, b"abc")
        write_all(file, memoryview(b"def"))
        write_all(file, b"")
        assert not path.exists()
        (temp,) = names(tmp_path)
        assert temp.startswith(TEMP_PREFIX)
    assert path.read_bytes() == b"abcdef"
    assert names(tmp_path) == ["file"]


def test_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    with atomic_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old and longer"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), GeneratorExit()])
def test_s07_nothing_after_an_exception(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_file(path) as file:  # noqa: PT012 - the block fails
        file.write(b"new")
        raise error
    assert names(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444])
def test_mode_less_the_umask(tmp_path: Path, mode: int) -> None:
    umask = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file", mode=mode) as file:
            file.write(b"x")
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == mode & ~0o027


def test_errors_are_ours(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"), atomic_file(tmp_path / "missing" / "file"):
        pytest.fail("there is no folder to write into")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(StorageError), atomic_file(tmp_path / "folder") as file:
        file.write(b"x")
    assert names(tmp_path) == ["folder"]
    with pytest.raises(StorageError), atomic_file(tmp_path / "file"):
        raise OSError("while writing")
    assert names(tmp_path) == ["folder"]


FULL = """
import resource, sys
from pathlib import Path
from ocipkg_async.content.files import atomic_file, write_all
from ocipkg_async.errors import DiskFullError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with atomic_file(Path(sys.argv[1]), durable=True) as file:
        for _ in range(100):
            write_all(file, b"x" * 10_000)
except DiskFullError as error:
    print(error, error.hint, sep="\\n")
"""


def test_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    message, hint = result.stdout.splitlines()
    assert str(tmp_path / "file") in message
    assert "space" in hint
    assert names(tmp_path) == []


def test_full_device() -> None:
    """The device that is always full; short writes end in the same error."""
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no /dev/full here")
    with device.open("wb", buffering=0) as file, pytest.raises(DiskFullError), storage_errors("x"):
        write_all(file, b"x")


def test_write_all_goes_on_after_short_writes() -> None:
    data = os.urandom(200_000)
    received: list[bytes] = []

    class Short:
        """A raw file that takes at most a thousand bytes at a time."""

        def write(self, view: memoryview) -> int:
            received.append(bytes(view[:1000]))
            return min(1000, len(view))

    write_all(Short(), data)  # type: ignore[arg-type]
    assert b"".join(received) == data


def test_temp_names_differ() -> None:
    found = {temp_name() for _ in range(100)}
    assert len(found) == 100
    assert all(name.startswith(TEMP_PREFIX) for name in found)


def test_remove_stale_takes_old_unfinished_files_and_folders_only(tmp_path: Path) -> None:
    now = time.time()
    old = now - 1000
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (TEMP_PREFIX + "1-old", "other", TEMP_PREFIX + "1-new"):
        (folder / name).touch()
    tree = folder / (TEMP_PREFIX + "1-tree")
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    foreign = folder / (TEMP_PREFIX + "data")  # of another program
    foreign.mkdir()
    os.utime(foreign, (old, old))
    link = folder / (TEMP_PREFIX + "1-link")
    link.symlink_to(outside)
    for entry in (folder / (TEMP_PREFIX + "1-old"), folder / "other", tree):
        os.utime(entry, (old, old))
    os.utime(link, (old, old), follow_symlinks=False)
    assert remove_stale(folder, now_s=now, older_than_s=500) == 3
    assert names(folder) == [TEMP_PREFIX + "1-new", TEMP_PREFIX + "data", "other"]
    assert names(outside) == ["kept"]
    assert remove_stale(tmp_path / "missing", now_s=now) == 0
    assert remove_stale(folder / "other", now_s=now) == 0


def test_a_tree_that_somebody_else_removes_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    for name in ("a/one", "a/two", "b/three"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    gone = just_before(monkeypatch, "unlink", lambda p: p.endswith("one"), (tree / "a/one").unlink)
    remove_tree(tree)
    assert gone
    assert names(tmp_path) == []
    remove_tree(tree)


def test_removing_a_tree_leaves_what_is_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove_tree(tmp_path / "link")
    assert names(tmp_path) == ["folder"]


def leave_partial(folder: Path, stem: str, *, age_s: float, parts: str = "fjl") -> set[str]:
    """Leave an unfinished download: its file, journal and lock, or some of them."""
    ends = {"f": "", "j": ".journal", "l": ".lock"}
    made = {f"{PARTIAL_PREFIX}{stem}{ends[part]}" for part in parts}
    for name in made:
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age_s,) * 2)
    return made


def test_remove_stale_partials_takes_old_ones_that_nobody_holds(tmp_path: Path) -> None:
    for parts in ("fjl", "f", "j", "l", "fl"):
        leave_partial(tmp_path, f"old-{parts}", age_s=1000, parts=parts)
    kept = leave_partial(tmp_path, "young", age_s=10)
    kept |= leave_partial(tmp_path, "held", age_s=1000)
    # The lock is as old as the first try, the journal as young as the last.
    kept |= leave_partial(tmp_path, "mixed", age_s=1000, parts="fl")
    kept |= leave_partial(tmp_path, "mixed", age_s=10, parts="j")
    for name in ("other", TEMP_PREFIX + "x", PARTIAL_PREFIX + "folder"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
        kept.add(name)
    with lock_if_free(tmp_path / f"{PARTIAL_PREFIX}held.lock") as free:
        assert free
        assert remove_stale_partials(tmp_path, now_s=time.time(), older_than_s=500) == 5
        assert set(names(tmp_path)) == kept
    assert remove_stale_partials(tmp_path, now_s=time.time(), older_than_s=0) == 3
    assert len(names(tmp_path)) == 3
    assert remove_stale_partials(tmp_path / "missing", now_s=time.time()) == 0


def test_remove_stale_partials_waits_a_week(tmp_path: Path) -> None:
    kept = leave_partial(tmp_path, "a", age_s=6.9 * 24 * 3600)
    leave_partial(tmp_path, "b", age_s=7.1 * 24 * 3600)
    assert remove_stale_partials(tmp_path, now_s=time.time()) == 1
    assert set(names(tmp_path)) == kept


def test_remove_stale_partials_does_not_follow_links(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "target").touch()
    for end in ("", ".journal"):
        (folder / f"{PARTIAL_PREFIX}x{end}").symlink_to(tmp_path / "target")
        os.utime(folder / f"{PARTIAL_PREFIX}x{end}", (1, 1), follow_symlinks=False)
    assert remove_stale_partials(folder, now_s=time.time()) == 1
    assert names(folder) == []
    assert (tmp_path / "target").exists()


def test_sync_folder(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "missing")
