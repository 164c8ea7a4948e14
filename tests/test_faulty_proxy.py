"""The faulty proxy does what it says, seen from the wire, and nothing where no fault is due."""

import argparse
import asyncio
import contextlib
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from faulty.faults import (
    Amend,
    Corrupt,
    Cut,
    CutUpload,
    Drip,
    ExpireToken,
    Fault,
    Forget,
    How,
    Lengthen,
    LoseAnswer,
    PatchLimit,
    Plan,
    Redirect,
    Refuse,
    Resize,
    Shift,
    Shorten,
    StickRange,
    Unrange,
)
from faulty.proxy import FaultyProxy
from faulty.when import Asked, When
from faulty_proxy import FAULTS, parse_fault
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import Descriptor
from registries import RunningRegistry
from registry.driving import blob, opened, push_artifact, push_blob, read
from token_server import TokenServer

SIZE = 200_000


@dataclass(frozen=True, slots=True)
class Scene:
    """A proxy before a registry that holds one blob, and a client of aiohttp."""

    proxy: FaultyProxy
    descriptor: Descriptor
    data: bytes
    client: aiohttp.ClientSession

    @property
    def path(self) -> str:
        return f"/v2/test/proxy/blobs/{self.descriptor.digest}"

    async def get(self, span: str | None = None) -> tuple[int, str | None, bytes]:
        """Status, Content-Range and body of the blob's GET."""
        headers = {"Range": f"bytes={span}"} if span else {}
        url = self.proxy.url + self.path
        async with self.client.get(url, headers=headers) as answer:
            return answer.status, answer.headers.get("Content-Range"), await answer.read()

    async def open_upload(self) -> str:
        """The absolute location of a new upload."""
        async with self.client.post(f"{self.proxy.url}/v2/test/proxy/blobs/uploads/") as answer:
            assert answer.status == 202
            return self.absolute(answer.headers["Location"])

    def absolute(self, location: str) -> str:
        return location if "//" in location else self.proxy.url + location


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with EmbeddedRegistry() as registry:
        async with opened(registry.host, "test/proxy") as repository:
            descriptor, data = await push_blob(repository, SIZE)
        async with FaultyProxy(registry.url) as proxy, aiohttp.ClientSession() as client:
            client._retry_connection = False  # a request that is repeated unseen tells nothing
            yield Scene(proxy, descriptor, data, client)


@dataclass(frozen=True, slots=True)
class Heard:
    """All that a connection brought, and how it ended."""

    head: str
    body: bytes
    end: str


async def hear(scene: Scene, *, silent_after: int | None = None) -> Heard:
    """Ask for the blob over a bare connection that is to be kept.

    Args:
        scene: the proxy.
        silent_after: so many bytes of the body come at once; else a busy machine has its time.
    """
    reader, writer = await asyncio.open_connection(*scene.proxy.host.split(":"))
    writer.write(f"GET {scene.path} HTTP/1.1\r\nHost: proxy\r\n\r\n".encode())
    heard, end = b"", "silence"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20) as limit:
            try:
                while data := await reader.read(1 << 16):
                    heard += data
                    if len(heard.partition(b"\r\n\r\n")[2]) == silent_after:
                        limit.reschedule(asyncio.get_running_loop().time() + 0.2)
                end = "end"
            except ConnectionResetError:
                end = "reset"
    writer.close()
    head, _, body = heard.partition(b"\r\n\r\n")
    return Heard(head.decode(), body, end)


async def test_content_goes_through_unchanged(
    registry: RunningRegistry, repository_name: str
) -> None:
    """Uploads in all forms, absolute and relative locations, documents, ranges, tags."""
    async with FaultyProxy(registry.host) as proxy:
        for chunk_bytes in (None, 30_000):
            async with opened(proxy.host, repository_name, chunk_bytes=chunk_bytes) as repository:
                descriptor, data = await push_blob(repository, 100_001, seed=chunk_bytes or 0)
                assert await read(repository, descriptor) == data
                document = await push_artifact(repository)
                await repository.tag(document.descriptor, "v1")
                assert await repository.resolve("v1") == document.descriptor
        await proxy.settle()
        assert proxy.received("/uploads/") == 2 * (100_001 + 2)  # with the empty JSON
        assert proxy.sent("/blobs/sha256:") == 2 * 100_001
        assert proxy.connections < len(proxy.exchanges)  # they are kept
        assert (proxy.open, proxy.busy, proxy.hits.total()) == (0, 0, 0)


