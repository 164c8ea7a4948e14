"""Reading oci-archives: the forms that are accepted, and the hostile ones, one for each rule."""

import gzip
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from layout.samples import image_members, index_of, layer, manifest, tar_of, write_tar
from ocipkg_async.content import fetch_bytes, walk
from ocipkg_async.errors import (
    ClosedError,
    DigestMismatchError,
    InvalidLayoutError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    UnsupportedError,
)
from ocipkg_async.layout import ArchiveReader
from ocipkg_async.spec import EMPTY
from ocipkg_async.spec.annotations import REF_NAME
from ocipkg_async.spec.image_layout import blob_path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAME = {REF_NAME: "ghcr.io/org/pkg:v1"}
IMAGE = manifest(layer()[0])
DATA = layer()[1]

Members = list[tuple[str | tarfile.TarInfo, bytes]]


def members_of() -> Members:
    return list(image_members(annotations=NAME).items())


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


async def check(path: Path) -> None:
    async with ArchiveReader.open(path) as reader:
        assert await reader.tags() == ["ghcr.io/org/pkg:v1"]
        for name in ("v1", "ghcr.io/org/pkg:v1", IMAGE.digest):
            assert await reader.resolve(name) == IMAGE.descriptor
        assert len(await walk(reader, IMAGE.descriptor)) == 3
        assert await fetch_bytes(reader, layer()[0]) == DATA
        assert await reader.exists(EMPTY)


async def test_o04_plain(tmp_path: Path) -> None:
    await check(write_tar(tmp_path / "x.tar", members_of()))


