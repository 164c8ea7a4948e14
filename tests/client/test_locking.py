"""Lock files and work without a registry: what was locked is what is installed, or an error."""

import os
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from client.trees import contents, make_tree, push_index
from ocipkg_async import Client, ClientOptions, RetryPolicy, TransportOptions
from ocipkg_async.content import BytesSource
from ocipkg_async.content.locks import file_lock
from ocipkg_async.errors import (
    ConnectError,
    InvalidArgumentError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    RegistryError,
    RegistryNotFoundError,
    StorageError,
    TagMovedError,
)
from ocipkg_async.events import Event, Warned
from ocipkg_async.server import EmbeddedRegistry, Faults
from ocipkg_async.spec import Descriptor, Digest, Index, Platform, Reference
from ocipkg_async.store import LockedPackage, LockFile
from ocipkg_async.store.lock_file import MAX_BYTES
from registries import RunningRegistry

ONE_TRY = TransportOptions(retry=RetryPolicy(attempts=1))


@pytest.fixture
async def events() -> list[Event]:
    return []


@pytest.fixture
async def client(tmp_path: Path, events: list[Event]) -> AsyncIterator[Client]:
    options = ClientOptions(store=tmp_path / "store", transport=ONE_TRY)
    async with Client(options, on_event=events.append) as client:
        yield client


@pytest.fixture
async def later(tmp_path: Path) -> AsyncIterator[Client]:
    """A client with the same store and no connection that was used before."""
    async with Client(ClientOptions(store=tmp_path / "store", transport=ONE_TRY)) as client:
        yield client


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Client]:
    """A client with a store of its own, as on another machine."""
    options = ClientOptions(store=tmp_path / "elsewhere", transport=ONE_TRY)
    async with Client(options) as client:
        yield client


@pytest.fixture
def name(registry: RunningRegistry, repository_name: str) -> str:
    return f"{registry.host}/{repository_name}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / "ocipkg.lock"


@pytest.fixture
def pack(client: Client, tmp_path: Path) -> Callable[[str, str], Awaitable[Descriptor]]:
    """Push a package with one file, which holds the text given."""

    async def pack(reference: str, text: str) -> Descriptor:
        tree = make_tree(tmp_path / "trees" / text, {"text": text.encode()})
        return await client.pack([tree], reference)

    return pack


Pack = Callable[[str, str], Awaitable[Descriptor]]


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def ref(host: str, tag: str = "v1") -> str:
    return f"{host}/a/b:{tag}"


async def test_index_is_locked_for_all_machines(
    client: Client,
    elsewhere: Client,
    tmp_path: Path,
    file: Path,
    name: str,
) -> None:
    platforms = ("linux/amd64", "linux/arm/v7", "darwin/arm64")
    index = await push_index(client, f"{name}:v1", tmp_path / "trees", platforms)
    locked = await client.lock([f"{name}:v1"], file)
    digests = {
        text: (await client.resolve(f"{name}:v1", platform=text)).digest for text in platforms
    }
    assert tomllib.loads(file.read_text()) == {
        "version": 1,
        "package": [{"reference": f"{name}:v1", "digest": index.digest, "platforms": digests}],
    }
    assert entries(file.parent) == ["ocipkg.lock"]
    for text in platforms:
        package = await elsewhere.get(f"{name}:v1", platform=text, lock=file)
        assert package.descriptor.digest == digests[text]
        assert str(package.platform) == text
        assert contents(package.path) == {"platform": text.encode()}
    fallback = await elsewhere.get(f"{name}:v1", platform="linux/arm64", lock=locked)
    assert fallback.descriptor.digest == digests["linux/arm/v7"]
    with pytest.raises(NotFoundError, match="no manifest for windows/amd64 when it was locked"):
        await elsewhere.get(f"{name}:v1", platform="windows/amd64", lock=file)


async def test_one_text_is_no_list(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="references is a list"):
        await client.lock("localhost/a:1", tmp_path / "ocipkg.lock")
    with pytest.raises(InvalidArgumentError, match="remove is a list"):
        await client.lock([], tmp_path / "ocipkg.lock", remove="localhost/a:1")