async def test_an_upload_of_unknown_length_goes_through_in_chunks(scene: Scene) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, SIZE, 30_000):
            yield other[begin : begin + 30_000]

    descriptor, other = blob(SIZE, seed=1)
    url = await scene.open_upload()
    async with scene.client.patch(url, data=pieces()) as answer:
        assert answer.status == 202
        url = scene.absolute(answer.headers["Location"])
    mark = "&" if "?" in url else "?"
    async with scene.client.put(f"{url}{mark}digest={descriptor.digest}") as answer:
        assert answer.status == 201
    assert scene.proxy.received() == SIZE


async def test_many_connections_are_counted(scene: Scene) -> None:
    await asyncio.gather(*(scene.get() for _ in range(5)))
    assert scene.proxy.most_open == 5
    await scene.client.close()
    await scene.proxy.settle()
    assert (scene.proxy.open, scene.proxy.busy) == (0, 0)


@pytest.mark.parametrize(
    ("how", "end"), [("close", "end"), ("end", "end"), ("reset", "reset"), ("stall", "silence")]
)
async def test_an_answer_breaks_off_at_a_byte(scene: Scene, how: How, end: str) -> None:
    scene.proxy.inject(Cut(at=70_000, how=how))
    heard = await hear(scene, silent_after=70_000 if how == "stall" else None)
    assert f"Content-Length: {SIZE}" in heard.head
    assert heard.end == end
    if how == "reset":
        assert scene.data[:70_000].startswith(heard.body)
    else:
        assert heard.body == scene.data[:70_000]
    assert scene.proxy.exchanges[0].sent == 70_000
    assert scene.proxy.hits == {f"cut {how}": 1}
    assert await scene.get() == (200, None, scene.data)  # once only
    await scene.client.close()
    await scene.proxy.settle()


async def test_a_cut_past_the_end_does_not_strike(scene: Scene) -> None:
    scene.proxy.inject(Cut(at=SIZE + 1))
    assert await scene.get() == (200, None, scene.data)
    assert not scene.proxy.hits


async def test_drip(scene: Scene) -> None:
    scene.proxy.inject(Drip(piece=50_000, interval_s=0.001))
    assert await scene.get() == (200, None, scene.data)
    assert scene.proxy.hits["drip"] >= 4


@pytest.mark.parametrize("span", [None, "0-99", "150-300", "100-"])
async def test_one_byte_of_the_blob_is_wrong_in_every_range(scene: Scene, span: str | None) -> None:
    scene.proxy.inject(Corrupt(offset=200))
    wrong = bytearray(scene.data)
    wrong[200] ^= 0xFF
    _, _, body = await scene.get(span)
    first, _, last = (span or "0-").partition("-")
    assert body == wrong[int(first) : int(last) + 1 if last else None]
    assert scene.proxy.hits["corrupt"] == (0 if span == "0-99" else 1)


async def test_ranges_that_are_not_what_was_asked_for(scene: Scene) -> None:
    data = scene.data
    scene.proxy.inject(
        Amend(headers={"Content-Range": "bytes {first}-{last}/999"}, when=When(ranged=True)),
        Amend(remove=("Content-Range",), when=When(ranged=True, skip=1)),
        Unrange(when=When(ranged=True, skip=2)),
        Shift(by=5, when=When(ranged=True, skip=3)),
        Shift(by=5, honest=False, when=When(ranged=True, skip=4)),
        Lengthen(by=3, when=When(ranged=True, skip=5)),
        Shorten(at=7, when=When(ranged=True, skip=6)),
        Resize(by=-10, when=When(ranged=True, skip=7)),
    )
    right = f"bytes 10-19/{SIZE}"
    assert await scene.get("10-19") == (206, "bytes 10-19/999", data[10:20])
    assert await scene.get("10-19") == (206, None, data[10:20])
    assert await scene.get("10-19") == (200, None, data)
    assert await scene.get("10-19") == (206, f"bytes 15-24/{SIZE}", data[15:25])
    assert await scene.get("10-19") == (206, right, data[15:25])
    assert await scene.get("10-19") == (206, right, data[10:20] + bytes(3))
    assert await scene.get("10-19") == (206, right, data[10:17])
    assert await scene.get("10-19") == (206, f"bytes 10-19/{SIZE - 10}", data[10:20])
    assert await scene.get("10-19") == (206, right, data[10:20])
    assert scene.proxy.hits.total() == 8


