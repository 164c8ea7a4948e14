import errno
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from moments import just_before
from ocipkg_async.errors import CredentialError, StorageError
from ocipkg_async.transport.credentials import credential_file
from ocipkg_async.transport.credentials.credential_file import change_file, parse, read_file
from ocipkg_async.transport.credentials.docker_config import Json
from transport.credentials.credential_home import mode, write_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "config.json"


@pytest.fixture
def _no_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


def set_x(config: Json) -> Json:
    return {**config, "x": 1}


async def test_missing_file_is_none(path: Path) -> None:
    assert await read_file(path) is None
    write_json(path, {})
    assert await read_file(path / "below-a-file") is None


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
async def test_empty_file_holds_nothing(path: Path, text: str) -> None:
    assert await read_file(write_json(path, text)) == ({}, False)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"auths": {\n  "r.io": {"auth": "c2VjcmV0" "x"}\n}}', "line 2, column 31"),
        (b'{"auths":\n\n{"r.io": {"auth": "c2VjcmV0', "line 3"),
        (b'{"auth": "c2VjcmV0\\q"}', "line 1"),
        (b'{\n"auth": "c2VjcmV0\xff"}', "line 2"),
        (b'["c2VjcmV0"]', "line 1"),
        (b'{"auth": NaN, "c2VjcmV0": 1}', "not valid JSON"),
        (b'{"c2VjcmV0":' + b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a51_bad_json_is_told_by_line_without_content(data: bytes, place: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse(data, where="/home/alice/config.json")
    text = str(caught.value)
    assert text.startswith("/home/alice/config.json")
    assert place in text
    assert "c2VjcmV0" not in text
    assert caught.value.__context__ is None  # a parser's exception would carry the whole text
    assert caught.value.hint


async def test_huge_file_is_refused(path: Path) -> None:
    write_json(path, " " * (credential_file.MAX_FILE_BYTES + 1))
    with pytest.raises(CredentialError, match="too large"):
        await read_file(path)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize(
    ("bits", "exposed"), [(0o600, False), (0o400, False), (0o644, True), (0o640, True)]
)
async def test_a51_file_open_to_others_is_noticed(path: Path, bits: int, exposed: bool) -> None:
    write_json(path, {}).chmod(bits)
    found = await read_file(path)
    assert found is not None
    assert found[1] is exposed


@pytest.mark.usefixtures("_no_umask")
@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
async def test_a50_s19_written_for_the_owner_alone_whatever_the_umask(path: Path) -> None:
    assert await change_file(path, set_x)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    path.chmod(0o666)
    assert await change_file(path, set_x)
    assert mode(path) == 0o600
    os.umask(0o777)
    assert await change_file(path, set_x)
    assert mode(path) == 0o600


async def test_a50_nothing_else_is_left_in_the_folder(path: Path) -> None:
    await change_file(path, set_x)
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]
    assert json.loads(path.read_text()) == {"x": 1}


async def test_a50_what_a_killed_writer_left_does_not_block(path: Path) -> None:
    write_json(path, {})
    (path.parent / ".config.json.new").write_text('{"half')
    (path.parent / ".config.json.lock").touch()
    await change_file(path, set_x)
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


async def test_a50_symlink_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "docker.json"
    link = tmp_path / "home" / "config.json"
    link.parent.mkdir()
    link.symlink_to(Path("..", "dotfiles", "docker.json"))
    await change_file(link, set_x)  # the target does not exist yet
    await change_file(link, lambda config: {**config, "y": 2})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"x": 1, "y": 2}
    assert [entry.name for entry in link.parent.iterdir()] == ["config.json"]
    assert [entry.name for entry in target.parent.iterdir()] == ["docker.json"]


async def test_none_leaves_the_file(path: Path) -> None:
    write_json(path, "{ }")
    assert await change_file(path, lambda _config: None) is False
    assert path.read_text() == "{ }"


