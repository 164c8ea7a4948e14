"""Names lead nowhere but to their package (defects 2 and 4: path escape, ``__`` in names)."""

import json
from pathlib import Path

import pytest

from client.trees import contents, everything, make_tree
from ocipkg.conftest import FILES
from ocipkg_async import Client
from ocipkg_async.errors import InvalidArgumentError, OCIError
from ocipkg_async.layout import Layout
from ocipkg_async.spec.annotations import CONTAINERD_IMAGE_NAME, REF_NAME

HOSTILE = (
    "/abs/dir:x",
    "../up:x",
    "../../up:x",
    "./up:x",
    "..:5000/up:x",
    "host/../up:x",
    "host/a/../../../up:x",
    "ghcr.io/a:../../up",
    "ghcr.io/a@sha256:../../up",
    "ghcr.io/a+../../up:x",
    "ghcr.io/a:x+../../up+amd64",
    "C:\\up:x",
    "\\\\server\\share:x",
    "~/up:x",
    "host name/up:x",
    "host\n/up:x",
    "host\x00/up:x",
    "%2e%2e/up:x",
    "",
)


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deep working directory, so that whatever leads upwards still leads into the test's own."""
    folder = tmp_path / "a/b/c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


async def named(client: Client, source: Path, folder: Path, name: str) -> str:
    """Pack into a layout, and write a name into it that nobody lets one choose."""
    await client.pack([source], f"oci:{folder}")
    index = json.loads((folder / "index.json").read_text())
    (entry,) = index["manifests"]
    entry["annotations"] = {REF_NAME: name, CONTAINERD_IMAGE_NAME: name}
    (folder / "index.json").write_text(json.dumps(index))
    return f"oci:{folder}"


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_archive_with_a_hostile_name_is_not_installed_anywhere(
    client: Client, source: Path, around: Path, tmp_path: Path, name: str
) -> None:
    hostile = await named(client, source, around / "layout", name)
    await client.packages()
    before = everything(tmp_path)
    with pytest.raises(OCIError):
        await client.load(hostile)
    with pytest.raises(OCIError):
        await client.push(hostile)
    assert [path for path in everything(tmp_path) if not path.startswith("store/locks")] == [
        path for path in before if not path.startswith("store/locks")
    ]
    assert await client.packages() == []

    # The content is innocent, and can be had under a name that one chooses.
    (package,) = await client.load(hostile, name="example.org/pkg:v1")
    assert package.path.is_relative_to(tmp_path / "store")
    assert contents(package.path) == FILES


async def test_an_archive_named_by_a_path_that_exists_deletes_nothing_there(
    client: Client, source: Path, around: Path, tmp_path: Path
) -> None:
    """The original's ``load --overwrite`` removes that folder first."""
    mine = make_tree(tmp_path / "mine", {"precious": b"1"})
    hostile = await named(client, source, around / "layout", f"{mine}:x")
    with pytest.raises(InvalidArgumentError, match="no reference"):
        await client.load(hostile)
    assert contents(mine) == {"precious": b"1"}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_that_is_typed_is_refused(
    client: Client, around: Path, tmp_path: Path, name: str
) -> None:
    await client.packages()
    before = everything(tmp_path)
    for call in (client.get(name), client.find(name), client.remove(name)):
        with pytest.raises(OCIError):
            await call
    assert everything(tmp_path) == before
    assert around.is_dir()


async def test_list_takes_any_package_and_any_tag(
    client: Client, source: Path, tmp_path: Path
) -> None:
    """The original's list ends at folders and tags that begin with ``__``."""
    make_tree(source, {"__pycache__/a.pyc": b"1", "__v1/__init__.py": b"", "a/__b/c": b"2"})
    names = [
        "example.org/a__b/c:__v1",
        "example.org/a__b:__pycache__",
        "example.org/a:my__tag",
        "example.org:5000/a/b__c:v1",
        "example.org/pkg:__",
    ]
    archive = str(tmp_path / "pkg.tar")
    await client.pack([source], archive)
    for name in names:
        await client.load(archive, name=name)
    assert sorted(str(package.reference) for package in await client.packages()) == sorted(names)
    for name in names:
        found = await client.find(name)
        assert str(found.reference) == name
        assert (found.path / "__pycache__/a.pyc").read_bytes() == b"1"
        await client.remove(name)
    assert await client.packages() == []


async def test_a_name_in_the_store_that_is_not_ours_is_no_package(
    client: Client, source: Path, store: Path
) -> None:
    """Whoever writes into the store's layout by hand makes no path of a name either."""
    await client.packages()
    layout = await Layout.open(store / "layout")
    packed = await client.pack([source], f"oci:{store / 'layout'}")
    index = json.loads((layout.path / "index.json").read_text())
    index["manifests"][-1]["annotations"] = {REF_NAME: "../../up:x"}
    (layout.path / "index.json").write_text(json.dumps(index))
    assert await client.packages() == []
    assert (await client.prune()).blobs > 0
    assert not await (await Layout.open(store / "layout")).exists(packed)
