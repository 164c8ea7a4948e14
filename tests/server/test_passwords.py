"""Password files: as ``htpasswd`` writes them, while they change, and under attack."""

import asyncio
import subprocess
import sys
from pathlib import Path

import anyio
import bcrypt
import pytest

from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.server import Access, EmbeddedRegistry
from peers import require
from server.driving import Driver, Start
from server.login import KnownDriver, basic, get_token, until, with_token

ALICE = ("alice", "wonder land")
COST = 4
"""The lowest: what is tested is not how slow it is."""


def entry(name: str, password: str, *, cost: int = COST) -> str:
    hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode()
    return f"{name}:{hashed}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "htpasswd"
    file.write_text(entry(*ALICE), encoding="utf-8")
    return file


async def status(driver: Driver, name: str, password: str) -> int:
    return (await KnownDriver(driver, basic(name, password))("GET", "/v2/")).status


@pytest.mark.interop
@pytest.mark.parametrize(
    ("name", "password"),
    [ALICE, ("bjørn", "pass:wörd"), ("long", "x" * 71 + "é" + "y" * 10), ("empty", "")],
)
async def test_passwords_that_htpasswd_wrote(
    start: Start, tmp_path: Path, name: str, password: str
) -> None:
    """Of a long password it hashes 72 bytes, whatever letters these cut."""
    file = tmp_path / "htpasswd"
    command = [require("htpasswd"), "-i", "-B", "-C", "4", "-c", str(file), name]
    subprocess.run(command, input=password.encode(), check=True, stderr=subprocess.DEVNULL)
    driver = await start(access=Access(htpasswd=file))
    for _ in range(2):  # checked, and remembered
        assert await status(driver, name, password) == 200
    for wrong in ("x" + password, password[:70] + "_"):
        assert await status(driver, name, wrong) == 401
    assert await status(driver, "nobody", password) == 401


async def test_users_of_a_file_and_of_the_call(start: Start, file: Path) -> None:
    driver = await start(access=Access(htpasswd=file, users={"bob": "builder"}))
    assert await status(driver, *ALICE) == 200
    assert await status(driver, "bob", "builder") == 200
    assert await status(driver, "bob", "wonder land") == 401
    assert await status(driver, "alice", "builder") == 401


@pytest.mark.parametrize("content", [None, "alice:secret\n", "", "#" * ((1 << 20) + 1)])
async def test_file_that_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "htpasswd"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidArgumentError) as caught:
        async with EmbeddedRegistry(tmp_path / "root", access=Access(htpasswd=file)):
            pass
    assert str(file) in str(caught.value)
    assert "secret" not in str(caught.value)
    if content is None:
        assert f"htpasswd -B -c {file} USER" in str(caught.value.hint)
    file.write_text(entry(*ALICE))
    async with EmbeddedRegistry(tmp_path / "root", access=Access(htpasswd=file)):
        pass  # the failed start has let go of the root


async def test_user_who_is_there_twice(file: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="alice"):
        async with EmbeddedRegistry(access=Access(htpasswd=file, users={"alice": "x"})):
            pass


async def test_file_is_read_again_when_it_changes(start: Start, file: Path) -> None:
    """A version that cannot be used has no effect, and its owner is told."""
    warnings: list[str] = []
    access = Access(htpasswd=file, tokens=True)
    tokens = await start(access=access, on_warning=warnings.append)
    driver = await start(access=Access(htpasswd=file), on_warning=warnings.append)
    scope = "repository:a:pull,push"
    holder = await with_token(tokens, scope, authorization=basic(*ALICE))
    offline = await get_token(tokens, authorization=basic(*ALICE), query="&offline_token=true")
    form = f"grant_type=refresh_token&refresh_token={offline['refresh_token']}".encode()
    assert await status(driver, *ALICE) == 200
    assert (await tokens("POST", "/token", data=form)).status == 200

    file.write_text(entry("bob", "builder") + "alice:secret\n")

    async def warned() -> bool:
        return len(warnings) == 2

    await until(warned)
    assert all(f"line 2 of the password file {file}" in one for one in warnings)
    assert "secret" not in "".join(warnings)
    assert await status(driver, *ALICE) == 200
    assert await status(driver, "bob", "builder") == 401

    # As editors do: another file takes its place.
    new = file.with_name("new")
    new.write_text(entry("bob", "builder") + entry("alice", "new password"))
    new.replace(file)

    async def taken() -> bool:
        answer = await tokens("POST", "/token", data=form)
        return answer.status == 401 and await status(driver, "bob", "builder") == 200

    await until(taken)
    # What was remembered, and the tokens of the old password, are worth nothing any more.
    assert await status(driver, *ALICE) == 401
    assert await status(driver, "alice", "new password") == 200
    assert (await holder("GET", "/v2/")).status == 401

    file.write_text("")  # as htpasswd -D leaves it after the last user

    async def nobody() -> bool:
        return await status(driver, "bob", "builder") == 401

    await until(nobody)
    assert await status(driver, "alice", "new password") == 401
    assert len(warnings) == 2


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_flood_of_wrong_passwords_keeps_nobody_out_who_is_known(
    start: Start, file: Path, name: str
) -> None:
    """Guesses of one address wait for a few others, or are told to come back.

    Whether the user exists makes no difference, so that nobody finds out.
    """
    # So slow that the others still wait when the machine is busy as well.
    file.write_text(entry(*ALICE, cost=11))
    driver = await start(access=Access(htpasswd=file))
    assert await status(driver, *ALICE) == 200
    answers: list[int] = []

    async def guess(number: int) -> None:
        answer = await KnownDriver(driver, basic(name, f"guess {number}"))("GET", "/v2/")
        if answer.status == 429:
            assert (answer.headers["Retry-After"], answer.code) == ("1", "TOOMANYREQUESTS")
        answers.append(answer.status)

    async def answered() -> bool:
        return bool(answers)

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(guess, number)
        await until(answered)
        assert await status(driver, *ALICE) == 200
        assert len(answers) < 40  # it was answered while others waited
    assert set(answers) == {401, 429}
    assert answers.count(401) >= 8
    assert await status(driver, name, "guess 1") == 401


async def test_many_requests_with_a_new_password_are_one_check(start: Start, file: Path) -> None:
    """A client that begins with many connections is not taken for an attack."""
    file.write_text(entry(*ALICE, cost=8))
    driver = await start(access=Access(htpasswd=file))
    answers = await asyncio.gather(*(status(driver, *ALICE) for _ in range(64)))
    assert set(answers) == {200}
    answers = await asyncio.gather(*(status(driver, "alice", "wrong") for _ in range(64)))
    assert set(answers) == {401}


async def test_client_that_goes_away_leaves_the_check_to_others(start: Start, file: Path) -> None:
    file.write_text(entry(*ALICE, cost=10))
    driver = await start(access=Access(htpasswd=file))
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(status, driver, *ALICE)
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()
    assert await status(driver, *ALICE) == 200


_HEAVY = """
import sys, anyio
from ocipkg_async.server import Access, EmbeddedRegistry
async def main():
    async with EmbeddedRegistry(access=Access(users={"alice": "x"})):
        print("bcrypt" in sys.modules)
anyio.run(main)
"""


def test_registry_without_a_password_file_does_without_bcrypt() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
