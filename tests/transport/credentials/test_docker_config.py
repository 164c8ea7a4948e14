import base64
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocipkg_async.errors import CredentialError, InvalidArgumentError, InvalidReferenceError
from ocipkg_async.transport.credentials import DOCKER_HUB_KEY, Credential
from ocipkg_async.transport.credentials.docker_config import (
    FileKind,
    check_variable,
    decode_entry,
    encode_entry,
    find_credential,
    registry_name,
    with_entry,
    without_entry,
)
from transport.credentials.credential_home import auth

ALICE = Credential(username="alice", password="wonder:land")


def find(
    auths: dict[str, Any], kind: FileKind, registry: str, repository: str | None = None
) -> Any:
    config = auths if kind == "dockercfg" else {"auths": auths}
    found = find_credential(config, kind, registry, repository, where="the file")
    return found and found.username


def found_with(kind: FileKind, key: str, registry: str, repository: str | None = None) -> bool:
    return find({key: auth("u", "p")}, kind, registry, repository) is not None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth("alice", "wonder:land"), ALICE),
        ({"auth": base64.b64encode(b"alice:wonder:land\0\0").decode()}, ALICE),
        ({"auth": auth("alice", "wonder:land")["auth"] + "\n"}, ALICE),
        ({"username": "alice", "password": "wonder:land"}, ALICE),
        ({**auth("alice", "wonder:land"), "username": "old", "password": "old"}, ALICE),
        (auth("ä", "pässwörd €"), Credential(username="ä", password="pässwörd €")),
        (auth("alice", ""), Credential(username="alice")),
        (
            {**auth("alice", ""), "identitytoken": "refresh"},
            Credential(username="alice", identity_token="refresh"),
        ),
        ({"registrytoken": "ready"}, Credential(registry_token="ready")),
        ({}, None),
        ({"auth": "", "email": "alice@example.io"}, None),
        ({"auth": None}, None),
    ],
)
def test_a41_entry_is_read(entry: dict[str, Any], expected: Credential | None) -> None:
    assert decode_entry(entry, what="it") == expected


@pytest.mark.parametrize(
    "entry",
    [
        "c2VjcmV0",
        None,
        {"auth": "sec ret!"},
        {"auth": base64.b64encode(b"secret").decode()},
        {"auth": base64.b64encode(b"alice:secret\xff").decode()},
        {"auth": ["secret"]},
        {"identitytoken": {"secret": 1}},
    ],
)
def test_a41_broken_entry_is_an_error_that_shows_nothing_of_it(entry: Any) -> None:
    with pytest.raises(CredentialError) as caught:
        decode_entry(entry, what="the entry for r in f")
    assert str(caught.value).startswith("the entry for r in f")
    assert "sec" not in str(caught.value)
    assert caught.value.__context__ is None  # a decoder's exception would carry the bytes
    assert caught.value.hint


