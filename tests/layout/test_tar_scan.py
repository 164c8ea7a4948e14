"""The strict scan of tar headers, against what the standard library and a hostile hand write."""

import os
import tarfile
from pathlib import Path

import pytest

from layout.samples import tar_of
from ocipkg_async.errors import InvalidLayoutError, LimitExceededError, OCIError, UnsupportedError
from ocipkg_async.layout import tar_scan, tar_write
from ocipkg_async.layout.random_file import RandomFile
from ocipkg_async.layout.tar_scan import Member


def scan(path: Path, *, positioned: bool = True) -> list[Member]:
    with path.open("rb") as file:
        return list(tar_scan.scan(RandomFile(file.fileno(), name=str(path), positioned=positioned)))


def scan_bytes(tmp_path: Path, data: bytes) -> list[Member]:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    return scan(path)


def raw_header(
    name: str = "a", size: int = 0, kind: bytes = b"0", *, number: bytes = b"", magic: bytes = b""
) -> bytes:
    """Return a header with the size and magic fields put over it and the checksum made right."""
    block = bytearray(tar_write.header(name, size))
    block[156:157] = kind
    block[124 : 124 + len(number)] = number
    block[257 : 257 + len(magic)] = magic
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("positioned", [True, False])
@pytest.mark.parametrize("dialect", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_dialect_is_read_as_the_standard_library_reads_it(
    tmp_path: Path, dialect: int, positioned: bool
) -> None:
    names = ["./", "a", "./b/c", "d/" * 60 + "prefix", "blobs/sha512/" + "e" * 84]
    if dialect != tarfile.USTAR_FORMAT:
        names += ["blobs/sha512/" + "f" * 128, "ü"]
    members: list[tuple[str | tarfile.TarInfo, bytes]] = []
    for name in names:
        info = tarfile.TarInfo(name)
        info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
        members.append((info, b"" if info.isdir() else name.encode() * 100))
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of(members, dialect=dialect))
    found = scan(path, positioned=positioned)
    with tarfile.open(path) as tar:
        expected = [(i.name, i.isdir(), i.size, i.offset_data) for i in tar.getmembers()]
    assert [(m.name.rstrip("/"), m.kind == "folder", m.size, m.offset) for m in found] == expected


def test_links_and_devices_are_told(tmp_path: Path) -> None:
    kinds = {
        tarfile.SYMTYPE: "link",
        tarfile.LNKTYPE: "link",
        tarfile.FIFOTYPE: "special",
        tarfile.CHRTYPE: "special",
        tarfile.BLKTYPE: "special",
        tarfile.DIRTYPE: "folder",
        tarfile.AREGTYPE: "file",
    }
    members: list[tuple[str | tarfile.TarInfo, bytes]] = []
    for kind in kinds:
        info = tarfile.TarInfo("x")
        info.type = kind
        info.linkname = "y"
        members.append((info, b""))
    assert [m.kind for m in scan_bytes(tmp_path, tar_of(members))] == list(kinds.values())


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 2**40])
def test_o13_large_members_have_a_pax_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.tar"
    header = tar_write.header("blobs/sha256/" + 64 * "a", size)
    assert (len(header) > tar_write.BLOCK) == (size > 8**11 - 1)
    assert b"\x80" not in header
    end = len(header) + size + len(tar_write.padding(size))
    try:
        with path.open("wb") as file:  # a sparse file: nothing of its size is written
            file.write(header)
            file.seek(end)
            file.write(tar_write.END)
    except OSError:
        pytest.skip("the file system takes no file of this size")
    [member] = scan(path)
    assert (member.size, member.offset) == (size, len(header))
    with tarfile.open(path) as tar:
        [info] = tar.getmembers()
    assert (info.size, info.name) == (size, member.name)


def test_our_headers_are_plain_and_the_same_everywhere() -> None:
    header = tar_write.header("blobs/sha256/" + 64 * "a", 5)
    info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    assert (info.mode, info.uid, info.gid, info.mtime, info.uname) == (0o644, 0, 0, 0, "")
    assert header[257:265] == b"ustar\x0000"


def test_base_256_numbers_are_read(tmp_path: Path) -> None:
    data = b"hello".ljust(512, b"\0") + bytes(1024)
    [octal] = scan_bytes(tmp_path, raw_header(size=5, magic=b"ustar  \0") + data)
    number = b"\x80" + (5).to_bytes(11, "big")
    [base] = scan_bytes(tmp_path, raw_header(number=number) + data)
    assert octal == base
    assert base.size == 5


def test_what_follows_the_end_is_ignored(tmp_path: Path) -> None:
    data = tar_of([("a", b"x")])
    assert len(scan_bytes(tmp_path, data + tar_of([("b", b"y")]))) == 1
    end = raw_header("a")
    assert len(scan_bytes(tmp_path, end + bytes(512))) == 1
    assert len(scan_bytes(tmp_path, end + bytes(1024))) == 1


