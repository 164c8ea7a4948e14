"""The unfinished file of a download: gone on with, published whole, or gone; never trusted blindly."""

import errno
import fcntl
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import peers
from layout.samples import push_image
from moments import just_before
from ocipkg_async.content.files import STALE_PARTIAL_S
from ocipkg_async.content.locks import file_lock
from ocipkg_async.errors import DiskFullError, StorageError
from ocipkg_async.layout import Layout
from ocipkg_async.registry import TransferOptions
from ocipkg_async.registry.download import journal
from ocipkg_async.registry.download.partial import partial_file
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor
from registry.download.partials import (
    BLOB,
    DATA,
    JOURNAL,
    LOCK,
    PARTIAL,
    SIZE,
    finish,
    names,
    place,
    read,
    work,
    write,
)
from registry.driving import opened, push_blob


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return place(tmp_path)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("durable", [True, False])
async def test_it_appears_whole_and_alone(path: Path, resume: bool, durable: bool) -> None:
    async with partial_file(path, BLOB, resume=resume) as file:
        assert not file.found
        assert file.done == ()
        await work(file.reserve)
        await write(file, (100_000, SIZE), (0, 100_000))
        assert await read(file) == DATA
        assert path.name not in names(path)
        await work(file.publish, durable=durable)
        assert names(path) == [path.name]
        await work(file.record, 0, 5)  # a late call does no harm
    assert names(path) == [path.name]
    assert path.read_bytes() == DATA


async def test_an_empty_blob(tmp_path: Path) -> None:
    async with partial_file(tmp_path / "x", Descriptor.of(b"", "a/b"), resume=True) as file:
        await work(file.reserve)
        await work(file.publish, durable=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


async def test_the_next_run_goes_on(path: Path) -> None:
    with pytest.raises(RuntimeError, match="network"):  # noqa: PT012 - the block fails
        async with partial_file(path, BLOB, resume=True) as file:
            await work(file.reserve)
            await write(file, (50, 100), (0, 50), (200, 300), (250, 260))
            await write(file, (400, 500), record=False)
            raise RuntimeError("the network is down")
    assert names(path) == [PARTIAL, JOURNAL, LOCK]
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 100), (200, 300))
        await write(file, (100, 150))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 150), (200, 300))
        await finish(file)
    assert names(path) == [path.name]
    assert path.read_bytes() == DATA


async def test_without_resume_nothing_is_shared_or_left(path: Path) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 100))
    async with partial_file(path, BLOB, resume=False) as own:
        assert own.done == ()
        await work(own.reserve)
        await write(own, (0, SIZE))
        async with partial_file(path, BLOB, resume=False) as other:  # beside it
            await finish(other)
    assert names(path) == sorted([PARTIAL, JOURNAL, LOCK, path.name])


async def test_in_a_folder_of_blobs_it_lies_above_where_nobody_takes_it_for_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "blobs" / "sha256" / BLOB.digest.encoded
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 100))
    assert names(path) == []
    assert names(path.parent) == [PARTIAL, JOURNAL, LOCK, "sha256"]
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 100),)
        await finish(file, durable=True)
    assert names(path) == [path.name]
    assert names(path.parent) == ["sha256"]
    assert path.read_bytes() == DATA


async def test_a_folder_of_blobs_on_another_file_system(tmp_path: Path) -> None:
    """What is renamed must not cross to another one."""
    other = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system at hand")
    (tmp_path / "blobs").mkdir()
    with tempfile.TemporaryDirectory(dir=other) as folder:
        (tmp_path / "blobs" / "sha256").symlink_to(folder)
        path = tmp_path / "blobs" / "sha256" / BLOB.digest.encoded
        async with partial_file(path, BLOB, resume=True) as file:
            await write(file, (0, 100))
        assert names(path) == [PARTIAL, JOURNAL, LOCK]
        async with partial_file(path, BLOB, resume=True) as file:
            assert file.done == ((0, 100),)
            await finish(file)
        assert path.read_bytes() == DATA


