"""URLs as text: never decoded, never re-quoted, because signed links break otherwise (D-122)."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

from ..errors import ProtocolError

_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?", re.ASCII)
_UNQUOTED = re.compile(r"[^\x21-\x7e]")
# Parsers disagree on brackets that are not round the whole host.
_NETLOC = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?", re.ASCII)
# Networks whose addresses end in an IPv4 address that they stand for (RFC 4291, 6052, 8215).
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what credentials are bound to (D-06).

    Attributes:
        scheme: ``http`` or ``https``.
        host: lower case, without brackets and final dot.
        port: never None; the default port of the scheme is the same as none (D-53).
    """

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """``host[:port]``, the port left out where it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if _PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@lru_cache(maxsize=256)  # it is asked four times for each request: a tenth of a small blob's time
def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http or https URL.

    Raises:
        ProtocolError: it is no such URL, or carries a user name.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ProtocolError(f"{redacted(url)!r} is not a URL") from error
    if "@" in parts.netloc:
        raise ProtocolError(f"the URL {redacted(url)!r} carries a user name, which is never sent")
    plain = _NETLOC.fullmatch(parts.netloc) and not _UNQUOTED.search(url)
    if parts.scheme not in _PORTS or not _is_host(host) or not plain:
        raise ProtocolError(f"{redacted(url)!r} is not an http or https URL")
    return Origin(parts.scheme, host.removesuffix("."), port or _PORTS[parts.scheme])


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _HOST.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def same_origin(one: str, other: str) -> bool:
    """Whether two absolute URLs have the same scheme, host and port."""
    return origin_of(one) == origin_of(other)


def join_location(base: str, location: str) -> str:
    """Resolve a ``Location`` against the URL of the request it answers; no byte is re-quoted (D-50).

    What must not stand in a URL, a space or a letter outside ASCII, is percent-encoded.

    Raises:
        ProtocolError: it is empty, holds control characters, or is not http or https.
    """
    text = location.strip(" ")
    if not text or _CONTROL.search(text):
        raise ProtocolError("the Location header is empty or holds control characters")
    text = _UNQUOTED.sub(_quote, text)
    try:
        joined = text if _ABSOLUTE.match(text) else urljoin(base, text)
    except ValueError as error:
        raise ProtocolError("the Location header is not a URL") from error
    joined = joined.partition("#")[0]
    origin_of(joined)
    return joined


def _quote(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return "".join(f"%{byte:02X}" for byte in raw)


def redacted(url: str) -> str:
    """Return a URL for messages: without user, query and fragment, which may be secret (S-17)."""
    head = re.split(r"[?#]", url, maxsplit=1)[0]
    head = re.sub(r"//[^/]*@", "//", head)
    return _CONTROL.sub("", head)[:500]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read a host as an address, in the shortened and hexadecimal forms that resolvers read too."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or _embedded(address) or address
    return address


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a translator of the network would send to."""
    if int(address) <= 1 or not any(address in network for network in _EMBEDDING):
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def is_internal(host: str) -> bool:
    """Whether a host is by its text this machine, or an address that is not on the open Internet.

    Private, loopback, link-local (with it the metadata service of clouds), unspecified, multicast
    and reserved addresses are (S-13).
    """
    host = host.strip("[]").lower().removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (not address.is_global or address.is_multicast)


def is_local(host: str) -> bool:
    """Whether a host is by its text this machine itself."""
    host = host.strip("[]").lower().removesuffix(".")
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback
