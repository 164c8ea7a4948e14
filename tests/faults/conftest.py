"""The registries of the matrix, and the artifacts they hold."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faults.scene import (
    LARGE_BYTES,
    PART_BYTES,
    SMALL_BYTES,
    SMALL_COUNT,
    Content,
    Place,
    credentials,
)
from ocipkg_async import ClientOptions
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.sync import Client
from peers import find
from registries import RunningRegistry


def _content(name: str, sizes: dict[str, int]) -> Content:
    rng = random.Random(name)  # noqa: S311 - content
    return Content(name=name, files={file: rng.randbytes(size) for file, size in sizes.items()})


@pytest.fixture(scope="session")
def large() -> Content:
    """One large blob."""
    return _content("faults/large", {"large.bin": LARGE_BYTES})


@pytest.fixture(scope="session")
def many() -> Content:
    """Many small blobs."""
    return _content("faults/many", {f"{n}.bin": SMALL_BYTES for n in range(SMALL_COUNT)})


@pytest.fixture(scope="session")
def several() -> Content:
    """Several blobs that are large enough for ranges."""
    return _content("faults/several", {f"{n}.bin": 5 * PART_BYTES + n for n in range(4)})


def _docker_place(registry: RunningRegistry) -> Place:
    assert registry.log is not None
    root = registry.log.parent / "data" / "docker" / "registry" / "v2" / "repositories"
    # A session that was ended leaves its folder, without this file.
    return Place(registry=registry, uploads=lambda name: root.glob(f"{name}/_uploads/*/startedat"))


def _filled(registry: RunningRegistry, folder: Path, *contents: Content) -> None:
    authfile = folder / "auth.json"
    authfile.write_text("{}")
    options = ClientOptions(authfile=authfile, store=folder / "store")
    with Client(options, credentials=credentials(registry)) as client:
        for content in contents:
            files = content.write(folder / content.name.replace("/", "-"))
            client.push_files(f"{registry.host}/{content.name}:v1", files)


@pytest.fixture(scope="session")
def origin(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    large: Content,
    many: Content,
    several: Content,
) -> Place:
    """What is pulled from: docker-registry where it is installed, else our own registry."""
    name = "plain_registry" if find("docker-registry") else "threaded_registry"
    registry: RunningRegistry = request.getfixturevalue(name)
    _filled(registry, tmp_path_factory.mktemp("origin"), large, many, several)
    return (
        _docker_place(registry) if registry.log else Place(registry=registry, uploads=lambda _: [])
    )


@pytest.fixture(scope="session")
def guarded(
    tmp_path_factory: pytest.TempPathFactory,
    token_registry: RunningRegistry,
    large: Content,
    many: Content,
) -> Place:
    """docker-registry behind a token server, with the same content."""
    _filled(token_registry, tmp_path_factory.mktemp("guarded"), large, many)
    return _docker_place(token_registry)


@pytest.fixture
async def destination(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """What is pushed to: ``embedded`` is our own registry, else it is docker-registry."""
    if request.param == "docker-registry":
        yield _docker_place(request.getfixturevalue("plain_registry"))
        return
    async with EmbeddedRegistry() as running:
        folder = running.root / "_uploads"
        yield Place(registry=RunningRegistry(host=running.host), uploads=lambda _: folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose output part holds a file of the user's already."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_bytes(b"mine")
    return tmp_path
