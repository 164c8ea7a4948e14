"""Blobs in PATCH chunks, and registries that keep less, or say something odd."""

import itertools

import anyio
import pytest

from ocipkg_async.content import (
    BytesSource,
)
from ocipkg_async.errors import (
    InvalidArgumentError,
    ProtocolError,
    RegistryError,
)
from ocipkg_async.events import Event, Retrying
from ocipkg_async.registry import TransferOptions
from ocipkg_async.registry.upload.session import MAX_CHUNK_BYTES
from registries import RunningRegistry
from registry.driving import blob, opened, push_blob, read, said, scripted, watched
from registry.upload.samples import BLOB, OPENED, STORED, Unsized
from transport.servers import serve, text


@pytest.mark.parametrize(
    ("size", "sent"),
    [
        (0, [("PUT", None, 0)]),
        (999, [("PUT", None, 999)]),
        (1000, [("PUT", None, 1000)]),
        (1001, [("PATCH", "0-999", 1000), ("PUT", "1000-1000", 1)]),
        (2000, [("PATCH", "0-999", 1000), ("PUT", "1000-1999", 1000)]),
        (
            3500,
            [
                ("PATCH", "0-999", 1000),
                ("PATCH", "1000-1999", 1000),
                ("PATCH", "2000-2999", 1000),
                ("PUT", "3000-3499", 500),
            ],
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_d57_chunks_lie_end_to_end_and_the_last_travels_with_the_digest(
    size: int, sent: list[tuple[str, str | None, int]], streamed: bool
) -> None:
    descriptor, data = blob(size)
    async with watched() as server, opened(server.host, chunk_bytes=1000) as repository:
        if streamed:
            assert await repository.push_stream(BLOB, Unsized(data)) == descriptor
        else:
            await repository.push(descriptor, Unsized(data))
        found = [
            (one.method, one.headers.get("Content-Range"), one.received_bytes)
            for one in server.log[1:]
        ]
        assert found == sent
        assert await read(repository, descriptor) == data


@pytest.mark.parametrize("size", [100_000, 150_000, 200_000])
async def test_chunks_are_taken_by_real_registries(
    registry: RunningRegistry, repository_name: str, size: int
) -> None:
    async with opened(registry.host, repository_name, chunk_bytes=50_000) as repository:
        descriptor, data = await push_blob(repository, size)
        assert await read(repository, descriptor) == data


async def test_d59_chunks_grow_to_the_registrys_minimum() -> None:
    async with watched(chunk_min_bytes=1500) as server:
        async with opened(server.host, chunk_bytes=1000) as repository:
            await push_blob(repository, 3500)
        assert [one.received_bytes for one in server.log] == [0, 1500, 1500, 500]


@pytest.mark.parametrize("streamed", [False, True])
async def test_d59_an_absurd_minimum_sends_the_blob_in_one_piece(streamed: bool) -> None:
    descriptor, data = blob(3500)
    async with (
        watched(chunk_min_bytes=MAX_CHUNK_BYTES + 1) as server,
        opened(server.host, chunk_bytes=1000) as repository,
    ):
        if streamed:
            await repository.push_stream(BLOB, Unsized(data))
        else:
            await repository.push(descriptor, BytesSource(data))
        assert await read(repository, descriptor) == data
    methods = [one.method for one in server.log[:3]]
    assert methods == (["POST", "PATCH", "PUT"] if streamed else ["POST", "PUT", "GET"])


async def test_d60_what_the_registry_did_not_keep_is_sent_again() -> None:
    async with (
        watched(keep_of_chunk=400) as server,
        opened(server.host, chunk_bytes=1000) as repository,
    ):
        descriptor, data = await push_blob(repository, 2500)
        assert await read(repository, descriptor) == data
    ranges = [one.headers.get("Content-Range") for one in server.log if one.method == "PATCH"]
    assert ranges[:3] == ["0-999", "400-1399", "800-1799"]


async def test_d61_a_chunk_that_breaks_off_goes_on_in_the_same_session() -> None:
    events: list[Event] = []
    async with (
        watched(drop_upload_at=600, times=1) as server,
        opened(server.host, chunk_bytes=1000, on_event=events.append) as repository,
    ):
        descriptor, data = await push_blob(repository, 2500)
        assert await read(repository, descriptor) == data
    assert server.count("POST") == 1
    sent = [one.headers.get("Content-Range") for one in server.log if one.method == "PATCH"]
    assert sent == ["0-999", "600-1599"]
    assert [type(event) for event in events] == [Retrying]


async def test_d61_a_misplaced_chunk_asks_where_to_go_on() -> None:
    steps = scripted(
        POST=OPENED,
        PATCH=[said(416), said(202, Location="/v2/u/1?s=2", Range="0-999")],
        GET=said(204, Location="/v2/u/1?s=1", Range="0-299"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        descriptor, data = await push_blob(repository, 1400)
    assert [
        (one.method, one.path, one.headers.get("Content-Range")) for one in server.seen[1:]
    ] == [
        ("PATCH", "/v2/u/1?s=0", "0-999"),
        ("GET", "/v2/u/1?s=0", None),
        ("PATCH", "/v2/u/1?s=1", "300-1299"),
        ("PUT", f"/v2/u/1?s=2&digest={descriptor.digest.replace(':', '%3A')}", "1000-1399"),
    ]
    assert server.seen[3].body == data[300:1300]
    assert server.seen[4].body == data[1000:]


async def test_d61_no_progress_ends_it() -> None:
    steps = scripted(POST=OPENED, PATCH=said(416), GET=said(204, Range="0-299"))
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(RegistryError) as caught:
            await push_blob(repository, 2200)
    assert caught.value.status == 416
    assert len(server.seen) < 20
    assert server.seen[-1].method == "DELETE"


@pytest.mark.parametrize("again", [True, False])
async def test_d61_a_place_that_goes_back_and_forth_is_no_progress(again: bool) -> None:
    """Each answer is another one than before, and none of them is true."""
    places = itertools.cycle(("0-299", "0-399"))
    steps = scripted(
        POST=OPENED,
        PATCH=said(416),
        GET=lambda _seen: text(status=204, Range=next(places)),
    )
    descriptor, data = blob(2200)
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises((RegistryError, ProtocolError)), anyio.fail_after(20):
            await repository.push(
                descriptor, BytesSource(data) if again else Unsized(data, reopenable=False)
            )
        assert len(server.seen) < 50
        assert server.seen[-1].method == "DELETE"


async def test_d62_an_unclear_status_starts_a_new_session() -> None:
    steps = scripted(
        POST=[OPENED, said(202, Location="/v2/u/2")],
        PATCH=[said(416), said(202)],
        GET=said(204, Range="0-0"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        await push_blob(repository, 1200)
    assert [one.method for one in server.seen] == [
        *("POST", "PATCH", "GET", "DELETE"),
        *("POST", "PATCH", "PUT"),
    ]


async def test_d61_a_registry_that_lost_earlier_chunks_gets_them_again() -> None:
    steps = scripted(
        POST=OPENED,
        PATCH=[said(202), said(416), said(202)],
        GET=said(204, Range="0-499"),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 2200)
    assert sum(one.method == "POST" for one in server.seen) == 1
    sent = [(one.headers.get("Content-Range"), one.body) for one in server.seen[-2:]]
    assert sent == [("500-1499", data[500:1500]), ("1500-2199", data[1500:])]


async def test_a_place_that_proves_wrong_costs_a_new_session_and_not_the_push() -> None:
    """Some registries append what is sent to a wrong place, and find out at the end (D-61)."""
    wrong = said(400, '{"errors":[{"code":"DIGEST_INVALID"}]}')
    steps = scripted(
        POST=[OPENED, said(202, Location="/v2/u/2")],
        PATCH=[said(202), said(416), said(202)],
        GET=said(204, Range="0-499"),
        PUT=[wrong, STORED],
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 2200)
    assert b"".join(one.body for one in server.seen if one.path.startswith("/v2/u/2")) == data


@pytest.mark.parametrize("answer", ["0-1000", "0-9999999"])
async def test_a_registry_that_claims_more_than_was_sent_is_not_believed(answer: str) -> None:
    steps = scripted(POST=OPENED, PATCH=said(202, Range=answer))
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        with pytest.raises(ProtocolError, match="1000 were sent"):
            await push_blob(repository, 1200)
    steps = scripted(
        POST=[OPENED, said(202, Location="/v2/u/2")],
        PATCH=[said(416), said(202)],
        GET=said(204, Range=answer),
        PUT=STORED,
    )
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 1200)
    assert b"".join(one.body for one in server.seen if one.path.startswith("/v2/u/2")) == data


async def test_ecr_a_range_that_stays_at_the_first_chunk_is_ignored() -> None:
    steps = scripted(POST=OPENED, PATCH=said(201, Range="0-999"), PUT=STORED)
    async with serve(steps) as server, opened(server.host, chunk_bytes=1000) as repository:
        _, data = await push_blob(repository, 3200)
    ranges = [one.headers.get("Content-Range") for one in server.seen[1:]]
    assert ranges == ["0-999", "1000-1999", "2000-2999", "3000-3199"]
    assert b"".join(one.body for one in server.seen) == data


def test_a_chunk_has_at_least_a_byte() -> None:
    with pytest.raises(InvalidArgumentError):
        TransferOptions(chunk_bytes=0)
