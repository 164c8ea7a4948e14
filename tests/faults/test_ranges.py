"""Faults that only a download in several ranges at once can meet."""

from dataclasses import replace
from pathlib import Path

import pytest

from faults.moving import BLOB, IN_FLIGHT, SLOWLY, Move, arrived, moves, pull, run
from faults.scene import CONNECTIONS, PART_BYTES, Content, Place, attempt, opened
from faulty.faults import (
    Amend,
    Corrupt,
    Cut,
    ExpireToken,
    Fault,
    Lengthen,
    Redirect,
    Refuse,
    Shift,
    Shorten,
    Unrange,
)
from faulty.when import BLOBS, When
from faulty.wire import PIECE_BYTES
from token_server import TokenServer

BESIDE = replace(BLOBS, beside=1)
STORAGE = replace(BLOBS, storage=True)


async def test_without_faults_every_byte_comes_once_over_all_connections(
    origin: Place, folder: Path, large: Content
) -> None:
    async with opened(origin, folder, SLOWLY) as scene:
        assert await run(pull, scene, large) is None
        assert await arrived(pull, scene, large, "")
        blobs = [one for one in scene.proxy.exchanges if BLOB in one.target]
        assert sum(one.sent for one in blobs) == large.size
        assert all(one.status == 206 and one.sent <= PART_BYTES for one in blobs)
        assert len({one.connection for one in blobs}) == CONNECTIONS


@pytest.mark.parametrize("cut", [False, True])
async def test_several_large_blobs_share_the_connections_to_a_host(
    cut: bool, origin: Place, folder: Path, several: Content
) -> None:
    faults = (SLOWLY, Cut(at=1000, when=replace(BLOBS, skip=3, times=3)))[: 1 + cut]
    async with opened(origin, folder, *faults) as scene:
        async with scene.client(connections_per_host=5) as client:
            assert await attempt(lambda: pull(client, scene, several, "")) is None
        assert await arrived(pull, scene, several, "")
        assert scene.brought <= several.size + scene.proxy.hits["cut close"] * 1000
        assert CONNECTIONS <= scene.proxy.most_open <= 5


