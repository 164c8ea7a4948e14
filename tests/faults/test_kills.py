"""Downloads and uploads that are killed at any byte: nothing is wrong, and the next run goes on.

``nox -s kills`` does it fifty times with 1 GiB. What is counted comes from the registry's side.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.kill_content import Content, journaled, made, sha256_of
from faults.killing import (
    KILLS,
    MIB,
    SIZE,
    Run,
    ServedBytes,
    Tally,
    draw,
    in_a_row,
    seeded,
    tallied,
    watches,
)
from ocipkg_async import ClientOptions
from ocipkg_async.package import ArtifactFile
from ocipkg_async.registry.download.file_sink import RECORD_BYTES
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


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Content]:
    with made(tmp_path_factory.mktemp("killed")) as content:
        yield content


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
        shown: the blob became a file that is in its place; the next run fetches it anew, as asked.
        thrown_away: it became a file that is not in its place yet, which no other run looks at.
    """

    words: tuple[object, ...]
    kept: Callable[[], int]
    check: Callable[[], object]
    complete: Callable[[], object]
    reset: Callable[[], object]
    shown: Callable[[], bool] = lambda: False
    thrown_away: Callable[[], bool] = lambda: False


def kill_downloads(way: Downloading, tally: Tally, served: ServedBytes, output: Path) -> None:
    """Kill downloads, some of them several times, and let each be finished."""
    chance = seeded()
    total = Run(*way.words, *PARALLEL, output=output).finish("wchar")
    way.complete()
    assert served.new() == SIZE
    while tally.kills < KILLS:
        way.reset()
        kept = 0
        for _ in range(in_a_row(chance, KILLS - tally.kills)):
            spot = draw(chance, start=0, stop=SIZE - kept, end=total - kept)
            if not Run(*way.words, *PARALLEL, output=output).killed(spot, "wchar"):
                assert served.new() <= SIZE - kept, tally.history
                kept = 0 if way.shown() else SIZE
                break  # it was faster
            way.check()
            now = SIZE if way.shown() else way.kept()
            thrown_away = way.thrown_away()
            whole = thrown_away or now == SIZE
            lost = tally.note(spot, before=kept, after=now, moved=served.new(), whole=whole)
            assert 0 <= lost <= (SIZE if thrown_away else LOST_BYTES), tally.history
            kept = 0 if way.shown() else now
            if whole:
                break
        Run(*way.words, *PARALLEL, output=output).finish("wchar")
        way.complete()
        assert served.new() <= SIZE - kept, tally.history
        tally.finished += 1


def test_get(
    tmp_path: Path,
    content: Content,
    origin: tuple[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    reference, log = origin
    store = tmp_path / "store"
    partials, packages = store / "partial", store / "packages"
    arrived = f".partial-{content.blob.digest.encoded}-{SIZE}"
    options = ClientOptions(store=store)

    def kept() -> int:
        installed = list(packages.glob("sha256/[!.]*/large.bin"))
        if installed or (partials / arrived).exists():
            return SIZE
        return journaled(partials, content.blob, content.large)

    def check() -> None:
        for file in (store / "layout" / "blobs" / "sha256").glob("[!.]*"):
            assert sha256_of(file) == file.name
        for folder in packages.glob("sha256/[!.]*"):
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
        assert not list(partials.glob(".partial*"))
        assert not list(packages.rglob(".tmp-*"))

    def thrown_away() -> bool:
        moved = (
            file for place in ("tree", "blobs") for file in packages.rglob(f".tmp-*/{place}/*")
        )
        return kept() != SIZE and any(file.stat().st_size == SIZE for file in moved)

    way = Downloading(
        words=("get", reference, "--store", store),
        kept=kept,
        check=check,
        complete=complete,
        reset=lambda: shutil.rmtree(store),
        thrown_away=thrown_away,
    )
    served = ServedBytes(log, reference.partition("/")[0], content.blob)
    with tallied("get", capsys) as tally:
        kill_downloads(way, tally, served, tmp_path / "output")


def test_pull(
    tmp_path: Path,
    content: Content,
    origin: tuple[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    reference, log = origin
    around = tmp_path / "around"
    out = around / "out"
    encoded = content.blob.digest.encoded
    existing = True

    def reset() -> None:
        nonlocal existing
        existing = not existing
        shutil.rmtree(around, ignore_errors=True)
        around.mkdir()
        if existing:
            (out / "tree").mkdir(parents=True)
            (out / "tree" / "mine").write_bytes(b"mine")

    def kept() -> int:
        found = list(around.rglob(f".ocipkg-partial/*{encoded}-{SIZE}"))
        return SIZE if found else journaled(around, content.blob, content.large)

    def check() -> None:
        assert {path.name for path in around.iterdir() if path.name[0] != "."} <= {"out"}
        if existing:
            assert (out / "tree" / "mine").read_bytes() == b"mine"
            content.check_visible(out)  # a file comes after the other, each of them whole
        elif out.exists():
            assert content.check_visible(out)

    def complete() -> None:
        content.check(out)
        assert not list(around.rglob(".ocipkg-partial"))

    def shown() -> bool:
        return (out / "large.bin").exists()

    def thrown_away() -> bool:
        return any(file.stat().st_size == SIZE for file in around.rglob(".tmp-*/tree/large.bin"))

    reset()
    way = Downloading(
        words=("pull", reference, "-o", out, "--overwrite"),
        kept=kept,
        check=check,
        complete=complete,
        reset=reset,
        shown=shown,
        thrown_away=thrown_away,
    )
    served = ServedBytes(log, reference.partition("/")[0], content.blob)
    with tallied("pull", capsys) as tally:
        kill_downloads(way, tally, served, tmp_path / "output")
