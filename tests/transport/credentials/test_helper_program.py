import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import anyio
import pytest

from ocipkg_async.errors import CredentialError
from ocipkg_async.transport.credentials import Credential, HelperProgram
from transport.credentials.credential_home import User

ALICE = Credential(username="alice", password='wönder:"land"')


def helper(
    user: User, script: str, *, timeout_s: float = 20.0, max_bytes: int = 10_000
) -> HelperProgram:
    user.add_helper("it", "#!/bin/sh\n" + script)
    return HelperProgram(
        "it", environ=user.environ, timeout_s=timeout_s, max_output_bytes=max_bytes
    )


def keeping(user: User) -> HelperProgram:
    user.add_helper("keep")
    return HelperProgram("keep", environ=user.environ)


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "a/b", "a\\b", "..", "a..b", "a b", "a;b", "a\n", "ä", "$(x)"]
)
def test_a60_name_must_be_a_bare_word(name: str) -> None:
    with pytest.raises(CredentialError, match="not the name of a credential helper"):
        HelperProgram(name, environ={})


@pytest.mark.parametrize("name", ["pass", "ecr-login", "osxkeychain", "gcloud.2", "a_b"])
def test_a60_usual_names_are_taken(name: str) -> None:
    assert HelperProgram(name, environ={}).program == f"docker-credential-{name}"


async def test_a61_get_sends_the_address_as_plain_text(user: User) -> None:
    program = helper(
        user,
        """cat > "$HELPER_STORE/stdin"; echo "$@" > "$HELPER_STORE/arguments"
        echo '{"ServerURL": "reg.example.io:5000", "Username": "alice", "Secret": "a:b"}'
        echo noise >&2""",
    )
    assert await program.get("reg.example.io:5000") == Credential(username="alice", password="a:b")
    assert (user.home / "stdin").read_text() == "reg.example.io:5000"
    assert (user.home / "arguments").read_text() == "get\n"


async def test_a62_store_get_list_erase(user: User) -> None:
    program = keeping(user)
    await program.store("reg.example.io", ALICE)
    assert user.helper_has("keep") == {"reg.example.io": [ALICE.username, ALICE.password]}
    assert await program.get("reg.example.io") == ALICE
    assert await program.list() == {"reg.example.io": "alice"}
    assert await program.erase("reg.example.io") is True
    assert await program.erase("reg.example.io") is False
    assert await program.list() == {}


async def test_a62_store_sends_the_documented_fields(user: User) -> None:
    program = helper(user, 'cat > "$HELPER_STORE/stdin"')
    await program.store("reg.example.io", ALICE)
    assert json.loads((user.home / "stdin").read_text()) == {
        "ServerURL": "reg.example.io",
        "Username": ALICE.username,
        "Secret": ALICE.password,
    }


async def test_a63_not_found_is_no_credential(user: User) -> None:
    assert await keeping(user).get("reg.example.io") is None


@pytest.mark.parametrize("said", ["no credentials server URL", "no credentials username", "locked"])
async def test_a63_other_failures_are_errors_with_the_message(user: User, said: str) -> None:
    program = helper(user, f"echo '{said}'; exit 1")
    for call in (program.get, program.erase):
        with pytest.raises(CredentialError, match=f"docker-credential-it .*exit code 1: {said}"):
            await call("reg.example.io")
    with pytest.raises(CredentialError, match=said):
        await program.list()


async def test_a63_not_found_on_stderr_alone_is_an_error(user: User) -> None:
    program = helper(user, "echo 'credentials not found in native keychain' >&2; exit 1")
    with pytest.raises(CredentialError):
        await program.get("reg.example.io")


async def test_a64_token_user_means_identity_token(user: User) -> None:
    program = keeping(user)
    await program.store("reg.example.io", Credential(username="alice", identity_token="refresh"))
    assert user.helper_has("keep") == {"reg.example.io": ["<token>", "refresh"]}
    assert await program.get("reg.example.io") == Credential(identity_token="refresh")


async def test_registry_token_cannot_be_kept(user: User) -> None:
    with pytest.raises(CredentialError, match="registry token") as caught:
        await keeping(user).store("reg.example.io", Credential(registry_token="sesame"))
    assert "sesame" not in str(caught.value)


async def test_a65_missing_helper_is_named(user: User) -> None:
    with pytest.raises(CredentialError, match="docker-credential-none is not on PATH") as caught:
        await HelperProgram("none", environ=user.environ).get("reg.example.io")
    assert caught.value.hint


