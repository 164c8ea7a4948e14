"""Reading tar archives strictly: I-60, S-27, S-31, S-32 and the ways other readers were fooled."""

import hashlib
import io
import subprocess
from pathlib import Path

import pytest

from ocipkg_async.errors import (
    InvalidPackageError,
    LimitExceededError,
    UnsafeArchiveError,
    UnsupportedError,
)
from ocipkg_async.package import UnpackLimits
from ocipkg_async.package.tar_reader import Kind, TarEntry, TarReader
from package import raw_tar as raw
from peers import require


def read(data: bytes, limits: UnpackLimits | None = None) -> list[tuple[TarEntry, bytes]]:
    found = []
    reader = TarReader(io.BytesIO(data).read, limits=limits)
    for entry in reader:
        content = bytearray(entry.size)
        for offset, piece in reader.pieces():
            content[offset : offset + len(piece)] = piece
        found.append((entry, bytes(content)))
    return found


def names(data: bytes) -> list[str]:
    return [entry.name for entry, _ in read(data)]


def test_every_kind_of_entry() -> None:
    data = raw.archive(
        raw.folder(b"d/"),
        raw.file(b"d/f", b"hello", mode=0o100755, mtime=1234567890),
        raw.symlink(b"d/s", b"../x"),
        raw.hardlink(b"d/h", b"d/f"),
        raw.header(b"c", kind=b"3"),
        raw.header(b"b", kind=b"4"),
        raw.header(b"p", kind=b"6"),
        raw.file(b"contiguous", b"7", kind=b"7"),
        raw.header(b"old/", kind=b"\0"),
        raw.file(b"oldfile", b"v7", kind=b"\0", magic=bytes(8)),
    )
    found = read(data)
    assert [(entry.name, entry.kind, entry.link) for entry, _ in found] == [
        ("d", Kind.DIRECTORY, ""),
        ("d/f", Kind.FILE, ""),
        ("d/s", Kind.SYMLINK, "../x"),
        ("d/h", Kind.HARDLINK, "d/f"),
        ("c", Kind.CHARACTER, ""),
        ("b", Kind.BLOCK, ""),
        ("p", Kind.FIFO, ""),
        ("contiguous", Kind.FILE, ""),
        ("old", Kind.DIRECTORY, ""),
        ("oldfile", Kind.FILE, ""),
    ]
    entry, content = found[1]
    assert (entry.mode, entry.mtime_s, content) == (0o755, 1234567890, b"hello")


def test_i60_names_of_ustar_pax_and_gnu() -> None:
    long = b"l" * 150 + b"/" + b"n" * 120
    data = raw.archive(
        raw.file(b"name", tail=b"prefix/of"),
        raw.file(b"gnu", magic=raw.GNU, tail=b"not a prefix"),
        raw.file(b"star", tail=b"short" + bytes(126) + b"00000000001 " * 2 + bytes(8) + b"tar\0"),
        raw.pax({b"path": long}) + raw.file(b"cut"),
        raw.long_name(long) + raw.file(b"cut", magic=raw.GNU),
        raw.long_name(long, b"K") + raw.symlink(b"s", b"cut"),
        raw.pax({b"linkpath": "zi\u00e9l".encode()}) + raw.symlink(b"s2", b"cut"),
        raw.file(b"n" * 100),
    )
    found = [(entry.name, entry.link) for entry, _ in read(data)]
    text = long.decode()
    assert found == [
        ("prefix/of/name", ""),
        ("gnu", ""),
        ("short/star", ""),
        (text, ""),
        (text, ""),
        ("s", text),
        ("s2", "zi\u00e9l"),
        ("n" * 100, ""),
    ]


def test_i67_extended_attributes_are_read_over_and_times_have_fractions() -> None:
    records = {b"mtime": b"-12.25", b"SCHILY.xattr.user.a": b"\0\n=\xff", b"uid": b"99999999999"}
    [(entry, content)] = read(raw.archive(raw.pax(records) + raw.file(b"f", b"x")))
    assert (entry.mtime_s, content) == (-12.25, b"x")


