"""Open uploads, as state."""

from pathlib import Path

import pytest

from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.ranges import ByteRange
from ocipkg_async.server.sessions import Sessions


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(Path("uploads"), clock=clock, max_sessions=2, idle_s=10)


def test_c33_id_is_long_and_never_the_same(sessions: Sessions) -> None:
    first, second = sessions.open("a", "sha256"), sessions.open("a", "sha256")
    assert len(first.id) == 32
    assert first.id != second.id
    assert first.file != second.file


def test_session_exists_in_its_repository_alone(sessions: Sessions) -> None:
    session = sessions.open("a", "sha256")
    assert sessions.get("a", session.id) is session
    for repository, session_id in (("b", session.id), ("a", "0" * 32)):
        with pytest.raises(RefusedError) as refused:
            sessions.get(repository, session_id)
        assert (refused.value.status, refused.value.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_c33_limit_of_open_sessions(sessions: Sessions) -> None:
    first = sessions.open("a", "sha256")
    sessions.open("a", "sha256")
    with pytest.raises(RefusedError) as refused:
        sessions.open("b", "sha256")
    assert refused.value.status == 429
    assert "Retry-After" in refused.value.headers
    sessions.close(first)
    sessions.open("b", "sha256")


async def test_c33_upload_without_a_byte_gives_way_after_a_while(
    sessions: Sessions, clock: Clock
) -> None:
    full, empty = sessions.open("a", "sha256"), sessions.open("a", "sha256")
    full.digester.update(b"byte")
    clock.now_s = 9
    with pytest.raises(RefusedError):
        sessions.open("b", "sha256")
    clock.now_s = 11
    new = sessions.open("b", "sha256")
    assert empty.closed
    assert sessions.get("a", full.id) is full
    assert sessions.get("b", new.id) is new
    with pytest.raises(RefusedError) as refused:
        sessions.open("b", "sha256")
    assert refused.value.status == 429


async def test_c33_idle_session_expires_and_a_used_one_does_not(
    sessions: Sessions, clock: Clock
) -> None:
    idle, used = sessions.open("a", "sha256"), sessions.open("a", "sha256")
    clock.now_s = 8
    sessions.get("a", used.id)
    clock.now_s = 12
    assert sessions.expired() == [idle]
    assert idle.closed
    assert len(sessions) == 1
    assert sessions.expired() == []


async def test_session_in_use_does_not_expire(sessions: Sessions, clock: Clock) -> None:
    session = sessions.open("a", "sha256")
    clock.now_s = 100
    async with session.busy:
        assert sessions.expired() == []


def test_d61_gap_and_overlap_are_416_with_the_place_to_go_on(sessions: Sessions) -> None:
    session = sessions.open("a", "sha256")
    session.digester.update(b"0123456789")
    session.check_start(None)
    session.check_start(ByteRange(10, 20))
    for start in (0, 9, 11):
        with pytest.raises(RefusedError) as refused:
            session.check_start(ByteRange(start, 30))
        assert refused.value.status == 416
        assert refused.value.headers == {"Location": session.path, "Range": "0-9"}


def test_c16_algorithm_named_at_the_end_counts_while_nothing_was_hashed(sessions: Sessions) -> None:
    session = sessions.open("a", "sha256")
    session.expect("sha512")
    assert session.digester.algorithm == "sha512"
    session.digester.update(b"x")
    session.expect("sha256")
    assert session.digester.algorithm == "sha512"
