"""A pull that failed half-way, and the next one: layers that arrived are not fetched again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocipkg_async import ArtifactFile, Client, ClientOptions, TransferOptions, TransportOptions
from ocipkg_async.errors import AlreadyExistsError, RegistryError
from ocipkg_async.events import Event, Warned
from ocipkg_async.server import EmbeddedRegistry, Faults
from ocipkg_async.spec import Digest
from ocipkg_async.transport import RetryPolicy

SIZE = 9 << 20
FIRST, SECOND = b"1" * SIZE, b"2" * SIZE


@dataclass
class Origin:
    """A registry that has an artifact of two files, and refuses the second while it is `broken`."""

    reference: str = ""
    broken: bool = True
    asked: list[str] = field(default_factory=list[str])

    def refuses(self, method: str, path: str) -> bool:
        if method == "GET" and "/blobs/" in path:
            self.asked.append(path.rpartition("/")[2])
        return self.broken and path.endswith(Digest.of(SECOND))


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    origin = Origin(broken=False)
    files: list[ArtifactFile] = []
    for name, content in (("first", FIRST), ("second", SECOND)):
        path = tmp_path / name
        path.write_bytes(content)
        files.append(ArtifactFile(path=path, title=name))
    # The first has time to arrive before the second's failure ends it.
    faults = Faults(when=origin.refuses, delay_s=0.2, refuse_next=1000, refuse_status=503)
    async with EmbeddedRegistry(faults=faults) as registry, Client() as client:
        origin.reference = f"{registry.host}/org/two:v1"
        await client.push_files(origin.reference, files)
        origin.broken = True
        yield origin


async def pull(origin: Origin, out: Path, transfer: TransferOptions) -> list[str]:
    """Pull with no second try; return the warnings."""
    warnings: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.text)

    transport = TransportOptions(retry=RetryPolicy(attempts=1))
    options = ClientOptions(transfer=transfer, transport=transport, concurrency=1)
    async with Client(options, on_event=note) as client:
        if origin.broken:
            with pytest.raises(RegistryError):
                await client.pull(origin.reference, out)
        else:
            await client.pull(origin.reference, out)
    return warnings


@pytest.mark.parametrize("chosen", [False, True])
async def test_what_arrived_is_not_fetched_again(
    origin: Origin, tmp_path: Path, *, chosen: bool
) -> None:
    around = tmp_path / "around"
    folder = around / ("chosen" if chosen else ".ocipkg-partial")
    transfer = TransferOptions(partial=folder if chosen else None)
    around.mkdir()
    warnings: list[str] = []
    for _ in range(20):  # on a busy machine, the second's failure may end it all the same
        warnings = await pull(origin, around / "out", transfer)
        if Digest.of(FIRST) in {Digest.of(p.read_bytes()) for p in folder.glob(".partial-*")}:
            break
    assert warnings == [f"what arrived is kept in {folder}; run this again to go on"]
    assert [path.name for path in around.iterdir()] == [folder.name]
    origin.broken = False
    origin.asked.clear()
    assert await pull(origin, around / "out", transfer) == []
    assert Digest.of(FIRST) not in origin.asked
    assert Digest.of(SECOND) in origin.asked
    assert (around / "out" / "first").read_bytes() == FIRST
    assert (around / "out" / "second").read_bytes() == SECOND
    assert list(folder.glob("*")) == []
    assert folder.exists() == chosen


async def test_nothing_is_kept_that_is_not_to_be_gone_on_with(
    origin: Origin, tmp_path: Path
) -> None:
    around = tmp_path / "around"
    around.mkdir()
    assert await pull(origin, around / "out", TransferOptions(resume=False)) == []
    assert list(around.iterdir()) == []


async def test_a_file_in_the_way_is_told_before_anything_is_fetched(
    origin: Origin, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "second").write_bytes(b"mine")
    origin.broken = False
    origin.asked.clear()
    async with Client() as client:
        with pytest.raises(AlreadyExistsError, match="second"):
            await client.pull(origin.reference, out)
    assert origin.asked == []
    assert [path.name for path in out.iterdir()] == ["second"]
    assert (out / "second").read_bytes() == b"mine"