def test_pax_size_counts_and_an_empty_value_takes_it_back() -> None:
    big = raw.pax({b"size": b"5"}) + raw.header(b"f") + raw.padded(b"hello")
    none = raw.pax({b"path": b""}) + raw.file(b"kept")
    assert [(e.name, c) for e, c in read(raw.archive(big, none))] == [
        ("f", b"hello"),
        ("kept", b""),
    ]


def test_base256_sizes() -> None:
    size = b"\x80" + (5).to_bytes(11, "big")
    data = raw.header(b"f", size=size) + raw.padded(b"hello")
    before_1970 = raw.file(b"g", mtime=b"\xff" * 12)
    found = read(raw.archive(data, before_1970))
    assert found[0][1] == b"hello"
    assert found[1][0].mtime_s == -1


def test_global_header_with_a_comment_is_read_over() -> None:
    data = raw.archive(raw.pax({b"comment": b"0123abcd"}, b"g"), raw.file(b"f"))
    assert names(data) == ["f"]


def test_names_that_are_not_utf8_keep_their_bytes() -> None:
    assert names(raw.archive(raw.file(b"caf\xe9"))) == ["caf\udce9"]


def sparse_old(*, spans: list[tuple[int, int]], real: int, data: bytes, more: bytes = b"") -> bytes:
    fields = b"".join(raw.octal(offset) + raw.octal(length) for offset, length in spans)
    tail = bytes(41) + fields.ljust(96, b"\0") + (b"\1" if more else b"\0") + raw.octal(real)
    block = raw.header(b"sparse", kind=b"S", size=len(data), magic=raw.GNU, tail=tail)
    return block + more + raw.padded(data)


def test_gnu_sparse_file_as_tar_rs_writes_it() -> None:
    data = sparse_old(spans=[(0, 3), (1000, 4), (2000, 0)], real=2000, data=b"abcdefg")
    [(entry, content)] = read(raw.archive(data))
    assert (entry.kind, entry.size) == (Kind.FILE, 2000)
    assert content == b"abc" + bytes(997) + b"defg" + bytes(996)


def test_gnu_sparse_file_with_extension_blocks() -> None:
    spans = [(10 * n, 1) for n in range(30)]
    packed = [raw.octal(offset) + raw.octal(length) for offset, length in spans]
    more = b"".join(packed[4:25]) + b"\1" + bytes(7)
    more += b"".join(packed[25:]).ljust(504, b"\0") + bytes(8)
    [(_, content)] = read(
        raw.archive(sparse_old(spans=spans[:4], real=300, data=b"x" * 30, more=more))
    )
    assert content == (b"x" + bytes(9)) * 30


@pytest.mark.parametrize("version", ["0.1", "1.0"])
def test_pax_sparse_files(version: str) -> None:
    if version == "0.1":
        records = {b"GNU.sparse.map": b"0,3,1000,4", b"GNU.sparse.size": b"2000"}
        stored = b"abcdefg"
    else:
        records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"}
        records[b"GNU.sparse.realsize"] = b"2000"
        stored = raw.padded(b"2\n0\n3\n1000\n4\n") + b"abcdefg"
    records[b"GNU.sparse.name"] = b"real/name"
    data = raw.pax(records) + raw.file(b"GNUSparseFile.1/name", stored)
    [(entry, content), (after, _)] = read(raw.archive(data, raw.file(b"after")))
    assert (entry.name, entry.size, after.name) == ("real/name", 2000, "after")
    assert content == b"abc" + bytes(997) + b"defg" + bytes(996)


@pytest.mark.parametrize(
    ("spans", "real", "data"),
    [
        ([(0, 3), (2, 4)], 100, b"abcdefg"),
        ([(50, 3), (0, 4)], 100, b"abcdefg"),
        ([(0, 3), (98, 4)], 100, b"abcdefg"),
        ([(0, 3)], 100, b"abcdefg"),
        ([(0, 9)], 100, b"abcdefg"),
    ],
    ids=["overlap", "backwards", "past the end", "less than stored", "more than stored"],
)
def test_s27_sparse_maps_must_fit(spans: list[tuple[int, int]], real: int, data: bytes) -> None:
    with pytest.raises(InvalidPackageError, match="sparse"):
        read(raw.archive(sparse_old(spans=spans, real=real, data=data)))


