import pytest

from ocipkg_async.errors import ProtocolError
from ocipkg_async.transport.auth.realm import check_realm, same_site
from ocipkg_async.transport.urls import origin_of


def check(
    realm: str,
    *,
    registry: str = "https://registry.example.com",
    allowed: frozenset[str] = frozenset(),
    credentials: bool = True,
) -> str:
    return str(
        check_realm(realm, registry=origin_of(registry), allowed=allowed, credentials=credentials)
    )


@pytest.mark.parametrize(
    "realm",
    [
        "https://registry.example.com/token",
        "https://registry.example.com:8443/token?x=y",
        "https://auth.example.com/token",
        "https://example.com/jwt/auth",
    ],
)
def test_s13_the_registrys_own_site_may_see_passwords(realm: str) -> None:
    assert check(realm)


@pytest.mark.parametrize(
    "realm",
    [
        "",
        "/token",
        "null://registry.example.com/token",
        "ftp://registry.example.com/token",
        "http://registry.example.com/token",
        "https://user@registry.example.com/token",
        "https://registry.example.com/token#x",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/token",
        "https://[::1]/token",
        "https://0x7f.1/token",
        "https://0.0.0.0/token",
    ],
)
@pytest.mark.parametrize("credentials", [True, False])
def test_s13_realms_that_are_never_asked(realm: str, credentials: bool) -> None:
    with pytest.raises(ProtocolError):
        check(realm, credentials=credentials)


def test_s13_another_site_is_asked_without_a_password_only() -> None:
    realm = "https://auth.evil.example/token?secret=1"
    assert check(realm, credentials=False)
    with pytest.raises(ProtocolError, match="another site") as caught:
        check(realm)
    assert "token_realms" in (caught.value.hint or "")
    assert "secret" not in str(caught.value)
    assert check(realm, allowed=frozenset({"auth.evil.example"}))


def test_s13_internal_realms_of_internal_registries() -> None:
    assert check("http://127.0.0.1:5001/t", registry="http://127.0.0.1:5000")
    assert check("http://127.0.0.1:5001/t", registry="http://localhost:5000")
    assert check("http://10.0.0.2/t", registry="http://10.0.0.1", credentials=False)
    with pytest.raises(ProtocolError):
        check("http://10.0.0.2/t", registry="http://10.0.0.1")
    assert check("https://10.0.0.2:5001/t", allowed=frozenset({"10.0.0.2:5001"}))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("a.example.co.uk", "b.example.co.uk", True),
        ("a.co.uk", "b.co.uk", False),
        ("mine.azurecr.io", "yours.azurecr.io", False),
        ("mine.azurecr.io", "x.mine.azurecr.io", True),
        ("mine.jfrog.io", "yours.jfrog.io", False),
        ("a.pkg.dev", "b.pkg.dev", False),
        ("registry", "auth", False),
        ("registry", "registry", True),
        ("10.1.2.3", "11.1.2.3", False),
        ("example.com", "example.org", False),
        ("io", "io.io", False),
    ],
)
def test_s13_sites_are_told_by_registrable_domain(one: str, other: str, same: bool) -> None:
    assert same_site(one, other) is same
    assert same_site(other, one) is same
