"""Lists that come in pages: tags, catalog, referrers (D-100 to D-104, S-14)."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from ..errors import InvalidDocumentError, ProtocolError
from ..spec.decoding import convert, decode_json
from ..transport import Headers, Scope, join_location, same_origin
from .endpoint import Endpoint

MAX_PAGES = 10_000
MAX_PAGE_BYTES = 8 << 20
MAX_TOTAL_BYTES = 256 << 20
# A page may be empty, with a filter on the list; so many of one content are no progress (D-103).
_MAX_SAME_PAGES = 100

_LINK = re.compile(r"<(?P<target>[^<>]*)>(?P<params>[^<]*)", re.ASCII)
_REL_NEXT = re.compile(
    r";\s*rel\s*=\s*(?:\"(?:[^\"]* )?next(?: [^\"]*)?\"|next(?=\s*(?:[;,]|$)))", re.IGNORECASE
)


def next_page(url: str, headers: Headers) -> str | None:
    """Return the URL of the page after the one from `url`, or None.

    Raises:
        ProtocolError: it is on another host.
    """
    for line in headers.get_all("Link"):
        for match in _LINK.finditer(line):
            if _REL_NEXT.search(match["params"]):
                target = join_location(url, match["target"])
                if not same_origin(target, url):
                    raise ProtocolError(
                        "the registry continues a list on another host; not followed"
                    )
                return target
    return None


async def pages(
    endpoint: Endpoint,
    url: str,
    *,
    scopes: tuple[Scope, ...],
    what: str,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[bytes, Headers]]:
    """Yield the body of each page of a list, with its headers.

    Raises:
        ProtocolError: pages repeat, never end, or lead to another host.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    seen: set[str] = set()
    following: str | None = url
    total, same, previous = 0, 0, b""
    while following is not None:
        if following in seen or len(seen) >= MAX_PAGES:
            raise ProtocolError(f"the registry's list of {what} does not end; stopped")
        seen.add(following)
        request = endpoint.request("GET", following, scopes=scopes, headers=headers)
        response, raw = await endpoint.transport.fetch(request, max_bytes=MAX_PAGE_BYTES)
        total += len(raw)
        if total > MAX_TOTAL_BYTES:
            raise ProtocolError(f"the registry's list of {what} is far too long; stopped")
        same = same + 1 if raw == previous else 0
        if same >= _MAX_SAME_PAGES:
            raise ProtocolError(f"the registry's list of {what} gets no further; stopped")
        previous = raw
        yield raw, response.headers
        following = next_page(response.url, response.headers)


def names(raw: bytes, key: str) -> list[str]:
    """Return the list of texts under `key` of a page; null or missing is empty (D-100).

    Raises:
        InvalidDocumentError: the page is no JSON object, or holds something else there.
    """
    page = decode_json(raw, what=f"list of {key}")
    if not isinstance(page, dict):
        raise InvalidDocumentError(f"the registry's answer is not a list of {key}")
    values = cast("dict[str, Any]", page).get(key)
    return list(convert(values or [], tuple[str, ...], what=f"list of {key}"))
