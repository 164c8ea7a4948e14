"""How much a client may take: heads, connections, descriptors; and how long for a body, as values."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.server import Access, Faults, Limits
from server.driving import Driver, Start, manifest, manifest_url
from server.lines import PATIENCE_S, code_of, head, line, status_of, until


@pytest.mark.parametrize("field", ["connections", "line_bytes", "idle_s", "stall_s", "bytes_per_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limit_that_allows_nothing_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        Limits(**{field: value})


@pytest.mark.parametrize(
    ("elapsed_s", "received", "patience_s"),
    [
        (0, 0, 10),
        (4, 0, 6),
        (10, 0, 0),
        (12, 0, -2),
        (100, 10_000, 10),  # as fast as it has to be
        (105, 10_000, 5),
        (100, 1_000_000, 10),  # being ahead gives no more
    ],
)
def test_patience_with_a_body(elapsed_s: float, received: int, patience_s: float) -> None:
    limits = Limits(stall_s=10, bytes_per_s=100)
    assert limits.patience_s(elapsed_s=elapsed_s, received=received) == patience_s


SMALL = Limits(line_bytes=1000, header_bytes=500, headers=10)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("GET", f"/v2/?{'x' * 900}"), 200),
        (head("GET", f"/v2/?{'x' * 1000}"), 414),
        (head("GET", "/v2/", f"X-Long: {'x' * 450}"), 200),
        (head("GET", "/v2/", f"X-Long: {'x' * 501}"), 431),
        (head("GET", "/v2/", f"X-{'x' * 500}: long"), 431),
        (head("GET", "/v2/", *(f"X-{number}: x" for number in range(9))), 200),
        (head("GET", "/v2/", *(f"X-{number}: x" for number in range(10))), 431),
    ],
)
async def test_d80_head_that_is_too_large_is_told_so(
    start: Start, caplog: pytest.LogCaptureFixture, request_head: bytes, status: int
) -> None:
    driver = await start(limits=SMALL)
    async with line(driver) as one:
        await one.send(request_head)
        answered, body = await one.answer()
        assert answered == status
        if status != 200:
            assert code_of(body) == "UNKNOWN"
            assert await one.rest() == b""
    assert caplog.records == []


async def test_d80_as_many_tags_as_are_taken_fit(driver: Driver) -> None:
    document = await driver.push_manifest()
    tags = [f"{number:0128}" for number in range(100)]
    query = "&".join(f"tag={tag}" for tag in tags)
    path = f"{manifest_url(document.digest)}?{query}"
    answer = await driver(
        "PUT", path, data=document.raw, headers={"Content-Type": document.media_type}
    )
    assert answer.status == 201
    assert answer.headers.getall("OCI-Tag") == tags


async def test_connection_beyond_the_limit_waits_for_another_to_end(start: Start) -> None:
    asked: set[str] = set()

    def note(_method: str, path: str) -> bool:
        asked.add(path)
        return False

    driver = await start(limits=Limits(connections=2, stall_s=60), faults=Faults(when=note))
    locations = [await driver.start(), await driver.start()]
    await driver.session.close()
    async with line(driver) as one, line(driver) as two:
        for busy, location in zip((one, two), locations, strict=True):
            await busy.send(head("PATCH", location, "Content-Length: 2"))
        # Before that they are idle, and after a second would have to give way.
        await until(lambda: asked.issuperset(locations))
        async with line(driver) as three:
            await three.send(head("GET", "/v2/"))
            with anyio.move_on_after(0.5) as waiting:
                await three.answer()
            assert waiting.cancelled_caught
            await two.send(b"xx")
            await one.send(b"xx")
            two.end()
            assert (await three.answer())[0] == 200


async def test_connection_beyond_the_limit_takes_the_place_of_an_idle_one(start: Start) -> None:
    driver = await start(limits=Limits(connections=3))
    await driver.session.close()
    async with line(driver) as half, line(driver) as idle, line(driver) as late:
        await half.send(b"GET /v2/ HT")
        for used in (idle, late):
            await used.send(head("GET", "/v2/"))
            assert (await used.answer())[0] == 200
        await anyio.sleep(1.5)  # nobody needs their places
        await late.send(head("GET", "/v2/"))
        assert (await late.answer())[0] == 200
        # Each stays: the place of one that ended would be free, and nobody's be taken.
        async with AsyncExitStack() as others:
            for waited in (half, idle):  # those that have had no request for longest
                new = await others.enter_async_context(line(driver))
                await new.send(head("GET", "/v2/"))
                assert (await new.answer())[0] == 200
                assert await waited.rest() == b""
                await anyio.sleep(1.1)
                await late.send(head("GET", "/v2/"))
                assert (await late.answer())[0] == 200


async def test_token_forms_of_nobody_known_keep_no_places(start: Start) -> None:
    asked: list[str] = []

    def note(_method: str, path: str) -> bool:
        asked.append(path)
        return False

    access = Access(users={"alice": "secret"}, tokens=True)
    faults = Faults(when=note)
    driver = await start(access=access, limits=Limits(connections=2), faults=faults)
    await driver.session.close()
    async with line(driver) as one, line(driver) as two, AsyncExitStack() as others:
        for number, form in enumerate((one, two), start=1):
            await form.send(head("POST", "/token", "Content-Length: 100") + b"x")
            await until(lambda number=number: asked.count("/token") >= number)
        for waited in (one, two):  # in the order in which they came
            new = await others.enter_async_context(line(driver))
            await new.send(head("GET", "/v2/"))
            with anyio.fail_after(PATIENCE_S):
                assert (await new.answer())[0] == 401
                assert await waited.rest() == b""
            await anyio.sleep(1.1)


_FEW_FILES = """
import resource, sys, anyio
from pathlib import Path
from ocipkg_async.server import EmbeddedRegistry
registry = EmbeddedRegistry(Path(sys.argv[1]), on_warning=lambda text: print(text, flush=True))
anyio.run(lambda: registry.run(on_start=lambda r: (
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)), print(r.url, flush=True))))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
async def test_registry_without_descriptors_goes_on_when_there_are_some(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _FEW_FILES, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        address, _, port = url.removeprefix("http://").partition(":")
        flood = [await asyncio.open_connection(address, int(port)) for _ in range(60)]
        warning = await asyncio.to_thread(process.stdout.readline)
        assert "cannot be accepted" in warning
        for _, writer in flood:
            writer.transport.abort()
        reader, writer = await asyncio.open_connection(address, int(port))
        writer.write(head("GET", "/v2/", "Connection: close"))
        with anyio.fail_after(20):
            assert status_of(await reader.read()) == 200
        writer.transport.abort()
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


async def test_many_large_manifests_at_once(driver: Driver) -> None:
    """Few are worked on at once, so that they take little memory; the others wait, and no longer."""
    documents = [
        manifest(layers=(), annotations={"number": str(number), "long": "x" * (1 << 19)})
        for number in range(12)
    ]
    await driver.push_manifest()  # with the configuration that all have
    answers = await asyncio.gather(
        *(driver.push_document(document, f"v{at}") for at, document in enumerate(documents))
    )
    assert {answer.status for answer in answers} == {201}
    for at, document in enumerate(documents):
        assert (await driver("GET", manifest_url(f"v{at}"))).body == document.raw
