"""Telling what a path is."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from layout.samples import image_members, push_image, tar_of, write_tar
from ocipkg_async.layout import ArchiveWriter, Layout, detect
from ocipkg_async.spec import EMPTY
from ocipkg_async.spec.image_layout import blob_path


async def test_layouts(tmp_path: Path) -> None:
    await Layout.open(tmp_path / "layout", create=True)
    assert await detect(tmp_path / "layout") == "layout"
    assert await detect(tmp_path) is None
    assert await detect(tmp_path / "missing") is None


async def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    async with ArchiveWriter.open(path) as writer:
        await push_image(writer)
    assert await detect(path) == "archive"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert await detect(path) == "archive"


async def test_archives_of_others(tmp_path: Path) -> None:
    members = image_members()
    del members["oci-layout"]
    ocipkg = [(blob_path(EMPTY.digest), b"{}"), *members.items()]
    assert await detect(write_tar(tmp_path / "ocipkg.tar", ocipkg)) == "archive"
    folders: list[tuple[str | tarfile.TarInfo, bytes]] = []
    for name in ("./", "./blobs/", "./blobs/sha256/"):
        info = tarfile.TarInfo(name)
        info.type = tarfile.DIRTYPE
        folders.append((info, b""))
    folders += [(f"./{name}", data) for name, data in image_members().items()]
    assert await detect(write_tar(tmp_path / "dotted.tar", folders)) == "archive"


async def test_a_large_first_blob(tmp_path: Path) -> None:
    large = {blob_path(EMPTY.digest): os.urandom(200_000)}
    data = tar_of((large | image_members()).items())
    for name, content in (("x.tar", data), ("x.tar.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        assert await detect(tmp_path / name) == "archive"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"x" * 5000,
        gzip.compress(b"x" * 5000, mtime=0),
        json.dumps({}).encode(),
        tar_of([("index.json", b"{}"), ("page.html", b"")]),
        tar_of([("manifest.json", b"[]")]),
        gzip.compress(tar_of([("a.txt", b"x")]), mtime=0),
    ],
)
async def test_everything_else_is_neither(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert await detect(tmp_path / "x") is None
