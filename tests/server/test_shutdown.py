"""The registry ends, whatever its clients are in the middle of, and leaves nothing behind."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from anyio import to_thread

from cli.running import finish
from cli.running import start as program
from ocipkg_async.server import EmbeddedRegistry, Faults, TLSFiles
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest
from registries import Certificates
from server.driving import REPOSITORY, Driver, blob_url, manifest_url
from server.lines import PATIENCE_S, Line, head, in_time, line, until

LARGE = os.urandom(1 << 16) * 256
LENGTH = f"Content-Length: {len(LARGE)}"
DELAYED = "/v2/delayed/tags/list"
CHUNKED = "Transfer-Encoding: chunked"

State = Callable[[Driver, Line], Awaitable[None]]


async def nothing_sent(_driver: Driver, _one: Line) -> None:
    pass


async def half_a_head(_driver: Driver, one: Line) -> None:
    await one.send(b"GET /v2/ HTTP/1.1\r\nX-Half")


async def idle(_driver: Driver, one: Line) -> None:
    await one.send(head("GET", "/v2/"))
    await one.answer()


async def no_byte_of_a_chunk(driver: Driver, one: Line) -> None:
    await one.send(head("PATCH", await driver.start(), LENGTH))


async def half_a_chunk(driver: Driver, one: Line) -> None:
    await one.send(head("PATCH", await driver.start(), LENGTH) + LARGE[: len(LARGE) // 2])


async def half_a_single_post(_driver: Driver, one: Line) -> None:
    path = f"/v2/{REPOSITORY}/blobs/uploads/?digest={Digest.of(b'')}"
    await one.send(head("POST", path, LENGTH) + LARGE[: len(LARGE) // 2])


async def half_a_manifest(_driver: Driver, one: Line) -> None:
    await one.send(head("PUT", manifest_url("v1"), "Content-Length: 1000") + b"{")


async def broken_chunk(driver: Driver, one: Line) -> None:
    await one.send(head("PATCH", await driver.start(), CHUNKED) + b"5\r\nhello\r\n")
    await anyio.sleep(0.05)
    await one.send(b"zz\r\n")


async def waiting_for_an_upload_in_use(driver: Driver, one: Line) -> None:
    location = await driver.start()
    async with line(driver) as other:
        await other.send(head("PATCH", location, LENGTH) + b"x")
        await one.send(head("PATCH", location, LENGTH) + b"x")
        await anyio.sleep(0.05)


async def body_that_nobody_wants(_driver: Driver, one: Line) -> None:
    await one.send(head("PUT", manifest_url("v1"), f"Content-Length: {5 << 20}") + b"{")
    assert (await one.answer())[0] == 413


async def delayed(_driver: Driver, one: Line) -> None:
    await one.send(head("GET", DELAYED))


async def unread_blob(driver: Driver, one: Line) -> None:
    await one.send(head("GET", blob_url(await driver.push_blob(LARGE))))


async def unread_small_answers(driver: Driver, one: Line) -> None:
    path = blob_url(await driver.push_blob(LARGE[: 1 << 16]))
    await one.send(head("GET", path) * 400)


async def deaf(driver: Driver, one: Line) -> None:
    """All is answered, and TLS would be ended politely; nobody listens."""
    path = blob_url(await driver.push_blob(LARGE[: 1 << 16]))
    await one.send(head("GET", path) * 3)


async def disconnected_amidst_an_answer(driver: Driver, one: Line) -> None:
    await unread_blob(driver, one)
    await one.some(1)
    one.end()


STATES: tuple[State, ...] = (
    nothing_sent,
    half_a_head,
    idle,
    no_byte_of_a_chunk,
    half_a_chunk,
    half_a_single_post,
    half_a_manifest,
    broken_chunk,
    waiting_for_an_upload_in_use,
    body_that_nobody_wants,
    delayed,
    unread_blob,
    unread_small_answers,
    deaf,
    disconnected_amidst_an_answer,
)


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> TLSFiles | None:
    if not request.param:
        return None
    return TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)


@asynccontextmanager
async def driven(registry: EmbeddedRegistry, context: ssl.SSLContext) -> AsyncIterator[Driver]:
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield Driver(session, registry.url)


def of_the_registry(tasks: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """Those of these tasks that clients of this process did not begin."""
    return {task for task in tasks if "RequestHandler" in repr(task) or "/server/" in repr(task)}


@pytest.mark.parametrize("state", STATES)
async def test_registry_ends_with_a_client(
    state: State, tls: TLSFiles | None, certificates: Certificates, tmp_path: Path
) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    before = asyncio.all_tasks()
    warnings: list[str] = []
    async with AsyncExitStack() as clients:
        async with AsyncExitStack() as stack:
            registry = EmbeddedRegistry(
                tmp_path,
                tls=tls,
                faults=Faults(delay_s=60, when=lambda _, path: path == DELAYED),
                shutdown_timeout_s=0.1,
                on_warning=warnings.append,
            )
            await stack.enter_async_context(registry)
            driver = await clients.enter_async_context(driven(registry, context))
            one = await clients.enter_async_context(line(driver, tls=context if tls else None))
            await state(driver, one)
            await anyio.sleep(0.1)
            assert of_the_registry(asyncio.all_tasks() - before)
            with in_time():
                await stack.aclose()
        assert of_the_registry(asyncio.all_tasks() - before) == set()
        assert warnings == []
        await one.rest()
    # The folder is free for another one, and no upload is left in it.
    async with EmbeddedRegistry(tmp_path):
        assert list((tmp_path / UPLOADS).iterdir()) == []


async def test_registry_ends_with_a_client_that_does_not_end_tls(
    certificates: Certificates,
) -> None:
    """Its last answer leaves, then the connection is closed, twice as it happens, and aborted."""
    files = TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    warnings: list[str] = []
    registry = EmbeddedRegistry(
        tls=files,
        faults=Faults(delay_s=0.2, when=lambda _, path: path == DELAYED),
        shutdown_timeout_s=0.5,
        on_warning=warnings.append,
    )
    async with AsyncExitStack() as clients:
        with in_time():
            async with registry:
                driver = await clients.enter_async_context(driven(registry, context))
                one = await clients.enter_async_context(line(driver, tls=context))
                await deaf(driver, one)
                await delayed(driver, one)
                await anyio.sleep(0.1)
    assert warnings == []


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_registry_ends_amidst_a_tls_handshake(
    certificates: Certificates, sent: bytes
) -> None:
    files = TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)
    async with AsyncExitStack() as clients, aiohttp.ClientSession() as session:
        with in_time():
            async with EmbeddedRegistry(tls=files, shutdown_timeout_s=60) as registry:
                one = await clients.enter_async_context(line(Driver(session, registry.url)))
                await one.send(sent)
                await anyio.sleep(0.1)
        assert await one.rest() == b""


async def test_no_time_at_the_end_is_no_time() -> None:
    """Aiohttp takes 0 for as long as it takes."""
    async with AsyncExitStack() as clients, aiohttp.ClientSession() as session:
        with in_time():
            async with EmbeddedRegistry(shutdown_timeout_s=0) as registry:
                driver = Driver(session, registry.url)
                for state in (half_a_chunk, half_a_manifest, unread_blob, idle):
                    await state(driver, await clients.enter_async_context(line(driver)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("state", [half_a_chunk, unread_blob])
async def test_serve_ends_on_ctrl_c_pressed_twice(state: State, tmp_path: Path) -> None:
    process = program("serve", tmp_path, "--port", "0")
    try:
        assert process.stdout is not None
        url = (await to_thread.run_sync(process.stdout.readline)).strip()
        async with aiohttp.ClientSession() as session:
            driver = Driver(session, url)
            async with line(driver) as one:
                await state(driver, one)
                await anyio.sleep(0.1)
                for _ in range(2):
                    process.send_signal(signal.SIGINT)
                    await anyio.sleep(0.05)
                _, errors = await to_thread.run_sync(finish, process)
                await one.rest()
        assert process.returncode == 130
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("state", [half_a_chunk, half_a_manifest, unread_blob, idle])
async def test_registry_ends_when_its_task_is_cancelled(
    state: State, times: int, tmp_path: Path
) -> None:
    """As asyncio does it on Ctrl-C; a second one may come while the first is being obeyed."""
    before = asyncio.all_tasks()
    registry = EmbeddedRegistry(tmp_path, shutdown_timeout_s=0.2)
    started = anyio.Event()
    task = asyncio.create_task(registry.run(on_start=lambda _: started.set()))
    await started.wait()
    async with aiohttp.ClientSession() as session:
        driver = Driver(session, registry.url)
        async with line(driver) as one:
            await state(driver, one)
            for _ in range(times):
                task.cancel()
                await anyio.sleep(0.05)
            with in_time(), pytest.raises(asyncio.CancelledError):
                await task
            assert of_the_registry(asyncio.all_tasks() - before) == set()
            await one.rest()
    async with EmbeddedRegistry(tmp_path):
        pass


async def test_request_in_progress_may_end(tmp_path: Path) -> None:
    """One that does within the time is answered as ever."""
    data = os.urandom(1000)
    asked: list[str] = []

    def note(method: str, _path: str) -> bool:
        asked.append(method)
        return False

    faults = Faults(when=note)
    registry = EmbeddedRegistry(tmp_path, faults=faults, shutdown_timeout_s=PATIENCE_S)
    async with AsyncExitStack() as clients, registry:
        session = await clients.enter_async_context(aiohttp.ClientSession())
        driver = Driver(session, registry.url)
        one = await clients.enter_async_context(line(driver))
        path = f"{await driver.start()}?digest={Digest.of(data)}"
        await one.send(head("PUT", path, f"Content-Length: {len(data)}") + data[:500])
        await until(lambda: "PUT" in asked)  # it is in progress from then on
        group = await clients.enter_async_context(anyio.create_task_group())

        async def finish() -> None:
            await anyio.sleep(0.2)
            await one.send(data[500:])
            assert (await one.answer())[0] == 201
            assert await one.rest() == b""

        group.start_soon(finish)
    async with EmbeddedRegistry(tmp_path) as registry, aiohttp.ClientSession() as session:
        got = await Driver(session, registry.url)("GET", blob_url(Digest.of(data)))
        assert got.body == data
