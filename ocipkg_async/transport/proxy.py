"""Proxies from the environment; nothing else of it is read, least of all netrc (D-125)."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib import request as urllib_request
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import UnsupportedError
from .urls import Origin, is_local

# The standard library's documented name for it reads the system's settings too on some platforms.
_bypasses: Callable[[str, dict[str, str]], bool] = urllib_request.proxy_bypass_environment  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where to send a request instead of to its host."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def environment() -> dict[str, str]:
    """Return the proxies that the environment names, by scheme; ``no`` are the exceptions."""
    return dict(urllib_request.getproxies_environment())


def proxy_for(origin: Origin, proxies: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for a host, or None: this machine is never proxied.

    Raises:
        UnsupportedError: a proxy of another kind than http.
    """
    url = proxies.get(origin.scheme) or proxies.get("all")
    if not url or is_local(origin.host):
        return None
    if _bypasses(f"{origin.host}:{origin.port}", dict(proxies)):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"}:
        raise UnsupportedError(
            f"the proxy for {origin.netloc} is of the kind {parts.scheme}, which is not supported",
            hint="use an http proxy, or add the host to NO_PROXY",
        )
    user, _, place = parts.netloc.rpartition("@")
    headers: dict[str, str] = {}
    if user:
        name, _, password = user.partition(":")
        pair = f"{unquote(name)}:{unquote(password)}".encode()
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return Proxy(urlunsplit((parts.scheme, place, "", "", "")), headers)