DAMAGED = {
    "checksum": raw.header(b"f", checksum=b"000000\0 "),
    "negative size": raw.header(b"f", size=b"\xff" * 12),
    "absurd size": raw.header(b"f", size=b"\x80" + b"\x7f" * 11),
    "size no number": raw.header(b"f", size=b"12x45678901\0"),
    "size with a NUL inside": raw.header(b"f", size=b"0001\x000001\0\0\0"),
    "negative mode": raw.header(b"f", mode=b"\xff" * 8),
    "empty name": raw.header(b""),
    "empty long name": raw.long_name(b"") + raw.file(b"f"),
    "NUL in a long name": raw.long_name(b"a\0b") + raw.file(b"f"),
    "NUL in a PAX name": raw.pax({b"path": b"a\0b"}) + raw.file(b"f"),
    "NUL in a PAX link": raw.pax({b"linkpath": b"a\0b"}) + raw.symlink(b"f", b"g"),
    "symlink without target": raw.symlink(b"s", b""),
    "hard link without target": raw.hardlink(b"s", b""),
    "hard link with content": raw.header(b"h", kind=b"1", link=b"f", size=5),
    "folder with content": raw.header(b"d", kind=b"5", size=512) + bytes(512),
    "device with content": raw.header(b"d", kind=b"3", size=512) + bytes(512),
    "file named like a folder": raw.file(b"f/"),
    "two local headers": raw.pax({b"path": b"a"}) + raw.pax({b"path": b"b"}) + raw.file(b"f"),
    "two long names": raw.long_name(b"a") + raw.long_name(b"b") + raw.file(b"f"),
    "GNU and PAX name": raw.long_name(b"a") + raw.pax({b"path": b"b"}) + raw.file(b"f"),
    "local header before global": raw.pax({b"path": b"a"}) + raw.pax({}, b"g") + raw.file(b"f"),
    "PAX key twice": raw.pax(raw.record(b"path", b"a") + raw.record(b"path", b"b")),
    "PAX record too long": raw.pax(b"99 path=a\n"),
    "PAX record too short": raw.pax(b"3 path=a\n"),
    "PAX record of no length": raw.pax(b"0 path=a\n"),
    "PAX negative length": raw.pax(b"-9 path=a\n"),
    "PAX record without newline": raw.pax(b"9 path=ab"),
    "PAX record without key": raw.pax(b"6 =ab\n"),
    "PAX negative size": raw.pax({b"size": b"-1"}) + raw.file(b"f"),
    "PAX size no number": raw.pax({b"size": b"1e3"}) + raw.file(b"f"),
    "PAX absurd size": raw.pax({b"size": b"9" * 30}) + raw.file(b"f"),
    "PAX absurd time": raw.pax({b"mtime": b"9" * 30}) + raw.file(b"f"),
    "PAX time no number": raw.pax({b"mtime": b"nan"}) + raw.file(b"f"),
    "sparse map of 0.1 odd": raw.pax({b"GNU.sparse.map": b"0,1,2", b"GNU.sparse.size": b"9"})
    + raw.file(b"f", b"x"),
    "sparse map of 1.0 endless": raw.pax(
        {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9"}
    )
    + raw.file(b"f", b"9999999\n".ljust(512, b"1")),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_s31_damaged_and_ambiguous_headers_are_errors(damage: str) -> None:
    # A good entry before and after: nothing is skipped to get there.
    data = raw.archive(raw.file(b"before", b"b"), DAMAGED[damage], raw.file(b"after", b"a"))
    with pytest.raises(InvalidPackageError):
        read(data)


def test_s31_an_extended_header_needs_an_entry() -> None:
    for header in (raw.pax({b"path": b"a"}), raw.long_name(b"a"), raw.long_name(b"a", b"K")):
        with pytest.raises(InvalidPackageError, match="before no entry"):
            read(raw.archive(header))


def test_signed_checksums_of_old_writers_are_accepted() -> None:
    block = bytearray(raw.header(b"caf\xe9", checksum=b" " * 8))
    block[148:156] = b"%06o\0 " % (sum(block) - 256)
    assert names(raw.archive(bytes(block))) == ["caf\udce9"]


@pytest.mark.parametrize("key", [b"path", b"linkpath", b"size", b"GNU.sparse.major"])
def test_s32_global_headers_may_not_name_or_size_entries(key: bytes) -> None:
    with pytest.raises(UnsafeArchiveError, match="global"):
        read(raw.archive(raw.pax({key: b"1"}, b"g"), raw.file(b"f")))


@pytest.mark.parametrize("kind", [b"M", b"V", b"D", b"A", b"\xff"])
def test_unknown_types_are_unsupported(kind: bytes) -> None:
    with pytest.raises(UnsupportedError):
        read(raw.archive(raw.header(b"f", kind=kind)))


@pytest.mark.parametrize(
    "records",
    [raw.record(b"GNU.sparse.offset", b"0"), raw.record(b"GNU.sparse.major", b"2")],
    ids=["0.0", "2"],
)
def test_unknown_sparse_versions_are_unsupported(records: bytes) -> None:
    with pytest.raises(UnsupportedError, match="sparse"):
        read(raw.archive(raw.pax(records) + raw.file(b"f")))


def test_s27_extended_headers_are_bounded() -> None:
    limits = UnpackLimits(pax_bytes=2000, path_bytes=100, entries=3)
    for data in (
        raw.pax({b"SCHILY.xattr.a": b"x" * 3000}) + raw.file(b"f"),
        raw.long_name(b"x" * 3000) + raw.file(b"f"),
        raw.long_name(b"x" * 200) + raw.file(b"f"),
        raw.pax({b"linkpath": b"x" * 200}) + raw.symlink(b"f", b"g"),
        b"".join([raw.pax({}, b"g")] * 4),
        sparse_old(spans=[(0, 1)] * 4, real=9, data=b"", more=(bytes(504) + b"\1" + bytes(7)) * 9),
    ):
        with pytest.raises(LimitExceededError) as caught:
            read(raw.archive(data), limits)
        assert caught.value.hint


def test_s03_a_declared_size_reserves_nothing() -> None:
    """A header of 8 EiB costs no memory; the content is simply not there."""
    huge = raw.header(b"f", size=b"\x80\0\0\0" + (2**62).to_bytes(8, "big"))
    reader = TarReader(io.BytesIO(huge + b"x" * 512).read)
    sizes = (len(piece) for _ in reader for _, piece in reader.pieces())
    with pytest.raises(InvalidPackageError, match="early"):
        sum(sizes)


def test_s31_cut_off_anywhere_is_an_error() -> None:
    data = raw.archive(
        raw.folder(b"d"),
        raw.pax({b"path": b"d/" + b"n" * 200}) + raw.file(b"x", b"content" * 200),
        raw.long_name(b"d/" + b"m" * 200) + raw.file(b"x", b"c"),
        sparse_old(spans=[(0, 3), (900, 4)], real=1000, data=b"abcdefg"),
    )
    for end in {*range(1, len(data) - raw.BLOCK, 37), *range(0, len(data) - raw.BLOCK, raw.BLOCK)}:
        with pytest.raises(InvalidPackageError):
            read(data[:end])
    assert len(read(data[: -raw.BLOCK])) == 4, "one zero block and the end is an end, as for Go"


def test_an_archive_without_its_end_is_whole_where_a_digest_says_so() -> None:
    """Layers of umoci 0.4 have neither zero blocks nor, after the last file, padding."""
    data = raw.file(b"a", b"1") + raw.file(b"b", b"2")
    for whole in (data, data[: -raw.BLOCK + 1]):
        reader = TarReader(io.BytesIO(whole).read, algorithm="sha256", needs_end=False)
        assert [entry.name for entry in reader] == ["a", "b"]
        assert reader.stream_digest == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    pending = data + raw.long_name(b"x")
    for cut in (data[:-1], data[: -raw.BLOCK], data[:600], data[: raw.BLOCK * 2 + 9], pending):
        with pytest.raises(InvalidPackageError):
            list(TarReader(io.BytesIO(cut).read, needs_end=False))


def test_s32_nothing_but_zeros_may_follow_the_end() -> None:
    good = raw.archive(raw.file(b"f"))
    assert names(good + bytes(10_000)) == ["f"]
    with pytest.raises(InvalidPackageError, match="follows the end"):
        read(good + raw.archive(raw.file(b"hidden")))
    with pytest.raises(InvalidPackageError, match="after a block of zeros"):
        read(raw.file(b"f") + bytes(raw.BLOCK) + raw.file(b"hidden") + bytes(1024))


def test_bytes_that_are_no_archive() -> None:
    for data in (b"", b"hello", b"x" * 2000, b"\x7fELF".ljust(4096, b"\1")):
        with pytest.raises(InvalidPackageError):
            read(data)


def test_content_not_taken_is_skipped() -> None:
    data = raw.archive(raw.file(b"a", b"x" * 3000), raw.file(b"b", b"y"))
    reader = TarReader(io.BytesIO(data).read)
    seen = []
    for entry in reader:
        seen.append(entry.name)
        if entry.name == "a":
            next(iter(reader.pieces()))
    assert seen == ["a", "b"]


def test_digests_of_archive_and_stream() -> None:
    """ORAS hashes what Go's reader takes, the layer's diff id is over all of it."""
    data = raw.archive(raw.file(b"f", b"x" * 5000))
    reader = TarReader(io.BytesIO(data + bytes(7168)).read, algorithm="sha256")
    list(reader)
    assert reader.archive_digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert reader.stream_digest == f"sha256:{hashlib.sha256(data + bytes(7168)).hexdigest()}"


@pytest.mark.parametrize("sizes", [1, 7, 511, 513])
def test_a_source_that_gives_few_bytes_at_a_time(sizes: int) -> None:
    data = raw.archive(raw.long_name(b"n" * 300) + raw.file(b"x", b"abc" * 400), raw.file(b"b"))
    file = io.BytesIO(data)
    reader = TarReader(lambda wanted: file.read(min(wanted, sizes)), algorithm="sha256")
    assert [entry.name for entry in reader] == ["n" * 300, "b"]
    assert reader.archive_digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("options", ["gnu", "pax", "ustar", "oldgnu", "v7"])
def test_what_gnu_tar_writes(tmp_path: Path, options: str) -> None:
    tree = tmp_path / "tree"
    deep = tree / "d" if options == "v7" else tree / ("d" * 60) / ("e" * 60) / ("f" * 60)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"content\n" * 1000)
    (deep / "link").symlink_to("file")
    (tree / "a").write_bytes(b"a")
    (tree / "b").hardlink_to(tree / "a")
    command = [
        require("tar"),
        f"--format={options}",
        "--sort=name",
        "-cf",
        "-",
        "-C",
        str(tree),
        ".",
    ]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    found = {entry.name.removeprefix("./"): (entry, content) for entry, content in read(data)}
    inside = deep.relative_to(tree)
    assert found[f"{inside}/file"][1] == b"content\n" * 1000
    assert found[f"{inside}/link"][0].link == "file"
    assert (found["b"][0].kind, found["b"][0].link) == (Kind.HARDLINK, "./a")


@pytest.mark.parametrize("options", [("gnu",), ("pax", "--sparse-version=1.0")])
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for n in range(40):
            file.seek(n * 128 * 1024)
            file.write(b"%d" % n * 4096)
        file.truncate(6 << 20)
    form, *more = options
    command = [
        "tar",
        f"--format={form}",
        *more,
        "--sparse",
        "-cf",
        "-",
        "-C",
        str(tmp_path),
        "sparse",
    ]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    if len(data) > 5 << 20:
        pytest.skip("the file system of the temporary folder keeps no holes")
    [(entry, content)] = read(data)
    assert entry.name == "sparse"
    assert content == path.read_bytes()