@pytest.mark.interop
async def test_programs_that_tidy_a_layout_leave_it_alone(tmp_path: Path) -> None:
    umoci = peers.require("umoci")
    layout = await Layout.open(tmp_path, create=True)
    await layout.tag((await push_image(layout)).descriptor, "v1")
    path = tmp_path / "blobs" / "sha256" / BLOB.digest.encoded
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 100))
    subprocess.run([umoci, "gc", "--layout", tmp_path], check=True, timeout=60)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 100),)
        await finish(file)
    assert await layout.exists(BLOB)


@pytest.mark.parametrize("resume", [True, False])
async def test_what_is_worth_nothing_is_removed(path: Path, resume: bool) -> None:
    async with partial_file(path, BLOB, resume=resume) as file:
        await work(file.reserve)
        await write(file, (0, 100), record=False)
    assert names(path) == []
    async with partial_file(path, BLOB, resume=resume) as file:
        await write(file, (0, SIZE))
        await work(file.discard)
        assert names(path) == []
    assert names(path) == []
    async with partial_file(path, BLOB, resume=resume) as file:
        await write(file, (0, SIZE))
        await work(file.forget)
    assert names(path) == []


async def test_what_is_forgotten_is_not_claimed_again(path: Path) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (100, 200), (300, 400))
    async with partial_file(path, BLOB, resume=True) as file:
        await work(file.forget)
        assert file.done == ()
        await write(file, (500, 600))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((500, 600),)
        await work(file.forget)
        await finish(file)
    assert path.read_bytes() == DATA


def cut_journal(folder: Path) -> None:
    (folder / JOURNAL).write_bytes((folder / JOURNAL).read_bytes()[:-3])


def add_half_a_line(folder: Path) -> None:
    with (folder / JOURNAL).open("ab") as file:
        file.write(b"[20")


@pytest.mark.parametrize(
    ("damage", "left"),
    [(cut_journal, ((0, 1000),)), (add_half_a_line, ((0, 1000), (2000, 3000)))],
)
async def test_a_torn_line_is_cut_off_before_the_next(
    path: Path, damage: Callable[[Path], None], left: journal.Ranges
) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000), (2000, 3000))
    damage(path.parent)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == left
        await write(file, (5000, 6000))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == (*left, (5000, 6000))
        await finish(file)


def lose_journal(folder: Path) -> None:
    (folder / JOURNAL).unlink()


def lose_file(folder: Path) -> None:
    (folder / PARTIAL).unlink()


def cut_file(folder: Path) -> None:
    os.truncate(folder / PARTIAL, 2500)


def lengthen_file(folder: Path) -> None:
    os.truncate(folder / PARTIAL, SIZE + 1)


def newer_journal(folder: Path) -> None:
    text = (folder / JOURNAL).read_bytes()
    (folder / JOURNAL).write_bytes(text.replace(b'"version":1', b'"version":2'))


def other_journal(folder: Path) -> None:
    blob = Descriptor.of(b"other", "a/b")
    (folder / JOURNAL).write_bytes(journal.encode(blob, [(0, 5)]))