async def test_a60_helper_is_never_taken_from_the_current_folder(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping(user)
    monkeypatch.chdir(user.programs)
    for path in (".", "", f".{os.pathsep}", "bin"):
        with pytest.raises(CredentialError, match="not on PATH"):
            await HelperProgram("keep", environ={"PATH": path}).get("reg.example.io")
    later = {**user.environ, "PATH": os.pathsep.join([".", "", str(user.programs)])}
    assert await HelperProgram("keep", environ=later).get("reg.example.io") is None


async def test_a65_stderr_is_shown_cut_and_cleaned(user: User) -> None:
    program = helper(
        user, r"printf 'red \033[31malert\nnext line' >&2; printf '%02000d' 0 >&2; exit 3"
    )
    with pytest.raises(CredentialError) as caught:
        await program.get("reg.example.io")
    text = str(caught.value)
    assert "exit code 3: red [31malert next line0000" in text
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize(
    "script",
    [
        """echo '{"Username": "alice", "Secret": "sesame"}'; exit 1""",
        """echo '{"Username": "alice", "Secret": "sesame"}' >&2; exit 1""",
        """printf '{"Username": "alice", "Secret": "sesame'""",
        """echo 'sesame'""",
        """echo '["sesame"]'""",
        """echo '{"Username": "alice", "Secret": ["sesame"]}'""",
    ],
)
async def test_a65_s17_what_get_printed_is_never_shown(user: User, script: str) -> None:
    with pytest.raises(CredentialError) as caught:
        await helper(user, script).get("reg.example.io")
    assert "sesame" not in str(caught.value)
    assert caught.value.__context__ is None  # a parser's exception would carry the text


@pytest.mark.parametrize(
    "script", ["cat", "cat >&2", "echo 'no room for s:\"same'", "echo 'no room for s:\"same' >&2"]
)
async def test_a65_s17_what_was_to_be_stored_is_never_shown(user: User, script: str) -> None:
    credential = Credential(username="alice", password='s:"same')
    with pytest.raises(CredentialError, match="store failed") as caught:
        await helper(user, script + "; exit 1").store("reg.example.io", credential)
    assert "same" not in str(caught.value)


@pytest.mark.parametrize("answer", ["", "null", "[]", '{"Username": 1, "Secret": "x"}', "{" * 5000])
async def test_a61_nonsense_is_an_error(user: User, answer: str) -> None:
    program = helper(user, f"echo '{answer}'")
    with pytest.raises(CredentialError, match="docker-credential-it get did not print"):
        await program.get("reg.example.io")


async def test_a61_answer_without_user_and_secret_is_none(user: User) -> None:
    program = helper(user, """echo '{"ServerURL": "r.io", "Username": "", "Secret": ""}'""")
    assert await program.get("r.io") is None


async def test_a62_list_with_other_than_text_is_an_error(user: User) -> None:
    program = helper(user, """echo '{"r.io": ["sesame"]}'""")
    with pytest.raises(CredentialError, match="list did not print"):
        await program.list()


async def test_a60_helper_that_reads_nothing_is_fine(user: User) -> None:
    program = helper(user, "exec 0<&-; echo '{}'")
    assert await program.list() == {}
    await program.store("r.io", Credential(username="a", password="x" * 300_000))


def running(user: User) -> list[int]:
    """The processes that have the user's environment: helpers and what they started."""
    mark = f"HELPER_STORE={user.home}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                if mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found


async def gone(user: User) -> bool:
    """Whether the helper and its children end soon; they would sleep far longer."""
    with anyio.move_on_after(30):
        while running(user):  # noqa: ASYNC110 - another process has no events
            await anyio.sleep(0.01)
        return True
    return False


async def started(user: User) -> None:
    while not (user.home / "started").exists():  # noqa: ASYNC110 - as above
        await anyio.sleep(0.005)
    assert running(user)


HANGING = """
sleep 1000 &
touch "$HELPER_STORE/started"
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@linux
@pytest.mark.parametrize("end", ["wait", "exec >&- 2>&-; wait"])
async def test_a60_hanging_helper_is_ended_after_its_time(user: User, end: str) -> None:
    program = helper(user, HANGING + end, timeout_s=0.3)
    with pytest.raises(CredentialError, match=r"did not end within 0\.3 seconds") as caught:
        await program.get("reg.example.io")
    assert caught.value.hint
    assert await gone(user)


@linux
async def test_a60_cancelling_ends_the_helper_and_its_children(user: User) -> None:
    program = helper(user, HANGING + "wait")
    async with anyio.create_task_group() as group:
        group.start_soon(program.get, "reg.example.io")
        await started(user)
        group.cancel_scope.cancel()
    assert await gone(user)


@linux
async def test_a60_cancelling_by_asyncio_does_too(user: User) -> None:
    task = asyncio.create_task(helper(user, HANGING + "wait").get("reg.example.io"))
    await started(user)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(user)


@linux
async def test_a60_cancelling_while_it_starts_leaves_nothing(user: User) -> None:
    """Asyncio alone would kill the helper, and leave or even wait for what it started."""
    program = helper(user, "sleep 1000 & sleep 1000 & wait")
    for milliseconds in range(0, 12, 2):
        task = asyncio.create_task(program.get("reg.example.io"))
        await anyio.sleep(milliseconds / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with anyio.move_on_after(milliseconds / 1000):
            await program.get("reg.example.io")
    assert await gone(user)


@linux
@pytest.mark.parametrize("stream", ["", ">&2"])
async def test_a60_flooding_helper_is_ended(user: User, stream: str) -> None:
    program = helper(user, HANGING + f"while :; do echo yyyyyyyyyyyyyyyyyy {stream}; done")
    with pytest.raises(CredentialError, match="printed more than 10000 bytes"):
        await program.get("reg.example.io")
    assert await gone(user)


async def test_a60_file_that_is_no_program_is_an_error(user: User) -> None:
    user.add_helper("it", "\x7fELF nonsense")
    with pytest.raises(CredentialError, match="docker-credential-it cannot be started"):
        await HelperProgram("it", environ=user.environ).get("reg.example.io")


async def test_a60_no_shell_sees_the_address(user: User) -> None:
    program = helper(
        user, """cat > "$HELPER_STORE/stdin"; echo "$#" > "$HELPER_STORE/count"; echo '{}'"""
    )
    await program.get("$(touch oops);`x`")
    assert (user.home / "stdin").read_text() == "$(touch oops);`x`"
    assert (user.home / "count").read_text() == "1\n"
