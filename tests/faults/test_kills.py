"""Downloads and uploads that are killed at any byte: nothing is wrong, and the next run goes on.

``nox -s kills`` does it fifty times with 1 GiB. What is counted comes from the registry's side.
"""

import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from anyio.from_thread import start_blocking_portal

from faults.killing import (
    KILLS,
    LIMIT_S,
    MIB,
    SEED,
    SIZE,
    Counts,
    Run,
    ServedBytes,
    Spot,
    Tally,
    draw,
    journaled,
    sha256_of,
    wait_for,
    watches,
    write_random,
)
from faulty.proxy import FaultyProxy
from ocipkg_async import ClientOptions
from ocipkg_async.package import ArtifactFile
from ocipkg_async.registry.download.file_sink import RECORD_BYTES
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.server.application import RequestLog
from ocipkg_async.spec import Descriptor, Digest
from ocipkg_async.sync import Client
from peers import require
from registries import docker_registry

pytestmark = [
    pytest.mark.skipif(not watches(), reason="needs Linux's /proc"),
    pytest.mark.interop,
    pytest.mark.timeout(max(120, KILLS * SIZE / (2 * MIB))),
]

# Default parts of a GiB are of 16 MiB; small ones keep the bound below a small blob.
PART_BYTES = 8 * MIB if SIZE >= 256 * MIB else MIB
CONNECTIONS = 4 if SIZE >= 256 * MIB else 2
PARALLEL = ("--part-size", PART_BYTES, "--connections", CONNECTIONS, "--progress", "none")

# What a kill may cost a download. Of each part in flight it takes all that arrived of it: nothing
# that was received counts before it is written. What is written is journaled in stretches: one is
# noted when it is RECORD_BYTES long, or closes a gap before what was noted. A stretch that is not
# noted yet ends where a part in flight goes on, or at the end of all parts that were begun. So
# there are at most as many as parts in flight, and one.
LOST_BYTES = CONNECTIONS * PART_BYTES + (CONNECTIONS + 1) * RECORD_BYTES

SMALL = {"tree/a": b"a" * 100_000, "tree/b/c": b"c" * 10}


@dataclass(frozen=True, kw_only=True)
class Content:
    """A large file and a small folder, and what is large in them."""

    large: Path
    tree: Path
    blob: Descriptor

    def check(self, folder: Path) -> None:
        """All of it is in a folder, and right."""
        assert sha256_of(folder / "large.bin") == self.blob.digest.encoded
        for name, data in SMALL.items():
            assert (folder / name).read_bytes() == data

    def check_visible(self, folder: Path) -> bool:
        """What is in a folder is right; return whether it is all."""
        large = folder / "large.bin"
        if large.exists():
            assert sha256_of(large) == self.blob.digest.encoded
        small = [name for name in SMALL if (folder / name).exists()]
        for name in small:
            assert (folder / name).read_bytes() == SMALL[name]
        return large.exists() and len(small) == len(SMALL)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Content]:
    folder = tmp_path_factory.mktemp("killed")
    large, tree = folder / "large.bin", folder / "tree"
    encoded = write_random(large, SIZE, Random(SEED))
    for name, data in SMALL.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    blob = Descriptor(
        media_type="application/octet-stream", digest=Digest(f"sha256:{encoded}"), size=SIZE
    )
    yield Content(large=large, tree=tree, blob=blob)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def origin(
    tmp_path_factory: pytest.TempPathFactory, content: Content
) -> Iterator[tuple[str, Path]]:
    """A reference at docker-registry, and the registry's log."""
    require("docker-registry")
    folder = tmp_path_factory.mktemp("origin")
    with docker_registry(folder) as running:
        reference = f"{running.host}/killed:v1"
        options = ClientOptions(store=folder / "store")
        with Client(options) as client:
            files = [
                ArtifactFile(path=content.large, title="large.bin"),
                ArtifactFile(path=content.tree, title="tree"),
            ]
            client.push_files(reference, files)
        yield reference, running.log
    shutil.rmtree(folder)


@dataclass(kw_only=True)
class Downloading:
    """One way to download, again and again.

    Attributes:
        words: the command.
        kept: bytes of the blob that the next run need not fetch.
        check: looks at what is visible, which must be right.
        complete: checks that all is there.
        reset: makes it as if it had never run.
    """

    words: Callable[[], tuple[object, ...]]
    kept: Callable[[], int]
    check: Callable[[], object]
    complete: Callable[[], object]
    reset: Callable[[], object]