def huge_journal(folder: Path) -> None:
    with (folder / JOURNAL).open("ab") as file:
        file.write(b"[0,10]\n" * (journal.MAX_BYTES // 7))


def endless_journal(folder: Path) -> None:
    """Sparse: 1 TiB that takes no space, and must not be read into memory."""
    os.truncate(folder / JOURNAL, 1 << 40)


def linked_file(folder: Path) -> None:
    (folder / PARTIAL).rename(folder / "victim")
    (folder / PARTIAL).symlink_to(folder / "victim")


def linked_journal(folder: Path) -> None:
    (folder / JOURNAL).rename(folder / "victim")
    (folder / JOURNAL).symlink_to(folder / "victim")


def hard_linked_file(folder: Path) -> None:
    os.link(folder / PARTIAL, folder / "victim")


def piped_file(folder: Path) -> None:
    (folder / PARTIAL).unlink()
    os.mkfifo(folder / PARTIAL)


def piped_journal(folder: Path) -> None:
    (folder / JOURNAL).unlink()
    os.mkfifo(folder / JOURNAL)


@pytest.mark.parametrize(
    "damage",
    [
        lose_journal,
        lose_file,
        cut_file,
        lengthen_file,
        newer_journal,
        other_journal,
        huge_journal,
        endless_journal,
        linked_file,
        linked_journal,
        hard_linked_file,
        piped_file,
        piped_journal,
    ],
)
async def test_what_is_odd_costs_a_restart(path: Path, damage: Callable[[Path], None]) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000), (2000, 3000))
    damage(path.parent)
    victim = path.parent / "victim"
    before = victim.read_bytes() if victim.exists() else b""
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ()
        assert not any(await read(file))
        await write(file, (10, 20))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((10, 20),)
        await finish(file)
    assert path.read_bytes() == DATA
    assert stat.S_ISREG(path.lstat().st_mode)
    if before:
        assert victim.read_bytes() == before
        victim.unlink()
    assert names(path) == [path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", [PARTIAL, JOURNAL])
async def test_a_file_of_somebody_else_is_not_built_upon(path: Path, name: str) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000))
    os.chown(path.parent / name, 12345, -1)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ()
        await finish(file)
    assert path.stat().st_uid == 0
    # The folder's owner could replace whatever is in it, so nothing is won by distrusting them.
    os.chown(path.parent, 12345, -1)
    path.unlink()
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000))
    os.chown(path.parent / name, 12345, -1)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 1000),)


@pytest.mark.parametrize("name", [PARTIAL, JOURNAL, LOCK])
async def test_a_folder_in_the_way_does_not_stop_a_download(path: Path, name: str) -> None:
    (path.parent / name / "inner").mkdir(parents=True)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ()
        await finish(file)
    assert path.read_bytes() == DATA
    assert [n for n in names(path) if n.startswith(".tmp-")] == []
    assert (path.parent / name / "inner").is_dir()


async def test_a_link_in_place_of_the_lock_makes_no_file_elsewhere(path: Path) -> None:
    path.parent.mkdir(parents=True)
    (path.parent / LOCK).symlink_to(path.parent / "elsewhere")
    async with partial_file(path, BLOB, resume=True) as file:
        await finish(file)
    assert names(path) == sorted([LOCK, path.name])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("resume", [True, False])
async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(StorageError, match=str(folder)) as caught:
            async with partial_file(folder / "blob", BLOB, resume=resume):
                pytest.fail("there is no folder")
        assert "--partial" in str(caught.value.hint)


async def test_files_have_the_usual_mode(path: Path) -> None:
    umask = os.umask(0o027)
    try:
        async with partial_file(path, BLOB, resume=True) as file:
            await write(file, (0, 10))
        assert (path.parent / PARTIAL).stat().st_mode & 0o7777 == 0o640
        assert (path.parent / JOURNAL).stat().st_mode & 0o7777 == 0o640
    finally:
        os.umask(umask)


