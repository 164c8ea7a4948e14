"""Every verb of the client, through registries, layouts and archives."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from client.trees import FILES, contents, everything, make_tree, push_index
from ocipkg_async import ArtifactFile, Client, ClientOptions, Compression, Package, UnpackLimits
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import (
    AlreadyExistsError,
    ClosedError,
    DigestMismatchError,
    IntegrityError,
    InvalidArgumentError,
    InvalidLayoutError,
    InvalidPlatformError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    OCIError,
    RegistryNotFoundError,
    UnsupportedError,
)
from ocipkg_async.events import Event, Finished, Planned
from ocipkg_async.registry import TransferOptions
from ocipkg_async.server import EmbeddedRegistry, Faults
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Index, Manifest, Reference
from registries import RunningRegistry

OTHER = "sha256:" + "0" * 64


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(ClientOptions(store=tmp_path / "store")) as client:
        yield client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def name(registry: RunningRegistry, repository_name: str) -> str:
    return f"{registry.host}/{repository_name}"


async def test_pack_push_get(client: Client, tree: Path, tmp_path: Path, name: str) -> None:
    archive = str(tmp_path / "pkg.tar")
    packed = await client.pack([tree], archive, name=f"{name}:v1")
    assert await client.push(archive) == [(Reference.parse(f"{name}:v1"), packed)]
    package = await client.get(f"{name}:v1")
    assert (package.descriptor, package.platform) == (packed, None)
    assert package.reference == Reference.parse(f"{name}:v1")
    assert contents(package.path) == FILES
    assert os.access(package.path / "bin/run", os.X_OK)
    by_digest = await client.get(f"{name}@{packed.digest}")
    assert by_digest.path == package.path
    assert [p.reference for p in await client.packages()] == [
        package.reference,
        by_digest.reference,
    ]


async def test_pack_straight_into_a_registry_gives_the_same(
    client: Client, tree: Path, tmp_path: Path, name: str
) -> None:
    packed = await client.pack([tree], f"{name}:v1", annotations={"k": "v"})
    layout = f"oci:{tmp_path / 'layout'}"
    assert await client.pack([tree], layout, name="ghcr.io/a/b:v1", annotations={"k": "v"}) == (
        packed
    )
    assert await client.resolve(f"{name}:v1") == packed
    found = await client.inspect(f"{name}:v1")
    assert isinstance(found.document, Manifest)
    assert found.document.annotations["k"] == "v"
    assert found.size == sum(d.size for d in found.document.successors)


async def test_push_files_and_pull(
    client: Client, tree: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    files = [ArtifactFile.parse("include/a.h:text/x-c"), ArtifactFile.parse("lib")]
    pushed = await client.push_files(
        f"{name}:v1", files, artifact_type="application/vnd.test", annotations={"k": "v"}
    )
    out = tmp_path / "out"
    report = await client.pull(f"{name}:v1", out)
    assert (report.files, report.skipped) == (2, ())
    assert contents(out) == {k: v for k, v in FILES.items() if not k.startswith("bin")}
    found = (await client.inspect(Reference.parse(f"{name}:v1"))).document
    assert isinstance(found, Manifest)
    assert found.artifact_type == "application/vnd.test"
    assert (found.layers[0].title, found.layers[0].media_type) == ("include/a.h", "text/x-c")
    assert found.descriptor.plain() == pushed.plain()


async def test_pull_writes_all_or_nothing(
    client: Client, tree: Path, tmp_path: Path, name: str
) -> None:
    await client.pack([tree], f"{name}:v1")
    out = make_tree(tmp_path / "out", {"include/a.h": b"mine", "other": b"stays"})
    before = contents(out)
    with pytest.raises(AlreadyExistsError) as caught:
        await client.pull(f"{name}:v1", out)
    assert "overwrite" in (caught.value.hint or "")
    assert contents(out) == before
    await client.pull(f"{name}:v1", out, overwrite=True)
    assert contents(out) == {**FILES, "other": b"stays"}


async def test_save_and_load(client: Client, tree: Path, tmp_path: Path, name: str) -> None:
    packed = await client.pack([tree], f"{name}:v1")
    remote, local = str(tmp_path / "remote.tar"), str(tmp_path / "local.tar")
    assert await client.save(f"{name}:v1", remote) == packed
    await client.get(f"{name}:v1")
    assert await client.save(f"{name}:v1", local) == packed
    assert Path(remote).read_bytes() == Path(local).read_bytes()
    with pytest.raises(AlreadyExistsError) as caught:
        await client.save(f"{name}:v1", local)
    assert "overwrite" in (caught.value.hint or "")
    await client.save(f"{name}:v1", local, overwrite=True)
    await client.remove(f"{name}:v1")
    (loaded,) = await client.load(local)
    assert (str(loaded.reference), loaded.descriptor) == (f"{name}:v1", packed)
    (renamed,) = await client.load(local, name="example.org/other")
    assert str(renamed.reference) == "example.org/other:latest"
    assert renamed.path == loaded.path
    with pytest.raises(NotFoundError):
        await client.save(f"{name}:nothing", str(tmp_path / "no.tar"))
    assert not (tmp_path / "no.tar").exists()


async def test_tag_and_tags(client: Client, tree: Path, tmp_path: Path, name: str) -> None:
    packed = await client.pack([tree], f"{name}:v1")
    assert await client.tag(f"{name}:v1", ["v1.0", "latest"]) == packed
    with pytest.raises(InvalidArgumentError, match="'v2' is one text"):
        await client.tag(f"{name}:v1", "v2")
    assert await client.tags(name) == ["latest", "v1", "v1.0"]
    layout = f"oci:{tmp_path / 'layout'}"
    await client.copy(f"{name}:v1", f"{layout}:v1")
    assert await client.tag(f"{layout}:v1", ["v2"]) == packed
    assert await client.tags(layout) == ["v1", "v2"]
    archive = str(tmp_path / "pkg.tar")
    await client.copy(f"{layout}:v2", archive)
    assert await client.tags(archive) == ["v2"]
    with pytest.raises(UnsupportedError):
        await client.tag(archive, ["v3"])
    with pytest.raises(NotFoundError):
        await client.tag(f"{name}:v9", ["v3"])
    with pytest.raises(RegistryNotFoundError):
        await client.tags(f"{name}/nothing")


async def test_copy_between_all_kinds(
    client: Client, tree: Path, tmp_path: Path, name: str
) -> None:
    root = await push_index(client, f"{name}:v1", tmp_path, ("linux/amd64", "linux/arm64"))
    layout, archive = f"oci:{tmp_path / 'layout'}", f"oci-archive:{tmp_path / 'a.tar'}"
    there = await client.copy(f"{name}:v1", layout)
    assert there.root == root
    assert len(there.copied) == len({d.digest for d in there.copied})
    assert await client.tags(layout) == [f"{name}:v1"]
    await client.copy(layout, archive)
    assert await client.tags(archive) == [f"{name}:v1"]
    back = await client.copy(archive, f"{name}-copy:v2")
    assert back.root == root
    again = await client.copy(archive, f"{name}-copy:v2")
    assert (again.copied, again.bytes_copied) == ((), 0)
    assert await client.resolve(f"{name}-copy:v2") == root
    one = await client.copy(f"{name}:v1", f"oci:{tmp_path / 'one'}:arm", platform="linux/arm64")
    assert one.root == await client.resolve(f"{name}:v1", platform="linux/arm64")
    with pytest.raises(AlreadyExistsError) as caught:
        await client.copy(layout, archive)
    assert "overwrite" in (caught.value.hint or "")
    await client.copy(layout, archive, overwrite=True)


async def test_copy_to_a_digest_is_checked(client: Client, tree: Path, name: str) -> None:
    packed = await client.pack([tree], f"{name}:v1")
    await client.copy(f"{name}:v1", f"{name}-copy@{packed.digest}")
    assert await client.resolve(f"{name}-copy@{packed.digest}") == packed
    await client.copy(f"{name}:v1", f"{name}-both:v2@{packed.digest}")
    assert await client.tags(f"{name}-both") == ["v2"]
    for action in (
        client.copy(f"{name}:v1", f"{name}-copy@{OTHER}"),
        client.pack([tree], f"{name}@{packed.digest}"),
        client.push_files(f"{name}@{packed.digest}", []),
    ):
        with pytest.raises(InvalidArgumentError, match="digest"):
            await action


async def test_platform_is_chosen_from_an_index(client: Client, tmp_path: Path, name: str) -> None:
    host, other = "linux/amd64", "linux/arm64"
    await push_index(client, f"{name}:v1", tmp_path, (host, other, "windows/amd64"))
    for text in (other, "aarch64-unknown-linux-gnu", "windows/amd64"):
        package = await client.get(f"{name}:v1", platform=text)
        expected = {"aarch64-unknown-linux-gnu": other}.get(text, text)
        assert (package.path / "platform").read_text() == expected
        found = await client.find(f"{name}:v1", platform=text)
        assert found == package
        out = tmp_path / f"out-{text.replace('/', '-')}"
        await client.pull(f"{name}:v1", out, platform=text)
        assert contents(out) == {"platform": expected.encode()}
    with pytest.raises(NotFoundError) as caught:
        await client.get(f"{name}:v1", platform="plan9/386")
    assert "linux/arm64" in (caught.value.hint or "")
    for mistyped in ("/", "x86_64-unknown-linxu-gnu"):
        with pytest.raises(InvalidPlatformError, match="is n"):
            await client.get(f"{name}:v1", platform=mistyped)
    whole = await client.inspect(f"{name}:v1")
    assert isinstance(whole.document, Index)
    one = await client.inspect(f"{name}:v1", platform=other)
    assert isinstance(one.document, Manifest)
    assert len(await client.packages()) == 2
    await client.remove(f"{name}:v1", platform=other)
    assert [str(p.platform) for p in await client.packages()] == ["windows/amd64"]


async def test_referrers(client: Client, tree: Path, tmp_path: Path, name: str) -> None:
    packed = await client.pack([tree], f"{name}:v1")
    repository = client.repository(name)
    await repository.push(EMPTY, BytesSource(EMPTY_JSON))
    signature = Manifest.build(
        config=EMPTY, layers=(EMPTY,), artifact_type="application/vnd.sig", subject=packed
    )
    await repository.push(signature.descriptor, BytesSource(signature.raw))
    for target in (f"{name}:v1", Reference.parse(f"{name}@{packed.digest}")):
        assert [d.digest for d in await client.referrers(target)] == [signature.digest]
    assert await client.referrers(f"{name}:v1", artifact_type="application/vnd.other") == []
    await client.copy(f"{name}:v1", f"oci:{tmp_path / 'layout'}")
    await client.copy(f"{name}@{signature.digest}", f"oci:{tmp_path / 'layout'}:sig")
    layout = f"oci:{tmp_path / 'layout'}:{name}:v1"
    assert [d.digest for d in await client.referrers(layout)] == [signature.digest]


async def test_concurrent_calls_on_one_client(client: Client, tmp_path: Path, name: str) -> None:
    shared = {"shared": bytes(200_000)}
    trees = [make_tree(tmp_path / f"t{n}", {**shared, "own": b"%d" % n}) for n in range(6)]

    async def there_and_back(number: int) -> None:
        reference = f"{name}:v{number}"
        packed = await client.pack([trees[number]], reference)
        packages = await gather_two(client, reference)
        assert {p.descriptor for p in packages} == {packed}
        assert contents(packages[0].path)["own"] == b"%d" % number

    async with anyio.create_task_group() as group:
        for number in range(len(trees)):
            group.start_soon(there_and_back, number)
    assert len(await client.packages()) == len(trees)
    assert await client.verify() == []


async def gather_two(client: Client, reference: str) -> list[Package]:
    found: list[Package] = []

    async def get() -> None:
        found.append(await client.get(reference))

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        group.start_soon(get)
    return found


# What needs no second registry


async def test_repositories(embedded: EmbeddedRegistry, client: Client, tree: Path) -> None:
    for repository in ("b/c", "a"):
        await client.pack([tree], f"{embedded.host}/{repository}:v1")
    assert await client.repositories(embedded.host) == ["a", "b/c"]


async def test_closed_client_says_so(tmp_path: Path) -> None:
    client = Client(ClientOptions(store=tmp_path / "store"))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.pack([tmp_path], str(tmp_path / "x.tar")),
        lambda: client.push_files("a.io/b:c", []),
        lambda: client.get("a.io/b"),
        lambda: client.save("a.io/b", str(tmp_path / "x.tar")),
        lambda: client.copy("a.io/b", "a.io/c"),
        lambda: client.tags("a.io/b"),
        lambda: client.repositories("a.io"),
        client.packages,
        lambda: client.find("a.io/b"),
        client.verify,
        lambda: client.login("a.io", "u", "p"),
        lambda: client.logout("a.io"),
    ]
    for _ in range(2):
        for call in calls:
            with pytest.raises(ClosedError) as caught:
                await call()
            assert "async with" in (caught.value.hint or "")
        async with client:
            with pytest.raises(InvalidArgumentError, match="open already"):
                await client.__aenter__()
            assert await client.packages() == []
    assert everything(tmp_path) == sorted(
        ["store", *(f"store/{p}" for p in everything(tmp_path / "store"))]
    )


@pytest.mark.parametrize("option", ["concurrency", "max_manifest_bytes"])
def test_options_are_checked(option: str) -> None:
    wrong: dict[str, Any] = {option: 0}
    with pytest.raises(InvalidArgumentError, match=option):
        ClientOptions(**wrong)
    assert getattr(ClientOptions(**{**wrong, option: 1}), option) == 1


async def test_limits_reach_get_pull_and_verify(
    embedded: EmbeddedRegistry, tree: Path, tmp_path: Path
) -> None:
    reference = f"{embedded.host}/a:v1"
    options = ClientOptions(store=tmp_path / "store", limits=UnpackLimits(entries=2))
    async with Client(options) as client:
        await client.pack([tree], reference)
        with pytest.raises(LimitExceededError):
            await client.get(reference)
        with pytest.raises(LimitExceededError):
            await client.pull(reference, tmp_path / "out")
        assert await client.packages() == []
    assert not (tmp_path / "out").exists()


async def test_max_manifest_bytes_and_chunks(
    embedded: EmbeddedRegistry, tree: Path, tmp_path: Path
) -> None:
    requests: list[str] = []
    async with (
        EmbeddedRegistry(on_request=lambda log: requests.append(log.method)) as registry,
        Client(
            ClientOptions(store=tmp_path / "store", transfer=TransferOptions(chunk_bytes=64))
        ) as client,
    ):
        archive = str(tmp_path / "a.tar")
        await client.pack([tree], archive, name=f"{registry.host}/a:v1")
        await client.push(archive)
        assert requests.count("PATCH") > 1
        async with Client(ClientOptions(max_manifest_bytes=10)) as small:
            with pytest.raises(OCIError, match="10"):
                await small.inspect(f"{registry.host}/a:v1")


async def test_events(embedded: EmbeddedRegistry, tree: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    options = ClientOptions(store=tmp_path / "store")
    async with Client(options, on_event=events.append) as client:
        await client.pack([tree], str(tmp_path / "a.tar"), name=f"{embedded.host}/a:v1")
        await client.push(str(tmp_path / "a.tar"))
        await client.get(f"{embedded.host}/a:v1")
    assert all(event.name for event in events if not isinstance(event, Planned))
    assert {event.action for event in events if isinstance(event, Finished)} == {
        "pack",
        "upload",
        "download",
    }


async def test_wrong_bytes_install_nothing(tree: Path, tmp_path: Path) -> None:
    faults = Faults()
    async with (
        EmbeddedRegistry(faults=faults) as registry,
        Client(ClientOptions(store=tmp_path / "store")) as client,
    ):
        reference = f"{registry.host}/a:v1"
        await client.pack([tree], reference)
        faults.when = lambda _method, path: "/blobs/" in path
        faults.wrong_bytes = True
        with pytest.raises(IntegrityError):
            await client.get(reference)
        with pytest.raises(DigestMismatchError):
            await client.save(reference, str(tmp_path / "a.tar"))
        assert not (tmp_path / "a.tar").exists()
        assert await client.packages() == []
        faults.wrong_bytes = False
        assert contents((await client.get(reference)).path) == FILES
        assert await client.verify() == []


async def test_zstd_package(embedded: EmbeddedRegistry, client: Client, tree: Path) -> None:
    await client.pack([tree], f"{embedded.host}/a:v1", compression=Compression(algorithm="zstd"))
    assert contents((await client.get(f"{embedded.host}/a:v1")).path) == FILES


async def test_reproducible_whatever_the_output(client: Client, tree: Path, tmp_path: Path) -> None:
    await client.pack([tree], str(tmp_path / "1.tar"), name="a.io/b:v1")
    os.utime(tree / "bin/run", (1, 1))
    await client.pack([tree], str(tmp_path / "2.tar"), name="a.io/b:v1")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


async def test_reference_that_is_none(client: Client, tmp_path: Path) -> None:
    for call in (client.get("a b"), client.find("a b"), client.tags("a b")):
        with pytest.raises(InvalidReferenceError):
            await call


async def test_existing_folder_that_is_no_layout_stays_as_it_is(client: Client, tree: Path) -> None:
    before = everything(tree)
    with pytest.raises(InvalidLayoutError):
        await client.pack([tree / "bin"], f"oci:{tree}")
    assert everything(tree) == before
