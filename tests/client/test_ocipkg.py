"""The Rust ocipkg reads what we write, and we read what it writes."""

import os
import subprocess
from pathlib import Path

import pytest

from ocipkg_async import Client, ClientOptions
from peers import require
from registries import RunningRegistry

pytestmark = pytest.mark.interop


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "include").mkdir(parents=True)
    (folder / "libfoo.a").write_bytes(b"objects" * 1000)
    (folder / "include" / "foo.h").write_text("int foo(void);\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".oci-dir" not in path.parts
    }


def ocipkg(*arguments: str, data: Path) -> str:
    """Run it with a store of its own; return what that store lists then."""
    environment = {**os.environ, "XDG_DATA_HOME": str(data)}
    subprocess.run([require("ocipkg"), *arguments], env=environment, check=True, timeout=60)
    done = subprocess.run(
        [require("ocipkg"), "list"], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def installed(data: Path) -> Path:
    (folder,) = (path.parent for path in data.rglob(".oci-dir"))
    return folder


async def test_ocipkg_loads_gets_and_pushes_what_we_pack(
    source: Path, plain_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    require("ocipkg")
    # ocipkg speaks plain HTTP to hosts that begin with localhost only.
    name = f"{plain_registry.host.replace('127.0.0.1', 'localhost')}/{repository_name}:v1"
    archive = tmp_path / "ours.tar"
    async with Client(ClientOptions(store=tmp_path / "store")) as client:
        packed = await client.pack([source], str(archive), name=name)
        assert name in ocipkg("load", str(archive), data=tmp_path / "loaded")
        assert contents(installed(tmp_path / "loaded")) == contents(source)

        ocipkg("push", str(archive), data=tmp_path / "loaded")
        assert (await client.resolve(name)).digest == packed.digest  # byte for byte
        ocipkg("get", name, data=tmp_path / "got")
        assert contents(installed(tmp_path / "got")) == contents(source)


async def test_we_load_and_get_what_ocipkg_packs(
    source: Path, plain_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    require("ocipkg")
    name = f"{plain_registry.host.replace('127.0.0.1', 'localhost')}/{repository_name}:v1"
    archive = tmp_path / "theirs.tar"
    ocipkg("pack", str(source), str(archive), "-t", name, data=tmp_path / "data")
    ocipkg("push", str(archive), data=tmp_path / "data")
    async with Client(ClientOptions(store=tmp_path / "store")) as client:
        (loaded,) = await client.load(str(archive))
        assert contents(loaded.path) == contents(source)
        await client.remove(name)
        got = await client.get(name)
        assert contents(got.path) == contents(source)
