"""Unpacking while others make and remove what was looked at a moment ago."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from client.trees import FILES, contents, make_tree
from moments import just_before
from ocipkg_async import ArtifactFile, Client, ClientOptions
from ocipkg_async.content import MemoryStore, select_manifest
from ocipkg_async.errors import AlreadyExistsError, NotFoundError, StorageError
from ocipkg_async.layout import Layout
from ocipkg_async.package import pack, unpack, unpack_new
from ocipkg_async.package.staging import PARTIAL, partials_folder
from ocipkg_async.registry import TransferOptions
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Manifest

PATIENCE_S = 30.0


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def manifest(store: MemoryStore, tmp_path: Path) -> Manifest:
    return await select_manifest(store, await pack(store, [make_tree(tmp_path / "tree")]))


def emptied(*folders: Path) -> Callable[[], None]:
    def act() -> None:
        for folder in folders:
            folder.rmdir()

    return act


@pytest.mark.parametrize(
    ("name", "gone"), [(".tmp-", ("p/q", "p")), (".tmp-", ("p/q",)), ("q", ("p",))]
)
async def test_parents_that_a_failed_call_removes(  # noqa: PLR0917 - four are fixtures
    store: MemoryStore,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    gone: tuple[str, ...],
) -> None:
    act = emptied(*(tmp_path / one for one in gone))
    done = just_before(monkeypatch, "mkdir", lambda p: Path(p).name.startswith(name), act)
    await unpack(store, manifest, tmp_path / "p/q/out")
    assert done
    assert contents(tmp_path / "p/q/out") == FILES
    assert [path.name for path in (tmp_path / "p/q").iterdir()] == ["out"]


async def test_a_parent_that_a_failed_call_removes_at_the_end(
    store: MemoryStore, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    act = emptied(tmp_path / "p")
    done = just_before(monkeypatch, "rename", lambda p: p.endswith("/tree"), act)
    await unpack_new(store, manifest, tmp_path / "p/out", workplace=tmp_path / "work")
    assert done
    assert contents(tmp_path / "p/out") == FILES


async def test_the_folder_of_downloads_is_removed_by_another_call_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / PARTIAL
    folder.mkdir(mode=0o700)
    done = just_before(monkeypatch, "stat", lambda p: p == str(folder), folder.rmdir)
    async with partials_folder(None, tmp_path, on_left=lambda _: None) as given:
        assert done
        assert given == folder
        assert folder.is_dir()


@pytest.mark.parametrize("time", [1, 2])
async def test_a_destination_that_is_removed_while_it_is_looked_at(
    store: MemoryStore,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    time: int,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with monkeypatch.context() as patch:
        just_before(patch, "stat", lambda p: p == str(out), out.rmdir, time=time)
        await unpack(store, manifest, out)
    assert contents(out) == FILES


async def test_what_was_unpacked_is_removed_before_it_is_in_place(
    store: MemoryStore, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to be moved, which is no success."""
    out = tmp_path / "out"
    out.mkdir()

    def remove() -> None:
        (tree,) = out.glob(".tmp-*/tree")
        shutil.rmtree(tree)

    done = just_before(monkeypatch, "open", lambda p: p.endswith("/backup"), remove)
    with pytest.raises(StorageError, match="was removed"):
        await unpack(store, manifest, out)
    assert done
    assert list(out.iterdir()) == []


async def test_a_file_that_comes_where_a_folder_is_to_go(
    store: MemoryStore, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    just_before(monkeypatch, "rename", lambda p: p.endswith("/tree"), out.touch)
    with pytest.raises(AlreadyExistsError, match="exists"):
        await unpack(store, manifest, out)
    assert out.read_bytes() == b""


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("call", ["stat", "rename"])
async def test_two_that_bring_the_same_folder_share_it(  # noqa: PLR0917 - four are fixtures
    store: MemoryStore,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overwrite: bool,
    call: str,
) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def other() -> None:
        make_tree(out, {"lib/other": b"other"})

    # Looked at by the check, then by the move.
    done = just_before(
        monkeypatch, call, lambda p: p == "lib", other, time=3 if call == "stat" else 1
    )
    await unpack(store, manifest, out, overwrite=overwrite)
    assert done
    assert contents(out) == {**FILES, "lib/other": b"other"}


@pytest.mark.parametrize("time", range(1, 5))
async def test_a_folder_that_is_removed_while_it_is_merged(
    store: MemoryStore,
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    time: int,
) -> None:
    out = tmp_path / "out"
    make_tree(out, {"lib/other": b"other"})

    def remove() -> None:
        shutil.rmtree(out / "lib")

    just_before(monkeypatch, "open", lambda p: p == "lib", remove, time=time)
    await unpack(store, manifest, out)
    found = contents(out)
    assert found.pop("lib/other", b"other") == b"other"
    assert found == FILES


async def test_a_file_that_is_removed_while_it_is_replaced(
    store: MemoryStore, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    make_tree(out, {"lib/a.txt": b"old"})
    done = just_before(monkeypatch, "link", lambda p: p == "a.txt", (out / "lib/a.txt").unlink)
    await unpack(store, manifest, out, overwrite=True)
    assert done
    assert contents(out) == FILES


@pytest.mark.parametrize("call", ["open", "stat"])
@pytest.mark.parametrize("time", range(1, 5))
async def test_a_layer_that_is_deleted_from_a_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, time: int
) -> None:
    layout = await Layout.open(tmp_path / "layout", create=True)
    root = await pack(layout, [make_tree(tmp_path / "tree")])
    manifest = await select_manifest(layout, root)
    file = tmp_path / "layout/blobs/sha256" / manifest.layers[0].digest.encoded
    done = just_before(monkeypatch, call, lambda p: p == str(file), file.unlink, time=time)
    try:
        await unpack(layout, manifest, tmp_path / "out")
    except NotFoundError:
        assert done
        assert not (tmp_path / "out").exists()
    else:
        assert contents(tmp_path / "out") == FILES


async def test_a_destination_that_is_removed_during_a_download(
    embedded: EmbeddedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends; the file that arrived is not looked for again and again."""
    (tmp_path / "model").write_bytes(bytes(range(256)) * 5000)
    out = tmp_path / "out"
    make_tree(out, {"kept": b"kept"})
    options = ClientOptions(transfer=TransferOptions(part_bytes=1 << 17))
    async with Client(options) as client:
        reference = f"{embedded.host}/team/model:v1"
        file = ArtifactFile(path=tmp_path / "model", title="model")
        await client.push_files(reference, [file])
        done = just_before(
            monkeypatch, "stat", lambda p: p.endswith(".journal"), lambda: shutil.rmtree(out)
        )
        with anyio.fail_after(PATIENCE_S), pytest.raises(StorageError):
            await client.pull(reference, out)
    assert done
