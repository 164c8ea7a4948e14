import pytest

from ocipkg_async.errors import InvalidReferenceError
from ocipkg_async.transport.credentials import (
    Credential,
    CredentialProvider,
    FixedCredential,
    StaticCredentials,
    first_of,
)

A = Credential(username="a", password="sesame")
B = Credential(username="b", password="sesame")


async def test_static_credentials_are_found_by_registry() -> None:
    provider: CredentialProvider = StaticCredentials({"Reg.example.io:5000": A})
    assert await provider.get("reg.example.io:5000", "a/b") is A
    assert await provider.get("REG.example.io:5000") is A
    assert await provider.get("reg.example.io") is None


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "registry-1.docker.io"])
async def test_a43_static_credentials_fold_docker_hub(key: str) -> None:
    assert await StaticCredentials({key: A}).get("docker.io", "library/ubuntu") is A


def test_static_credentials_refuse_what_is_no_registry() -> None:
    with pytest.raises(InvalidReferenceError):
        StaticCredentials({"https://reg.example.io": A})


async def test_fixed_credential_is_for_everybody() -> None:
    assert await FixedCredential(A).get("reg.example.io") is A


async def test_first_of_asks_in_turn() -> None:
    provider = first_of(StaticCredentials({"a.io": A}), StaticCredentials({"a.io": B, "b.io": B}))
    assert await provider.get("a.io") is A
    assert await provider.get("b.io") is B
    assert await provider.get("c.io") is None
    assert await first_of().get("a.io") is None


def test_s17_repr_shows_no_secret() -> None:
    for provider in (
        StaticCredentials({"a.io": A}),
        FixedCredential(A),
        first_of(FixedCredential(A)),
    ):
        assert "sesame" not in repr(provider)
