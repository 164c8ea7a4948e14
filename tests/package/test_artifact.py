"""Artifacts as ORAS writes them."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from anyio import to_thread

import peers
from ocipkg_async.content import MemoryStore, Source, fetch_bytes, fetch_document
from ocipkg_async.errors import (
    DigestMismatchError,
    InvalidArgumentError,
    InvalidPackageError,
    NotFoundError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Finished, Planned, Progressed, Skipped, Started, Warned
from ocipkg_async.layout import Layout
from ocipkg_async.package import ArtifactFile, Compression, push_artifact
from ocipkg_async.package.artifact_file import clean_title, refused_by_oras, split_type
from ocipkg_async.package.entry import Entry
from ocipkg_async.spec import Descriptor, Manifest

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
CONTENT_DIGEST = "io.deis.oras.content.digest"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "docs" / "api").mkdir(parents=True)
    (tmp_path / "docs" / "readme.md").write_bytes(b"# hello\n")
    (tmp_path / "docs" / "api" / "x").write_bytes(b"x")
    return tmp_path


async def manifest_of(store: MemoryStore, descriptor: Descriptor) -> Manifest:
    document = await fetch_document(store, descriptor)
    assert isinstance(document, Manifest)
    return document


async def push(
    store: MemoryStore,
    *arguments: str,
    config: ArtifactFile | None = None,
    type_: str | None = None,
) -> Manifest:
    files = [ArtifactFile.parse(argument) for argument in arguments]
    return await manifest_of(
        store, await push_artifact(store, files, config=config, artifact_type=type_)
    )


async def test_a_file_is_a_layer_as_it_is(here: Path) -> None:
    store = MemoryStore()
    manifest = await push(store, "./docs//readme.md", "model.bin:application/x-model")
    readme, model = manifest.layers
    assert readme.media_type == "application/vnd.oci.image.layer.v1.tar"
    assert readme.annotations == {TITLE: "docs/readme.md"}
    assert await fetch_bytes(store, readme) == b"# hello\n"
    assert model.media_type == "application/x-model"
    assert model.annotations == {TITLE: "model.bin"}


async def test_the_manifest_is_what_oras_writes(here: Path) -> None:
    store = MemoryStore()
    manifest = await push(store, "model.bin")
    sha = hashlib.sha256(b"weights").hexdigest()
    assert json.loads(manifest.raw) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.unknown.artifact.v1",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
            "data": "e30=",
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": f"sha256:{sha}",
                "size": 7,
                "annotations": {TITLE: "model.bin"},
            }
        ],
    }
    assert manifest.config is not None
    assert await store.exists(manifest.config)


async def test_a_directory_is_a_tar_that_oras_unpacks(here: Path) -> None:
    store = MemoryStore()
    (layer,) = (await push(store, "docs")).layers
    assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    tar = gzip.decompress(await fetch_bytes(store, layer))
    assert layer.annotations == {
        TITLE: "docs",
        UNPACK: "true",
        CONTENT_DIGEST: "sha256:" + hashlib.sha256(tar).hexdigest(),
    }
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames() == ["docs", "docs/api", "docs/api/x", "docs/readme.md"]
        # Go's reader stops behind two zero blocks, and ORAS hashes no further.
        last = archive.getmembers()[-1]
        assert len(tar) == last.offset_data + 512 + 1024


async def test_a_title_of_several_parts_stands_before_every_name(here: Path) -> None:
    store = MemoryStore()
    (layer,) = (await push(store, "docs/api:application/vnd.me.tar+gzip")).layers
    assert layer.media_type == "application/vnd.me.tar+gzip"
    tar = gzip.decompress(await fetch_bytes(store, layer))
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert archive.getnames() == ["docs/api", "docs/api/x"]


async def test_i69_the_same_files_give_the_same_artifact(here: Path) -> None:
    one = await push(MemoryStore(), "docs", "model.bin")
    for path in here.rglob("*"):
        os.utime(path, (1, 1))
    assert await push(MemoryStore(), "docs", "model.bin") == one
    assert "org.opencontainers.image.created" not in one.annotations


async def test_no_files_give_one_empty_layer(here: Path) -> None:
    store = MemoryStore()
    manifest = await push(store, type_="application/vnd.me.v1")
    assert manifest.artifact_type == "application/vnd.me.v1"
    assert manifest.layers == (manifest.config,)


async def test_a_config_gives_the_type(here: Path) -> None:
    store = MemoryStore()
    (here / "config.json").write_bytes(b'{"a":1}')
    manifest = await push(store, "model.bin", config=ArtifactFile.parse("config.json"))
    assert manifest.artifact_type is None
    assert manifest.config is not None
    assert manifest.config.media_type == "application/vnd.unknown.config.v1+json"
    assert manifest.config.annotations is None
    assert await fetch_bytes(store, manifest.config) == b'{"a":1}'
    typed = ArtifactFile.parse("config.json:application/vnd.me.config+json")
    manifest = await push(store, "model.bin", config=typed)
    assert manifest.config is not None
    assert manifest.config.media_type == "application/vnd.me.config+json"


async def test_names_and_annotations(here: Path) -> None:
    store = MemoryStore()
    file = ArtifactFile(path=here / "model.bin", title="m", annotations={"b": "2", TITLE: "n"})
    packed = await push_artifact(store, [file], name="v1", annotations={"k": "v"})
    assert await store.resolve("v1") == packed
    manifest = await manifest_of(store, packed)
    assert manifest.annotations == {"k": "v"}
    assert manifest.layers[0].annotations == {"b": "2", TITLE: "n"}


async def test_what_is_there_is_not_sent_again(here: Path) -> None:
    class OnceStore(MemoryStore):
        pushed: list[Descriptor]

        async def push(self, descriptor: Descriptor, source: Source) -> None:
            self.pushed.append(descriptor)
            await super().push(descriptor, source)

    store = OnceStore()
    store.pushed = []
    await push(store, "model.bin")
    assert len(store.pushed) == 3, "file, config, manifest"
    events: list[Event] = []
    await push_artifact(store, [ArtifactFile.parse("model.bin")], on_event=events.append)
    assert len(store.pushed) == 4, "only the manifest again"
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert (skipped.name, skipped.reason) == ("model.bin", "exists")


async def test_equal_files_keep_their_titles_and_are_sent_once(here: Path) -> None:
    (here / "copy").write_bytes(b"weights")
    events: list[Event] = []
    store = MemoryStore()
    files = [ArtifactFile.parse("model.bin"), ArtifactFile.parse("copy")]
    packed = await push_artifact(store, files, on_event=events.append)
    layers = (await manifest_of(store, packed)).layers
    assert [layer.title for layer in layers] == ["model.bin", "copy"]
    assert len([event for event in events if isinstance(event, Started)]) == 1


async def test_events_tell_the_total_the_way_and_the_end(here: Path) -> None:
    (here / "big").write_bytes(os.urandom(9 << 20))
    events: list[Event] = []
    files = [ArtifactFile.parse("big"), ArtifactFile.parse("docs")]
    await push_artifact(MemoryStore(), files, transfers=1, on_event=events.append)
    total = (9 << 20) + len(b"# hello\nx")
    assert events[0] == Planned(action="upload", total=total)
    assert {event.action for event in events} == {"upload"}
    dones = [event.done for event in events if isinstance(event, Progressed)]
    assert dones == sorted(dones)
    assert dones[-1] == 9 << 20
    assert [e.name for e in events if isinstance(e, Finished)] == ["big", "docs"]


async def test_a_file_that_changes_after_it_was_hashed_is_refused(here: Path) -> None:
    class ChangingStore(MemoryStore):
        async def exists(self, descriptor: Descriptor) -> bool:
            await to_thread.run_sync((here / "model.bin").write_bytes, b"WEIGHTS")
            return await super().exists(descriptor)

    store = ChangingStore()
    with pytest.raises(DigestMismatchError):
        await push_artifact(store, [ArtifactFile.parse("model.bin")], name="v1")
    assert await store.tags() == []


async def test_links_that_oras_refuses_are_told(here: Path) -> None:
    (here / "docs" / "up").symlink_to("../model.bin")
    events: list[Event] = []
    await push_artifact(MemoryStore(), [ArtifactFile.parse("docs")], on_event=events.append)
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "up" in warning.text


def test_oras_refuses_links_to_and_through_links() -> None:
    def link(name: str, target: str) -> Entry:
        return Entry(name, "symlink", "", link=target)

    good = [link("l", "f"), link("d/l", "../f"), link("gone", "nowhere")]
    bad = [link("to", "l"), link("dirs", "d"), link("through", "dirs/x"), link("out", "../x")]
    entries = [*good, *bad, Entry("f", "file", ""), Entry("d", "directory", "")]
    assert [e.name for e in refused_by_oras(entries)] == ["to", "through", "out"]


async def test_what_cannot_be_pushed_is_refused(here: Path) -> None:
    os.mkfifo(here / "fifo")
    for argument, error in (("missing", NotFoundError), ("fifo", InvalidPackageError)):
        with pytest.raises(error, match=argument):
            await push(MemoryStore(), argument)
    with pytest.raises(InvalidArgumentError, match="one title"):
        await push(MemoryStore(), "docs/readme.md", "./docs/readme.md")
    zstd = Compression(algorithm="zstd")
    with pytest.raises(UnsupportedError, match="zstd"):
        await push_artifact(MemoryStore(), [ArtifactFile.parse("docs")], compression=zstd)


@pytest.mark.parametrize(
    ("text", "windows", "expected"),
    [
        ("a", False, ("a", None)),
        ("a:text/plain", False, ("a", "text/plain")),
        ("a:", False, ("a", None)),
        ("a:b:", False, ("a:b", None)),
        ("a:b:text/plain", False, ("a:b", "text/plain")),
        ("C:\\x", True, ("C:\\x", None)),
        ("C:x:text/plain", True, ("C:x", "text/plain")),
        ("C:\\x:", True, ("C:\\x", None)),
        ("x:text/plain", True, ("x:text/plain", None)),
    ],
)
def test_a_path_and_its_type(text: str, windows: bool, expected: tuple[str, str | None]) -> None:
    assert split_type(text, windows=windows) == expected


@pytest.mark.parametrize("text", ["", ":text/plain", "a:b", "a:text/", "a:/b/c", ":"])
def test_what_is_no_path_with_a_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        split_type(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "windows", "title"),
    [
        ("a", False, "a"),
        ("./a//b/../c/", False, "a/c"),
        ("a\\b", False, "a\\b"),
        ("a\\b", True, "a/b"),
        ("..a", False, "..a"),
    ],
)
def test_titles_are_clean_paths(path: str, windows: bool, title: str) -> None:
    assert clean_title(path, windows=windows) == title


@pytest.mark.parametrize(
    ("path", "windows"),
    [
        ("/etc/passwd", False),
        ("//a", False),
        ("..", False),
        ("a/../../b", False),
        (".", False),
        ("C:\\a", True),
        ("C:a", True),
        ("..\\a", True),
        ("\udcff", False),
    ],
)
def test_titles_that_lead_elsewhere_are_refused(path: str, windows: bool) -> None:
    with pytest.raises(InvalidArgumentError):
        clean_title(path, windows=windows)


async def test_symlinks_are_followed_when_given_or_asked(here: Path) -> None:
    (here / "link").symlink_to("model.bin")
    (here / "docs" / "link").symlink_to("readme.md")
    store = MemoryStore()
    (layer,) = (await push(store, "link")).layers
    assert await fetch_bytes(store, layer) == b"weights"
    files = [ArtifactFile.parse("docs")]
    packed = await push_artifact(store, files, follow_symlinks=True)
    (layer,) = (await manifest_of(store, packed)).layers
    with tarfile.open(fileobj=io.BytesIO(await fetch_bytes(store, layer))) as tar:
        assert tar.getmember("docs/link").isfile()


@pytest.mark.interop
async def test_oras_pulls_files_and_directories(here: Path) -> None:
    oras = peers.require("oras")
    (here / "docs" / "link").symlink_to("readme.md")
    (here / "docs" / "gr\u00fc\u00dfe").write_bytes(b"x")
    (here / "docs" / ("n" * 120)).write_bytes(b"x")
    (here / "docs" / "run").write_bytes(b"#!/bin/sh\n")
    (here / "docs" / "run").chmod(0o755)
    store = await Layout.open(here / "layout", create=True)
    arguments = ["docs", "docs/api", "model.bin:application/x-model"]
    files = [ArtifactFile.parse(argument) for argument in arguments]
    await push_artifact(store, files[::2], name="v1")
    command = [oras, "pull", "--oci-layout", f"{here}/layout:v1", "-o", str(here / "out")]
    subprocess.run(command, check=True, capture_output=True)
    assert (here / "out" / "model.bin").read_bytes() == b"weights"
    subprocess.run(["diff", "-r", "--no-dereference", "docs", "out/docs"], check=True)
    assert (here / "out" / "docs" / "run").stat().st_mode & 0o777 == 0o755
    await push_artifact(store, files[1:2], name="v1")
    command[-1] = str(here / "nested")
    subprocess.run(command, check=True, capture_output=True)
    assert (here / "nested" / "docs" / "api" / "x").read_bytes() == b"x"
