"""A failure leaves nothing, says what it was, and the next try works (defects 3, 5 and 8)."""

import json
from pathlib import Path

import anyio
import pytest

from client.trees import contents, everything
from ocipkg.conftest import FILES
from ocipkg_async import Client, ClientOptions
from ocipkg_async.errors import (
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    OCIError,
    RegistryError,
)
from ocipkg_async.events import Event, Progressed
from ocipkg_async.server import EmbeddedRegistry, Faults
from transport.servers import Answer, Seen, quick, serve, text

# --- the store is not poisoned -----------------------------------------------------------------


@pytest.mark.parametrize("fault", ["wrong_bytes", "short_blob_at", "drop_blob_at"])
async def test_after_a_failed_get_nothing_is_installed_and_the_next_one_works(
    client: Client, source: Path, fault: str
) -> None:
    faults = Faults()
    async with EmbeddedRegistry(faults=faults) as registry:
        name = f"{registry.host}/pkg:v1"
        await client.pack([source], name)
        faults.when = lambda _method, path: "/blobs/" in path
        setattr(faults, fault, True if fault == "wrong_bytes" else 10)
        for _ in range(2):
            with pytest.raises(OCIError):
                await client.get(name)
            await nothing_is_installed(client, name)
        setattr(faults, fault, False if fault == "wrong_bytes" else None)
        assert contents((await client.get(name)).path) == FILES
        assert await client.verify() == []


async def test_after_a_failed_load_nothing_is_installed_and_the_next_one_works(
    client: Client, source: Path, tmp_path: Path
) -> None:
    name, archive = "example.org/pkg:v1", tmp_path / "pkg.tar"
    await client.pack([source], str(archive), name=name)
    good = archive.read_bytes()
    at = good.index(b"\x1f\x8b\x08") + 50  # in the layer, behind gzip's header
    archive.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    for _ in range(2):
        with pytest.raises(IntegrityError):
            await client.load(str(archive))
        await nothing_is_installed(client, name)
    archive.write_bytes(good)
    (package,) = await client.load(str(archive))
    assert contents(package.path) == FILES
    assert await client.verify() == []


async def nothing_is_installed(client: Client, name: str) -> None:
    assert await client.packages() == []
    with pytest.raises(NotFoundError, match="not installed"):
        await client.find(name)
    with pytest.raises(NotFoundError, match="not installed"):
        await client.get(name, offline=True)


# --- outputs are not left half-written ---------------------------------------------------------


@pytest.mark.parametrize("verb", ["save", "copy"])
async def test_an_archive_that_could_not_be_finished_is_not_there(
    client: Client, source: Path, tmp_path: Path, verb: str
) -> None:
    faults, out = Faults(), tmp_path / "out"
    out.mkdir()
    async with EmbeddedRegistry(faults=faults) as registry:
        name = f"{registry.host}/pkg:v1"
        root = await client.pack([source], name)
        faults.when = lambda _method, path: "/blobs/" in path
        faults.wrong_bytes = True
        with pytest.raises(IntegrityError):
            await getattr(client, verb)(name, str(out / "pkg.tar"))
        assert everything(out) == []
        faults.wrong_bytes = False
        await getattr(client, verb)(name, str(out / "pkg.tar"))
        assert await client.resolve(str(out / "pkg.tar")) == root


async def test_packing_that_is_broken_off_leaves_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (source / "large").write_bytes(bytes(8 << 20))
    scope = anyio.CancelScope()

    def break_off(event: Event) -> None:
        if isinstance(event, Progressed):
            scope.cancel()

    options = ClientOptions(store=tmp_path / "store")
    async with Client(options, on_event=break_off) as client:
        for output in (str(out / "pkg.tar"), f"oci:{out / 'layout'}"):
            scope = anyio.CancelScope()
            with scope:
                await client.pack([source], output, name="example.org/pkg:v1")
            assert scope.cancelled_caught
    assert not (out / "pkg.tar").exists()
    assert [path for path in everything(out) if "sha256/" in path or "tmp" in path] == []
    async with Client(options) as client:
        for output in (str(out / "pkg.tar"), f"oci:{out / 'layout'}"):
            await client.pack([source], output, name="example.org/pkg:v1")
            assert await client.tags(output) == ["example.org/pkg:v1"]
        with pytest.raises(AlreadyExistsError):
            await client.pack([source], str(out / "pkg.tar"))


# --- errors say what the registry said ---------------------------------------------------------

PAGE = "<html><head><title>It</title></head><body><h1>went wrong</h1></body></html>"
ANSWERS = [
    (404, "text/html", PAGE, "It went wrong"),
    (500, "text/html", PAGE, "It went wrong"),
    (502, "text/plain", "bad gateway", "bad gateway"),
    (403, "application/json", json.dumps({"errors": [{"code": "MADE_UP", "message": "no"}]}), "no"),
    (400, "application/json", json.dumps({"errors": [{"code": "UNKNOWN"}]}), "UNKNOWN"),
    (503, "application/json", "{", "{"),
    (418, "application/octet-stream", "\x00\x01", ""),
    (405, "text/plain", "", ""),
]


@pytest.mark.parametrize("said", ANSWERS)
async def test_an_odd_error_body_hides_neither_the_status_nor_itself(
    source: Path, tmp_path: Path, said: tuple[int, str, str, str]
) -> None:
    status, kind, body, shown = said

    def answer(seen: Seen) -> Answer:
        if seen.path == "/v2/":
            return text("{}")
        return text(body, status=status, Content_Type=kind)

    options = ClientOptions(store=tmp_path / "store", transport=quick())
    async with serve(answer) as server, Client(options) as client:
        name = f"{server.host}/pkg:v1"
        with pytest.raises(RegistryError) as pushing:
            await client.pack([source], name)
        assert pushing.value.status == status
        assert f"answered {status} to " in str(pushing.value)
        assert shown in str(pushing.value)
        assert "<" not in str(pushing.value)
        with pytest.raises(NotFoundError if status == 404 else RegistryError) as getting:
            await client.get(name)
        if status != 404:
            assert f"answered {status} to " in str(getting.value)
        if status in {403, 404, 405, 500, 502, 503}:
            assert pushing.value.hint
            assert getting.value.hint
