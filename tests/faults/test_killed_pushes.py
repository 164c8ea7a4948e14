"""Uploads that are killed at any byte, where the registry keeps what it got: the next run goes on.

``nox -s kills`` does it fifty times with 1 GiB. What is counted comes from the registry's side.
"""

import asyncio
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from faults.kill_content import Content, made
from faults.killing import (
    KILLS,
    LIMIT_S,
    MIB,
    SIZE,
    Run,
    Server,
    draw,
    in_a_row,
    seeded,
    tallied,
    wait_for,
    watches,
)
from faulty.proxy import FaultyProxy
from ocipkg_async import ClientOptions
from ocipkg_async.server import EmbeddedRegistry, RequestLog
from ocipkg_async.spec import Descriptor
from ocipkg_async.sync import Client
from peers import require
from registries import docker_registry

pytestmark = [
    pytest.mark.skipif(not watches(), reason="needs Linux's /proc"),
    pytest.mark.timeout(max(120, KILLS * SIZE / (2 * MIB))),
]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Content]:
    with made(tmp_path_factory.mktemp("killed")) as content:
        yield content


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """A registry that keeps what it got of a broken upload.

    Attributes:
        host: where to push to.
        received: bytes of uploads that came since it was asked last.
        kept: bytes of the blob that it has in a repository, in an upload or for good.
        forget: removes what a repository has, so that the disk does not fill.
    """

    host: str
    received: Callable[[], int]
    kept: Callable[[str], int]
    forget: Callable[[str], object] = lambda _: None


# What a kill may cost an upload: what the registry took from the network and did not write yet.
# Ours gathers pieces of 2 MiB, of which three are in memory, before it 2 MiB of its connection;
# the kernel's buffers for both ends of a connection on loopback are as large as that again.
LOST_UPLOAD_BYTES = 16 * MIB
SMALL_BYTES = MIB
"""More than the small folder and the config are as blobs, each time."""


def largest(*files: Path) -> int:
    return max((file.stat().st_size for file in files if file.exists()), default=0)


@contextmanager
def embedded_keeper(folder: Path, blob: Descriptor) -> Iterator[Keeper]:
    requests: list[RequestLog] = []
    root = folder / "embedded"
    server = EmbeddedRegistry(root, on_request=requests.append)
    uploads = root / "_uploads"

    def received() -> int:
        # A handler may still write when its connection is gone.
        wait_for(lambda: portal.call(tasks) <= before)
        taken, requests[:] = list(requests), []
        return sum(one.received_bytes for one in taken if "/blobs/uploads/" in one.path)

    def kept(name: str) -> int:
        return largest(root / name / "blobs" / "sha256" / blob.digest.encoded, *uploads.iterdir())

    def tasks() -> int:
        return len(asyncio.all_tasks())

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server):
        before = portal.call(tasks)
        yield Keeper(
            host=server.host,
            received=received,
            kept=kept,
            forget=lambda name: shutil.rmtree(root / name),
        )


@contextmanager
def distribution_keeper(folder: Path, blob: Descriptor) -> Iterator[Keeper]:
    program = require("registry")
    data = folder / "data" / "docker" / "registry" / "v2"
    whole = data / "blobs" / "sha256" / blob.digest.encoded[:2] / blob.digest.encoded / "data"
    counted = 0

    with docker_registry(folder, program=program) as running:
        proxy, server = FaultyProxy(running.host), Server(running.host)

        def received() -> int:
            nonlocal counted
            wait_for(lambda: not proxy.open)
            server.wait()
            before, counted = counted, proxy.received("/blobs/uploads/")
            return counted - before

        def kept(name: str) -> int:
            repository = data / "repositories" / name
            if (repository / "_layers" / "sha256" / blob.digest.encoded / "link").exists():
                return largest(whole)
            return largest(*repository.glob("_uploads/*/data"))

        with start_blocking_portal() as portal, portal.wrap_async_context_manager(proxy):
            yield Keeper(host=proxy.host, received=received, kept=kept)


def sha256_at(url: str) -> str | None:
    """The SHA-256 in hex of what a registry has there, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        url, headers={"Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
    )
    try:
        with opener.open(request, timeout=LIMIT_S) as answer:
            digest = sha256()
            while data := answer.read(MIB):
                digest.update(data)
            return digest.hexdigest()
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    assert status == 404
    return None


@dataclass(frozen=True, kw_only=True)
class Pushing:
    """Pushes to one registry, each to a repository of its own.

    Attributes:
        keeper: the registry.
        content: what is pushed.
        folder: to work in.
    """

    keeper: Keeper
    content: Content
    folder: Path

    def run(self, name: str) -> Run:
        """Begin to push, or go on with it."""
        words = ("push", f"{self.keeper.host}/{name}:v1", "large.bin", "tree", "--resume")
        output, where = self.folder / "output", self.content.large.parent
        return Run(*words, "--progress", "none", output=output, folder=where)

    def check(self, name: str) -> bool:
        """What can be had is right; return whether it is all."""
        url = f"http://{self.keeper.host}/v2/{name}"
        digest = self.content.blob.digest
        assert sha256_at(f"{url}/blobs/{digest}") in {None, digest.encoded}
        if sha256_at(f"{url}/manifests/v1") is None:
            return False
        target = self.folder / "check"
        with Client(ClientOptions(store=self.folder / "store")) as client:
            client.pull(f"{self.keeper.host}/{name}:v1", target)
        self.content.check(target)
        shutil.rmtree(target)
        return True


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(embedded_keeper, "embedded", id="embedded"),
        pytest.param(
            distribution_keeper, "distribution 3", id="distribution", marks=pytest.mark.interop
        ),
    ],
)
def test_push(
    tmp_path: Path,
    content: Content,
    capsys: pytest.CaptureFixture[str],
    kind: Callable[[Path, Descriptor], AbstractContextManager[Keeper]],
    name: str,
) -> None:
    chance = seeded()
    with kind(tmp_path, content.blob) as keeper, tallied(f"push to {name}", capsys) as tally:
        pushing = Pushing(keeper=keeper, content=content, folder=tmp_path)
        total = pushing.run("killed/0").finish("rchar")
        assert pushing.check("killed/0")
        assert SIZE <= keeper.received() <= SIZE + SMALL_BYTES
        while tally.kills < KILLS:
            keeper.forget(f"killed/{tally.finished}")
            repository = f"killed/{tally.finished + 1}"
            kept = 0
            for _ in range(in_a_row(chance, KILLS - tally.kills)):
                # The file is read twice, to be hashed and to be sent. Most kills hit the latter.
                start = 0 if chance.random() < 0.1 else total - SIZE
                spot = draw(chance, start=start, stop=total - kept, end=total - kept)
                if not pushing.run(repository).killed(spot, "rchar"):
                    break  # it was faster; what it sent is counted with the next run
                sent, now = keeper.received(), keeper.kept(repository)
                pushing.check(repository)
                lost = tally.note(spot, before=kept, after=now, moved=sent, whole=now == SIZE)
                assert 0 <= lost <= LOST_UPLOAD_BYTES + SMALL_BYTES, tally.history
                kept = now
                if kept == SIZE:
                    break
            pushing.run(repository).finish("rchar")
            assert keeper.received() <= SIZE - kept + SMALL_BYTES, tally.history
            assert keeper.kept(repository) == SIZE
            assert pushing.check(repository)
            tally.finished += 1
