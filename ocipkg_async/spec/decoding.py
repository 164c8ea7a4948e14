"""JSON documents to typed values and back, strictly (I-37).

The standard library's parser reads, because it can refuse duplicate keys; msgspec then checks
types, because its errors carry the path inside the document.
"""

import collections
import json
import math
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from ..errors import InvalidDigestError, InvalidDocumentError
from .digest import Digest

T = TypeVar("T")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return result


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:60]} is too large")
    return number


def decode_json(data: bytes, *, what: str) -> Any:
    """Parse `data` as one JSON document.

    Args:
        data: UTF-8 text.
        what: what it is, for the error: "manifest", "token answer" …

    Raises:
        InvalidDocumentError: not UTF-8, not JSON, a key twice in one object, NaN or Infinity, half
            a surrogate pair, or nested too deeply.
    """
    try:
        text = data.decode("utf-8")
        tree = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constants,
            parse_float=_finite,
        )
        if "\\ud" in text.lower():
            # Half of a surrogate pair is no text: it could be neither printed nor sent again.
            json.dumps(tree, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InvalidDocumentError(f"the {what} is nested too deeply") from error
    except ValueError as error:
        raise InvalidDocumentError(f"the {what} is not valid JSON: {error}") from error
    return tree


def _decode_hook(kind: type, value: Any) -> Any:
    if kind is Digest:
        if not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
        try:
            return Digest(value)
        except InvalidDigestError as error:
            raise ValueError(str(error)) from error
    raise NotImplementedError(kind)


def _without_nulls(value: Any) -> Any:
    """Leave out members that are null: the same as absent (I-37), but for the value of an annotation."""
    if isinstance(value, list):
        return list(map(_without_nulls, value))  # pyright: ignore[reportUnknownArgumentType] - JSON
    if isinstance(value, dict):
        return {
            key: one if key == "annotations" else _without_nulls(one)
            for key, one in cast("dict[str, Any]", value).items()
            if one is not None
        }
    return value


def convert(value: Any, kind: type[T], *, what: str) -> T:
    """Check that parsed JSON has the types of `kind`, a msgspec struct.

    Raises:
        InvalidDocumentError: it has not; the message carries the path, such as ``$.layers[0].size``.
    """
    try:
        return msgspec.convert(_without_nulls(value), kind, dec_hook=_decode_hook)
    except RecursionError as error:
        raise InvalidDocumentError(f"the {what} is nested too deeply") from error
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise InvalidDocumentError(f"the {what} is not valid: {error}") from error


def encode_json(value: Any, *, sort_maps: bool = False) -> bytes:
    """Serialise compactly, keys in the order of the fields; with `sort_maps` equal maps give equal bytes."""
    return msgspec.json.encode(value, enc_hook=str, order="deterministic" if sort_maps else None)