@moves
@pytest.mark.parametrize("status", [403, 429])
async def test_a_server_that_refuses_further_connections_gets_one(
    *, move: Move, status: int, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    faults = SLOWLY, Refuse(status=status, code="TOOMANYREQUESTS", when=BESIDE)
    async with opened(origin, folder, *faults) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        hits = scene.proxy.hits
        assert 1 <= hits[f"refuse {status}"] < CONNECTIONS
        assert scene.brought == large.size


@moves
async def test_one_part_that_stalls_keeps_no_other_from_moving(
    move: Move, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    stalled = When(path=BLOB, covers=PART_BYTES * 3 // 2)
    async with opened(origin, folder, Cut(at=1000, how="stall", when=stalled)) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        assert scene.proxy.hits == {"cut stall": 1}
        assert scene.brought <= large.size + PART_BYTES


@moves
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_signed_url_dies_while_all_parts_are_in_flight(
    *, move: Move, status: int, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    faults = (
        SLOWLY,
        Redirect(requests=CONNECTIONS, status=status),
        Cut(at=PART_BYTES // 2, when=replace(STORAGE, times=CONNECTIONS)),
    )
    async with opened(origin, folder, *faults) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        hits = scene.proxy.hits
        assert hits["cut close"] == CONNECTIONS
        assert hits[f"expired {status}"] >= 1
        assert scene.brought <= large.size + CONNECTIONS * PART_BYTES
        # It is not the registry that is asked for each part.
        assert hits["redirect"] < sum(one.storage for one in scene.proxy.exchanges)


@moves
async def test_signed_urls_that_live_shorter_than_a_part_takes(
    move: Move, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    # Long enough to get there on a busy machine.
    slowly = replace(SLOWLY, interval_s=0.16)
    faults = slowly, Redirect(lifetime_s=0.6)
    async with opened(origin, folder, *faults) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        assert scene.brought == large.size


@pytest.mark.interop
async def test_storage_never_sees_the_token(guarded: Place, folder: Path, large: Content) -> None:
    async with opened(guarded, folder, Redirect(requests=3)) as scene:
        assert await run(pull, scene, large) is None  # storage would answer 400
        assert await arrived(pull, scene, large, "")


@pytest.mark.interop
@moves
async def test_one_new_token_is_enough_for_all_parts(
    *,
    move: Move,
    guarded: Place,
    token_server: TokenServer,
    folder: Path,
    large: Content,
    repository_name: str,
) -> None:
    faults = SLOWLY, ExpireToken(when=When(path=BLOB, skip=CONNECTIONS))
    async with opened(guarded, folder, *faults) as scene:
        assert await run(move, scene, large, repository_name) is None
        asked = [
            request
            for request in token_server.requests
            if any(large.name in scope for scope in request.scopes)
        ]
        assert len(asked) == 2
        assert 1 <= scene.proxy.hits["expiretoken"] <= CONNECTIONS
        assert await arrived(move, scene, large, repository_name)


ODD: dict[str, Fault] = {
    "200 to the second range": Unrange(when=replace(BLOBS, ranged=True, skip=1, times=1)),
    "206 of other offsets to the second": Shift(by=-1000, when=When(path=BLOB, skip=1)),
    "another ETag": Amend(headers={"ETag": '"other"'}, when=When(path=BLOB, skip=1)),
    "no ETag": Amend(remove=("ETag",), when=When(path=BLOB, skip=1)),
    "no Content-Range": Amend(remove=("Content-Range",), when=When(path=BLOB, skip=1)),
    "another total": Amend(
        headers={"Content-Range": "bytes {first}-{last}/{total}0"}, when=When(path=BLOB, skip=1)
    ),
    "longer than its range": Lengthen(by=10, when=When(path=BLOB, skip=1)),
    "416": Refuse(status=416, when=When(path=BLOB, skip=1)),
    "a multipart": Amend(
        headers={"Content-Type": "multipart/byteranges; boundary=x"},
        remove=("Content-Range",),
        when=When(path=BLOB, skip=1),
    ),
}


@moves
@pytest.mark.parametrize("fault", ODD.values(), ids=ODD.keys())
async def test_an_answer_that_does_not_fit_the_first_one(
    *, move: Move, fault: Fault, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    """The whole blob comes after all, and nothing of that answer gets into it."""
    wrong = Corrupt(offset=PART_BYTES + 5, when=When(path=BLOB, skip=1))
    faults = (fault,) if isinstance(fault, Unrange) else (fault, wrong)
    async with opened(origin, folder, SLOWLY, *faults) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        assert any(name != "drip" for name in scene.proxy.hits)
        # The first part, and what was in flight; at the end of a part, what came next as well.
        lost = PART_BYTES + IN_FLIGHT * (2 if isinstance(fault, Lengthen) else 1)
        assert scene.brought <= large.size + lost


@moves
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_more_breaks_than_connections(
    *, move: Move, how: str, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    cut = Cut(
        at=PART_BYTES // 3,
        how="reset" if how == "reset" else "close",
        when=replace(BLOBS, times=CONNECTIONS + 2),
    )
    async with opened(origin, folder, cut) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        hits = scene.proxy.hits.total()
        assert hits == CONNECTIONS + 2
        # All that a break brought is kept, but for the last piece.
        assert scene.brought <= large.size + hits * PIECE_BYTES


@moves
async def test_a_part_that_ends_too_early(
    move: Move, origin: Place, folder: Path, large: Content, repository_name: str
) -> None:
    async with opened(origin, folder, Shorten(at=1000, when=When(path=BLOB, skip=2))) as scene:
        assert await run(move, scene, large, repository_name) is None
        assert await arrived(move, scene, large, repository_name)
        assert scene.brought <= large.size + 1000
