"""Images of static programs: what is in them, and which programs are refused."""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocipkg_async.content import MemoryStore, fetch_bytes, fetch_document
from ocipkg_async.errors import InvalidArgumentError, InvalidPackageError, NotFoundError
from ocipkg_async.package import Compression, RunConfig, push_runnable
from ocipkg_async.package.compress import Algorithm
from ocipkg_async.spec import Descriptor, Index, Manifest, media_types
from package.raw_elf import AMD64, ARM64, SHARED, elf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file under a name and return its path."""

    def write(name: str, data: bytes, mode: int = 0o644) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return write


async def manifest_of(store: MemoryStore, descriptor: Descriptor) -> Manifest:
    document = await fetch_document(store, descriptor)
    assert isinstance(document, Manifest)
    return document


async def config_of(store: MemoryStore, descriptor: Descriptor) -> Any:
    manifest = await manifest_of(store, descriptor)
    assert manifest.config is not None
    assert manifest.config.media_type == media_types.OCI_CONFIG
    return json.loads(await fetch_bytes(store, manifest.config))


async def layer_of(store: MemoryStore, descriptor: Descriptor) -> tuple[str, bytes]:
    (layer,) = (await manifest_of(store, descriptor)).layers
    return layer.media_type, await fetch_bytes(store, layer)


async def test_image_of_a_program(store: MemoryStore, write: Callable[..., Path]) -> None:
    program = elf(AMD64)
    made = await push_runnable(
        store, [write("app", program)], name="v1", annotations={"b": "2", "a": "1"}
    )
    assert await store.resolve("v1") == made
    manifest = await manifest_of(store, made)
    assert (manifest.media_type, manifest.artifact_type) == (media_types.OCI_MANIFEST, None)
    assert manifest.annotations == {"a": "1", "b": "2"}
    kind, layer = await layer_of(store, made)
    assert kind == media_types.OCI_LAYER_TAR_GZIP
    tar = gzip.decompress(layer)
    diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert await config_of(store, made) == {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/app"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        (member,) = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == program
    assert (member.name, member.mode, member.mtime) == ("app", 0o755, 0)
    assert (member.uid, member.gid, member.uname) == (0, 0, "")


@pytest.mark.parametrize(
    ("algorithm", "media_type", "decompress"),
    [
        ("gzip", "application/vnd.oci.image.layer.v1.tar+gzip", gzip.decompress),
        ("zstd", "application/vnd.oci.image.layer.v1.tar+zstd", zstd.decompress),
        ("none", "application/vnd.oci.image.layer.v1.tar", bytes),
    ],
)
async def test_compressions_hold_one_tar(
    store: MemoryStore,
    write: Callable[..., Path],
    algorithm: Algorithm,
    media_type: str,
    decompress: Callable[[bytes], bytes],
) -> None:
    path = write("app", elf(AMD64, body=bytes(300_000)))
    compression = Compression(algorithm=algorithm)
    made = await push_runnable(store, [path], compression=compression)
    kind, layer = await layer_of(store, made)
    assert kind == media_type
    tar = decompress(layer)
    assert tar == (await _plain_tar(path))
    assert (await config_of(store, made))["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(tar).hexdigest()}"
    ]


async def _plain_tar(path: Path) -> bytes:
    store = MemoryStore()
    made = await push_runnable(store, [path], compression=Compression(algorithm="none"))
    return (await layer_of(store, made))[1]


async def test_how_it_runs(store: MemoryStore, write: Callable[..., Path]) -> None:
    config = RunConfig(
        environment={"PATH": "/bin", "A": "b=c", "EMPTY": ""},
        arguments=["--serve", "8080"],
        user="1000:1000",
        working_dir="/data",
        labels={"z": "1", "a": "2"},
    )
    made = await push_runnable(
        store, [write("app", elf(AMD64))], config=config, name_as="other name"
    )
    found = (await config_of(store, made))["config"]
    assert found == {
        "User": "1000:1000",
        "Env": ["PATH=/bin", "A=b=c", "EMPTY="],
        "Entrypoint": ["/other name"],
        "Cmd": ["--serve", "8080"],
        "WorkingDir": "/data",
        "Labels": {"a": "2", "z": "1"},
    }
    assert list(found["Labels"]) == ["a", "z"]


async def test_same_program_gives_the_same_digest(
    store: MemoryStore, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = write("a/app", elf(AMD64), 0o700), write("b/app", elf(AMD64), 0o444)
    made = await push_runnable(store, [one])
    assert await push_runnable(store, [two]) == made
    assert not {"created", "history"} & (await config_of(store, made)).keys()
    link = one.parent / "link"
    link.symlink_to(two)
    assert await push_runnable(store, [link], name_as="app") == made

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = await push_runnable(store, [one])
    assert dated == await push_runnable(store, [two]) != made
    config = await config_of(store, dated)
    assert config["created"] == "1970-01-02T00:00:00Z"
    (step,) = config["history"]
    assert step["created"] == config["created"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InvalidArgumentError, match="SOURCE_DATE_EPOCH"):
        await push_runnable(store, [one])


@pytest.mark.parametrize(
    ("made_for", "expected"),
    [
        ((AMD64, 64, "<"), "amd64"),
        ((3, 32, "<"), "386"),
        ((ARM64, 64, "<"), "arm64"),
        ((40, 32, "<"), "arm"),
        ((243, 64, "<"), "riscv64"),
        ((22, 64, ">"), "s390x"),
        ((21, 64, "<"), "ppc64le"),
        ((258, 64, "<"), "loong64"),
        ((8, 32, "<"), "mipsle"),
    ],
)
async def test_architecture_is_what_the_program_says(
    store: MemoryStore,
    write: Callable[..., Path],
    made_for: tuple[int, int, str],
    expected: str,
) -> None:
    machine, bits, order = made_for
    for abi in (0, 3):  # System V, Linux
        path = write("app", elf(machine, bits=bits, order=order, abi=abi))
        config = await config_of(store, await push_runnable(store, [path]))
        assert (config["os"], config["architecture"]) == ("linux", expected)
        # 32-bit ARM alone always has a variant.
        assert config.get("variant") == ("v7" if expected == "arm" else None)


async def test_several_platforms_are_an_index(
    store: MemoryStore, write: Callable[..., Path]
) -> None:
    paths = [write("app-arm64", elf(ARM64)), write("app-amd64", elf(AMD64))]
    made = await push_runnable(
        store, paths, name="v1", annotations={"k": "v"}, config=RunConfig(labels={"l": "m"})
    )
    assert await store.resolve("v1") == made
    assert await store.tags() == ["v1"]
    index = await fetch_document(store, made)
    assert isinstance(index, Index)
    assert (index.media_type, index.annotations) == (media_types.OCI_INDEX, {"k": "v"})
    assert [str(entry.platform) for entry in index.manifests] == ["linux/arm64", "linux/amd64"]
    for entry in index.manifests:
        config = await config_of(store, entry)
        assert entry.platform is not None
        assert config["architecture"] == entry.platform.architecture
        assert config["config"]["Entrypoint"] == ["/app-arm64"]
        assert config["config"]["Labels"] == {"l": "m"}
        assert (await manifest_of(store, entry)).annotations == {"k": "v"}
    alone = await push_runnable(
        store,
        paths[1:],
        name_as="app-arm64",
        annotations={"k": "v"},
        config=RunConfig(labels={"l": "m"}),
    )
    assert alone.digest == index.manifests[1].digest


LOADER = b"/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (elf(AMD64, interpreter=LOADER), LOADER.decode(), "-static"),
        (elf(AMD64, kind=SHARED, interpreter=LOADER), LOADER.decode(), "x86_64-unknown-linux-m"),
        (elf(ARM64, interpreter=b"/lib/ld.so"), "/lib/ld.so", "aarch64-unknown-linux-musl"),
        (elf(AMD64, kind=SHARED), "shared library", "pack"),
        (elf(AMD64, kind=1), "object file", "pack"),
        (b"!<arch>\n", "archive of objects", "pack"),
        (elf(AMD64, abi=9), "freebsd/amd64", "for Linux"),
        (elf(0xFFFF), "no name", "amd64"),
        (elf(AMD64)[:70], "no program", "machine code"),
        (b"#!/bin/sh\n", "a script", "machine code"),
        (b"", "no program", "machine code"),
        (b"plain text, of more than a few bytes", "no program", "machine code"),
    ],
)
async def test_what_cannot_run_alone(
    store: MemoryStore, write: Callable[..., Path], data: bytes, message: str, hint: str
) -> None:
    good, bad = write("good", elf(0xF3)), write("bad", data)
    for paths in ([bad], [good, bad]):
        with pytest.raises(InvalidPackageError) as caught:
            await push_runnable(store, paths, name="v1")
        assert str(bad) in str(caught.value)
        assert message in str(caught.value)
        assert hint in (caught.value.hint or "")
    assert await store.tags() == []


async def test_arguments_that_cannot_be(store: MemoryStore, write: Callable[..., Path]) -> None:
    one, two = write("one", elf(AMD64)), write("two", elf(AMD64, body=b"other"))
    with pytest.raises(InvalidArgumentError, match="both for linux/amd64") as caught:
        await push_runnable(store, [one, two])
    assert f"{one} and {two}" in str(caught.value)
    with pytest.raises(InvalidArgumentError):
        await push_runnable(store, [])
    with pytest.raises(NotFoundError):
        await push_runnable(store, [one.parent / "nothing"])
    with pytest.raises(InvalidPackageError, match="directory"):
        await push_runnable(store, [one.parent])
    for name in ("", ".", "..", "a/b", "/a", "a\0"):
        with pytest.raises(InvalidArgumentError):
            await push_runnable(store, [one], name_as=name)
    for wrong in (
        {"environment": {"": "x"}},
        {"environment": {"A=B": "x"}},
        {"environment": {"A": "\0"}},
        {"labels": {"": "x"}},
        {"working_dir": "data"},
        {"working_dir": ""},
        {"user": "a\0"},
        {"arguments": ["\0"]},
    ):
        with pytest.raises(InvalidArgumentError):
            RunConfig(**wrong)
