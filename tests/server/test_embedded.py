"""The registry's life: start, stop, lock, restart, kill; C-30, C-33."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import anyio
import pytest

from ocipkg_async.errors import ClosedError, ConnectError, InvalidArgumentError, StorageError
from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry, RequestLog
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest_url
from server.lines import until


async def test_c30_free_port_and_addresses() -> None:
    async with EmbeddedRegistry() as one, EmbeddedRegistry() as two:
        assert one.host != two.host
        assert one.host.startswith("127.0.0.1:")
        assert one.url == f"http://{one.host}"
        assert one.root != two.root


async def test_c30_ipv6(http: aiohttp.ClientSession) -> None:
    try:
        async with EmbeddedRegistry(host="::1") as registry:
            assert registry.url.startswith("http://[::1]:")
            assert (await Driver(http, registry.url)("GET", "/v2/")).status == 200
    except ConnectError:
        pytest.skip("IPv6 is not there")


async def test_private_folder_is_removed_and_a_given_one_stays(tmp_path: Path) -> None:
    async with EmbeddedRegistry() as registry:
        private = registry.root
        assert private.is_dir()
    assert not private.exists()
    async with EmbeddedRegistry(tmp_path / "new" / "root") as registry:
        assert registry.root == (tmp_path / "new" / "root").resolve()
    assert (tmp_path / "new" / "root").is_dir()


async def test_closed_registry_has_no_address() -> None:
    registry = EmbeddedRegistry()
    for _ in range(2):
        with pytest.raises(ClosedError):
            _ = registry.host
        with pytest.raises(ClosedError):
            _ = registry.root
        async with registry:
            assert registry.host


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104
def test_c30_other_addresses_only_when_told(host: str) -> None:
    with pytest.raises(InvalidArgumentError):
        EmbeddedRegistry(host=host)
    EmbeddedRegistry(host=host, insecure_listen=True)


@pytest.mark.parametrize("size", [0, -1, (4 << 20) + 1])
def test_manifest_limit_out_of_range(size: int) -> None:
    with pytest.raises(InvalidArgumentError):
        EmbeddedRegistry(max_manifest_bytes=size)


async def test_port_in_use_is_our_error(embedded: EmbeddedRegistry, tmp_path: Path) -> None:
    port = int(embedded.host.rpartition(":")[2])
    with pytest.raises(ConnectError, match=str(port)):
        async with EmbeddedRegistry(tmp_path, port=port):
            pass
    async with EmbeddedRegistry(tmp_path):
        pass  # the failed start has let go of the root


async def test_second_registry_on_one_root_is_refused(tmp_path: Path) -> None:
    async with EmbeddedRegistry(tmp_path):
        with pytest.raises(StorageError, match="another registry"):
            async with EmbeddedRegistry(tmp_path):
                pass
    async with EmbeddedRegistry(tmp_path):
        pass


async def test_root_that_is_a_file_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        async with EmbeddedRegistry(tmp_path / "file"):
            pass


async def test_content_is_there_after_a_restart(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        document = await driver.push_manifest("v1")
        location = await driver.start()
        await driver("PATCH", location, data=b"unfinished")
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        assert (await driver("GET", manifest_url("v1"))).body == document.raw
        assert (await driver("GET", location)).status == 404
        assert list((tmp_path / UPLOADS).iterdir()) == []


def test_c30_no_thread_or_task_is_left() -> None:
    async def run() -> set[asyncio.Task[object]]:
        before = asyncio.all_tasks()
        async with EmbeddedRegistry() as registry, aiohttp.ClientSession() as session:
            driver = Driver(session, registry.url)
            digest = await driver.push_blob(os.urandom(5_000_000))
            assert (await driver("GET", blob_url(digest))).status == 200
            await driver.push_manifest("v1")
        await asyncio.sleep(0)
        return asyncio.all_tasks() - before

    threads = set(threading.enumerate())
    assert asyncio.run(run()) == set()
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(60)  # told to end when the loop ended, it may still be on its way
    assert not any(thread.is_alive() for thread in left)


async def test_c30_cancelled_while_a_body_is_being_received(tmp_path: Path) -> None:
    """Stopping ends the request, and leaves no blob, task or lock."""
    sent = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        sent.set()
        await anyio.sleep_forever()

    async def push(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            driver = Driver(session, url)
            location = await driver.start()
            with pytest.raises(aiohttp.ClientError):
                await driver("PUT", f"{location}?digest={Digest.of(b'x')}", data=body())

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with EmbeddedRegistry(tmp_path, shutdown_timeout_s=0.05) as registry:
                group.start_soon(push, registry.url)
                await sent.wait()
                scope.cancel()
                await anyio.sleep_forever()
    async with EmbeddedRegistry(tmp_path):
        assert not (tmp_path / REPOSITORY).exists()


async def test_run_serves_until_cancelled(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    registry = EmbeddedRegistry(tmp_path)
    started = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: registry.run(on_start=lambda _: started.set()))
        await started.wait()
        assert (await Driver(http, registry.url)("GET", "/v2/")).status == 200
        group.cancel_scope.cancel()
    with pytest.raises(ClosedError):
        _ = registry.url


async def test_request_log(start: Start) -> None:
    logs: list[RequestLog] = []
    driver = await start(on_request=logs.append)
    digest = await driver.push_blob(b"0123456789")
    await driver("GET", blob_url(digest), headers={"Range": "bytes=2-4"})
    await driver("HEAD", blob_url(digest))
    await driver("GET", "/v2/no/where/tags/list")
    lines = [(log.method, log.status, log.received_bytes, log.sent_bytes) for log in logs]
    assert lines[:4] == [("POST", 202, 0, 0), ("PUT", 201, 10, 0), ("GET", 206, 0, 3),
                         ("HEAD", 200, 0, 0)]  # fmt: skip
    assert lines[4][:2] == ("GET", 404)
    assert logs[2].headers["range"] == "bytes=2-4"
    assert str(logs[2]).startswith(f"GET {blob_url(digest)} 206 in=0 out=3 ")
    assert "digest=" not in str(logs[1])
    assert all(log.seconds > 0 for log in logs)


async def test_client_that_goes_away_is_logged_quietly(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    logs: list[RequestLog] = []
    driver = await start(on_request=logs.append)
    digest = await driver.push_blob(os.urandom(16_000_000))
    async with driver.session.get(driver.url + blob_url(digest)) as answer:
        answer.close()
    await until(lambda: len(logs) == 3)
    assert (logs[2].method, logs[2].status) == ("GET", 499)
    assert (await driver("GET", "/v2/")).status == 200
    assert caplog.records == []


_SERVE = """
import sys, anyio
from pathlib import Path
from ocipkg_async.server import EmbeddedRegistry
registry = EmbeddedRegistry(Path(sys.argv[1]))
anyio.run(lambda: registry.run(on_start=lambda r: print(r.url, flush=True)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_killed_during_a_put_leaves_a_layout_that_opens(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        driver = Driver(http, process.stdout.readline().strip())
        document = await driver.push_manifest("v1")

        digest = Digest.of(b"x" * 12_000_000)
        path = f"{await driver.start()}?digest={digest}"
        host = driver.url.removeprefix("http://")
        _, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
        head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 12000000\r\n\r\n"
        writer.write(head.encode() + b"x" * 6_000_000)
        await writer.drain()
        await until(lambda: any(one.stat().st_size for one in (tmp_path / UPLOADS).iterdir()))
        process.send_signal(signal.SIGKILL)
        process.wait()
        writer.close()
    finally:
        process.kill()
        process.communicate()
    layout = await Layout.open(tmp_path / REPOSITORY)
    assert (await layout.resolve("v1")).digest == document.digest
    assert await layout.verify() == []
    assert await layout.size_of(digest) is None
    async with EmbeddedRegistry(tmp_path) as registry:
        driver = Driver(http, registry.url)
        assert (await driver("GET", manifest_url("v1"))).body == document.raw
        assert list((tmp_path / UPLOADS).iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
async def test_memory_stays_bounded_while_a_large_blob_passes(tmp_path: Path) -> None:
    """48 MiB up and down grow the registry's process by less than half of that."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    size = 48 << 20
    piece = os.urandom(1 << 20)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()

        async def body() -> AsyncIterator[bytes]:
            for _ in range(48):
                yield piece

        async with aiohttp.ClientSession() as session:
            driver = Driver(session, url)
            await driver.push_blob(piece)
            before = peak_bytes(process.pid)
            location = await driver.start()
            digest = Digest.of(piece * 48)
            pushed = await driver("PUT", f"{location}?digest={digest}", data=body())
            assert pushed.status == 201
            async with session.get(url + blob_url(digest)) as answer:
                received = 0
                async for data in answer.content.iter_any():
                    received += len(data)
            assert received == size
        assert peak_bytes(process.pid) - before < size // 2
    finally:
        process.kill()
        process.communicate()


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
