"""What was unpacked, as lines of text, and the digests of files."""

import hashlib
import io
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from ocipkg_async.errors import InvalidDocumentError, LimitExceededError
from ocipkg_async.package import UnpackLimits
from ocipkg_async.package.extract import Extractor
from ocipkg_async.package.file_digests import CHUNK_BYTES, FileDigests, digest_of
from ocipkg_async.package.listing import ListedFile, ListedFolder, ListedLink, decode, encode
from ocipkg_async.package.tar_reader import TarReader
from package import raw_tar as raw


def listed(root: Path, *layers: bytes) -> ListedFolder:
    with Extractor(root, mode="rootfs", listing=True) as extractor:
        for layer in layers:
            extractor.apply(TarReader(io.BytesIO(layer).read))
        extractor.finish()
        return extractor.listing()


def file(path: Path) -> ListedFile:
    found = path.stat()
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return ListedFile(
        size=found.st_size,
        executable=bool(found.st_mode & 0o100),
        mtime_ns=found.st_mtime_ns,
        digest=digest,
    )


def test_what_was_unpacked_is_listed(tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    listing = listed(
        tmp_path,
        raw.archive(
            raw.file(b"old", b"x"),
            raw.file(b"bin/tool", b"tool", mode=0o755),
            raw.hardlink(b"second", b"bin/tool"),
            raw.symlink(b"alias", b"../elsewhere"),
            raw.file(b"odd\xff", b"name"),
            raw.header(b"device", kind=b"3"),
        ),
        raw.archive(
            raw.file(b".wh.old"),
            raw.file(b"bin/large", large),
            raw.folder(b"empty/"),
        ),
    )
    children = listing.children
    assert children.keys() == {"bin", "second", "alias", "odd\udcff", "empty"}
    assert children["second"] == file(tmp_path / "bin/tool")
    assert children["bin"] == ListedFolder(
        {"tool": file(tmp_path / "bin/tool"), "large": file(tmp_path / "bin/large")}
    )
    assert children["alias"] == ListedLink("../elsewhere")
    assert children["empty"] == ListedFolder()
    lines = list(encode(listing))
    assert decode(lines, UnpackLimits()) == listing
    assert b"".join(lines).isascii()


def test_holes_cost_nothing(tmp_path: Path) -> None:
    """The digest of 100 GiB of zeros would take minutes."""
    size = 100 << 30
    records = {b"GNU.sparse.map": b"512,3,3000000,4", b"GNU.sparse.size": b"%d" % size}
    records[b"GNU.sparse.name"] = b"file"
    listing = listed(tmp_path, raw.archive(raw.pax(records) + raw.file(b"x", b"abcdefg")))
    found = listing.children["file"]
    assert isinstance(found, ListedFile)
    assert found.size == size

    def check() -> None: ...

    path = tmp_path / "file"
    assert digest_of(path, found.digest, check=check) == found.digest
    with path.open("r+b") as opened:
        opened.seek(50 << 30)
        opened.write(b"x")
    assert digest_of(path, found.digest, check=check) != found.digest


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 5)],
        [(CHUNK_BYTES - 3, 7)],
        [(1, CHUNK_BYTES), (2 * CHUNK_BYTES + 9, 3 * CHUNK_BYTES)],
        [],
    ],
    ids=str,
)
def test_digest_of_a_file_with_holes_is_that_of_its_content(
    tmp_path: Path, spans: list[tuple[int, int]]
) -> None:
    """However it is cut into pieces, and whether its zeros are holes on the disk or not."""
    size = 6 * CHUNK_BYTES + 11
    content = bytearray(size)
    digests = FileDigests()
    digest = digests.begin(size, holes=True)
    for offset, length in spans:
        data = os.urandom(length)
        content[offset : offset + length] = data
        half = length // 2
        digest.update(offset, memoryview(data)[:half])
        digest.update(offset + half, memoryview(data)[half:])
    digest.end()
    digests.settle()
    digests.close()
    (tmp_path / "full").write_bytes(content)
    assert digest_of(tmp_path / "full", digest.text, check=lambda: None) == digest.text


def test_unknown_digest(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for text in ("", "md5:00", "sha256"):
        if text != "sha256":
            with pytest.raises(InvalidDocumentError):
                digest_of(tmp_path / "file", text, check=lambda: None)


FILE = [0, "f", 1, True, 2, "sha256:00"]


@pytest.mark.parametrize(
    "lines",
    [
        [[1, "f"]],
        [[-1, "f"]],
        [[0, "d"], [2, "f"]],
        [FILE, [1, "inside"]],
        [FILE, FILE],
        [[0, ""]],
        [[0, ".."]],
        [[0, "a/b"]],
        [[0, "a\0b"]],
        [[0]],
        [["0", "f"]],
        [[0, "f", 1]],
        [[0, "f", 1, 1, 2, "sha256:00"]],
        [{}],
    ],
    ids=str,
)
def test_damaged_lines_are_refused(lines: list[object]) -> None:
    with pytest.raises(InvalidDocumentError):
        decode([json.dumps(line).encode() for line in lines], UnpackLimits())
    with pytest.raises(InvalidDocumentError):
        decode([b"[" * 100_000], UnpackLimits())


@pytest.mark.parametrize(
    "limits", [UnpackLimits(entries=2), UnpackLimits(total_bytes=2), UnpackLimits(file_bytes=1)]
)
def test_more_than_the_limits_allow(limits: UnpackLimits) -> None:
    lines = [json.dumps([0, str(n), 2, False, 0, "sha256:00"]).encode() for n in range(3)]
    with pytest.raises(LimitExceededError):
        decode(lines, limits)


def test_text_grows_with_names_and_not_with_paths() -> None:
    """A hostile package has many names in a deep folder, and its paths compress well."""
    deep = ListedFolder({str(n): ListedFolder() for n in range(20_000)})
    for _ in range(120):
        deep = ListedFolder({"d" * 200: deep})
    tracemalloc.start()
    try:
        size = sum(map(len, encode(deep)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 1_000_000
    assert peak < 20_000_000
