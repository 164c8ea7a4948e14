"""The tar stream: reproducible, and read the same by others."""

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

import peers
from ocipkg_async.errors import InvalidArgumentError, InvalidPackageError, StorageError
from ocipkg_async.package.collect import collect_directory
from ocipkg_async.package.entry import Entry
from ocipkg_async.package.tar_writer import BLOCK_BYTES, TarWriter, header

GOLDEN_TREE = "02b89fcdb523e5a8eeade17c20d9c3249f8e1dcb5c03aa425897f88b4b8c8d98"


def make_tree(root: Path) -> Path:
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libfoo.so.1").write_bytes(bytes(range(256)) * 8)
    (root / "lib" / "libfoo.so").symlink_to("libfoo.so.1")
    (root / "lib-extra").write_bytes(b"between lib and what is in it\n")
    (root / "empty").mkdir()
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o4755)
    (root / "grüße.txt").write_text("grüße\n", encoding="utf-8")
    deep = root / "/".join(["deep-directory"] * 10)
    deep.mkdir(parents=True)
    (deep / ("n" * 120)).write_bytes(b"long\n")
    return root


def tar_of(entries: list[Entry], *, mtime_s: int = 0, prefix: str = "") -> bytes:
    pieces: list[bytearray] = []
    tar = TarWriter(pieces.append, mtime_s=mtime_s, prefix=prefix)
    for entry in entries:
        tar.add(entry)
    tar.close()
    assert tar.size == sum(map(len, pieces))
    assert all(len(piece) == BLOCK_BYTES for piece in pieces[:-1])
    return b"".join(pieces)


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def test_i69_a_tree_has_one_digest_everywhere(tmp_path: Path) -> None:
    data = tar_of(collect_directory(make_tree(tmp_path / "tree")))
    assert hashlib.sha256(data).hexdigest() == GOLDEN_TREE


def test_i69_times_modes_and_owners_do_not_count(tmp_path: Path) -> None:
    one, other = make_tree(tmp_path / "one"), make_tree(tmp_path / "other")
    for path in other.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1e9, 1e9))
            path.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
    os.link(other / "lib-extra", tmp_path / "second-name")
    assert tar_of(collect_directory(one)) == tar_of(collect_directory(other))


def test_tarfile_reads_everything_back(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    data = tar_of(collect_directory(tree), mtime_s=1234567890)
    found = members(data)
    assert [m.name for m in found] == sorted(
        (p.relative_to(tree).as_posix() for p in tree.rglob("*")), key=str.encode
    )
    by_name = {m.name: m for m in found}
    assert all(
        (m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, "", "", 1234567890) for m in found
    )
    assert by_name["lib/libfoo.so"].linkname == "libfoo.so.1"
    assert by_name["lib/libfoo.so"].issym()
    assert by_name["run"].mode == 0o755, "setuid is not kept"
    assert by_name["grüße.txt"].mode == 0o644
    assert by_name["empty"].isdir()
    assert by_name["empty"].mode == 0o755
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for path in tree.rglob("*"):
            if path.is_file() and not path.is_symlink():
                file = tar.extractfile(path.relative_to(tree).as_posix())
                assert file is not None
                assert file.read() == path.read_bytes()


def test_gnu_tar_reads_everything_back(tmp_path: Path) -> None:
    tar = peers.require("tar")
    tree = make_tree(tmp_path / "tree")
    (tmp_path / "tree.tar").write_bytes(tar_of(collect_directory(tree)))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run([tar, "xf", tmp_path / "tree.tar", "-C", out], check=True)
    assert tar_of(collect_directory(out)) == (tmp_path / "tree.tar").read_bytes()


def test_ends_with_exactly_two_zero_blocks(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 512)
    data = tar_of(collect_directory(tmp_path))
    assert len(data) == 512 + 512 + 1024
    assert data[-1024:] == bytes(1024)
    assert data[512:1024] == b"x" * 512


def test_a_directory_has_a_slash_in_its_header(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert tar_of(collect_directory(tmp_path))[:4] == b"d/\0\0"


def test_a_prefix_stands_before_every_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    data = tar_of(collect_directory(tmp_path), prefix="a/b")
    assert [m.name for m in members(data)] == ["a/b/d", "a/b/f"]


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 255, 256, 257, 1000])
def test_names_of_any_length_survive(length: int) -> None:
    for name in (
        "n" * length,
        "d/" * (length // 2) + "x",
        "p" * (length - 4) + "/abc",
        "ü" * length,
    ):
        for kind, suffix in (("file", ""), ("directory", "/")):
            data = header(name + suffix, kind, mode=0o644) + bytes(1024)
            (member,) = members(data)
            assert (member.name, member.isdir()) == (name, kind == "directory")


@pytest.mark.parametrize("name", ["n" * 100, "p" * 155 + "/" + "n" * 100])
def test_pax_records_come_only_where_needed(name: str) -> None:
    assert len(header(name, "file", mode=0o644)) == 512
    assert len(header(name + "n", "file", mode=0o644)) == 3 * 512


@pytest.mark.parametrize("target", ["t" * 100, "t" * 101, "ü", "../" * 60 + "x"])
def test_link_targets_survive(target: str) -> None:
    (member,) = members(header("l", "symlink", mode=0o777, link=target) + bytes(1024))
    assert member.linkname == target


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 10**15])
def test_sizes_past_eight_gibibytes_are_told(size: int) -> None:
    assert (
        tarfile.TarInfo.frombuf(header("f", "file", mode=0o644)[:512], "utf-8", "strict").size == 0
    )
    data = header("f", "file", mode=0o644, size=size)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        first = tar.next()
    assert first is not None
    assert first.size == size


def test_the_time_must_fit() -> None:
    for mtime_s in (-1, 8**11):
        with pytest.raises(InvalidArgumentError):
            TarWriter(lambda _: None, mtime_s=mtime_s)


def test_content_longer_than_a_block_is_cut_without_loss(tmp_path: Path) -> None:
    content = os.urandom(2 * BLOCK_BYTES + 12345)
    (tmp_path / "f").write_bytes(content)
    data = tar_of(collect_directory(tmp_path))
    assert data[512 : 512 + len(content)] == content
    assert data.endswith(bytes(1024))
    assert len(data) % 512 == 0


@pytest.mark.parametrize("change", [b"longer than before", b"short"])
def test_a_file_of_another_size_than_found_is_refused(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"as it was")
    entries = collect_directory(tmp_path)
    path.write_bytes(change)
    with pytest.raises(InvalidPackageError, match="changed") as caught:
        tar_of(entries)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_file_that_became_a_symlink_or_fifo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"secret")
    entries = collect_directory(tmp_path)
    path.rename(tmp_path / "g")
    path.symlink_to("g")
    with pytest.raises(InvalidPackageError, match="changed"):
        tar_of(entries)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidPackageError, match="changed"):
        tar_of(entries)


def test_a_file_that_vanished_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    entries = collect_directory(tmp_path)
    (tmp_path / "f").unlink()
    with pytest.raises(StorageError, match="No such file"):
        tar_of(entries)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0o200)
    with pytest.raises(StorageError, match="Permission"):
        tar_of(collect_directory(tmp_path))


def test_a_read_error_is_a_storage_error() -> None:
    # Reading at address 0 fails with EIO, for root too.
    entry = Entry("mem", "file", "/proc/self/mem", size=1)
    if not Path(entry.path).exists():
        pytest.skip("no /proc")
    with pytest.raises(StorageError, match="/proc/self/mem"):
        tar_of([entry])
