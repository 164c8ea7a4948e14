"""Typical uses of the public interface: never run, only read by type checkers."""

import ctypes
from pathlib import Path
from typing import assert_type

import ocipkg_async
import ocipkg_async.sync
from ocipkg_async import (
    ArchiveReader,
    ArchiveWriter,
    ArtifactFile,
    BytesSource,
    Client,
    ClientOptions,
    Compression,
    CopyReport,
    Credential,
    Descriptor,
    Digest,
    EmbeddedRegistry,
    Event,
    FileSource,
    Index,
    Inspection,
    Layout,
    Linkage,
    LinkMetadata,
    LocalStore,
    LockFile,
    Manifest,
    OCIError,
    Package,
    Platform,
    Reference,
    Repository,
    RetryPolicy,
    RunConfig,
    StaticCredentials,
    TransferOptions,
    TransportOptions,
    UnpackLimits,
    UnpackReport,
    errors,
)
from ocipkg_async.client import CratePackage
from ocipkg_async.content import Downloader, Meter
from ocipkg_async.events import Finished, Progressed
from ocipkg_async.link import find_library, link_arguments, load_library
from ocipkg_async.package.cargo import CargoOptions
from ocipkg_async.server import Faults
from ocipkg_async.store import Problem, Pruned
from ocipkg_async.testing import Access, RequestLog, RunningRegistry, TLSFiles, run_registry


def show(event: Event) -> None:
    if isinstance(event, Progressed):
        assert_type(event.done, int)
        assert_type(event.total, int | None)
        assert_type(event.rate_bytes_per_s, float)
        assert_type((event.connections, event.retries, event.moved), tuple[int, int, int])
    elif isinstance(event, Finished) and event.descriptor is not None:
        assert_type(event.descriptor.digest, Digest)


async def packages(client: Client) -> None:
    packed = await client.pack(
        [Path("build")],
        "pkg.tar",
        name="ghcr.io/org/pkg:v1",
        compression=Compression(algorithm="zstd", level=3),
        annotations={"org.opencontainers.image.version": "1"},
        overwrite=True,
    )
    assert_type(packed, Descriptor)
    assert_type(await client.push("pkg.tar"), list[tuple[Reference, Descriptor]])
    package = await client.get("ghcr.io/org/pkg:v1", platform="linux/arm64")
    assert_type(package, Package)
    assert_type(package.path, Path)
    assert_type(package.platform, Platform | None)
    assert_type(await client.load("pkg.tar"), list[Package])
    assert_type(await client.save(package.reference, "other.tar"), Descriptor)
    assert_type(await client.find(package.reference), Package)
    assert_type(await client.packages(), list[Package])
    assert_type(await client.prune(), Pruned)
    assert_type(await client.verify(), list[Problem])
    assert_type(await client.remove("ghcr.io/org/pkg:v1"), Package)
    assert_type(await client.local_store(), LocalStore)


async def crates(client: Client) -> None:
    options = CargoOptions(package="foo", profile="release", targets=("aarch64-apple-darwin",))
    built = await client.cargo_build(options=options, headers=["include/*.h"], on_output=print)
    assert_type(built, CratePackage)
    assert_type((built.name, built.target), tuple[str, str])
    try:
        await client.cargo_publish("ghcr.io/org/foo:v1", options=options, allow_dirty=True)
    except errors.BuildError as error:
        assert_type((error.status, error.output), tuple[int, str])


async def artifacts(client: Client) -> None:
    files = [ArtifactFile.parse("data.json:application/json"), ArtifactFile.parse("docs")]
    pushed = await client.push_files("ghcr.io/org/notes:v1", files, artifact_type="a/b")
    assert_type(pushed, Descriptor)
    report = await client.pull("ghcr.io/org/notes:v1", Path("out"), unpack_directories="never")
    assert_type(report, UnpackReport)
    assert_type(report.skipped, tuple[tuple[Descriptor, str], ...])


async def looking(client: Client) -> None:
    assert_type(await client.resolve("ghcr.io/org/pkg:v1"), Descriptor)
    found = await client.inspect("oci:layout:v1")
    assert_type(found, Inspection)
    assert_type(found.document, Manifest | Index)
    if isinstance(found.document, Manifest):
        assert_type(found.document.layers, tuple[Descriptor, ...])
    else:
        assert_type(found.document.manifests, tuple[Descriptor, ...])
    assert_type(await client.copy("ghcr.io/a/b:v1", "oci:layout"), CopyReport)
    assert_type(await client.referrers("ghcr.io/a/b:v1", artifact_type="a/b"), list[Descriptor])
    assert_type(await client.tag("ghcr.io/a/b:v1", ["v2"]), Descriptor)
    assert_type(await client.tags("ghcr.io/a/b"), list[str])
    assert_type(await client.repositories("localhost:5000"), list[str])


