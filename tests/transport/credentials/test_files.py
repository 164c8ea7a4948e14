import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from ocipkg_async.errors import (
    CredentialError,
    InvalidArgumentError,
    InvalidReferenceError,
    StorageError,
)
from ocipkg_async.transport.credentials import DOCKER_HUB_KEY, Credential, CredentialFiles
from transport.credentials.credential_home import User, auth, mode, write_json

ALICE = Credential(username="alice", password="wönder:land")
REG = "reg.example.io:5000"


def entries(username: str) -> dict[str, Any]:
    return {"auths": {REG: auth(username, "sesame")}}


async def username(user: User, registry: str = REG, repository: str | None = None) -> str | None:
    found = await CredentialFiles(environ=user.environ).get(registry, repository)
    return None if found is None else found.username


async def test_nothing_anywhere_is_none(user: User) -> None:
    assert await username(user) is None
    assert await CredentialFiles(environ=user.environ).list() == []


async def test_a40_docker_file_of_the_home_and_of_docker_config(user: User) -> None:
    write_json(user.docker, entries("home"))
    assert await username(user) == "home"
    write_json(user.home / "other" / "config.json", entries("other"))
    user.environ["DOCKER_CONFIG"] = str(user.home / "other")
    assert await username(user) == "other"


async def test_a46_order_of_the_usual_files(user: User) -> None:
    write_json(user.dockercfg, {REG: auth("dockercfg", "p")})
    assert await username(user) == "dockercfg"
    write_json(user.docker, entries("docker"))
    assert await username(user) == "docker"
    write_json(user.podman_config, entries("podman_config"))
    assert await username(user) == "podman_config"
    write_json(user.podman, entries("podman"))
    assert await username(user) == "podman"
    user.environ["DOCKER_AUTH_CONFIG"] = json.dumps(entries("variable"))
    assert await username(user) == "variable"


async def test_a46_first_file_with_a_match_wins(user: User) -> None:
    write_json(user.podman, {"auths": {"other.example.io": auth("x", "p"), REG: {}}})
    write_json(user.docker, entries("docker"))
    assert await username(user) == "docker"


async def test_a46_named_file_is_used_alone(user: User) -> None:
    write_json(user.docker, entries("docker"))
    user.environ["DOCKER_AUTH_CONFIG"] = json.dumps(entries("variable"))
    user.environ["REGISTRY_AUTH_FILE"] = str(write_json(user.home / "empty.json", {}))
    assert await username(user) is None
    authfile = write_json(user.home / "mine.json", entries("mine"))
    found = await CredentialFiles(authfile=authfile, environ=user.environ).get(REG)
    assert found == Credential(username="mine", password="sesame")


async def test_a46_flat_dockercfg_with_an_old_key(user: User) -> None:
    write_json(user.dockercfg, {f"https://{REG}/v1/": {**auth("old", "p"), "email": "a@b"}})
    assert await username(user) == "old"


async def test_a47_missing_named_file_is_an_error_for_reads(user: User) -> None:
    missing = user.home / "missing.json"
    user.environ["REGISTRY_AUTH_FILE"] = str(missing)
    files = CredentialFiles(environ=user.environ)
    for call in (files.get(REG), files.erase(REG), files.list()):
        with pytest.raises(CredentialError, match=r"missing\.json does not exist") as caught:
            await call
        assert caught.value.hint
        assert "REGISTRY_AUTH_FILE" in caught.value.hint


async def test_a47_missing_named_file_is_created_for_login(user: User) -> None:
    path = user.home / "new" / "auth.json"
    user.environ["REGISTRY_AUTH_FILE"] = str(path)
    files = CredentialFiles(environ=user.environ)
    assert await files.put(REG, ALICE) == str(path)
    assert mode(path) == 0o600
    assert await files.get(REG) == ALICE


async def test_a48_repository_keys(user: User) -> None:
    keys = {REG: auth("host", "p"), f"{REG}/a": auth("a", "p"), f"{REG}/a/b": auth("ab", "p")}
    write_json(user.podman, {"auths": keys})
    assert await username(user, REG, "a/b") == "ab"
    assert await username(user, REG, "a/c") == "a"
    assert await username(user, REG, "c") == "host"


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io"])
async def test_a43_docker_hub(user: User, name: str) -> None:
    write_json(user.docker, {"auths": {DOCKER_HUB_KEY: auth("hub", "p")}})
    assert await username(user, name, "library/ubuntu") == "hub"


