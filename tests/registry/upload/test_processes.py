"""Pushes that are killed, and the processes that go on with them."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from faulty.proxy import FaultyProxy
from ocipkg_async.content import FileSource
from ocipkg_async.registry import TransferOptions
from ocipkg_async.server import EmbeddedRegistry
from registries import RunningRegistry
from registry.driving import blob, opened, read

SIZE = 40 << 20
KILLED_AT = 16 << 20
RATE = 48 << 20
SLACK = 12 << 20
"""What may be on its way when a connection breaks."""

PUSH = """
import sys
from pathlib import Path
import anyio
from ocipkg_async.content import FileSource
from ocipkg_async.registry import Repository, TransferOptions
from ocipkg_async.spec import Descriptor, Digest, Reference
from ocipkg_async.transport import Transport

HOST, NAME, FILE, DIGEST, SIZE, STATE = sys.argv[1:]

async def main():
    options = TransferOptions(resume_uploads=True, state=Path(STATE))
    async with Transport() as transport:
        repository = Repository(
            transport, Reference(registry=HOST, repository=NAME), options=options
        )
        descriptor = Descriptor(
            media_type="application/octet-stream", digest=Digest(DIGEST), size=int(SIZE)
        )
        await repository.push(descriptor, await FileSource.of(Path(FILE)))
anyio.run(main)
"""


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("distribution_v3_registry", marks=pytest.mark.interop),
    ]
)
async def keeping(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The host of a registry that keeps what it got of a broken upload."""
    if request.param == "embedded":
        async with EmbeddedRegistry() as running:
            yield running.host
    else:
        yield request.getfixturevalue(request.param).host


@asynccontextmanager
async def killed_push(host: str, name: str, folder: Path) -> AsyncIterator[FaultyProxy]:
    """A proxy before a registry through which a process pushed a part of a blob and was killed."""
    descriptor, data = blob(SIZE)
    (folder / "file").write_bytes(data)
    async with FaultyProxy(host, bytes_per_s=RATE) as proxy:
        arguments = [proxy.host, name, str(folder / "file"), descriptor.digest, str(SIZE)]
        process = subprocess.Popen([sys.executable, "-c", PUSH, *arguments, str(folder / "state")])
        try:
            with anyio.fail_after(60):
                while proxy.received("/uploads/") < KILLED_AT:
                    assert process.poll() is None
                    await anyio.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
            await anyio.to_thread.run_sync(process.wait)
        with anyio.fail_after(60):
            await proxy.settle()
        yield proxy


async def test_the_next_process_sends_only_the_rest(
    keeping: str, repository_name: str, tmp_path: Path
) -> None:
    descriptor, data = blob(SIZE)
    transfer = TransferOptions(resume_uploads=True, state=tmp_path / "state")
    async with (
        killed_push(keeping, repository_name, tmp_path) as proxy,
        opened(proxy.host, repository_name, transfer=transfer) as repository,
    ):
        (kept,) = (tmp_path / "state").glob("*.upload")
        assert kept.stat().st_mode & 0o777 == 0o600
        await repository.push(descriptor, await FileSource.of(tmp_path / "file"))
        assert await read(repository, descriptor) == data
        assert proxy.received("/uploads/") <= SIZE + SLACK
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.interop
async def test_distribution_2_forgets_and_gets_all_of_it_again(
    plain_registry: RunningRegistry, repository_name: str, tmp_path: Path
) -> None:
    descriptor, data = blob(SIZE)
    transfer = TransferOptions(resume_uploads=True, state=tmp_path / "state")
    async with (
        killed_push(plain_registry.host, repository_name, tmp_path) as proxy,
        opened(proxy.host, repository_name, transfer=transfer) as repository,
    ):
        await repository.push(descriptor, await FileSource.of(tmp_path / "file"))
        assert await read(repository, descriptor) == data
    assert list((tmp_path / "state").iterdir()) == []
