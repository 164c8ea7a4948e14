"""JSON documents to typed values and back, strictly (I-37).

The standard library's parser reads, because it can refuse duplicate keys; msgspec then checks
types, because its errors carry the path inside the document.
"""

import json
from typing import Any, NoReturn, TypeVar

import msgspec

from ..errors import InvalidDigestError, InvalidDocumentError
from .digest import Digest

T = TypeVar("T")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return result


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def decode_json(data: bytes, *, what: str) -> Any:
    """Parse `data` as one JSON document.

    Args:
        data: UTF-8 text.
        what: what it is, for the error: "manifest", "token answer" …

    Raises:
        InvalidDocumentError: not UTF-8, not JSON, a key twice in one object, NaN or Infinity, or
            nested too deeply.
    """
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants
        )
    except RecursionError as error:
        raise InvalidDocumentError(f"the {what} is nested too deeply") from error
    except ValueError as error:
        raise InvalidDocumentError(f"the {what} is not valid JSON: {error}") from error


def _decode_hook(kind: type, value: Any) -> Any:
    if kind is Digest:
        if not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
        try:
            return Digest(value)
        except InvalidDigestError as error:
            raise ValueError(str(error)) from error
    raise NotImplementedError(kind)


def convert(value: Any, kind: type[T], *, what: str) -> T:
    """Check that parsed JSON has the types of `kind`, a msgspec struct.

    Raises:
        InvalidDocumentError: it has not; the message carries the path, such as ``$.layers[0].size``.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=_decode_hook)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise InvalidDocumentError(f"the {what} is not valid: {error}") from error


def encode_json(value: Any) -> bytes:
    """Serialise compactly, keys in the order of the fields."""
    return msgspec.json.encode(value, enc_hook=str)