async def test_a45_variable_that_holds_more_is_an_error(user: User) -> None:
    user.environ["DOCKER_AUTH_CONFIG"] = json.dumps({**entries("a"), "credsStore": "x"})
    with pytest.raises(CredentialError, match="the variable DOCKER_AUTH_CONFIG"):
        await username(user)
    user.environ["DOCKER_AUTH_CONFIG"] = '{"auths":\n{"sesame" "x"}}'
    with pytest.raises(CredentialError, match=r"DOCKER_AUTH_CONFIG .*line 2") as caught:
        await username(user)
    assert "sesame" not in str(caught.value)


async def test_a51_broken_file_is_an_error_with_name_and_line(user: User) -> None:
    write_json(user.docker, '{"auths": {\n "r.io": {"auth": sesame}}}')
    with pytest.raises(CredentialError, match=r"config\.json .*line 2") as caught:
        await username(user)
    assert "sesame" not in str(caught.value)


async def test_a51_file_open_to_others_is_used_with_one_warning(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(user.docker, entries("docker")).chmod(0o644)
    files = CredentialFiles(environ=user.environ)
    for _ in range(3):
        assert await files.get(REG) is not None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(user.docker) in record.getMessage()
    assert "sesame" not in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
async def test_usual_file_that_may_not_be_read_is_skipped_with_a_warning() -> None:
    """A service often has a home that is not its own; a file it was told to use is an error."""
    script = """if True:
        import asyncio, os, sys
        from pathlib import Path
        from ocipkg_async.errors import StorageError
        from ocipkg_async.transport.credentials import CredentialFiles
        home, registry = sys.argv[1:]
        def get(**options):
            return asyncio.run(CredentialFiles(**options).get(registry))
        get(environ={"HOME": home})  # imports what the other user may not be able to read
        os.setuid(12345)
        print(get(environ={"HOME": home}).username)
        try:
            get(authfile=Path(home, ".docker", "config.json"), environ={})
        except StorageError:
            print("refused")
    """
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        user = User(Path(folder, "home"))
        write_json(user.docker, entries("docker"))
        write_json(user.dockercfg, {REG: auth("dockercfg", "p")}).chmod(0o644)
        command = [sys.executable, "-c", script, str(user.home), REG]
        done = await to_thread.run_sync(
            lambda: subprocess.run(command, capture_output=True, text=True, check=False)
        )
    assert done.stdout.split() == ["dockercfg", "refused"], done.stderr
    assert "config.json: Permission denied; its credentials are not used" in done.stderr


async def test_what_cannot_be_read_is_a_storage_error(user: User) -> None:
    user.docker.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot read .*config\.json"):
        await username(user)


async def test_a42_helper_goes_before_the_entry(user: User) -> None:
    user.add_helper("one")
    user.add_helper("all")
    user.give_helper("one", {REG: ("one", "p")})
    user.give_helper("all", {REG: ("x", "p"), "other.example.io": ("all", "p")})
    config = {"credsStore": "all", "credHelpers": {REG: "one"}, **entries("file")}
    write_json(user.docker, config)
    assert await username(user) == "one"
    assert await username(user, "other.example.io") == "all"


async def test_a42_entry_counts_when_the_helper_has_nothing(user: User) -> None:
    """Docker stops at the helper; a user who has both files is better served by going on."""
    user.add_helper("all")
    write_json(user.docker, {"credsStore": "all", **entries("file")})
    write_json(user.dockercfg, {"next.example.io": auth("next", "p")})
    assert await username(user) == "file"
    assert await username(user, "next.example.io") == "next"


async def test_a42_helper_that_fails_is_an_error_and_no_fallback(user: User) -> None:
    write_json(user.docker, {"credsStore": "all", **entries("file")})
    with pytest.raises(CredentialError, match="docker-credential-all is not on PATH"):
        await username(user)
    user.add_helper("all", "#!/bin/sh\necho locked; exit 1")
    with pytest.raises(CredentialError, match="locked"):
        await username(user)


async def test_a43_helper_is_asked_for_docker_hub_by_its_old_address(user: User) -> None:
    user.add_helper("all")
    user.give_helper("all", {DOCKER_HUB_KEY: ("hub", "p")})
    write_json(user.docker, {"credsStore": "all"})
    assert await username(user, "docker.io", "library/ubuntu") == "hub"


async def test_a49_helper_gets_the_registry_and_credsstore_is_dockers(user: User) -> None:
    user.add_helper("one", '#!/bin/sh\ncat > "$HELPER_STORE/stdin"; echo "{}"')
    write_json(user.podman, {"credsStore": "missing", "credHelpers": {REG: "one"}})
    assert await username(user, REG, "a/b/c") is None
    assert (user.home / "stdin").read_text() == REG
    assert await username(user, "other.example.io") is None


async def test_helper_time_can_be_set(user: User) -> None:
    user.add_helper("all", "#!/bin/sh\nsleep 1000")
    write_json(user.docker, {"credsStore": "all"})
    files = CredentialFiles(environ=user.environ, helper_timeout_s=0.05)
    with pytest.raises(CredentialError, match=r"did not end within 0\.05 seconds"):
        await files.get(REG)


async def test_put_writes_dockers_file_as_docker_does(user: User) -> None:
    files = CredentialFiles(environ=user.environ)
    assert await files.put(REG, ALICE) == str(user.docker)
    assert await files.put("docker.io", ALICE) == str(user.docker)
    assert json.loads(user.docker.read_text()) == {
        "auths": {REG: auth("alice", "wönder:land"), DOCKER_HUB_KEY: auth("alice", "wönder:land")}
    }
    assert mode(user.docker) == 0o600
    assert await files.get(REG) == ALICE
    assert await files.get("registry-1.docker.io") == ALICE


async def test_put_writes_podmans_file_as_podman_does(user: User) -> None:
    files = CredentialFiles(authfile=user.podman, environ=user.environ)
    await files.put("docker.io", ALICE)
    assert json.loads(user.podman.read_text()) == {
        "auths": {"docker.io": auth("alice", "wönder:land")}
    }


@pytest.mark.parametrize(
    "credential",
    [
        ALICE,
        Credential(username="alice", identity_token="refresh"),
        Credential(identity_token="refresh"),
        Credential(registry_token="ready"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "auth.json", ".dockercfg"])
async def test_a41_what_is_put_is_got(user: User, credential: Credential, name: str) -> None:
    path = user.home / name
    await CredentialFiles(authfile=path, environ=user.environ).put(REG, credential)
    assert await CredentialFiles(authfile=path, environ=user.environ).get(REG) == credential


async def test_a40_put_and_erase_keep_what_is_unknown(user: User) -> None:
    before = {
        "HttpHeaders": {"X": "y"},
        "psFormat": "ä",
        "auths": {"other.example.io": {**auth("o", "p"), "new": [1, {"deep": None}]}},
        "future": 1.5,
    }
    write_json(user.docker, before)
    files = CredentialFiles(environ=user.environ)
    await files.put(REG, ALICE)
    assert await files.erase(REG) is True
    assert json.loads(user.docker.read_text()) == before
    assert list(json.loads(user.docker.read_text())) == list(before)
    assert await files.erase(REG) is False


async def test_put_uses_the_helper_that_docker_uses(user: User) -> None:
    user.add_helper("all")
    write_json(user.docker, {"credsStore": "all", **entries("old")})
    files = CredentialFiles(environ=user.environ)
    assert await files.put(REG, ALICE) == "docker-credential-all"
    assert user.helper_has("all") == {REG: [ALICE.username, ALICE.password]}
    assert json.loads(user.docker.read_text()) == {"credsStore": "all", "auths": {REG: {}}}
    assert await files.get(REG) == ALICE
    assert await files.erase(REG) is True
    assert user.helper_has("all") == {}
    assert json.loads(user.docker.read_text()) == {"credsStore": "all", "auths": {}}
    assert await files.get(REG) is None
    assert await files.erase(REG) is False


async def test_put_with_a_helper_in_podmans_file_leaves_no_entry(user: User) -> None:
    user.add_helper("one")
    before = {"credHelpers": {"docker.io": "one"}, "auths": {"docker.io": auth("old", "p")}}
    write_json(user.podman, before)
    files = CredentialFiles(authfile=user.podman, environ=user.environ)
    assert await files.put("docker.io", ALICE) == "docker-credential-one"
    assert user.helper_has("one").keys() == {"docker.io"}
    assert json.loads(user.podman.read_text()) == {"credHelpers": {"docker.io": "one"}, "auths": {}}
    assert await files.get("docker.io") == ALICE


async def test_put_that_a_helper_refuses_leaves_the_file(user: User) -> None:
    user.add_helper("all", "#!/bin/sh\necho locked; exit 1")
    path = write_json(user.docker, {"credsStore": "all", **entries("old")})
    before = path.read_text()
    with pytest.raises(CredentialError, match="locked"):
        await CredentialFiles(environ=user.environ).put(REG, ALICE)
    assert path.read_text() == before


async def test_broken_file_is_not_overwritten_by_put(user: User) -> None:
    write_json(user.docker, '{"auths": {')
    with pytest.raises(CredentialError, match="line 1"):
        await CredentialFiles(environ=user.environ).put(REG, ALICE)
    assert user.docker.read_text() == '{"auths": {'


@pytest.mark.parametrize("credential", [Credential(), Credential(username="alice")])
async def test_put_without_a_secret_is_refused(user: User, credential: Credential) -> None:
    with pytest.raises(InvalidArgumentError, match="no secret") as caught:
        await CredentialFiles(environ=user.environ).put(REG, credential)
    assert caught.value.hint
    assert not user.docker.exists()


async def test_what_is_no_registry_is_refused_before_anything_happens(user: User) -> None:
    files = CredentialFiles(environ=user.environ)
    for registry in ("https://reg.example.io", "reg.example.io/a", "a.io\nb.io"):
        for call in (files.get(registry), files.put(registry, ALICE), files.erase(registry)):
            with pytest.raises(InvalidReferenceError):
                await call
    assert not user.docker.exists()


async def test_place_that_hides_the_written_one_is_told(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(user.podman, entries("podman"))
    write_json(user.dockercfg, {REG: auth("later", "sesame")})
    files = CredentialFiles(environ=user.environ)
    await files.put(REG, ALICE)
    (record,) = caplog.records
    assert str(user.podman) in record.getMessage()
    assert "is used first" in record.getMessage()
    caplog.clear()
    assert await files.erase(REG) is True
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all("is not removed" in text for text in told)
    assert "sesame" not in caplog.text


async def test_erase_without_any_file_creates_none(user: User) -> None:
    assert await CredentialFiles(environ=user.environ).erase(REG) is False
    assert not user.docker.parent.exists()


async def test_list_names_registry_user_and_place(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    user.add_helper("all")
    user.add_helper("one")
    user.give_helper("all", {DOCKER_HUB_KEY: ("hub", "p"), "one.example.io": ("hidden", "p")})
    user.give_helper("one", {"one.example.io": ("one", "p")})
    write_json(
        user.podman,
        {"auths": {REG: auth("podman", "sesame"), f"{REG}/a": auth("scoped", "sesame")}},
    )
    write_json(
        user.docker,
        {
            "credsStore": "all",
            "credHelpers": {"one.example.io": "one"},
            "auths": {
                DOCKER_HUB_KEY: {},
                f"https://{REG}/v1/": auth("docker", "sesame"),
                "bad.example.io": {"auth": "%"},
                "https://me:sesame@bad.example.io": auth("u", "sesame"),
            },
        },
    )
    assert await CredentialFiles(environ=user.environ).list() == [
        (REG, "podman", str(user.podman)),
        (f"{REG}/a", "scoped", str(user.podman)),
        ("one.example.io", "one", "docker-credential-one"),
        ("docker.io", "hub", "docker-credential-all"),
        (REG, "docker", str(user.docker)),
    ]
    assert "bad.example.io" in caplog.text
    assert "sesame" not in caplog.text


async def test_list_goes_on_after_a_broken_helper(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(user.docker, {"credsStore": "none", **entries("file")})
    listed = await CredentialFiles(environ=user.environ).list()
    assert listed == [(REG, "file", str(user.docker))]
    assert "docker-credential-none is not on PATH" in caplog.text


async def test_a50_logins_at_the_same_time_all_count(user: User) -> None:
    async with anyio.create_task_group() as group:
        for number in range(10):
            files = CredentialFiles(environ=user.environ)
            group.start_soon(files.put, f"r{number}.example.io", ALICE)
    assert len(json.loads(user.docker.read_text())["auths"]) == 10


async def test_a50_cancelled_login_leaves_nothing_half_done(user: User) -> None:
    write_json(user.docker, entries("old"))
    files = CredentialFiles(environ=user.environ)
    for delay_s in (0, 0.0002, 0.0005, 0.001, 0.002, 0.004):
        with anyio.move_on_after(delay_s):
            await files.put(REG, ALICE)
        assert await username(user) in {"old", "alice"}
        assert [entry.name for entry in user.docker.parent.iterdir()] == ["config.json"]


async def test_environment_of_the_process_is_the_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "mine.json"))
    assert await CredentialFiles().put(REG, ALICE) == str(home / "mine.json")
    assert await CredentialFiles().get(REG) == ALICE
