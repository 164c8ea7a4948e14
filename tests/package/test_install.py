"""Unpacking what a manifest describes: every kind of content, and a destination that stays whole."""

import asyncio
import contextlib
import functools
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from ocipkg_async.content import BlobReader, BytesSource, FileSource, MemoryStore, fetch_document
from ocipkg_async.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    IntegrityError,
    InvalidArgumentError,
    InvalidDocumentError,
    InvalidPackageError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    StorageError,
    UnsafeArchiveError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Finished, Planned, Progressed, Started, Warned
from ocipkg_async.layout import Layout
from ocipkg_async.package import ArtifactFile, UnpackLimits, pack, push_artifact, unpack, unpack_new
from ocipkg_async.package.folders import HAS_DESCRIPTORS
from ocipkg_async.package.merge import merge_tree
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest, media_types
from ocipkg_async.spec import annotations as keys
from package import raw_tar as raw
from peers import require

V1_LAYER = media_types.OCIPKG_LAYER_TAR_GZIP
IMAGE_LAYER = media_types.OCI_LAYER_TAR_GZIP


def tree(root: Path) -> dict[str, str]:
    """All paths below a folder: ``/`` for a folder, ``-> target`` for a link, else the content."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_bytes().decode("latin-1")
    return found


class Made:
    """A store, and manifests made in it by hand."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def blob(self, data: bytes, media_type: str, **notes: str) -> Descriptor:
        descriptor = Descriptor.of(data, media_type)
        await self.store.push(descriptor, BytesSource(data))
        return Descriptor.of(data, media_type, annotations=notes or None)

    async def package(self, *tars: bytes) -> Manifest:
        layers = [await self.blob(gzip.compress(tar), V1_LAYER) for tar in tars]
        config = await self.blob(b'{"layers":{}}', media_types.OCIPKG_CONFIG)
        return Manifest.build(
            config=config, layers=tuple(layers), artifact_type=media_types.OCIPKG_ARTIFACT
        )

    async def image(
        self,
        *tars: bytes,
        diff_ids: list[str] | None = None,
        config_type: str = media_types.OCI_CONFIG,
        layer_type: str = IMAGE_LAYER,
        rootfs_type: str = "layers",
    ) -> Manifest:
        known = [Digest.of(tar) for tar in tars] if diff_ids is None else diff_ids
        rootfs = {"type": rootfs_type, "diff_ids": known}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs})
        layers = [await self.blob(gzip.compress(tar), layer_type) for tar in tars]
        return Manifest.build(
            config=await self.blob(config.encode(), config_type), layers=tuple(layers)
        )

    async def artifact(self, *layers: Descriptor) -> Manifest:
        return Manifest.build(
            config=await self.blob(EMPTY_JSON, media_types.OCI_EMPTY),
            layers=layers,
            artifact_type=media_types.UNKNOWN_ARTIFACT,
        )

    async def titled(
        self, title: str, data: bytes, media_type: str = "text/plain", **notes: str
    ) -> Descriptor:
        return await self.blob(data, media_type, **{keys.TITLE: title} | notes)

    async def directory(self, title: str, tar: bytes, digest: str | None = None) -> Descriptor:
        return await self.titled(
            title,
            gzip.compress(tar),
            IMAGE_LAYER,
            **{keys.ORAS_UNPACK: "true", keys.ORAS_CONTENT_DIGEST: digest or Digest.of(tar)},
        )


@pytest.fixture
def made() -> Made:
    return Made()


FILES = raw.archive(raw.file(b"lib/libfoo.a", b"foo"), raw.file(b"include/foo.h", b"h"))
UNPACKED = {"include": "/", "include/foo.h": "h", "lib": "/", "lib/libfoo.a": "foo"}


# --- packages and images ---------------------------------------------------------------------