CUT = tar_of([("a", b"x" * 2000)])


@pytest.mark.parametrize(
    "length", [0, 1, 511, 512, 513, 2511, 2512, 2560, 2561, 3071], ids=lambda n: f"{n}-bytes"
)
def test_a_cut_off_archive_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(InvalidLayoutError):
        scan_bytes(tmp_path, CUT[:length])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"x" * 1024, InvalidLayoutError),
        (b"PK\3\4".ljust(1024, b"x"), InvalidLayoutError),
        (raw_header(size=1)[:-1] + b"\1" + bytes(1536), InvalidLayoutError),
        (bytes(512) + raw_header() + bytes(1024), InvalidLayoutError),
        (raw_header(number=b"0000000000x\0") + bytes(1024), InvalidLayoutError),
        (raw_header(number=b"-0000000001\0") + bytes(1024), InvalidLayoutError),
        (raw_header(number=b"\xff" * 12) + bytes(1024), InvalidLayoutError),
        (raw_header(number=b"\x80" + b"\xff" * 11) + bytes(1024), InvalidLayoutError),
        (raw_header(size=10**9) + bytes(1024), InvalidLayoutError),
        (raw_header(kind=b"S") + bytes(1024), UnsupportedError),
        (raw_header(kind=b"M") + bytes(1024), UnsupportedError),
        (raw_header(kind=b"x", size=1 << 20) + bytes((1 << 20) + 1024), LimitExceededError),
        (raw_header(kind=b"L", size=1 << 20) + bytes((1 << 20) + 1024), LimitExceededError),
        (raw_header(kind=b"x", size=10**9) + bytes(1024), OCIError),
    ],
    ids=[
        "no-tar",
        "zip",
        "checksum",
        "lone-zero-block",
        "letters",
        "minus",
        "negative",
        "huge",
        "beyond-the-end",
        "sparse",
        "multi-volume",
        "large-pax",
        "large-name",
        "pax-beyond-the-end",
    ],
)
def test_s31_what_is_not_understood_is_refused(
    tmp_path: Path, data: bytes, error: type[OCIError]
) -> None:
    with pytest.raises(error):
        scan_bytes(tmp_path, data)


@pytest.mark.parametrize(
    "records",
    [
        b"0 path=a\n",
        b"-1 path=a\n",
        b"100 path=a\n",
        b"9 path=a",
        b"9 pathxa\n",
        b"xx path=a\n",
        b"5\n",
        b"11 path=a\0b\n",
        b"11 size=-1\n",
        b"13 size=1e3\n",
        b"40 size=" + b"9" * 31 + b"\n",
        b"23 GNU.sparse.major=1\n",
    ],
)
def test_s31_damaged_pax_records_are_refused(tmp_path: Path, records: bytes) -> None:
    data = raw_header(kind=b"x", size=len(records)) + records.ljust(512, b"\0")
    with pytest.raises((InvalidLayoutError, UnsupportedError)):
        scan_bytes(tmp_path, data + raw_header() + bytes(1024))


def test_a_global_header_may_comment_but_not_rename(tmp_path: Path) -> None:
    for record, fine in ((b"13 comment=x\n", True), (b"9 path=a\n", False)):
        data = raw_header(kind=b"g", size=len(record)) + record.ljust(512, b"\0")
        data += raw_header() + bytes(1024)
        if fine:
            assert len(scan_bytes(tmp_path, data)) == 1
        else:
            with pytest.raises(UnsupportedError):
                scan_bytes(tmp_path, data)


def test_an_extension_without_a_member_is_refused(tmp_path: Path) -> None:
    data = raw_header(kind=b"x", size=9) + b"9 path=a\n".ljust(512, b"\0") + bytes(1024)
    with pytest.raises(InvalidLayoutError):
        scan_bytes(tmp_path, data)


def test_s27_the_number_of_members_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_scan, "MAX_MEMBERS", 10)
    with pytest.raises(LimitExceededError):
        scan_bytes(tmp_path, raw_header() * 11 + bytes(1024))
    assert len(scan_bytes(tmp_path, raw_header() * 10 + bytes(1024))) == 10


def test_moving_bytes_that_overlap(tmp_path: Path) -> None:
    path = tmp_path / "x"
    data = os.urandom(9 << 20)
    path.write_bytes(bytes(512) + data)
    with path.open("r+b") as opened:
        for positioned in (True, False):
            file = RandomFile(opened.fileno(), name="x", positioned=positioned)
            file.write(512, data)
            file.move(512, len(data), 1536)
            assert file.read_exactly(1536, len(data)) == data
