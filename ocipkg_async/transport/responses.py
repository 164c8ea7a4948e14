"""Error answers: status and body to our errors, and the Warning header (D-01 to D-04)."""

import json
import re
import unicodedata
from typing import Any, cast

from ..errors import (
    DeniedError,
    ErrorDetail,
    RateLimitedError,
    RegistryError,
    RegistryNotFoundError,
    UnauthorizedError,
)
from .headers import Headers
from .urls import origin_of, redacted

MAX_ERROR_BYTES = 64 << 10
"""How much of an error body is read (D-03)."""
_MAX_DETAILS = 20
_MAX_TEXT = 300
_MAX_WARNING_BYTES = 4096
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_KINDS: dict[int, type[RegistryError]] = {
    401: UnauthorizedError,
    403: DeniedError,
    404: RegistryNotFoundError,
    429: RateLimitedError,
}
_BY_CODE = {
    "MANIFEST_UNKNOWN": "check the tag or digest; list what there is with 'tags'",
    "NAME_UNKNOWN": "check the repository's name; some registries hide what you may not see",
    "BLOB_UNKNOWN": "the registry lost it or never had it; push the content again",
    "MANIFEST_BLOB_UNKNOWN": "push the blobs before the manifest that lists them",
    "TOOMANYREQUESTS": "wait, or log in: registries allow more to users they know",
    "UNSUPPORTED": "this registry does not offer the operation",
}
_BY_STATUS = {
    401: "log in to the registry, or check the stored user and password",
    403: "ask the owner of the repository for the permission; with a token, check its scopes",
    404: "check the name; some registries hide what you may not see",
    405: "this registry does not offer the operation",
    413: "the registry or a proxy before it limits the size; send smaller chunks",
    429: "wait, or log in: registries allow more to users they know",
}


def error_for(
    status: int,
    *,
    method: str,
    url: str,
    headers: Headers,
    body: bytes = b"",
    retry_after_s: float | None = None,
) -> RegistryError:
    """Return the error that an answer means; a body of any kind is tolerated.

    Args:
        status: of the answer.
        method: of the request.
        url: of the request.
        headers: of the answer.
        body: its body, or the beginning.
        retry_after_s: what its ``Retry-After`` means.
    """
    details = parse_details(body)
    what = "; ".join(_sentence(detail) for detail in details) or _excerpt(headers, body)
    shown = redacted(url)
    message = f"{origin_of(url).netloc} answered {status} to {method} {shown}"
    if what:
        message += f": {what}"
    if retry_after_s:
        message += f" (it asks to wait {retry_after_s:.0f} s)"
    kind = _KINDS.get(status, RegistryError)
    return kind(
        message,
        status=status,
        method=method,
        url=shown,
        details=details,
        retry_after_s=retry_after_s,
        hint=_hint(status, details),
    )


def _hint(status: int, details: tuple[ErrorDetail, ...]) -> str | None:
    by_code = next((_BY_CODE[d.code] for d in details if d.code in _BY_CODE), None)
    if by_code:
        return by_code
    if status >= 500:
        return "the server has a fault; try again later"
    return _BY_STATUS.get(status)


def _sentence(detail: ErrorDetail) -> str:
    if not detail.message:
        return detail.code
    return f"{detail.message} ({detail.code})" if detail.code else detail.message


def parse_details(body: bytes) -> tuple[ErrorDetail, ...]:
    """Read the entries of an error document; anything else gives none (D-02)."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    fields = cast("dict[str, object]", document)
    entries = fields.get("errors")
    if isinstance(entries, list):
        listed = cast("list[object]", entries)[:_MAX_DETAILS]
        found = [_detail(cast("dict[str, object]", one)) for one in listed if isinstance(one, dict)]
        return tuple(detail for detail in found if detail.code or detail.message)
    # Token servers and proxies: {"error": …, "error_description": …}, {"message": …}, {"details": …}
    code = _text(fields.get("error") or fields.get("code"))
    texts = (_text(fields.get(key)) for key in ("error_description", "message", "details"))
    message = next((text for text in texts if text), "")
    return (ErrorDetail(code, message),) if code or message else ()


def _detail(entry: dict[str, object]) -> ErrorDetail:
    return ErrorDetail(_text(entry.get("code")), _text(entry.get("message")))


def _text(value: object) -> str:
    return printable(value, limit=_MAX_TEXT) if isinstance(value, str) else ""


def _excerpt(headers: Headers, body: bytes) -> str:
    if not body:
        return ""
    text = body[: 8 * _MAX_TEXT].decode("utf-8", "replace")
    kind = (headers.get("Content-Type") or "").lower()
    if "html" in kind or text.lstrip()[:1] == "<":
        text = _TAGS.sub(" ", text)
    elif "\x00" in text or "octet-stream" in kind:
        return ""
    return printable(text, limit=_MAX_TEXT)


def printable(text: str, *, limit: int) -> str:
    """Return one line that is safe on a terminal: no control or direction characters (S-18)."""
    clean = "".join(
        " " if char.isspace() else char
        for char in text[: 16 * limit]
        if char.isspace() or unicodedata.category(char) not in _UNSHOWN
    )
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def parse_warnings(values: list[str]) -> list[str]:
    """Return the texts of ``Warning`` headers of the one form that is honoured (D-04)."""
    found: list[str] = []
    left = _MAX_WARNING_BYTES
    for value in values:
        text = _warning(value)
        if text is None:
            continue
        left -= len(text.encode("utf-8", "replace"))
        if left < 0:
            break
        found.append(text)
    return found


def _warning(value: str) -> str | None:
    """Read ``299 - "text"``, with nothing after it."""
    prefix = '299 - "'
    if not value.startswith(prefix) or not value.endswith('"') or len(value) <= len(prefix):
        return None
    text: list[str] = []
    chars = iter(value[len(prefix) : -1])
    for char in chars:
        if char == '"':
            return None  # a second value, or a date
        if char == "\\":
            following = next(chars, None)
            if following is None:
                return None
            text.append(following)
        else:
            text.append(char)
    result = "".join(text)
    if any(unicodedata.category(char) in _UNSHOWN for char in result):
        return None
    return result or None
