"""An upload to a peer that takes nothing more: it is given up, and so is its connection."""

import os
import socket
import sys
from pathlib import Path

import anyio
import pytest

from faults.scene import SILENCE_S, Content, attempt
from faulty.faults import CutUpload
from faulty.proxy import FaultyProxy
from faulty.when import When
from ocipkg_async import Client, ClientOptions
from ocipkg_async.errors import TimedOutError
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.transport import RetryPolicy, TransportOptions

BYTES = 24 << 20
"""More than both ends' kernels keep."""


def connected_to(port: int) -> int:
    """How many sockets of this process are connected to a port."""
    found = 0
    for path in list(Path("/proc/self/fd").iterdir()):
        try:
            with socket.socket(fileno=os.dup(int(path.name))) as one:
                found += one.family == socket.AF_INET and one.getpeername()[1] == port
        except OSError:
            continue  # no socket, or not connected
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
async def test_a_stalled_upload_leaves_no_connection(
    embedded: EmbeddedRegistry, tmp_path: Path
) -> None:
    files = Content(name="stalled", files={"large.bin": bytes(BYTES)}).write(tmp_path / "files")
    options = ClientOptions(
        store=tmp_path / "store",
        transport=TransportOptions(
            read_timeout_s=SILENCE_S,
            answer_timeout_s=SILENCE_S,
            retry=RetryPolicy(attempts=2, first_wait_s=0.01),
        ),
    )
    stall = CutUpload(at=1000, how="stall", when=When(method="PUT", path="/uploads/", times=None))
    async with FaultyProxy(embedded.host, stall) as proxy:
        async with Client(options) as client:
            error = await attempt(lambda: client.push_files(f"{proxy.host}/stalled:v1", files))
        assert isinstance(error, TimedOutError)
        assert proxy.hits["cutupload stall"] >= 2
        with anyio.fail_after(20):
            while connected_to(int(proxy.host.rpartition(":")[2])):  # noqa: ASYNC110
                await anyio.sleep(0.01)  # what is being closed has its time
