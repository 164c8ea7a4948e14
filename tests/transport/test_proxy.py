import pytest
from aiohttp import web

from ocipkg_async.errors import ConnectError, UnsupportedError
from ocipkg_async.transport import Request, Transport
from ocipkg_async.transport.proxy import proxy_for
from ocipkg_async.transport.urls import origin_of
from transport.servers import Seen, get, quick, saying, serve, serve_raw, text

HTTPS = origin_of("https://r.example/")
PROXIES = {"http": "http://p.example:3128", "https": "p.example:3129"}


def test_the_proxy_of_the_scheme() -> None:
    assert proxy_for(HTTPS, {}) is None
    https, http = proxy_for(HTTPS, PROXIES), proxy_for(origin_of("http://r.example/"), PROXIES)
    assert https is not None
    assert http is not None
    assert (https.url, http.url) == ("http://p.example:3129", "http://p.example:3128")
    everything = proxy_for(HTTPS, {"all": "http://all.example"})
    assert everything is not None
    assert everything.url == "http://all.example"


def test_s17_the_proxys_password_is_in_a_header_that_is_not_shown() -> None:
    proxy = proxy_for(HTTPS, {"https": "http://alice:w%40nder@p.example:3128"})
    assert proxy is not None
    assert proxy.url == "http://p.example:3128"
    assert proxy.headers == {"Proxy-Authorization": "Basic YWxpY2U6d0BuZGVy"}
    assert "Basic" not in repr(proxy)


@pytest.mark.parametrize("no", ["r.example", ".example", "example", "r.example:443", "*"])
def test_exceptions(no: str) -> None:
    assert proxy_for(HTTPS, {**PROXIES, "no": no}) is None


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost", "[::1]:5000"])
def test_this_machine_is_never_proxied(host: str) -> None:
    assert proxy_for(origin_of(f"http://{host}/"), PROXIES) is None


def test_another_kind_of_proxy_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="socks5"):
        proxy_for(HTTPS, {"https": "socks5://p.example:1080"})


async def test_d125_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def proxy(seen: Seen) -> web.Response:
        return text(f"{seen.path} {seen.headers.get('Proxy-Authorization')}")

    request = Request(method="GET", url="http://r.example/v2/a%2Fb?x", registry="r.example")
    async with serve(proxy) as server:
        monkeypatch.setenv("http_proxy", f"http://alice:pw@{server.host}")
        async with Transport(quick(plain_http=True)) as transport:
            _, body = await transport.fetch(request, max_bytes=200)
            await transport.fetch(get(server), max_bytes=100)
    assert body == b"http://r.example/v2/a%2Fb?x Basic YWxpY2U6cHc="
    assert server.seen[1].path == "/v2/"


async def test_d125_an_environment_that_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    options = quick(plain_http=True, proxies_from_environment=False)
    request = Request(method="GET", url="http://no.invalid/", registry="no.invalid", retry=False)
    async with Transport(options) as transport:
        with pytest.raises(ConnectError, match="cannot be resolved"):
            await transport.fetch(request, max_bytes=1)


async def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = saying(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    request = Request(method="GET", url="https://r.example/", registry="r.example")
    async with serve_raw(refuse) as server:
        monkeypatch.setenv("https_proxy", server.url)
        async with Transport(quick()) as transport:
            with pytest.raises(ConnectError, match=r"proxy for r\.example answered 407"):
                await transport.fetch(request, max_bytes=1)
    assert server.connections == 1
    async with Transport(quick()) as transport:
        with pytest.raises(ConnectError, match=r"proxy for r\.example cannot be reached"):
            await transport.fetch(request, max_bytes=1)


async def test_d125_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch, home: object) -> None:
    from pathlib import Path

    netrc = Path(str(home)) / ".netrc"
    netrc.write_text("machine 127.0.0.1 login alice password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serve(lambda _: text()) as server, Transport(quick()) as transport:
        await transport.fetch(get(server), max_bytes=1)
    assert server.seen[0].authorization is None