async def test_moved_tag_is_refused_until_it_is_accepted(
    client: Client,
    elsewhere: Client,
    pack: Pack,
    file: Path,
    name: str,
) -> None:
    old = await pack(f"{name}:v1", "old")
    await client.lock([f"{name}:v1"], file)
    new = await pack(f"{name}:v1", "new")
    with pytest.raises(TagMovedError, match=f"pointed to {old.digest} .* now to {new.digest}") as e:
        await elsewhere.get(f"{name}:v1", lock=file)
    assert (e.value.expected, e.value.actual) == (old.digest, new.digest)
    assert f"ocipkg-async lock --update {name}:v1" in (e.value.hint or "")
    assert await elsewhere.packages() == []
    # Without --update what is locked stays.
    assert (await client.lock([f"{name}:v1"], file)).packages[0].digest == old.digest
    # The hint's other way: the digest as the name.
    await client.lock([f"{name}@{old.digest}"], file)
    kept = await elsewhere.get(f"{name}@{old.digest}", lock=file)
    assert contents(kept.path) == {"text": b"old"}
    await client.lock([f"{name}:v1"], file, update=True)
    package = await elsewhere.get(f"{name}:v1", lock=file)
    assert contents(package.path) == {"text": b"new"}


async def test_update_of_some_and_of_all(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    references = [ref(embedded.host, tag) for tag in ("v1", "v2")]
    for reference in references:
        await pack(reference, "old")
    await client.lock(references, file)
    new = await pack(references[0], "new")
    await pack(references[1], "new")
    first = await client.lock(references[:1], file, update=True)
    assert [one.digest == new.digest for one in first.packages] == [True, False]
    both = await client.lock([], file, update=True)
    assert [one.digest == new.digest for one in both.packages] == [True, True]
    assert LockFile.parse(file.read_bytes()) == both


async def test_what_is_locked_and_installed_needs_no_registry(
    client: Client, pack: Pack, file: Path, tmp_path: Path
) -> None:
    async with EmbeddedRegistry() as running:
        one, two = ref(running.host), ref(running.host, "v2")
        packed = await pack(one, "text")
        index = await push_index(client, two, tmp_path / "trees", ("linux/amd64", "linux/arm64"))
        await client.lock([one, two], file)
        installed = await client.get(one, lock=file)
        await client.get(two, platform="linux/arm64", lock=file)
        pinned = [f"{running.host}/a/b@{digest}" for digest in (packed.digest, index.digest)]
        for reference in pinned:
            await client.get(reference)
    assert await client.get(one, lock=file) == installed
    assert await client.get(one, lock=file, offline=True) == installed
    assert await client.get(one, offline=True) == installed
    assert await client.lock([one], file) == LockFile.parse(file.read_bytes())
    other = await client.get(two, platform="linux/arm64", lock=file, offline=True)
    assert contents(other.path) == {"platform": b"linux/arm64"}
    for reference in pinned:
        assert str((await client.get(reference)).reference) == reference
        assert str((await client.get(reference, offline=True)).reference) == reference


async def test_manifest_under_another_name_is_not_fetched_again(
    client: Client, pack: Pack, file: Path
) -> None:
    async with EmbeddedRegistry() as running:
        one, two = ref(running.host), ref(running.host, "v2")
        packed = await pack(one, "text")
        await pack(two, "text")
        await client.lock([two], file)
        installed = await client.get(one)
    with pytest.raises(NotFoundError, match="v2 is not installed"):
        await client.find(two)
    package = await client.get(two, lock=file)
    assert package.path == installed.path
    assert (await client.find(f"{two}@{packed.digest}")).path == installed.path
    by_digest = await client.get(one.removesuffix(":v1") + f"@{packed.digest}", offline=True)
    assert by_digest.path == installed.path


async def test_lock_file_decides_for_nobody_else(client: Client, pack: Pack, file: Path) -> None:
    """Whoever can write one project's file could put anything under any name, for all projects."""
    async with EmbeddedRegistry() as running:
        good, evil = f"{running.host}/good/lib:v1", f"{running.host}/evil/lib:v1"
        await pack(good, "good")
        packed = await pack(evil, "evil")
        await client.get(evil)
        file.write_text(
            f'version = 1\n[[package]]\nreference = "{good}"\ndigest = "{packed.digest}"\n'
        )
        await client.get(good, lock=file)
        with pytest.raises(NotFoundError):
            await client.get(good, offline=True)
        assert contents((await client.get(good)).path) == {"text": b"good"}
        await client.get(good, lock=file)
        assert contents((await client.find(good)).path) == {"text": b"good"}


async def test_store_with_another_digest_is_used(
    client: Client, pack: Pack, file: Path, tmp_path: Path
) -> None:
    async with EmbeddedRegistry() as running:
        one = ref(running.host)
        await pack(one, "old")
        old = await client.lock([one], file)
        await client.get(one)
        await pack(one, "new")
        new = await client.lock([one], tmp_path / "new.lock")
        assert contents((await client.get(one)).path) == {"text": b"new"}
    # As when somebody goes back and forth between two branches, far from any network.
    for lock, text in ((old, b"old"), (new, b"new"), (old, b"old")):
        assert contents((await client.get(one, lock=lock)).path) == {"text": text}
        assert contents((await client.find(one)).path) == {"text": b"new"}
    await client.prune()
    assert contents((await client.get(one, lock=old, offline=True)).path) == {"text": b"old"}
    await client.remove(f"{one}@{old.packages[0].digest}")
    with pytest.raises(NotFoundError, match="is not installed as it was locked") as caught:
        await client.get(one, lock=old, offline=True)
    assert caught.value.hint == (
        f"install it once with a connection: ocipkg-async get {one} --locked"
    )


async def test_registry_that_is_down(client: Client, later: Client, pack: Pack, file: Path) -> None:
    async with EmbeddedRegistry() as running:
        one, two = ref(running.host), ref(running.host, "v2")
        for reference in (one, two):
            await pack(reference, reference[-2:])
        await client.lock([one, two], file)
        await client.get(one)
        await pack(one, "new")
        newer = await client.lock([one], file.with_name("newer.lock"))
    with pytest.raises(ConnectError) as caught:
        await later.get(one)
    assert f"{one} is installed: --offline uses it" in (caught.value.hint or "")
    for reference, lock in ((two, None), (two, file), (one, newer)):
        with pytest.raises(ConnectError) as caught:
            await later.get(reference, lock=lock)
        assert "--offline" not in (caught.value.hint or "")
    with pytest.raises(NotFoundError, match="v2 is not installed") as missing:
        await later.get(two, platform="linux/amd64", offline=True)
    assert missing.value.hint == (
        f"install it once with a connection: ocipkg-async get {two} --platform linux/amd64"
    )


@pytest.mark.parametrize(
    ("status", "hinted"), [(503, True), (429, True), (404, True), (403, False)]
)
async def test_registry_out_of_order(
    client: Client, pack: Pack, status: int, *, hinted: bool
) -> None:
    faults = Faults(refuse_status=status)
    async with EmbeddedRegistry(faults=faults) as running:
        await pack(ref(running.host), "text")
        await client.get(ref(running.host))
        faults.refuse_next = 100
        with pytest.raises(RegistryError) as caught:
            await client.get(ref(running.host))
    assert ("--offline" in (caught.value.hint or "")) is hinted


async def test_tag_that_is_gone(
    client: Client, pack: Pack, file: Path, events: list[Event], embedded: EmbeddedRegistry
) -> None:
    one = ref(embedded.host)
    await pack(one, "text")
    locked = await client.lock([one], file)
    repository = client.repository(one)
    await repository.untag("v1")
    package = await client.get(one, lock=file)
    assert contents(package.path) == {"text": b"text"}
    (warned,) = (event.text for event in events if isinstance(event, Warned))
    assert warned == f"{one} is gone from the registry; what was locked is still there"
    await client.remove(one)
    await repository.delete(await repository.resolve(locked.packages[0].digest))
    with pytest.raises(RegistryNotFoundError) as caught:
        await client.get(one, lock=file)
    assert f"ocipkg-async lock --update {one}" in (caught.value.hint or "")


async def test_reference_that_is_not_locked(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    one, two = ref(embedded.host), ref(embedded.host, "v2")
    for reference in (one, two):
        await pack(reference, "text")
    with pytest.raises(NotFoundError, match="there is no lock file") as caught:
        await client.get(one, lock=file)
    assert caught.value.hint == "make it with: ocipkg-async lock REF"
    await client.lock([one], file)
    with pytest.raises(NotFoundError, match="is not in the lock file") as caught:
        await client.get(two, lock=file)
    assert caught.value.hint == f"add it with: ocipkg-async lock {two}"
    assert await client.packages() == []


async def test_nothing_is_locked_when_one_fails(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    await pack(ref(embedded.host), "text")
    with pytest.raises(NotFoundError):
        await client.lock([ref(embedded.host), ref(embedded.host, "v2")], file)
    assert entries(file.parent) == []
    for update in (False, True):
        with pytest.raises(NotFoundError, match="there is no lock file"):
            await client.lock([], file, update=update)
    with pytest.raises(NotFoundError, match="is not in the lock file"):
        await client.lock([ref(embedded.host)], file, remove=["ghcr.io/other/one:1"])
    assert entries(file.parent) == []


async def test_file_without_changes_is_not_written(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    await pack(ref(embedded.host), "text")
    locked = await client.lock([ref(embedded.host)], file)
    before = file.stat().st_ino
    assert await client.lock([ref(embedded.host)], file) == locked
    assert await client.lock([], file, update=True) == locked
    assert await client.lock([], file) == locked
    assert file.stat().st_ino == before


async def test_entries_are_removed(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    references = [ref(embedded.host, tag) for tag in ("v1", "v2")]
    for reference in references:
        await pack(reference, "text")
    await client.lock(references, file)
    left = await client.lock([], file, remove=references[:1])
    assert [str(one.reference) for one in left.packages] == references[1:]
    assert LockFile.parse(file.read_bytes()) == left


async def test_file_behind_a_link_stays_there(
    client: Client, pack: Pack, file: Path, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    await pack(ref(embedded.host), "text")
    file.symlink_to(tmp_path / "real.lock")
    await client.lock([ref(embedded.host)], file)
    assert file.is_symlink()
    assert LockFile.parse((tmp_path / "real.lock").read_bytes()).packages


async def test_broken_file_is_left_alone(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    await pack(ref(embedded.host), "text")
    file.write_text("<<<<<<< HEAD\n")
    for call in (
        lambda: client.lock([ref(embedded.host)], file),
        lambda: client.get(ref(embedded.host), lock=file),
    ):
        with pytest.raises(InvalidDocumentError, match=r"ocipkg\.lock is not a lock file"):
            await call()
    assert file.read_text() == "<<<<<<< HEAD\n"


async def test_many_lock_at_once(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    references = [ref(embedded.host, f"v{number}") for number in range(8)]
    for reference in references:
        await pack(reference, "text")
    async with anyio.create_task_group() as group:
        for reference in references:
            group.start_soon(client.lock, [reference], file)
    found = LockFile.parse(file.read_bytes())
    assert [str(one.reference) for one in found.packages] == references
    assert entries(file.parent) == ["ocipkg.lock"]


async def test_who_locks_first_is_not_overruled(
    client: Client, pack: Pack, file: Path, tmp_path: Path
) -> None:
    asked = anyio.Event()
    async with EmbeddedRegistry(on_request=lambda _: asked.set()) as running:
        one = ref(running.host)
        packed = await pack(one, "text")
        asked = anyio.Event()
        first = LockFile((LockedPackage.of(Reference.parse(one), Digest("sha256:" + "0" * 64)),))
        guard = file_lock(file.with_name(".ocipkg.lock.lock"))
        async with anyio.create_task_group() as group, guard:
            group.start_soon(client.lock, [one], file)
            await asked.wait()
            file.write_bytes(bytes(first))
        assert LockFile.parse(file.read_bytes()) == first
        updated = await client.lock([one], file, update=True)
    assert [one.digest for one in updated.packages] == [packed.digest]


async def test_indexes_in_indexes_and_attestations(
    client: Client, elsewhere: Client, tmp_path: Path, file: Path, embedded: EmbeddedRegistry
) -> None:
    one = ref(embedded.host)
    inner = await push_index(client, one, tmp_path / "trees", ("linux/amd64", "linux/arm64"))
    proof = await client.pack([make_tree(tmp_path / "proof")], ref(embedded.host, "proof"))
    single = Index.build(manifests=(proof.plain(),))
    await client.repository(one).push(single.descriptor, BytesSource(single.raw))
    entries = (
        Descriptor(
            media_type=proof.media_type,
            digest=proof.digest,
            size=proof.size,
            platform=Platform(os="unknown", architecture="unknown"),
        ),
        inner.plain(),
        Descriptor(
            media_type=single.media_type,
            digest=single.descriptor.digest,
            size=single.size,
            platform=Platform.parse("linux/s390x"),
        ),
    )
    outer = Index.build(manifests=entries)
    await client.repository(one).push_tagged(outer.descriptor, BytesSource(outer.raw), "v1")
    (locked,) = (await client.lock([one], file)).packages
    platforms = ["unknown/unknown", "linux/amd64", "linux/arm64", "linux/s390x"]
    assert list(locked.manifests) == platforms
    # What an inner index does not say of its manifests is said of it.
    assert (await client.get(one, platform="linux/s390x", lock=file)).descriptor == proof
    assert (await client.get(one, platform="linux/s390x")).descriptor == proof
    for text in ("linux/amd64", "linux/arm64"):
        package = await elsewhere.get(one, platform=text, lock=file)
        assert contents(package.path) == {"platform": text.encode()}
        assert (await client.get(one, platform=text)).descriptor == package.descriptor


async def test_index_of_far_too_many_manifests_is_not_locked(
    client: Client, pack: Pack, name: str, file: Path
) -> None:
    """The file would grow until nobody could read it any more."""
    packed = await pack(f"{name}:v1", "text")
    entries = tuple(
        replace(packed, platform=Platform(os="linux", architecture=f"a{number}"))
        for number in range(5000)
    )
    index = Index.build(manifests=entries)
    await client.repository(name).push_tagged(index.descriptor, BytesSource(index.raw), "many")
    with pytest.raises(LimitExceededError, match="manifests"):
        await client.lock([f"{name}:many"], file)
    assert not file.exists()


async def test_lock_file_never_becomes_too_large_to_be_read(
    client: Client, pack: Pack, name: str, file: Path
) -> None:
    await pack(f"{name}:v1", "text")
    digest = Digest.of(b"other")
    other = LockedPackage.of(
        Reference.parse(f"{name}:other"),
        digest,
        [(Platform(os="linux", architecture="a" * (MAX_BYTES - 350)), digest)],
    )
    before = bytes(LockFile((other,)))
    file.write_bytes(before)
    with pytest.raises(LimitExceededError, match="4 MiB"):
        await client.lock([f"{name}:v1"], file)
    assert file.read_bytes() == before
    assert LockFile.parse(before).packages


async def test_pipe_is_no_lock_file(client: Client, file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(StorageError):
        await client.lock(["localhost/a:v1"], file)


async def test_empty_index_is_not_locked(
    client: Client, file: Path, embedded: EmbeddedRegistry
) -> None:
    index = Index.build(manifests=())
    repository = client.repository(ref(embedded.host))
    await repository.push_tagged(index.descriptor, BytesSource(index.raw), "v1")
    with pytest.raises(NotFoundError, match="is empty"):
        await client.lock([ref(embedded.host)], file)
    assert entries(file.parent) == []


async def test_lock_that_names_what_is_not_there(
    client: Client, pack: Pack, embedded: EmbeddedRegistry
) -> None:
    packed = await pack(ref(embedded.host), "text")
    reference = Reference.parse(ref(embedded.host))
    other = Digest("sha256:" + "0" * 64)
    lock = LockFile((LockedPackage.of(reference, packed.digest, [(None, other)]),))
    with pytest.raises(RegistryNotFoundError) as caught:
        await client.get(reference, lock=lock)
    assert "what was locked is gone" in (caught.value.hint or "")
    assert await client.packages() == []


async def test_name_with_a_digest_stands_for_its_content_alone(
    client: Client, pack: Pack, tmp_path: Path, embedded: EmbeddedRegistry
) -> None:
    packed = await pack(ref(embedded.host), "text")
    index = await push_index(client, ref(embedded.host), tmp_path / "trees", ("linux/arm64",))
    archive = str(tmp_path / "a.tar")
    await client.save(f"{embedded.host}/a/b@{packed.digest}", archive)
    other = f"{embedded.host}/a/b@{index.digest}"
    with pytest.raises(InvalidArgumentError, match="its digest is not"):
        await client.load(archive, name=other)
    assert await client.packages() == []
    package = await client.get(other)
    saved = str(tmp_path / "b.tar")
    await client.save(other, saved)
    (loaded,) = await client.load(saved)
    assert loaded.descriptor == package.descriptor
    assert str(loaded.reference) == f"{embedded.host}/a/b@{package.descriptor.digest}"


async def test_files_that_are_gone_are_fetched_again(
    client: Client, pack: Pack, file: Path, embedded: EmbeddedRegistry
) -> None:
    one = ref(embedded.host)
    await pack(one, "text")
    await client.lock([one], file)
    package = await client.get(one, lock=file)
    (package.path / "text").unlink()
    package.path.rmdir()
    for lock in (file, None):
        with pytest.raises(NotFoundError, match="is not installed"):
            await client.get(one, lock=lock, offline=True)
    assert contents((await client.get(one, lock=file)).path) == {"text": b"text"}