@pytest.mark.parametrize("by", [-1000, 1000])
async def test_a_blob_of_another_size(scene: Scene, by: int) -> None:
    scene.proxy.inject(Resize(by=by, when=When(method="GET|HEAD", times=None)))
    async with scene.client.head(scene.proxy.url + scene.path) as answer:
        assert answer.headers["Content-Length"] == str(SIZE + by)
    assert await scene.get() == (200, None, (scene.data + bytes(1000))[: SIZE + by])


async def test_a_length_that_the_body_does_not_have(scene: Scene) -> None:
    scene.proxy.inject(Amend(headers={"Content-Length": "{total}0"}, when=When()))
    heard = await hear(scene)
    assert f"Content-Length: {SIZE}0" in heard.head
    assert (heard.body, heard.end) == (scene.data, "end")


async def test_an_etag_that_changes(scene: Scene) -> None:
    scene.proxy.inject(Amend(headers={"ETag": '"{count}"'}))
    tags = []
    for _ in range(2):
        async with scene.client.get(scene.proxy.url + scene.path) as answer:
            tags.append(answer.headers["ETag"])
    assert tags == ['"0"', '"1"']


@pytest.mark.parametrize("date", [False, True])
async def test_refusals(scene: Scene, date: bool) -> None:
    scene.proxy.inject(
        Refuse(status=429, retry_after_s=60, date=date, code="TOOMANYREQUESTS"),
        Refuse(status=503, when=When(skip=1, times=2)),
    )
    async with scene.client.get(scene.proxy.url + scene.path) as answer:
        assert answer.status == 429
        assert (await answer.json())["errors"][0]["code"] == "TOOMANYREQUESTS"
        after = answer.headers["Retry-After"]
    if date:
        assert 55 < parsedate_to_datetime(after).timestamp() - time.time() < 65
    else:
        assert after == "60"
    assert [(await scene.get())[0] for _ in range(3)] == [503, 503, 200]
    assert scene.proxy.connections == 1  # a refusal ends no connection


async def test_only_a_further_connection_is_refused(scene: Scene) -> None:
    scene.proxy.inject(
        Drip(piece=50_000, interval_s=0.05, when=When()),
        Refuse(status=403, when=When(beside=1, times=None)),
    )
    answers = await asyncio.gather(scene.get(), scene.get(), scene.get())
    assert [status for status, _, _ in answers] == [200, 403, 403]
    assert (await scene.get())[0] == 200


async def test_a_refused_upload_is_answered_while_it_is_sent(scene: Scene) -> None:
    refused = Refuse(status=503, when=When(method="PUT"))
    scene.proxy.inject(refused, Refuse(status=500, read_body=True, when=When(method="PUT", skip=1)))
    for status in (503, 500):
        async with scene.client.put(await scene.open_upload(), data=bytes(SIZE)) as answer:
            assert answer.status == status
    assert scene.proxy.exchanges[-1].received == SIZE


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_redirect_to_a_signed_url_that_dies(scene: Scene, status: int) -> None:
    scene.proxy.inject(Redirect(requests=2, status=status))
    url = scene.proxy.url + scene.path
    async with scene.client.get(url, allow_redirects=False) as answer:
        assert answer.status == 307
        signed = answer.headers["Location"]
    assert signed.startswith(f"http://{scene.proxy.storage_host}/")
    assert scene.proxy.storage_host != scene.proxy.host
    answers = []
    for _ in range(3):
        async with scene.client.get(URL(signed, encoded=True)) as answer:
            answers.append((answer.status, await answer.read() == scene.data))
    assert answers == [(200, True), (200, True), (status, False)]
    assert [one.storage for one in scene.proxy.exchanges] == [False, True, True, True]


async def test_a_signed_url_dies_of_age_and_takes_no_other_credentials(scene: Scene) -> None:
    scene.proxy.inject(Redirect(lifetime_s=0, when=When(storage=False)), Redirect())
    url, statuses = scene.proxy.url + scene.path, []
    for headers in ({}, {"Authorization": "Bearer secret"}):
        async with scene.client.get(url, allow_redirects=False) as answer:
            signed = URL(answer.headers["Location"], encoded=True)
        async with scene.client.get(signed, headers=headers) as answer:
            statuses.append(answer.status)
    async with scene.client.get(f"http://{scene.proxy.storage_host}{scene.path}") as answer:
        statuses.append(answer.status)
    assert statuses == [403, 400, 400]


