"""Types of option values."""

import dataclasses
import re

import click

from ..package import UnpackLimits
from .text import size_text

_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[KMGT]?)(?:i?B)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _bytes(text: str) -> int | None:
    """Read a number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    return match and int(float(match["number"]) * _FACTORS[match["unit"].upper()])


class ByteSize(click.ParamType[int]):
    """A size in bytes: ``65536``, ``64K``, ``8MiB``, ``1.5G``; the units are powers of 1024."""

    name = "size"

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        size = _bytes(value)
        if size is None:
            self.fail(f"{value!r} is not a size; write 65536, 64K or 8MiB", param, ctx)
        if size < 1:
            self.fail("a size is at least one byte", param, ctx)
        if self._max_bytes is not None and size > self._max_bytes:
            self.fail(f"{value!r} is more than {size_text(self._max_bytes)}", param, ctx)
        return size


class ByteRate(ByteSize):
    """Bytes per second: ``20M``, ``1.5G``, ``512K/s``; the units are powers of 1024."""

    name = "rate"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes per second."""
        if isinstance(value, int):
            return value
        rate = _bytes(value.removesuffix("/s"))
        if not rate:
            self.fail(f"{value!r} is not a rate; write 20M or 512K, bytes per second", param, ctx)
        return rate


class KeyValue(click.ParamType[tuple[str, str]]):
    """A pair, ``key=value``, or of other words such as ``name=path``."""

    def __init__(self, name: str = "key=value") -> None:
        self.name = name

    def convert(
        self,
        value: str | tuple[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Return key and value."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return key, rest


class Limit(click.ParamType[tuple[str, int]]):
    """A bound for unpacking, ``name=number``; the names are those of `UnpackLimits`."""

    name = "name=number"

    def convert(
        self,
        value: str | tuple[str, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, int]:
        """Return name and number."""
        if isinstance(value, tuple):
            return value
        name, _, number = value.partition("=")
        names = [field.name for field in dataclasses.fields(UnpackLimits)]
        if name not in names:
            self.fail(f"{name!r} is not a limit; there are {', '.join(names)}", param, ctx)
        if not re.fullmatch("[0-9]{1,18}", number, re.ASCII):
            self.fail(f"{value!r} is not {name}=number", param, ctx)
        return name, int(number)


_AGE = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhdw])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


class Age(click.ParamType[float]):
    """A time that has passed: ``30d``, ``12h``, ``2w``; also ``m`` for minutes and ``s``."""

    name = "age"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number of seconds."""
        if not isinstance(value, str):
            return value
        match = _AGE.fullmatch(value.strip())
        if match is None:
            self.fail(f"{value!r} is not an age; write 30d, 12h or 2w", param, ctx)
        return float(match["number"]) * _UNITS_S[match["unit"]]
