"""What a loopback registry keeps from web pages whose name leads to this machine."""

from typing import Any

import pytest

from ocipkg_async.server import Access
from ocipkg_async.server.access.exposure import is_rebound
from server.driving import Driver, Start

# What Chromium sends under a foreign name by HTTP, whatever a script sets.
_PAGE = {"Accept-Language": "", "User-Agent": "docker/28.0"}
_BROWSER = {"Accept-Language": "en-US", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@pytest.mark.parametrize("path", ["/", "/v2/", "/v2/_catalog", "/v2/team/app/manifests/v1"])
@pytest.mark.parametrize("sent", [_PAGE, _BROWSER, {"User-Agent": "Mozilla/5.0"}])
async def test_rebound_page_reads_nothing(driver: Driver, path: str, sent: dict[str, str]) -> None:
    await driver.push_manifest("v1")
    for method in ("GET", "HEAD"):
        answer = await driver(method, path, headers={**sent, "Host": "evil.example:5000"})
        assert answer.status == 403
        assert (answer.code == "DENIED") if method == "GET" else (answer.body == b"")
        assert (await driver(method, path, headers=sent)).status == 200


@pytest.mark.parametrize(
    ("host", "foreign"),
    [
        ("evil.example", True),
        ("evil.example.:5000", True),
        ("registry", True),
        ("localhost.evil.example", True),
        ("127.0.0.1.evil.example", True),
        ("localhost:5000", False),
        ("LocalHost.", False),
        ("registry.localhost:5000", False),
        ("127.0.0.1:5000", False),
        ("[::1]:5000", False),
        ("[::1]", False),
        ("192.0.2.1", False),  # no name server had a say in it
        ("", False),
    ],
)
def test_names_that_others_answer_for(host: str, *, foreign: bool) -> None:
    assert is_rebound({**_BROWSER, "Host": host}) is foreign
    # Clients of registries may know this machine by any name, as from /etc/hosts.
    assert not is_rebound({"Host": host, "User-Agent": "docker/28.0", "Accept": "*/*"})
    # A browser behind a proxy that serves HTTPS.
    assert not is_rebound({**_BROWSER, "Host": host, "Sec-Fetch-Site": "none"})


@pytest.mark.parametrize(
    "options",
    [
        {"access": Access(users={"alice": "secret"}, anonymous_pull=True)},
        {"host": "0.0.0.0", "insecure_listen": True},  # noqa: S104
    ],
)
async def test_registry_that_says_who_may_read_has_any_name(
    start: Start, options: dict[str, Any]
) -> None:
    driver = await start(**options)
    driver.url = driver.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    assert (await driver("GET", "/", headers={**_BROWSER, "Host": "lan.example"})).status == 200