def kill_downloads(
    way: Downloading, tally: Tally, served: ServedBytes, output: Path, counts: Counts
) -> None:
    """Kill downloads, some of them several times, and let each be finished."""
    chance = Random(SEED)
    total = Run(*way.words(), *PARALLEL, output=output).finish(counts)
    way.complete()
    assert served.new() == SIZE
    while tally.kills < KILLS:
        way.reset()
        kept = 0
        for _ in range(chance.randint(1, min(3, KILLS - tally.kills))):
            late = chance.random() < 0.25
            spot = draw(chance, start=0, stop=total - kept, late=late)
            if not Run(*way.words(), *PARALLEL, output=output).killed(spot, counts):
                break  # it was faster
            way.check()
            fetched, now = served.new(), way.kept()
            lost = fetched - (now - kept)
            print(f"killed at {spot}: kept {kept} then {now}, fetched {fetched}, lost {lost}")
            tally.note(lost, late=spot.at >= total - kept - 2 * MIB)
            assert 0 <= lost <= LOST_BYTES, (spot, kept, now, fetched)
            kept = now
        Run(*way.words(), *PARALLEL, output=output).finish(counts)
        way.complete()
        assert served.new() <= SIZE - kept
        tally.finished += 1


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], Tally]]:
    """Makes tallies, which are shown at the end."""
    tallies: list[Tally] = []

    def make(what: str) -> Tally:
        tallies.append(Tally(what))
        return tallies[-1]

    yield make
    with capsys.disabled():
        for tally in tallies:
            print(f"\n{tally}")


def test_get(
    tmp_path: Path,
    content: Content,
    origin: tuple[str, Path],
    shown: Callable[[str], Tally],
) -> None:
    reference, log = origin
    store = tmp_path / "store"
    blobs, packages = store / "layout" / "blobs", store / "packages" / "sha256"
    blob = blobs / "sha256" / content.blob.digest.encoded
    options = ClientOptions(store=store)

    def kept() -> int:
        return SIZE if blob.exists() else journaled(blobs, content.blob, content.large)

    def check() -> None:
        for file in (blobs / "sha256").glob("*"):
            if not file.name.startswith("."):
                assert sha256_of(file) == file.name
        for folder in packages.glob("*"):
            if not folder.name.startswith("."):
                content.check(folder)
        with Client(options) as client:
            assert client.verify() == []
            for package in client.packages():
                content.check(package.path)

    def complete() -> None:
        with Client(options) as client:
            (package,) = client.packages()
            content.check(package.path)
            assert client.verify() == []
        assert not list(blobs.glob(".partial*"))

    way = Downloading(
        words=lambda: ("get", reference, "--store", store),
        kept=kept,
        check=check,
        complete=complete,
        reset=lambda: shutil.rmtree(store),
    )
    served = ServedBytes(log, reference.partition("/")[0], content.blob)
    kill_downloads(way, shown("get"), served, tmp_path / "output", "wchar")


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_pull(
    tmp_path: Path,
    content: Content,
    origin: tuple[str, Path],
    shown: Callable[[str], Tally],
    existing: bool,
) -> None:
    reference, log = origin
    around = tmp_path / "around"
    out = around / "out"
    encoded = content.blob.digest.encoded

    def reset() -> None:
        shutil.rmtree(around, ignore_errors=True)
        around.mkdir()
        if existing:
            (out / "tree").mkdir(parents=True)
            (out / "tree" / "mine").write_bytes(b"mine")

    def kept() -> int:
        found = around / ".ocipkg-partial" / f"{encoded}-{SIZE}"
        return SIZE if found.exists() else journaled(around, content.blob, content.large)

    def check() -> None:
        assert {path.name for path in around.iterdir() if path.name[0] != "."} <= {"out"}
        if existing:
            assert (out / "tree" / "mine").read_bytes() == b"mine"
            content.check_visible(out)  # a file comes after the other, each of them whole
        elif out.exists():
            assert content.check_visible(out)

    def complete() -> None:
        content.check(out)
        assert not (around / ".ocipkg-partial").exists()

    reset()
    way = Downloading(
        words=lambda: ("pull", reference, "-o", out, "--overwrite"),
        kept=kept,
        check=check,
        complete=complete,
        reset=reset,
    )
    served = ServedBytes(log, reference.partition("/")[0], content.blob)
    kill_downloads(way, shown(f"pull, {existing=}"), served, tmp_path / "output", "wchar")