async def test_a50_failed_change_leaves_the_old_file_and_no_other(path: Path) -> None:
    write_json(path, {"old": 1})

    def fail(_config: Json) -> Json:
        raise CredentialError("no")

    for change in (fail, lambda _config: {"x": object()}):
        with pytest.raises((CredentialError, TypeError)):
            await change_file(path, change)
    assert json.loads(path.read_text()) == {"old": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


async def test_broken_file_is_not_overwritten(path: Path) -> None:
    write_json(path, '{"auths": ')
    with pytest.raises(CredentialError, match="line 1"):
        await change_file(path, set_x)
    assert path.read_text() == '{"auths": '


async def test_device_is_read_as_empty_and_never_replaced() -> None:
    """`--authfile /dev/null` is how people say "no credentials"."""
    device = Path(os.devnull)
    assert await read_file(device) == ({}, False)
    with pytest.raises(CredentialError, match="not a regular file"):
        await change_file(device, set_x)
    assert not device.is_file()


async def test_file_system_refusal_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        await read_file(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        await change_file(tmp_path / "file" / "config.json", set_x)


ADD = """
import asyncio, sys
from pathlib import Path
from ocipkg_async.transport.credentials.credential_file import change_file

async def add(name):
    for number in range(10):
        await change_file(Path(sys.argv[1]), lambda old: {**old, f"{name}{number}": 1})

asyncio.run(add(sys.argv[2]))
"""


async def test_a50_two_processes_lose_nothing(path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", ADD, str(path), name]) for name in ("a", "b")
    ]
    assert [await to_thread.run_sync(process.wait) for process in running] == [0, 0]
    assert json.loads(path.read_text()).keys() == {f"{n}{i}" for n in "ab" for i in range(10)}
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


async def test_a50_many_tasks_lose_nothing(path: Path) -> None:
    async def add(number: int) -> None:
        await change_file(path, lambda old: {**old, str(number): 1})

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(add, number)
    assert len(json.loads(path.read_text())) == 10


@pytest.mark.parametrize("lock", [credential_file._flock, credential_file._claim])
def test_a50_both_kinds_of_lock_exclude_and_are_left_clean(path: Path, lock: object) -> None:
    assert callable(lock)
    path.parent.mkdir()
    with lock(path) as first:
        with lock(path) as second:
            assert (first, second) == (True, False)
        with lock(path) as third:  # who did not get it must not take it from who did
            assert third is False
    with lock(path) as fourth:
        assert fourth is True
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a50_file_system_without_flock_is_locked_by_claims(path: Path, reason: int) -> None:
    def no_flock(lock: Path) -> AbstractContextManager[bool]:
        lock.touch()
        raise OSError(reason, "no flock here")

    path.parent.mkdir()
    with credential_file._lock(path, flock=no_flock) as first:
        assert first is True
        with credential_file._lock(path, flock=no_flock) as second:
            assert second is False
    assert list(path.parent.iterdir()) == []


def test_a50_other_failures_to_lock_are_no_reason_to_write(path: Path) -> None:
    with pytest.raises(FileNotFoundError), credential_file._lock(path):
        pytest.fail("there is no folder to lock in")


def test_a50_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    late = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        with credential_file._flock(path) as first:
            assert first
        assert credential_file._flock_now(late, path) is False  # removed
        path.touch()
        assert credential_file._flock_now(late, path) is False  # and there is another by now
    finally:
        os.close(late)


async def test_a50_claims_exclude(path: Path) -> None:
    write_json(path, [])

    def add(name: str) -> None:
        for number in range(10):
            while not add_one(f"{name}{number}"):
                time.sleep(0.0001)

    def add_one(text: str) -> bool:
        with credential_file._claim(path.with_name("claim")) as held:
            if held:
                path.write_text(json.dumps([*json.loads(path.read_text()), text]))
            return held

    async with anyio.create_task_group() as group:
        for name in ("a", "b", "c"):
            group.start_soon(to_thread.run_sync, add, name)
    assert len(json.loads(path.read_text())) == 30


async def test_a50_writer_that_hangs_is_an_error_with_a_hint(path: Path) -> None:
    write_json(path, {})
    lock = credential_file._flock(path.parent / ".config.json.lock")
    assert await to_thread.run_sync(lock.__enter__)
    try:
        with pytest.raises(CredentialError, match="being written by another program") as caught:
            await change_file(path, set_x, timeout_s=0.05)
        assert caught.value.hint
        with anyio.move_on_after(0.05) as scope:
            await change_file(path, set_x)
        assert scope.cancelled_caught
    finally:
        await to_thread.run_sync(lock.__exit__, None, None, None)
    assert json.loads(path.read_text()) == {}
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
async def test_a50_root_leaves_a_file_to_its_owner(path: Path) -> None:
    os.chown(write_json(path, {}), 12345, 12345)
    await change_file(path, set_x)
    assert path.stat().st_uid == 12345


async def test_reading_a_pipe_that_nobody_fills_can_be_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with anyio.move_on_after(0.05) as scope:
        await read_file(pipe)
    assert scope.cancelled_caught
    # Lets the thread end, which on a busy machine is yet to come, or was cancelled before it began.
    with anyio.move_on_after(5):
        while True:
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                break
            except OSError:
                await anyio.sleep(0.01)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("nth", range(1, 4))
async def test_a_file_that_is_removed_while_it_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    write_json(path, {"old": 1})
    real = os.path.realpath(path)
    with monkeypatch.context() as patch:
        just_before(patch, "stat", lambda p: p == real, path.unlink, time=nth)
        assert await change_file(path, lambda old: {**old, "new": 2})
    assert json.loads(path.read_text())["new"] == 2
