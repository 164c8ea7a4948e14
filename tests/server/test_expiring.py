"""Uploads that come to nothing: given up, broken off, or too large for the disk (C-33)."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest

from ocipkg_async.server import EmbeddedRegistry, Limits
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest
from server.driving import REPOSITORY, Driver, Start, blob_url
from server.lines import head, line, until


async def test_idle_upload_goes_without_another_one(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path, limits=Limits(upload_idle_s=0.2))
    location = await driver.start()
    while (await driver("PATCH", location, data=b"data")).status != 202:
        location = await driver.start()  # on a busy machine it may be gone already
    await until(lambda: not list((tmp_path / UPLOADS).iterdir()))
    assert await driver.code_of(location) == (404, "BLOB_UPLOAD_UNKNOWN")
    single = f"/v2/{REPOSITORY}/blobs/uploads/?digest={Digest.of(b'data')}"
    assert (await driver("POST", single, data=b"data")).status == 201


async def test_upload_that_takes_longer_than_it_may_be_idle_goes_on(start: Start) -> None:
    """The time begins at the end of a request, also for the one that comes next."""
    driver = await start(limits=Limits(upload_idle_s=4))
    location = await driver.start()
    async with line(driver) as one:
        await one.send(head("PATCH", location, "Content-Length: 4") + b"da")
        await anyio.sleep(5)
        await one.send(b"ta")
        assert (await one.answer())[0] == 202
    await anyio.sleep(0.5)
    assert (await driver("PUT", f"{location}?digest={Digest.of(b'data')}")).status == 201


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
async def test_broken_uploads_and_downloads_hold_nothing(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    digest = await driver.push_blob(os.urandom(1 << 16) * 256)
    single = f"/v2/{REPOSITORY}/blobs/uploads/?digest={Digest.of(b'')}"
    await driver.session.close()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(10):
        async with line(driver) as up, line(driver) as down:
            await up.send(head("POST", single, f"Content-Length: {9 << 20}") + bytes(3 << 20))
            await down.send(head("GET", blob_url(digest)))
            await down.some(1)
    # Fewer, where meanwhile a connection of a fixture that lives longer has ended.
    await until(lambda: descriptors() <= before and not list((tmp_path / UPLOADS).iterdir()))


_SERVE = """
import resource, sys, anyio
from pathlib import Path
from ocipkg_async.server import EmbeddedRegistry
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
registry = EmbeddedRegistry(Path(sys.argv[1]))
anyio.run(lambda: registry.run(on_start=lambda r: print(r.url, flush=True)))
"""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="files have no limit from outside")
async def test_full_disk_is_507_and_the_upload_goes_on_when_there_is_room(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """The disk is full in the middle of a piece of a body; no byte is counted that it did not take."""
    size = 3_333_333
    data = os.urandom(5_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path), str(size)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        driver = Driver(http, process.stdout.readline().strip())
        location = await driver.start()
        answer = await driver("PATCH", location, data=data)
        assert (answer.status, answer.code) == (507, "UNKNOWN")
        have = int((await driver("GET", location)).headers["Range"].removeprefix("0-")) + 1
        assert have <= size
        (kept,) = (tmp_path / UPLOADS).iterdir()
        assert kept.read_bytes()[:have] == data[:have]
        single = f"/v2/{REPOSITORY}/blobs/uploads/?digest={Digest.of(data)}"
        assert (await driver("POST", single, data=data)).status == 507
        assert list((tmp_path / UPLOADS).iterdir()) == [kept]

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        path = f"{location}?digest={Digest.of(data)}"
        assert (await driver("PUT", path, data=data[have:])).status == 201
        assert (await driver("GET", blob_url(Digest.of(data)))).body == data
        assert list((tmp_path / UPLOADS).iterdir()) == []
    finally:
        process.kill()
        process.communicate()


async def test_upload_that_cannot_be_removed_is_told_and_the_others_go(tmp_path: Path) -> None:
    """Removing fails where a folder has taken the place of the file."""
    warnings: list[str] = []
    limits = Limits(upload_idle_s=2)  # until then the folder is there, on a busy machine too
    registry = EmbeddedRegistry(tmp_path, limits=limits, on_warning=warnings.append)
    async with registry, aiohttp.ClientSession() as session:
        driver = Driver(session, registry.url)
        first, second = await driver.start(), await driver.start()
        file = tmp_path / UPLOADS / first.rpartition("/")[2]
        file.mkdir()
        await driver("PATCH", second, data=b"data")
        await until(lambda: list((tmp_path / UPLOADS).iterdir()) == [file])
        assert [str(file) in warning for warning in warnings] == [True]
        file.rmdir()