async def test_o04_names_with_dot_and_folders(tmp_path: Path) -> None:
    dotted: Members = [
        (f"./{name}", data) for name, data in image_members(annotations=NAME).items()
    ]
    folders: Members = [
        (named(name, tarfile.DIRTYPE), b"") for name in ("./", "./blobs/", "./blobs/sha256")
    ]
    await check(write_tar(tmp_path / "x.tar", folders + dotted))


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
async def test_o04_compressed_as_a_whole(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "x.tar"
    data = tar_of(members_of())
    path.write_bytes(compress(data))
    await check(path)
    path.write_bytes(compress(data[:700]) + compress(data[700:]))
    await check(path)


async def test_index_json_may_come_first_or_last(tmp_path: Path) -> None:
    await check(write_tar(tmp_path / "x.tar", members_of()[::-1]))


async def test_ocipkg_archive(tmp_path: Path) -> None:
    """No oci-layout, a placeholder blob in front, one blob twice, no mediaType in the index."""
    members = image_members(annotations=NAME)
    del members["oci-layout"]
    index = json.loads(members["index.json"])
    del index["mediaType"]
    members["index.json"] = json.dumps(index).encode()
    first: Members = [(blob_path(EMPTY.digest), b"{}")]
    await check(write_tar(tmp_path / "x.tar", first + list(members.items())))


async def test_o24_what_docker_saves_today_is_a_layout(tmp_path: Path) -> None:
    more: Members = [
        ("manifest.json", b"[]"),
        (named("abc/layer.tar", tarfile.SYMTYPE, "../blobs/sha256/x"), b""),
        ("repositories", b"{}"),
    ]
    await check(write_tar(tmp_path / "x.tar", more + members_of()))


async def test_o25_an_old_docker_archive_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", [("manifest.json", b"[]"), ("a.json", b"{}")])
    with pytest.raises(UnsupportedError, match="docker-archive") as caught:
        async with ArchiveReader.open(path):
            pass
    assert "skopeo" in (caught.value.hint or "")


LINK = tarfile.SYMTYPE
BLOB = blob_path(layer("evil")[0].digest)

HOSTILE: dict[str, Members] = {
    "symlink among the blobs": [(named(BLOB, LINK, "/etc/passwd"), b"")],
    "hard link among the blobs": [(named(BLOB, tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "device among the blobs": [(named(BLOB, tarfile.CHRTYPE), b"")],
    "pipe among the blobs": [(named(BLOB, tarfile.FIFOTYPE), b"")],
    "blobs is a link": [(named("blobs", LINK, "/tmp"), b"")],  # noqa: S108
    "folder of blobs is a link": [(named("blobs/sha256", LINK, "/tmp"), b"")],  # noqa: S108
    "blob without a digest": [("blobs/sha256/README", b"x")],
    "blob with an upper-case digest": [("blobs/sha256/" + "A" * 64, b"x")],
    "blob in a wrong place": [("blobs/x", b"x")],
    "blob too deep": [("blobs/sha256/x/" + "a" * 64, b"x")],
    "file called blobs": [("blobs", b"x")],
    "leads upwards": [("../x", b"x")],
    "leads upwards in its middle": [("blobs/../x", b"x")],
    "absolute": [("/blobs/sha256/" + "a" * 64, b"x")],
    "backslash": [("blobs\\..\\x", b"x")],
    "index.json twice": [("./index.json", b"{}")],
    "oci-layout twice": [("oci-layout", b"{}")],
    "same blob in two sizes": [(blob_path(EMPTY.digest), b"{} ")],
}


@pytest.mark.parametrize("rule", HOSTILE)
async def test_o10_hostile_members_are_refused(tmp_path: Path, rule: str) -> None:
    for members in (HOSTILE[rule] + members_of(), members_of() + HOSTILE[rule]):
        path = write_tar(tmp_path / "x.tar", members)
        with pytest.raises(InvalidLayoutError):
            async with ArchiveReader.open(path):
                pass


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
async def test_o10_the_index_is_no_link(tmp_path: Path, name: str) -> None:
    members = image_members()
    del members[name]
    evil: Members = [(named(name, LINK, "/etc/passwd"), b"")]
    path = write_tar(tmp_path / "x.tar", evil + list(members.items()))
    with pytest.raises(InvalidLayoutError):
        async with ArchiveReader.open(path):
            pass


async def test_o10_a_blob_must_be_its_digest(tmp_path: Path) -> None:
    members = image_members(annotations=NAME)
    members[blob_path(layer()[0].digest)] = b"x" * len(DATA)
    async with ArchiveReader.open(write_tar(tmp_path / "x.tar", members.items())) as reader:
        with pytest.raises(DigestMismatchError):
            await fetch_bytes(reader, layer()[0])


async def test_missing_parts(tmp_path: Path) -> None:
    members = image_members()
    del members["index.json"]
    for data in (b"", tar_of(members.items()), tar_of([("a.txt", b"x")]), tar_of([]), b"x" * 5000):
        (tmp_path / "x.tar").write_bytes(data)
        with pytest.raises(InvalidLayoutError) as caught:
            async with ArchiveReader.open(tmp_path / "x.tar"):
                pass
        assert str(tmp_path) in str(caught.value)
    with pytest.raises(NotFoundError):
        async with ArchiveReader.open(tmp_path / "y.tar"):
            pass
    with pytest.raises(InvalidLayoutError):
        async with ArchiveReader.open(tmp_path):
            pass


async def test_i01_another_version_is_refused(tmp_path: Path) -> None:
    members = image_members() | {"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}
    with pytest.raises(InvalidLayoutError):
        async with ArchiveReader.open(write_tar(tmp_path / "x.tar", members.items())):
            pass


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"]
)
async def test_a_cut_off_archive_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in image_members().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        used = tar.offset
    whole = compress(out.getvalue()[:used] + bytes(1024))
    for length in (1, 3, 10, len(whole) // 2, len(whole) - (1024 if compress is bytes else 1)):
        (tmp_path / "x.tar").write_bytes(whole[:length])
        with pytest.raises(InvalidLayoutError):
            async with ArchiveReader.open(tmp_path / "x.tar"):
                pass


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
async def test_s27_expansion_is_bounded(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(compress(bytes(9 << 20)))
    with pytest.raises(LimitExceededError):
        async with ArchiveReader.open(path, max_spool_bytes=8 << 20):
            pass


async def test_damaged_compression(tmp_path: Path) -> None:
    for data in (gzip.compress(tar_of(members_of())), zstd.compress(tar_of(members_of()))):
        broken = bytearray(data)
        for position in range(len(data) // 3, len(data) // 2):
            broken[position] ^= 0xFF
        (tmp_path / "x.tar").write_bytes(broken)
        with pytest.raises(OCIError):
            async with ArchiveReader.open(tmp_path / "x.tar"):
                pass


async def test_many_read_at_once(tmp_path: Path) -> None:
    texts = [f"{number}" * 50_000 for number in range(8)]
    members = image_members(annotations=NAME)
    members |= {blob_path(layer(text)[0].digest): layer(text)[1] for text in texts}
    got: dict[str, bytes] = {}
    async with ArchiveReader.open(write_tar(tmp_path / "x.tar", members.items())) as reader:

        async def read(text: str) -> None:
            got[text] = await fetch_bytes(reader, layer(text)[0])

        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(read, text)
    assert got == {text: text.encode() for text in texts}


async def test_referrers(tmp_path: Path) -> None:
    referrer = manifest(layer()[0], subject=IMAGE.descriptor)
    index = index_of(IMAGE, referrer)
    members = image_members()
    members[blob_path(referrer.digest)] = referrer.raw
    members["index.json"] = index.raw
    async with ArchiveReader.open(write_tar(tmp_path / "x.tar", members.items())) as reader:
        assert [d.digest for d in await reader.referrers(IMAGE.digest)] == [referrer.digest]


async def test_it_is_closed_after_its_block(tmp_path: Path) -> None:
    async with ArchiveReader.open(write_tar(tmp_path / "x.tar", members_of())) as reader:
        pass
    with pytest.raises(ClosedError):
        await fetch_bytes(reader, layer()[0])


async def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("TMPDIR", str(spool))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = tmp_path / "x.tar"
    path.write_bytes(gzip.compress(tar_of(members_of())))
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    async with ArchiveReader.open(path) as reader:
        assert await fetch_bytes(reader, layer()[0]) == DATA
    assert list(spool.iterdir()) == []
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