@pytest.mark.parametrize("call", ["utime", "stat"])
async def test_what_was_found_and_is_removed_then_does_not_count_as_published(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.found
        assert await read(file) == DATA
        gone = just_before(monkeypatch, call, lambda p: p == str(path), path.unlink)
        assert await work(file.publish, durable=False) is False
        assert gone
        await work(file.forget)
        assert (file.found, file.done) == (False, ())
        await finish(file)
    assert names(path) == [path.name]
    assert path.read_bytes() == DATA


async def test_a_download_whose_blob_is_deleted_while_it_is_looked_at(
    embedded: EmbeddedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TransferOptions(part_bytes=1 << 16)
    async with opened(embedded.host, transfer=options) as repository:
        descriptor, data = await push_blob(repository, 300_000)
        file = tmp_path / "blob"
        file.write_bytes(data)
        gone = just_before(monkeypatch, "utime", lambda p: p == str(file), file.unlink)
        assert await repository.download(descriptor, file)
    assert gone
    assert file.read_bytes() == data


async def test_an_unfinished_file_that_somebody_removes(path: Path) -> None:
    with pytest.raises(StorageError, match="removed meanwhile"):  # noqa: PT012 - the block fails
        async with partial_file(path, BLOB, resume=True) as file:
            await write(file, (0, SIZE))
            path.with_name(PARTIAL).unlink()
            await work(file.publish, durable=False)
    assert path.name not in names(path)


class TestFound:
    """The final name is taken already."""

    async def test_the_right_file(self, path: Path) -> None:
        """A run was killed between its last two steps: the rename, and tidying up."""
        async with partial_file(path, BLOB, resume=True) as file:
            await write(file, (0, SIZE))
        (path.parent / PARTIAL).rename(path)
        os.utime(path, (1, 1))
        async with partial_file(path, BLOB, resume=True) as file:
            assert file.found
            assert file.done == ()
            await work(file.reserve)
            assert await read(file) == DATA
            await work(file.publish, durable=True)
        assert names(path) == [path.name]
        assert path.read_bytes() == DATA
        # Nobody removes it as an old blob that nothing lists, before it is listed.
        assert time.time() - path.stat().st_mtime < 1000

    async def test_left_unverified(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
        async with partial_file(path, BLOB, resume=True) as file:
            assert file.found
        assert names(path) == [path.name]

    async def test_a_wrong_file_of_the_right_size(self, path: Path) -> None:
        async with partial_file(path, BLOB, resume=True) as file:
            await write(file, (100, 200))
        path.write_bytes(bytes(SIZE))
        async with partial_file(path, BLOB, resume=True) as file:
            assert file.found
            assert await read(file) == bytes(SIZE)
            await work(file.forget)
            assert (file.found, file.done) == (False, ((100, 200),))
            assert path.read_bytes() == bytes(SIZE)
            await finish(file)
        assert path.read_bytes() == DATA
        assert names(path) == [path.name]

    async def test_discarding_removes_nobodys_file(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(SIZE))
        async with partial_file(path, BLOB, resume=True) as file:
            await work(file.discard)
        assert path.read_bytes() == bytes(SIZE)
        assert names(path) == [path.name]

    @pytest.mark.parametrize("content", [b"", b"x", bytes(SIZE + 1)], ids=len)
    async def test_a_file_of_another_size_is_replaced(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        async with partial_file(path, BLOB, resume=True) as file:
            assert not file.found
            await finish(file)
        assert path.read_bytes() == DATA

    async def test_a_link_or_a_pipe_is_replaced(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        (path.parent / "other").write_bytes(bytes(SIZE))
        path.symlink_to("other")
        async with partial_file(path, BLOB, resume=True) as file:
            assert not file.found
            await finish(file)
        assert not path.is_symlink()
        assert (path.parent / "other").read_bytes() == bytes(SIZE)
        path.unlink()
        os.mkfifo(path)
        async with partial_file(path, BLOB, resume=True) as file:
            assert not file.found
            await finish(file)
        assert path.read_bytes() == DATA

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    async def test_a_file_of_somebody_else_is_replaced(self, path: Path) -> None:
        """Who has it open could change it when it is verified."""
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
        os.chown(path, 12345, -1)
        async with partial_file(path, BLOB, resume=True) as file:
            assert not file.found
            await finish(file)
        assert path.stat().st_uid == 0
        assert path.read_bytes() == DATA

    async def test_a_file_with_another_name_is_replaced(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
        os.link(path, path.with_name("other"))
        async with partial_file(path, BLOB, resume=True) as file:
            assert not file.found
            await finish(file)
        assert path.stat().st_nlink == 1

    async def test_a_folder_is_an_error_and_costs_nothing(self, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StorageError, match=path.name):
            async with partial_file(path, BLOB, resume=True) as file:
                await finish(file)
        path.rmdir()
        async with partial_file(path, BLOB, resume=True) as file:
            assert file.done == ((0, SIZE),)
            await finish(file)


@pytest.mark.parametrize("resume", [True, False])
async def test_a_file_that_was_replaced_meanwhile_is_not_published(
    path: Path, resume: bool
) -> None:
    async with partial_file(path, BLOB, resume=resume) as file:
        await write(file, (0, SIZE))
        (name,) = [n for n in names(path) if n == PARTIAL or n.startswith(".tmp-")]
        (path.parent / name).unlink()
        (path.parent / name).write_bytes(bytes(SIZE))
        with pytest.raises(StorageError, match="replaced"):
            await work(file.publish, durable=False)
    assert not path.exists()


async def test_a_file_that_is_not_whole_is_not_published(path: Path) -> None:
    async with partial_file(path, BLOB, resume=False) as file:
        await write(file, (0, SIZE - 1))
        with pytest.raises(StorageError):
            await work(file.publish, durable=False)
    assert names(path) == []


@pytest.fixture(params=["vectored", "seeking", "short"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system as ours, one without writes at an offset, one that writes little at a time."""
    pwritev = os.pwritev
    if request.param == "seeking":
        monkeypatch.delattr(os, "pwritev")
        monkeypatch.delattr(os, "preadv")
    elif request.param == "short":

        def short(fd: int, pieces: list[memoryview], offset: int) -> int:
            whole = b"".join(pieces)
            return pwritev(fd, [whole[: 1 + len(whole) // 3]], offset)

        monkeypatch.setattr(os, "pwritev", short)
    return str(request.param)


async def test_threads_write_and_read_at_once(path: Path, system: str) -> None:
    """Thousands of pieces of all sizes, none among them; each thread reads what it wrote."""
    async with partial_file(path, BLOB, resume=True) as file:
        await work(file.reserve)

        async def one(start: int, stop: int) -> None:
            cuts = list(range(start, stop, 17))
            pieces: list[bytes | memoryview] = []
            for at in cuts:
                piece = DATA[at : min(at + 17, stop)]
                pieces += [b"", memoryview(piece) if at % 2 else piece]
            await work(file.write, start, pieces)
            assert await read(file, start, stop) == DATA[start:stop]
            await work(file.record, start, stop)

        async with anyio.create_task_group() as group:
            for start in range(0, SIZE, 30_000):
                group.start_soon(one, start, start + 30_000)
        await work(file.write, 5, [])
        assert await read(file, SIZE - 5, SIZE + 5) == DATA[-5:]
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, SIZE),)
        await finish(file)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("how", ["reserved", "unsupported", "missing"])
async def test_space_is_reserved_where_it_can_be(
    path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "unsupported":

        def refuse(fd: int, offset: int, length: int) -> None:
            raise OSError(errno.EOPNOTSUPP, "not here")

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    elif how == "missing":
        monkeypatch.delattr(os, "posix_fallocate")
    async with partial_file(path, BLOB, resume=True) as file:
        await work(file.reserve)
        status = (path.parent / PARTIAL).stat()
        assert status.st_size == SIZE
        if how == "reserved":
            assert status.st_blocks * 512 >= SIZE
        await finish(file)
    assert path.read_bytes() == DATA


async def test_what_cannot_fit_does_not_fill_the_disk_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is what a manifest says; ext4 takes all there is before it says no."""
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _fd, _at, length: asked.append(length))
    path.parent.mkdir(parents=True)
    free = os.statvfs(path.parent)
    size = free.f_frsize * free.f_blocks + 1
    huge = Descriptor(media_type="a/b", digest=BLOB.digest, size=size)
    async with partial_file(path, huge, resume=True) as file:
        with pytest.raises(DiskFullError):
            await work(file.reserve)
    assert asked == []
    assert names(path) == []


async def test_space_that_was_taken_in_vain_is_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system may have taken part of it before it noticed that there is not enough."""
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000))

    def fill(fd: int, offset: int, length: int) -> None:
        os.pwrite(fd, bytes(1000), length // 2)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", fill)
    async with partial_file(path, BLOB, resume=True) as file:
        with pytest.raises(DiskFullError) as caught:
            await work(file.reserve)
        assert path.name in str(caught.value)
        assert (path.parent / PARTIAL).stat().st_size == 1000
    monkeypatch.undo()
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 1000),)
        await finish(file)


def grant_all(fd: int, operation: int) -> None:
    """As some network and user-space file systems do."""


def refuse_all(fd: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "no locks here")


@pytest.mark.parametrize("flock", [grant_all, refuse_all])
async def test_where_locks_are_worthless_nothing_is_shared(
    path: Path, flock: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", flock)
    async with (
        partial_file(path, BLOB, resume=True) as one,
        partial_file(path, BLOB, resume=True) as two,
    ):
        await write(one, (0, 1000))
        await work(two.write, 0, [bytes(SIZE)])
        assert one.done == two.done == ()
        assert PARTIAL not in names(path)
        await finish(one)
    assert path.read_bytes() == DATA
    assert [n for n in names(path) if n not in (path.name, LOCK)] == []
    if flock is grant_all:
        assert names(path) == [path.name]


async def test_cancelled_while_waiting_it_leaves_the_other_alone(path: Path) -> None:
    waits: list[str] = []
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 100))
        with anyio.CancelScope() as scope:

            def waiting() -> None:
                waits.append("x")
                scope.deadline = anyio.current_time() + 0.1

            async with partial_file(path, BLOB, resume=True, on_wait=waiting):
                pytest.fail("it is held")
        assert scope.cancelled_caught
        assert waits == ["x"]
        await write(file, (100, 200))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 200),)


async def test_cancelled_in_the_middle_it_stays_and_is_free(path: Path) -> None:
    def opened() -> list[Path]:
        """What this process has open in the folder, where the system tells."""
        links = Path("/proc/self/fd")
        found = [Path(os.path.realpath(link)) for link in links.iterdir()] if links.is_dir() else []
        return [file for file in found if file.parent == path.parent]

    for number in range(3):
        with anyio.CancelScope() as scope:
            async with partial_file(path, BLOB, resume=True) as file:
                await write(file, (100 * number, 100 * number + 100))
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert opened() == []
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 300),)
        await finish(file)


def leave_old(folder: Path, stem: str) -> None:
    for name in (stem, stem + ".journal", stem + ".lock"):
        (folder / name).write_bytes(b"x")
        old = time.time() - STALE_PARTIAL_S - 1000
        os.utime(folder / name, (old, old))


async def test_forgotten_ones_in_the_same_folder_are_removed(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for stem in (".partial-sha256-old", ".partial-sha256-held"):
        leave_old(path.parent, stem)
    (path.parent / ".partial-sha256-young").touch()
    (path.parent / "other").touch()
    os.utime(path.parent / "other", (1, 1))
    async with (
        file_lock(path.parent / ".partial-sha256-held.lock"),
        partial_file(path, BLOB, resume=True) as file,
    ):
        await finish(file)
    held = [".partial-sha256-held" + end for end in ("", ".journal", ".lock")]
    assert names(path) == sorted([*held, ".partial-sha256-young", "other", path.name])


async def test_an_old_one_is_gone_on_with_all_the_same(path: Path) -> None:
    async with partial_file(path, BLOB, resume=True) as file:
        await write(file, (0, 1000))
    for name in (PARTIAL, JOURNAL, LOCK):
        os.utime(path.parent / name, (1, 1))
    async with partial_file(path, BLOB, resume=True) as file:
        assert file.done == ((0, 1000),)
        await finish(file)
    # Nobody removes it as an old blob that nothing lists, before it is listed.
    assert time.time() - path.stat().st_mtime < 1000