async def test_a_package_of_ocipkg(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(FILES, raw.archive(raw.file(b"lib/more", b"m")))
    report = await unpack(made.store, manifest, tmp_path / "new" / "place")
    assert tree(tmp_path) == {"new": "/", "new/place": "/"} | {
        f"new/place/{name}": content for name, content in UNPACKED.items()
    } | {"new/place/lib/more": "m"}
    assert (report.files, report.bytes, report.skipped, report.special) == (3, 5, (), 0)


async def test_a_package_that_this_library_packed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin/tool").write_bytes(os.urandom(3_000_000))
    (source / "bin/tool").chmod(0o755)
    (source / "bin/alias").symlink_to("tool")
    (source / "empty").mkdir()
    store = MemoryStore()
    manifest = await fetch_document(store, await pack(store, [source]))
    assert isinstance(manifest, Manifest)
    await unpack(store, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(source)
    assert stat.S_IMODE((tmp_path / "out/bin/tool").stat().st_mode) & 0o111


@pytest.mark.parametrize(
    ("config_type", "layer_type"),
    [
        (media_types.OCI_CONFIG, IMAGE_LAYER),
        (media_types.OCI_CONFIG, media_types.OCI_LAYER_TAR),
        (media_types.DOCKER_CONFIG, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (media_types.DOCKER_CONFIG, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    ],
)
async def test_i40_images_of_oci_and_docker_with_whiteouts(
    made: Made, tmp_path: Path, config_type: str, layer_type: str
) -> None:
    first = raw.archive(
        raw.file(b"etc/a", b"1"), raw.file(b"etc/b", b"1"), raw.symlink(b"x", b"/etc")
    )
    second = raw.archive(
        raw.file(b"etc/.wh.a"), raw.file(b"etc/c", b"2"), raw.header(b"n", kind=b"3")
    )
    manifest = await made.image(first, second, config_type=config_type, layer_type=layer_type)
    events: list[Event] = []
    report = await unpack(made.store, manifest, tmp_path / "out", on_event=events.append)
    assert tree(tmp_path / "out") == {"etc": "/", "etc/b": "1", "etc/c": "2", "x": "-> /etc"}
    assert (report.files, report.special) == (2, 1)
    assert [event.text for event in events if isinstance(event, Warned)]


async def test_an_image_can_be_held_to_the_rules_of_artifacts(made: Made, tmp_path: Path) -> None:
    manifest = await made.image(raw.archive(raw.symlink(b"x", b"/etc")))
    with pytest.raises(UnsafeArchiveError):
        await unpack(made.store, manifest, tmp_path / "out", mode="artifact")


async def test_a_package_can_be_unpacked_as_a_root_file_system(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(raw.archive(raw.symlink(b"x", b"/etc")))
    await unpack(made.store, manifest, tmp_path / "out", mode="rootfs")
    assert tree(tmp_path / "out") == {"x": "-> /etc"}


async def test_i51_diff_ids_are_checked_over_the_whole_stream(made: Made, tmp_path: Path) -> None:
    padded = FILES + bytes(4096)
    manifest = await made.image(padded)
    await unpack(made.store, manifest, tmp_path / "good")
    wrong = await made.image(padded, diff_ids=[Digest.of(FILES)])
    with pytest.raises(DigestMismatchError) as caught:
        await unpack(made.store, wrong, tmp_path / "wrong")
    assert (caught.value.expected, caught.value.actual) == (Digest.of(FILES), Digest.of(padded))
    assert not (tmp_path / "wrong").exists()


async def test_i50_i51_configs_that_do_not_fit(made: Made, tmp_path: Path) -> None:
    for manifest in (
        await made.image(FILES, diff_ids=[Digest.of(FILES)] * 2),
        await made.image(FILES, rootfs_type="other"),
        await made.image(FILES, diff_ids=["sha256:short"]),
    ):
        with pytest.raises(InvalidDocumentError):
            await unpack(made.store, manifest, tmp_path / "out")


async def test_a_runnable_of_ocipkg_has_no_diff_ids(made: Made, tmp_path: Path) -> None:
    manifest = await made.image(FILES, diff_ids=[], layer_type=media_types.OCI_LAYER_TAR)
    await unpack(made.store, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == UNPACKED


async def test_a_package_of_old_ocipkg_has_wrong_diff_ids(made: Made, tmp_path: Path) -> None:
    """It hashes twice what its compressor does not take at once."""
    image = await made.image(FILES)
    wrong = {"type": "layers", "diff_ids": [Digest.of(b"other")]}
    config: dict[str, object] = {
        "created": "2022-08-08T00:00:00.000000000+00:00",
        "author": "somebody",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {}},
        "rootfs": wrong,
        "history": [],
    }
    others: list[tuple[dict[str, object], bool]] = [
        ({}, True),
        ({"history": [{}]}, False),
        ({"config": {"Env": []}}, False),
    ]
    for number, (changed, fits) in enumerate(others):
        described = await made.blob(json.dumps(config | changed).encode(), media_types.OCI_CONFIG)
        manifest = Manifest.build(config=described, layers=image.layers)
        if fits:
            await unpack(made.store, manifest, tmp_path / str(number))
            assert tree(tmp_path / str(number)) == UNPACKED
        else:
            with pytest.raises(DigestMismatchError):
                await unpack(made.store, manifest, tmp_path / str(number))


async def test_one_layer_twice(made: Made, tmp_path: Path) -> None:
    manifest = await made.image(FILES, raw.archive(raw.file(b".wh.lib")), FILES)
    await unpack(made.store, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == UNPACKED


async def test_what_cannot_be_unpacked(made: Made, tmp_path: Path) -> None:
    package = await made.package(FILES)
    index = Index.build(manifests=(package.descriptor,))
    with pytest.raises(InvalidArgumentError, match="index"):
        await unpack(made.store, index, tmp_path / "out")  # type: ignore[arg-type]
    odd = await made.image(FILES, layer_type="application/vnd.oci.image.layer.v1.tar+xz")
    with pytest.raises(UnsupportedError, match="xz"):
        await unpack(made.store, odd, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


async def test_embedded_content_needs_no_store(made: Made, tmp_path: Path) -> None:
    layer = Descriptor.of(gzip.compress(FILES), V1_LAYER, embed=True)
    config = Descriptor.of(b"{}", media_types.OCIPKG_CONFIG)
    manifest = Manifest.build(config=config, layers=(layer,))
    await unpack(MemoryStore(), manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == UNPACKED


async def test_a_layout_is_read_in_place_and_stays(made: Made, tmp_path: Path) -> None:
    layout = await Layout.open(tmp_path / "layout", create=True)
    manifest = await made.package(FILES)
    for descriptor in manifest.successors:
        async with made.store.fetch(descriptor) as reader:
            await layout.push(descriptor, BytesSource(await reader.read_all()))
    blob = await to_thread.run_sync(layout.local_path, manifest.layers[0])
    assert blob is not None
    await unpack(layout, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == UNPACKED
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(IntegrityError):
        await unpack(layout, manifest, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners and modes here")
async def test_s01_a_blob_that_others_may_write_is_not_changed_after_it_was_verified(
    made: Made, tmp_path: Path
) -> None:
    layout = await Layout.open(tmp_path / "layout", create=True)
    manifest = await made.package(FILES)
    for descriptor in manifest.successors:
        async with made.store.fetch(descriptor) as reader:
            await layout.push(descriptor, BytesSource(await reader.read_all()))
    blob = await to_thread.run_sync(layout.local_path, manifest.layers[0])
    assert blob is not None
    blob.chmod(0o666)
    other = gzip.compress(raw.archive(raw.file(b"evil")))
    change = functools.partial(blob.write_bytes, other)

    class Changing:
        """The layout, while another user writes to it as soon as a blob was read."""

        local_path = layout.local_path

        @asynccontextmanager
        async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
            async with layout.fetch(descriptor) as reader:
                yield reader
            await to_thread.run_sync(change)

    await unpack(Changing(), manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == UNPACKED
    assert blob.read_bytes() == other


async def test_times_are_kept_when_asked(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(raw.archive(raw.file(b"f", mtime=1000)))
    await unpack(made.store, manifest, tmp_path / "out", keep_times=True)
    assert (tmp_path / "out/f").stat().st_mtime == 1000


@pytest.mark.interop
async def test_an_image_of_umoci_is_unpacked_as_umoci_does(tmp_path: Path) -> None:
    """With whiteouts, an opaque folder, hard links and links that lead anywhere."""
    umoci = require("umoci")
    source, newer = tmp_path / "source", tmp_path / "newer"
    (source / "d/sub").mkdir(parents=True)
    newer.mkdir()
    for path in (source / "d/old", source / "d/sub/f", source / "kept", newer / "new"):
        path.write_text(path.name)
    (source / "hard").hardlink_to(source / "kept")
    (source / "link").symlink_to("/etc/x")

    def run(*arguments: str | Path) -> None:
        subprocess.run([umoci, *arguments], check=True, capture_output=True)

    image = f"{tmp_path}/layout:v"
    run("init", "--layout", tmp_path / "layout")
    run("new", "--image", image)
    run("insert", "--image", image, source, "/")
    run("insert", "--image", image, "--whiteout", "/d/old")
    run("insert", "--image", image, "--opaque", newer, "/d/sub")
    run("unpack", "--rootless", "--image", image, tmp_path / "bundle")
    layout = await Layout.open(tmp_path / "layout")
    manifest = await fetch_document(layout, await layout.resolve("v"))
    assert isinstance(manifest, Manifest)
    await unpack(layout, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "bundle/rootfs")
    assert "d/sub/new" in tree(tmp_path / "out")
    assert (tmp_path / "out/hard").samefile(tmp_path / "out/kept")


# --- artifacts of ORAS -----------------------------------------------------------------------


async def test_files_of_an_artifact_have_their_titles_and_exact_bytes(
    made: Made, tmp_path: Path
) -> None:
    archive = gzip.compress(FILES)
    manifest = await made.artifact(
        await made.titled("a.txt", b"A"),
        await made.titled("dir/b.bin", b"\0\xff" * 100),
        await made.titled("same.txt", b"A"),
        await made.titled("again/same.txt", b"A"),
        await made.titled("not-a-tar", b"plain", media_types.OCI_LAYER_TAR),
        await made.titled("kept.tar.gz", archive, IMAGE_LAYER),
        await made.titled("kept.TGZ", archive, IMAGE_LAYER),
        await made.blob(b"nameless", "application/x-nameless"),
        EMPTY,
    )
    report = await unpack(made.store, manifest, tmp_path / "out")
    text = archive.decode("latin-1")
    assert tree(tmp_path / "out") == {
        "a.txt": "A",
        "again": "/",
        "again/same.txt": "A",
        "dir": "/",
        "dir/b.bin": "\0\xff" * 100,
        "kept.TGZ": text,
        "kept.tar.gz": text,
        "not-a-tar": "plain",
        "same.txt": "A",
    }
    assert not (tmp_path / "out/a.txt").samefile(tmp_path / "out/same.txt")
    assert [(descriptor.digest, "title" in why) for descriptor, why in report.skipped] == [
        (Digest.of(b"nameless"), True)
    ]


DIRECTORY = raw.archive(raw.folder(b"a/b"), raw.file(b"a/b/x", b"x"), raw.symlink(b"a/b/l", b"x"))
DIRECTORY_TREE = {"a": "/", "a/b": "/", "a/b/l": "-> x", "a/b/x": "x"}


async def test_directories_of_an_artifact(made: Made, tmp_path: Path) -> None:
    manifest = await made.artifact(
        await made.directory("a/b", DIRECTORY),
        await made.directory("dot", raw.archive(raw.file(b"dot/.wh.kept", b"w"))),
    )
    await unpack(made.store, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == DIRECTORY_TREE | {"dot": "/", "dot/.wh.kept": "w"}


async def test_an_artifact_that_this_library_pushed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d/x").write_text("x")
    (source / "f").write_text("f")
    store = MemoryStore()
    files = [ArtifactFile(path=source / "d", title="d"), ArtifactFile(path=source / "f", title="f")]
    manifest = await fetch_document(store, await push_artifact(store, files))
    assert isinstance(manifest, Manifest)
    await unpack(store, manifest, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(source)


async def test_the_content_digest_ends_with_the_archive(made: Made, tmp_path: Path) -> None:
    """Python pads tars to 10,240 bytes; ORAS hashes what Go's reader takes, without the padding."""
    padded = DIRECTORY + bytes(5120)
    good = await made.artifact(await made.directory("a/b", padded, Digest.of(DIRECTORY)))
    await unpack(made.store, good, tmp_path / "good")
    bad = await made.artifact(await made.directory("a/b", padded))
    with pytest.raises(DigestMismatchError):
        await unpack(made.store, bad, tmp_path / "bad")


@pytest.mark.parametrize(
    "entry",
    [
        raw.file(b"a/c/x"),
        raw.file(b"a/bc"),
        raw.file(b"x"),
        raw.file(b"a/b/../../x"),
        raw.hardlink(b"a/b/h", b"file"),
        raw.symlink(b"a/b/s", b"../../../x"),
    ],
)
async def test_s24_names_of_a_directory_lie_under_its_title(
    made: Made, tmp_path: Path, entry: bytes
) -> None:
    manifest = await made.artifact(
        await made.titled("file", b"f"), await made.directory("a/b", raw.archive(entry))
    )
    with pytest.raises(UnsafeArchiveError):
        await unpack(made.store, manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


PY_TREE = raw.archive(raw.folder(b"data"), raw.file(b"data/x", b"x"))


@pytest.mark.parametrize(
    ("how", "title", "tar", "expected"),
    [
        ("auto", "data", PY_TREE, {"data": "/", "data/x": "x"}),
        ("auto", "in/data", PY_TREE, {"in": "/", "in/data": "/", "in/data/x": "x"}),
        ("auto", "data.tar.gz", PY_TREE, None),
        ("auto", "other", PY_TREE, None),
        ("auto", "data", raw.archive(), None),
        ("auto", "data", b"no archive", None),
        ("auto", "data", PY_TREE[:700], None),
        ("never", "data", PY_TREE, None),
        ("always", "data", PY_TREE, {"data": "/", "data/x": "x"}),
        ("always", "data.tar.gz", PY_TREE, {"data": "/", "data/x": "x"}),
        ("always", "in/other", PY_TREE, {"in": "/", "in/data": "/", "in/data/x": "x"}),
    ],
)
async def test_directories_of_oras_py(  # noqa: PLR0917
    made: Made, tmp_path: Path, how: str, title: str, tar: bytes, expected: dict[str, str] | None
) -> None:
    data = gzip.compress(tar)
    manifest = await made.artifact(await made.titled(title, data, IMAGE_LAYER))
    await unpack(made.store, manifest, tmp_path / "out", unpack=how)  # type: ignore[arg-type]
    assert tree(tmp_path / "out") == (expected or {title: data.decode("latin-1")})


async def test_never_keeps_marked_directories_as_files(made: Made, tmp_path: Path) -> None:
    manifest = await made.artifact(await made.directory("d", DIRECTORY))
    await unpack(made.store, manifest, tmp_path / "out", unpack="never")
    assert gzip.decompress((tmp_path / "out/d").read_bytes()) == DIRECTORY


@pytest.mark.parametrize(
    "title",
    ["../x", "/etc/x", "a/../../x", ".", "a/..", "C:\\x", "a\\..\\x", "con", "x.", "a\0b", "d:s"],
)
async def test_s24_titles_are_paths_of_somebody_else(
    made: Made, tmp_path: Path, title: str
) -> None:
    manifest = await made.artifact(await made.titled(title, b"evil"))
    with pytest.raises(InvalidPackageError):
        await unpack(made.store, manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "titles", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a", "A"), ("d/x", "D/y")]
)
async def test_titles_that_collide(made: Made, tmp_path: Path, titles: tuple[str, str]) -> None:
    layers = [await made.titled(title, title.encode()) for title in titles]
    manifest = await made.artifact(*layers)
    with pytest.raises(InvalidPackageError):
        await unpack(made.store, manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


async def test_two_layers_of_one_title_are_refused_before_anything_is_fetched(
    tmp_path: Path,
) -> None:
    layers = [
        Descriptor.of(text, "text/plain", annotations={keys.TITLE: title})
        for text, title in ((b"1", "a"), (b"2", "./a"))
    ]
    manifest = Manifest.build(config=EMPTY, layers=tuple(layers), artifact_type="a/b")
    with pytest.raises(InvalidPackageError, match="title"):
        await unpack(MemoryStore(), manifest, tmp_path / "out")


async def test_one_layer_may_not_replace_the_file_of_another(made: Made, tmp_path: Path) -> None:
    manifest = await made.artifact(
        await made.titled("a/b/x", b"mine"), await made.directory("a/b", DIRECTORY)
    )
    with pytest.raises(UnsafeArchiveError, match="two layers"):
        await unpack(made.store, manifest, tmp_path / "out")


async def test_artifacts_with_the_config_type_of_images(made: Made, tmp_path: Path) -> None:
    config = await made.blob(b'{"architecture":"amd64","os":"linux"}', media_types.OCI_CONFIG)
    layers = (await made.titled("f", b"raw", media_types.OCI_LAYER_TAR),)
    await unpack(made.store, Manifest.build(config=config, layers=layers), tmp_path / "out")
    assert tree(tmp_path / "out") == {"f": "raw"}
    # In-toto attestations have an image config too, and no archive at all.
    statement = (await made.blob(b"{}", "application/vnd.in-toto+json"),)
    report = await unpack(
        made.store, Manifest.build(config=config, layers=statement), tmp_path / "none"
    )
    assert (report.files, len(report.skipped)) == (0, 1)


# --- the destination -------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A destination with things in it."""
    folder = tmp_path / "busy"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/other").write_text("other")
    (folder / "mine").write_text("mine")
    return folder


BUSY = {"lib": "/", "lib/other": "other", "mine": "mine"}


async def test_folders_merge(made: Made, busy: Path) -> None:
    await unpack(made.store, await made.package(FILES), busy)
    assert tree(busy) == BUSY | UNPACKED


async def test_s24_nothing_is_overwritten_unless_asked(made: Made, busy: Path) -> None:
    (busy / "lib/libfoo.a").write_text("old")
    before = tree(busy)
    manifest = await made.package(FILES)
    with pytest.raises(AlreadyExistsError, match="libfoo") as caught:
        await unpack(made.store, manifest, busy)
    assert "overwrite" in (caught.value.hint or "")
    assert tree(busy) == before
    await unpack(made.store, manifest, busy, overwrite=True)
    assert tree(busy) == BUSY | UNPACKED


@pytest.mark.parametrize("overwrite", [True, False])
async def test_s24_cve_2026_50162_links_at_the_destination_are_not_followed(
    made: Made, busy: Path, tmp_path: Path, overwrite: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "foo.h").write_text("kept")
    (busy / "include").symlink_to(outside)
    with pytest.raises(AlreadyExistsError):
        await unpack(made.store, await made.package(FILES), busy, overwrite=overwrite)
    assert tree(busy) == BUSY | {"include": f"-> {outside}"}
    assert tree(outside) == {"foo.h": "kept"}


async def test_s24_a_link_in_the_way_of_a_file_is_replaced_itself(
    made: Made, busy: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("kept")
    (busy / "lib/libfoo.a").symlink_to(tmp_path / "secret")
    manifest = await made.package(FILES)
    with pytest.raises(AlreadyExistsError):
        await unpack(made.store, manifest, busy)
    await unpack(made.store, manifest, busy, overwrite=True)
    assert tree(busy) == BUSY | UNPACKED
    assert (tmp_path / "secret").read_text() == "kept"


@pytest.mark.parametrize(("name", "is_folder"), [("lib", False), ("lib/libfoo.a", True)])
async def test_files_and_folders_do_not_replace_each_other(
    made: Made, tmp_path: Path, name: str, is_folder: bool
) -> None:
    there = tmp_path / "out" / name
    there.parent.mkdir(parents=True)
    there.mkdir() if is_folder else there.touch()
    before = tree(tmp_path)
    with pytest.raises(AlreadyExistsError) as caught:
        await unpack(made.store, await made.package(FILES), tmp_path / "out", overwrite=True)
    assert "folder" in (caught.value.hint or "")
    assert tree(tmp_path) == before


async def test_the_destination_may_be_a_link_to_a_folder(made: Made, busy: Path) -> None:
    link = busy.parent / "link"
    link.symlink_to(busy)
    await unpack(made.store, await made.package(FILES), link)
    assert tree(busy) == BUSY | UNPACKED
    (busy.parent / "file").touch()
    with pytest.raises(AlreadyExistsError):
        await unpack(made.store, await made.package(FILES), busy.parent / "file")


async def test_a_new_folder_must_be_new(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(FILES)
    await unpack_new(made.store, manifest, tmp_path / "a/b")
    assert tree(tmp_path / "a/b") == UNPACKED
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("a/b", "a", "dangling"):
        with pytest.raises(AlreadyExistsError):
            await unpack_new(made.store, manifest, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "dangling"]


async def test_of_many_who_make_one_folder_one_wins(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(FILES)
    outcomes: list[str] = []

    async def one() -> None:
        try:
            await unpack_new(made.store, manifest, tmp_path / "new")
            outcomes.append("made")
        except AlreadyExistsError:
            outcomes.append("exists")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
    assert sorted(outcomes) == ["exists"] * 4 + ["made"]
    assert tree(tmp_path) == {"new": "/"} | {f"new/{k}": v for k, v in UNPACKED.items()}


EVIL = raw.archive(raw.file(b"fine"), raw.file(b"../evil"))


async def test_s29_a_failure_leaves_nothing(made: Made, busy: Path, tmp_path: Path) -> None:
    good, evil = await made.package(FILES), await made.package(FILES, EVIL)
    missing = Descriptor.of(b"missing", V1_LAYER)
    lacking = Manifest.build(config=good.config or EMPTY, layers=(*good.layers, missing))
    cases: list[tuple[Manifest, type[OCIError], UnpackLimits | None]] = [
        (evil, UnsafeArchiveError, None),
        (lacking, NotFoundError, None),
        (good, LimitExceededError, UnpackLimits(entries=1)),
    ]
    for manifest, error, limits in cases:
        for place in (busy, tmp_path / "x/y"):
            with pytest.raises(error):
                await unpack(made.store, manifest, place, limits=limits)
            assert tree(busy) == BUSY
            assert [p.name for p in tmp_path.iterdir()] == ["busy"]


class Tampered:
    """A store whose content is another than asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        async with BytesSource(self._data).open() as stream:
            yield BlobReader(stream, descriptor)


async def test_s01_nothing_is_parsed_before_it_was_verified(made: Made, busy: Path) -> None:
    """Bytes that would be refused as an archive are refused for what they are before: wrong."""
    manifest = await made.package(FILES)
    size = manifest.layers[0].size
    for data in (gzip.compress(EVIL), b"x" * size, b"x" * (size - 1)):
        with pytest.raises(IntegrityError):
            await unpack(Tampered(data), manifest, busy)
        assert tree(busy) == BUSY


def test_a_destination_that_refuses_is_put_back(tmp_path: Path) -> None:
    """Half the files were moved when a folder turns out to be read-only."""
    root = Path(tempfile.mkdtemp())
    nobody = 65534
    try:
        for name in ("new/zz", "old/zz", "kept", "new/made/deep", "old/dir", "new/dir"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("new/zz/f", "new/aa", "new/made/deep/f", "new/dir/both", "new/dir/one"):
            (root / name).write_text("new")
        for name in ("old/aa", "old/dir/both"):
            (root / name).write_text("old")
        before = tree(root / "old")
        (root / "old/zz").chmod(0o555)
        if os.geteuid() == 0:
            for path in (root, *root.rglob("*")):
                os.chown(path, nobody, nobody)
            os.seteuid(nobody)
        for descriptors in (True, False):
            with pytest.raises(StorageError):
                merge_tree(
                    root / "new",
                    root / "old",
                    backup=root / "kept",
                    overwrite=True,
                    descriptors=descriptors,
                )
            assert tree(root / "old") == before
            for name in ("aa", "dir/both", "dir/one", "made/deep/f"):
                (root / "new" / name).parent.mkdir(parents=True, exist_ok=True)
                (root / "new" / name).write_text("new")
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        (root / "old/zz").chmod(0o755)
        shutil.rmtree(root)


_ON_MOVE: list[Callable[[], object]] = []
"""Called once, when the next file is moved: what another process does at that moment."""


def _audit(event: str, _details: object) -> None:
    if event in {"os.link", "os.rename"} and _ON_MOVE:
        _ON_MOVE.pop()()


@pytest.mark.parametrize("descriptors", [True, False] if HAS_DESCRIPTORS else [False])
def test_s24_a_file_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, descriptors: bool
) -> None:
    for name in ("new", "old", "kept"):
        (tmp_path / name).mkdir()
    for name in ("aa", "zz"):
        (tmp_path / "new" / name).write_text("ours")
    sys.addaudithook(_audit)
    _ON_MOVE.append(functools.partial((tmp_path / "old/zz").write_text, "theirs"))
    with pytest.raises(AlreadyExistsError, match="zz"):
        merge_tree(
            tmp_path / "new",
            tmp_path / "old",
            backup=tmp_path / "kept",
            overwrite=False,
            descriptors=descriptors,
        )
    assert tree(tmp_path / "old") == {"zz": "theirs"}


# --- progress, concurrency, cancellation -----------------------------------------------------


async def test_progress_of_every_layer(made: Made, tmp_path: Path) -> None:
    manifest = await made.package(FILES, raw.archive(raw.file(b"big", os.urandom(100_000))))
    events: list[Event] = []
    await unpack(made.store, manifest, tmp_path / "out", on_event=events.append)
    sizes = {layer.digest: layer.size for layer in manifest.layers}
    assert {event.action for event in events} == {"unpack"}
    assert isinstance(events[0], Planned)
    assert events[0].total == sum(sizes.values())
    for kind in (Started, Finished):
        found = [e.descriptor.digest for e in events if isinstance(e, kind) and e.descriptor]
        assert sorted(found) == sorted(sizes)
    last = {
        e.descriptor.digest: e.done for e in events if isinstance(e, Progressed) and e.descriptor
    }
    assert last == sizes


class Watched:
    """A store that tells how many fetches run at once, and calls back at each step of one."""

    def __init__(self, store: MemoryStore, step: Callable[[], object] = int) -> None:
        self._store = store
        self._step = step
        self.running = self.most = 0

    @asynccontextmanager
    async def fetch(self, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(0.001)
            self._step()
            async with self._store.fetch(descriptor) as reader:
                yield reader
            self._step()
            await anyio.lowlevel.checkpoint()
        finally:
            self.running -= 1


async def test_four_layers_are_fetched_at_once(made: Made, tmp_path: Path) -> None:
    tars = [raw.archive(raw.file(b"f%d" % n)) for n in range(9)]
    store = Watched(made.store)
    await unpack(store, await made.package(*tars), tmp_path / "out")
    assert store.most == 4
    assert len(tree(tmp_path / "out")) == 9


@pytest.mark.parametrize("native", [False, True])
async def test_cancelling_at_any_step_leaves_nothing(
    made: Made, busy: Path, native: bool, tmp_path: Path
) -> None:
    """By a cancel scope, and as asyncio itself cancels."""
    many = [raw.file(b"d%d/f" % n, b"x" * 3000) for n in range(50)]
    manifest = await made.image(FILES, raw.archive(*many), raw.archive(raw.file(b"f", b"f")))
    finished = False
    at = 0
    while not finished:
        at += 1
        steps = 0
        cancel: Callable[[], object] = int

        def step(_event: object = None, at: int = at) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                cancel()  # noqa: B023

        store = Watched(made.store, step)
        out = tmp_path / "out" if at % 2 else busy

        async def run(store: Watched = store, out: Path = out) -> None:
            nonlocal finished
            await unpack(store, manifest, out, on_event=step)
            finished = True

        if native:
            task = asyncio.create_task(run())
            cancel = task.cancel
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
        else:
            with anyio.CancelScope() as scope:
                cancel = scope.cancel
                await run()
        assert store.running == 0
        if not finished:
            assert tree(busy) == BUSY
            assert [p.name for p in tmp_path.iterdir()] == ["busy"]
    assert at > 10


@pytest.mark.parametrize("native", [False, True])
async def test_cancelling_while_a_layer_is_written_waits_for_the_thread(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """The thread ends between two entries, and only then is the staging folder removed."""
    tar = raw.archive(*(raw.file(b"%d/f" % n) for n in range(20_000)))
    manifest = await made.package(tar)
    loop = asyncio.get_running_loop()
    cancel: Callable[[], object] = int
    write, folders = os.mkdir, 0

    def mkdir(*args: Any, **options: Any) -> None:
        nonlocal folders
        write(*args, **options)
        folders += 1
        if folders == 50:
            loop.call_soon_threadsafe(cancel)
        elif folders > 50:
            time.sleep(0.001)  # the loop hears of it long before the last one

    monkeypatch.setattr(os, "mkdir", mkdir)
    if native:
        task = asyncio.create_task(unpack(made.store, manifest, tmp_path / "out"))
        cancel = task.cancel
        await asyncio.wait([task])
        assert task.cancelled()
    else:
        with anyio.CancelScope() as scope:
            cancel = scope.cancel
            await unpack(made.store, manifest, tmp_path / "out")
        assert scope.cancelled_caught
    assert 50 <= folders < 20_000
    assert list(tmp_path.iterdir()) == []


class InPlace(MemoryStore):
    """A store whose blobs lie in a file of their own."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def local_path(self, descriptor: Descriptor) -> Path | None:  # noqa: ARG002 - one for all
        return self._path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
async def test_cancelling_never_leaves_a_thread_behind(tmp_path: Path) -> None:
    """The layer is read from a pipe, so the thread waits until somebody opens the other end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    store = InPlace(pipe)
    layer = Descriptor.of(gzip.compress(FILES), V1_LAYER)
    await store.push(layer, BytesSource(gzip.compress(FILES)))
    config = Descriptor.of(b"{}", media_types.OCIPKG_CONFIG)
    manifest = Manifest.build(config=config, layers=(layer,))
    task = asyncio.create_task(unpack(store, manifest, tmp_path / "out"))
    writer = None
    while writer is None:
        await anyio.sleep(0.001)
        with contextlib.suppress(OSError):  # nobody reads yet
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done, "the thread still reads"
    os.close(writer)
    await asyncio.wait([task])
    assert task.cancelled()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


async def test_a_large_file_goes_through_in_pieces(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20) * 9)
    layout = await Layout.open(tmp_path / "layout", create=True)
    digest = Digest(f"sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}")
    descriptor = Descriptor(
        media_type="text/plain", digest=digest, size=9 << 20, annotations={keys.TITLE: "big"}
    )
    await layout.push(descriptor, FileSource(source))
    manifest = Manifest.build(config=EMPTY, layers=(descriptor,), artifact_type="a/b")
    await unpack(layout, manifest, tmp_path / "out")
    assert (tmp_path / "out/big").read_bytes() == source.read_bytes()
    assert await to_thread.run_sync(layout.local_path, descriptor) is not None