async def stores(client: Client) -> None:
    repository = client.repository("ghcr.io/org/pkg")
    assert_type(repository, Repository)
    data = b"some bytes"
    blob = Descriptor.of(data, "application/octet-stream")
    await repository.push(blob, BytesSource(data))
    async with repository.fetch(blob) as reader:
        assert_type(await reader.read(1 << 20), bytes)
    downloader: Downloader = repository
    meter = Meter(show, descriptor=blob)
    assert_type(await downloader.download(blob, Path("f"), meter=meter, durable=True), bool)
    assert_type(meter.rate_bytes_per_s, float)
    layout = await Layout.open(Path("layout"), create=True)
    await layout.push(blob, FileSource(Path("file")))
    async with ArchiveReader.open(Path("pkg.tar")) as archive:
        assert_type(await archive.tags(), list[str])
    async with ArchiveWriter.open(Path("new.tar")) as writer:
        await writer.push(blob, BytesSource(data))
    manifest = Manifest.build(config=blob, layers=(blob,), artifact_type="a/b")
    assert_type(manifest.digest, Digest)
    assert_type(manifest.raw, bytes)


async def settings() -> None:
    options = ClientOptions(
        store=Path("store"),
        concurrency=4,
        limits=UnpackLimits(entries=1000),
        transfer=TransferOptions(
            connections=8,
            part_bytes=16 << 20,
            resume=False,
            partial=Path("partial"),
            chunk_bytes=4 << 20,
            resume_uploads=True,
            state=Path("state"),
        ),
        transport=TransportOptions(
            connect_timeout_s=5,
            ca_file=Path("ca.pem"),
            bytes_per_s=20_000_000,
            retry=RetryPolicy(attempts=10, deadline_s=3600),
        ),
    )
    credentials = StaticCredentials({"ghcr.io": Credential(username="a", password="b")})
    async with Client(options, credentials=credentials, on_event=show) as client:
        assert_type(client, Client)
        await packages(client)
        assert_type(await client.login("ghcr.io", "a", "b"), str)
        assert_type(await client.logout("ghcr.io"), bool)


async def native(client: Client) -> None:
    link = LinkMetadata(libraries=("foo",), system_libraries=("m",))
    assert_type(
        await client.pack(
            [], "a.tar", named={"lib/a": Path("a")}, platform="linux/arm64", link=link
        ),
        Descriptor,
    )
    assert_type(await client.index([("a.tar", None)], "ghcr.io/org/pkg:v1"), Descriptor)
    config = RunConfig(environment={"A": "b"}, user="1000")
    assert_type(await client.pack_runnable([Path("a")], "a.tar", config=config), Descriptor)
    lock = await client.lock(["ghcr.io/org/pkg:v1"], Path("ocipkg.lock"), update=True)
    assert_type(lock, LockFile)
    linkage = await client.link("ghcr.io/org/pkg:v1", kind="static", lock=lock, offline=True)
    assert_type(linkage, Linkage)
    assert_type(link_arguments(linkage), list[str])
    assert_type(load_library("ghcr.io/org/pkg:v1"), ctypes.CDLL)
    assert_type(find_library("ghcr.io/org/pkg:v1", "foo"), Path)


async def registry() -> None:
    async with EmbeddedRegistry(faults=Faults(refuse_next=1)) as running:
        assert_type(running.url, str)


def tested() -> None:
    files = TLSFiles(certificate=Path("server.pem"), key=Path("server.key"))
    access = Access(users={"alice": "secret"}, anonymous_pull=True, tokens=True)
    with run_registry(Path("root"), access=access, tls=files, page_entries=2) as running:
        assert_type(running, RunningRegistry)
        assert_type((running.host, running.url, running.root), tuple[str, str, Path])
        running.faults.refuse_next = 1
        assert_type(running.requests[-1], RequestLog)
        assert_type(running.requests[1:], list[RequestLog])
        assert_type([one.status for one in running.requests], list[int])
        assert_type(running.docker_config("alice"), str)
        running.requests.clear()


def blocking() -> None:
    with ocipkg_async.sync.Client(ClientOptions(), on_event=show) as client:
        assert_type(client, ocipkg_async.sync.Client)
        package = client.get(Reference.parse("ghcr.io/org/pkg:v1"), platform=Platform.host())
        assert_type(package, Package)
        assert_type(client.tags("ghcr.io/org/pkg"), list[str])
        assert_type(client.pull("ghcr.io/org/pkg:v1", Path("out")), UnpackReport)
        assert_type(client.push("pkg.tar", to="ghcr.io/a/b:v1"), list[tuple[Reference, Descriptor]])


def failures() -> None:
    try:
        blocking()
    except errors.UnauthorizedError as error:
        assert_type(error.status, int)
    except errors.IntegrityError as error:
        assert_type(error.expected, str)
    except OCIError as error:
        assert_type(error.hint, str | None)
    assert_type(ocipkg_async.__version__, str)