@given(
    st.text(st.characters(exclude_characters=":\0", exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(),
)
def test_a41_what_is_written_is_read_back(username: str, password: str, token: str) -> None:
    credential = Credential(username=username, password=password, identity_token=token)
    assert decode_entry(encode_entry(credential), what="it") == credential


@pytest.mark.parametrize(
    "credential",
    [
        Credential(username="al:ice", password="p"),
        Credential(username="alice", password="p\0"),
        Credential(password="p"),
    ],
)
def test_a30_what_could_not_be_read_back_is_refused(credential: Credential) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        encode_entry(credential)
    assert caught.value.hint


@pytest.mark.parametrize(
    "name", ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"]
)
def test_a43_r03_docker_hub_has_one_name(name: str) -> None:
    assert registry_name(name) == "docker.io"


@pytest.mark.parametrize("kind", get_args(FileKind))
@pytest.mark.parametrize(
    "key", [DOCKER_HUB_KEY, "docker.io", "index.docker.io", "registry-1.docker.io"]
)
def test_a43_every_docker_hub_key_is_found(key: str, kind: FileKind) -> None:
    assert found_with(kind, key, "docker.io", "library/ubuntu")
    assert not found_with(kind, key, "auth.docker.io")


def test_a43_own_docker_hub_key_of_the_file_goes_first() -> None:
    entries = {"index.docker.io": auth("c", "p"), "docker.io": auth("b", "p")}
    entries[DOCKER_HUB_KEY] = auth("a", "p")
    assert find(entries, "docker", "docker.io") == "a"
    assert find(entries, "containers", "docker.io") == "b"


@pytest.mark.parametrize(
    "key",
    [
        "https://reg.example.io/v1/",
        "https://reg.example.io/v2/",
        "http://reg.example.io",
        "https://reg.example.io",
        "reg.example.io/v1/",
        "reg.example.io/",
        "REG.example.io",
    ],
)
def test_a44_old_keys_match_their_bare_host(key: str) -> None:
    assert found_with("docker", key, "reg.example.io")
    assert not found_with("docker", key, "reg.example.io:443")
    assert not found_with("docker", key, "example.io")


def test_a44_exact_key_wins() -> None:
    entries = {"https://reg.example.io/v1/": auth("old", "p"), "reg.example.io": auth("new", "p")}
    assert find(entries, "docker", "reg.example.io") == "new"


@pytest.mark.parametrize("kind", get_args(FileKind))
def test_a48_closest_key_wins(kind: FileKind) -> None:
    entries = {
        "reg.example.io:5000": auth("host", "p"),
        "reg.example.io:5000/a": auth("a", "p"),
        "reg.example.io:5000/a/b": auth("ab", "p"),
    }
    host = "reg.example.io:5000"
    assert find(entries, kind, host, "a/b") == "ab"
    assert find(entries, kind, host, "a/b/c") == "ab"
    assert find(entries, kind, host, "a/bc") == "a"
    assert find(entries, kind, host, "ab") == "host"
    assert find(entries, kind, host) == "host"
    assert find(entries, kind, "reg.example.io", "a/b") is None


def test_a48_docker_hub_scope_is_written_with_docker_io() -> None:
    entries = {"docker.io/org": auth("org", "p"), "docker.io": auth("all", "p")}
    assert find(entries, "containers", "docker.io", "org/app") == "org"
    assert find(entries, "containers", "docker.io", "library/ubuntu") == "all"


@pytest.mark.parametrize(
    "key", ["reg.example.io/team", "reg.example.io/team:v1", "reg.example.io/team@sha256:00"]
)
def test_a48_key_of_a_repository_is_not_used_for_the_registry(key: str) -> None:
    for kind in get_args(FileKind):
        assert not found_with(kind, key, "reg.example.io")
        assert not found_with(kind, key, "reg.example.io", "other")


@pytest.mark.parametrize("key", ["r.io/a:v1", "r.io/a@sha256:00", "me:pw@r.io", "https://me@r.io"])
def test_a48_key_with_tag_digest_or_user_is_never_used(key: str) -> None:
    assert not found_with("containers", key, "r.io", "a")
    assert found_with("containers", "r.io/a", "r.io", "a")


def test_a48_empty_entry_leaves_it_to_the_next_key() -> None:
    entries = {"reg.example.io/a": {}, "reg.example.io": auth("host", "p")}
    assert find(entries, "containers", "reg.example.io", "a") == "host"


def test_one_bad_entry_spoils_nothing_else() -> None:
    entries = {"bad.example.io": {"auth": "%"}, "worse": 7, "reg.example.io": auth("u", "p")}
    assert find(entries, "docker", "reg.example.io") == "u"
    with pytest.raises(CredentialError, match=r"bad\.example\.io in the file"):
        find(entries, "docker", "bad.example.io")


@pytest.mark.parametrize("auths", [[], "secret", 1])
def test_auths_of_a_wrong_type_is_an_error(auths: Any) -> None:
    with pytest.raises(CredentialError, match="auths in the file is not a JSON object"):
        find_credential({"auths": auths}, "docker", "r.io", where="the file")


def test_a40_writing_keeps_what_is_unknown_and_drops_old_spellings() -> None:
    config = {
        "psFormat": "x",
        "auths": {
            "https://reg.example.io/v1/": auth("old", "p"),
            "reg.example.io/team": auth("team", "p"),
            "reg.example.io": {**auth("old", "p"), "identitytoken": "t", "email": "a@b"},
            "bad": 7,
        },
    }
    written = with_entry(config, "docker", "reg.example.io", ALICE, where="f")
    assert written == {
        "psFormat": "x",
        "auths": {
            "reg.example.io/team": auth("team", "p"),
            "reg.example.io": {"email": "a@b", **auth("alice", "wonder:land")},
            "bad": 7,
        },
    }
    assert "https://reg.example.io/v1/" in config["auths"]  # a value stays


def test_a41_marker_for_a_helper_has_no_secret() -> None:
    config = {"auths": {"reg.example.io": auth("u", "p")}}
    assert with_entry(config, "docker", "reg.example.io", None, where="f") == {
        "auths": {"reg.example.io": {}}
    }


def test_removing_takes_every_spelling_of_the_registry_and_no_repository() -> None:
    config = {
        "auths": {"docker.io": {}, DOCKER_HUB_KEY: {}, "docker.io/a": {}, "r.io": {}},
        "other": [1],
    }
    assert without_entry(config, "docker", "docker.io", where="f") == {
        "auths": {"docker.io/a": {}, "r.io": {}},
        "other": [1],
    }
    assert without_entry(config, "docker", "none.example.io", where="f") is None


def test_a45_variable_takes_auths_only() -> None:
    good = {"auths": {"reg.example.io": auth("u", "p")}}
    assert check_variable(good, where="v") == good
    for bad in (
        {**good, "credsStore": "x"},
        {"auths": {"r.io": {**auth("u", "secret"), "identitytoken": "secret"}}},
    ):
        with pytest.raises(CredentialError) as caught:
            check_variable(bad, where="v")
        assert caught.value.hint
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["https://reg.example.io", "reg.example.io/a", "a\nb.io", ""])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        registry_name(text)