@pytest.mark.interop
async def test_a_token_expires_and_a_new_one_is_good(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    async with FaultyProxy(token_registry.host) as proxy, aiohttp.ClientSession() as client:
        url = f"{proxy.url}/v2/{repository_name}/tags/list"

        async def ask(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with client.get(url, headers=headers) as answer:
                if answer.status == 401:
                    assert token_server.realm in answer.headers["WWW-Authenticate"]
                return answer.status

        actions: list[str] = ["pull"]
        access: dict[str, str | list[str]] = {
            "type": "repository",
            "name": repository_name,
            "actions": actions,
        }
        old, new = token_server.sign([access]), token_server.sign([access])
        proxy.inject(ExpireToken(when=When(skip=2)))
        asked = [await ask(token) for token in ("", old, old, old, new, old)]
    assert asked == [401, 404, 401, 401, 404, 401]  # 404: it is let in, and there are no tags


@pytest.mark.parametrize("how", ["close", "reset", "stall"])
async def test_an_upload_breaks_off_at_a_byte(scene: Scene, how: How) -> None:
    scene.proxy.inject(CutUpload(at=70_000, how=how))
    url = await scene.open_upload()
    patience_s = 2 if how == "stall" else 20  # where it breaks, a busy machine has its time
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        async with asyncio.timeout(patience_s), scene.client.patch(url, data=bytes(SIZE)):
            pass
    assert scene.proxy.hits == {f"cutupload {how}": 1}
    await scene.client.close()
    await scene.proxy.settle()


async def test_an_answer_is_lost_after_the_whole_body_was_taken(scene: Scene) -> None:
    descriptor, other = blob(SIZE, seed=1)
    scene.proxy.inject(LoseAnswer())
    url = await scene.open_upload()
    mark = "&" if "?" in url else "?"
    with pytest.raises(aiohttp.ServerDisconnectedError):
        async with scene.client.put(f"{url}{mark}digest={descriptor.digest}", data=other):
            pass
    target = f"{scene.proxy.url}/v2/test/proxy/blobs/{descriptor.digest}"
    async with scene.client.head(target) as answer:
        assert answer.status == 200


async def test_ranges_that_stick_and_a_limit_for_chunks(scene: Scene) -> None:
    scene.proxy.inject(StickRange(), PatchLimit(max_bytes=1000))
    url, seen = await scene.open_upload(), []
    for length in (1000, 500, 1001):
        async with scene.client.patch(url, data=bytes(length)) as answer:
            seen.append((answer.status, answer.headers.get("Range")))
            assert ("too large" in await answer.text()) == (length > 1000)
            url = scene.absolute(answer.headers.get("Location", url))
    assert seen == [(201, "0-999"), (201, "0-999"), (416, None)]
    assert scene.proxy.hits == {"stickrange": 1, "patchlimit": 1}


async def test_a_session_vanishes_from_the_registry(
    registry: RunningRegistry, repository_name: str
) -> None:
    async with (
        FaultyProxy(registry.host, Forget(when=When(method="PATCH", skip=1))) as proxy,
        aiohttp.ClientSession() as client,
    ):
        async with client.post(f"{proxy.url}/v2/{repository_name}/blobs/uploads/") as answer:
            url = answer.headers["Location"]
        statuses = []
        for method in ("PATCH", "PATCH", "PATCH", "GET", "DELETE"):
            whole = url if "//" in url else proxy.url + url
            async with client.request(method, whole, data=b"x" * 10) as answer:
                statuses.append(answer.status)
                url = answer.headers.get("Location", url)
        assert statuses == [202, 404, 404, 404, 404]
        whole = (url if "//" in url else proxy.url + url).replace(proxy.host, registry.host)
        async with client.get(whole) as answer:
            assert answer.status == 404  # the registry itself does not know it any more


async def test_delay_and_rate_change_no_byte(scene: Scene) -> None:
    registry = f"http://{scene.proxy.host}"
    async with FaultyProxy(registry, delay_s=0.01, bytes_per_s=4e6) as slow:
        url = slow.url + scene.path
        for _ in range(2):
            async with scene.client.get(url) as answer:
                assert await answer.read() == scene.data
        slow.inject(Cut(at=SIZE // 2))
        with pytest.raises(aiohttp.ClientPayloadError):
            async with scene.client.get(url) as answer:
                await answer.read()
        assert slow.sent() == 2 * SIZE + SIZE // 2


async def test_a_registry_that_is_not_there() -> None:
    async with (
        FaultyProxy("127.0.0.1:1") as proxy,
        aiohttp.ClientSession() as client,
        client.get(proxy.url) as answer,
    ):
        assert answer.status == 502


async def test_clear_disarms_and_forgets(scene: Scene) -> None:
    scene.proxy.inject(Refuse(status=500, when=When(times=None)))
    assert (await scene.get())[0] == 500
    scene.proxy.clear()
    assert (await scene.get())[0] == 200
    assert len(scene.proxy.exchanges) == 1


WHEN = [
    (When(), Asked(method="GET", target="/x"), True),
    (When(), Asked(method="PUT", target="/x"), False),
    (When(method=""), Asked(method="PUT", target="/x"), True),
    (When(method="PATCH|PUT"), Asked(method="PUT", target="/x"), True),
    (When(path="/blobs/"), Asked(method="GET", target="/v2/a/blobs/sha256:1"), True),
    (When(path="/blobs/"), Asked(method="GET", target="/v2/a/manifests/v1"), False),
    (When(ranged=True), Asked(method="GET", target="/x"), False),
    (When(ranged=False), Asked(method="GET", target="/x", first=0, last=9), False),
    (When(covers=9), Asked(method="GET", target="/x", first=0, last=9), True),
    (When(covers=10), Asked(method="GET", target="/x", first=0, last=9), False),
    (When(covers=10), Asked(method="GET", target="/x", first=5), True),
    (When(covers=10), Asked(method="GET", target="/x"), True),
    (When(beside=1), Asked(method="GET", target="/x"), False),
    (When(beside=1), Asked(method="GET", target="/x", beside=1), True),
    (When(storage=True), Asked(method="GET", target="/x"), False),
]


@pytest.mark.parametrize(("when", "asked", "fits"), WHEN)
def test_when(when: When, asked: Asked, fits: bool) -> None:
    assert when.fits(asked) is fits


def test_nth_and_how_often() -> None:
    fault = Cut(at=1, when=When(skip=1, times=2))
    plan = Plan([fault])
    asked = Asked(method="GET", target="/x")
    other = Asked(method="PUT", target="/x")
    due = [plan.due(one) for one in (asked, other, asked, asked, asked)]
    assert due == [[], [], [(fault, 0)], [(fault, 1)], []]


FORMS: list[tuple[str, Fault]] = [
    ("drop-at=1M", Cut(at=1 << 20)),
    (
        "reset-at=10,times=all,path=/blobs/",
        Cut(at=10, how="reset", when=When(path="/blobs/", times=None)),
    ),
    ("stall-at=5,ranged=yes,skip=2", Cut(at=5, how="stall", when=When(ranged=True, skip=2))),
    ("refuse=429/7", Refuse(status=429, retry_after_s=7)),
    (
        "refuse=503/date:7,method=PUT",
        Refuse(status=503, retry_after_s=7, date=True, when=When(method="PUT")),
    ),
    ("redirect=5/401", Redirect(requests=5, status=401)),
    ("redirect=2.5s", Redirect(lifetime_s=2.5)),
    ("drip=1K/50", Drip(piece=1024, interval_s=0.05)),
    ("patch-limit", PatchLimit()),
    ("forget-upload,skip=1", Forget(when=When(method="PATCH|PUT", path="/uploads/", skip=1))),
]


@pytest.mark.parametrize(("text", "fault"), FORMS)
def test_faults_as_they_are_typed(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["cut", "drop-at=x", "drop-at=1,at=2"])
def test_faults_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_fault(text)


def test_every_fault_can_be_typed() -> None:
    numbered = {"content-range": "bytes 0-1/2", "refuse": "500", "redirect": ""}
    typed = {type(make(numbered.get(name, "1"))) for name, make in FAULTS.items()}
    assert typed == set(Fault.__args__)


async def test_by_hand(scene: Scene) -> None:
    """As a program: an address, then a line for each request with what was done to it."""
    program = Path(__file__).with_name("faulty_proxy.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        f"--upstream={scene.proxy.url}",
        "--fault=wrong-byte-at=3,times=1",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with scene.client.get(url + scene.path) as answer:
            body = await answer.read()
        line = (await process.stdout.readline()).decode()
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
    assert [at for at, byte in enumerate(body) if byte != scene.data[at]] == [3]
    assert re.search(rf"GET {scene.path} -> 200 {SIZE} B out \[corrupt\]", line)
