"""A proxy that breaks what a client and a registry say to each other, for tests and by hand.

    python tests/faulty_proxy.py --upstream http://127.0.0.1:5000 --fault reset-at=1000000,times=3

prints its address and a line for each request: what came, what went, and what it did to it.
"""

import argparse
import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import fields, replace

from faulty.exchange import Exchange
from faulty.faults import (
    Amend,
    Corrupt,
    Cut,
    CutUpload,
    Drip,
    ExpireToken,
    Fault,
    Forget,
    Lengthen,
    LoseAnswer,
    PatchLimit,
    Redirect,
    Refuse,
    Resize,
    Shift,
    Shorten,
    StickRange,
    Unrange,
)
from faulty.proxy import FaultyProxy
from faulty.when import When

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_bytes(text: str) -> int:
    """Read ``24M`` and the like."""
    match = re.fullmatch(r"(-?\d+)([KMG]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, such as 64K or 24M")
    return int(match[1]) * _UNITS[match[2]]


def _drip(text: str) -> Fault:
    piece, _, interval_ms = text.partition("/")
    return Drip(piece=parse_bytes(piece), interval_s=float(interval_ms or 100) / 1000)


def _refuse(text: str) -> Fault:
    status, _, after = text.partition("/")
    date = after.startswith("date:")
    after = after.removeprefix("date:")
    return Refuse(status=int(status), retry_after_s=int(after) if after else None, date=date)


def _redirect(text: str) -> Fault:
    """Read ``5`` requests or ``2.5s``, each with ``/STATUS``."""
    life, _, status = text.partition("/")
    redirect = Redirect(status=int(status or 403))
    if life.endswith("s"):
        return replace(redirect, lifetime_s=float(life[:-1]))
    return replace(redirect, requests=int(life)) if life else redirect


FAULTS: dict[str, Callable[[str], Fault]] = {
    "drop-at": lambda text: Cut(at=parse_bytes(text)),
    "truncate-at": lambda text: Cut(at=parse_bytes(text), how="end"),
    "reset-at": lambda text: Cut(at=parse_bytes(text), how="reset"),
    "stall-at": lambda text: Cut(at=parse_bytes(text), how="stall"),
    "drop-upload-at": lambda text: CutUpload(at=parse_bytes(text)),
    "reset-upload-at": lambda text: CutUpload(at=parse_bytes(text), how="reset"),
    "stall-upload-at": lambda text: CutUpload(at=parse_bytes(text), how="stall"),
    "drip": _drip,
    "wrong-byte-at": lambda text: Corrupt(offset=parse_bytes(text)),
    "shorten-to": lambda text: Shorten(at=parse_bytes(text)),
    "lengthen-by": lambda text: Lengthen(by=parse_bytes(text)),
    "resize-by": lambda text: Resize(by=parse_bytes(text)),
    "content-range": lambda text: Amend(headers={"Content-Range": text}, when=When(ranged=True)),
    "no-content-range": lambda _: Amend(remove=("Content-Range",), when=When(ranged=True)),
    "changing-etag": lambda _: Amend(headers={"ETag": '"{count}"'}),
    "no-ranges": lambda _: Unrange(),
    "shift-by": lambda text: Shift(by=parse_bytes(text)),
    "refuse": _refuse,
    "expire-token": lambda _: ExpireToken(),
    "redirect": _redirect,
    "lose-answer": lambda _: LoseAnswer(),
    "stick-range": lambda _: StickRange(),
    "forget-upload": lambda _: Forget(),
    "patch-limit": lambda text: PatchLimit(max_bytes=parse_bytes(text or "4M")),
}
"""What ``--fault`` calls each fault, and what its value makes of it."""

_READERS: dict[str, Callable[[str], object]] = {
    "method": str,
    "path": str,
    "ranged": lambda text: text == "yes",
    "storage": lambda text: text == "yes",
    "covers": parse_bytes,
    "beside": int,
    "skip": int,
    "times": lambda text: None if text == "all" else int(text),
}


def parse_fault(text: str) -> Fault:
    """Read ``NAME[=VALUE][,KEY=VALUE]...``, where the keys are those of `When`.

    Raises:
        argparse.ArgumentTypeError: there is no such fault or key.
    """
    first, *rest = text.split(",")
    name, _, value = first.partition("=")
    if name not in FAULTS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FAULTS)}")
    fault = FAULTS[name](value)
    changes: dict[str, object] = {}
    for pair in rest:
        key, _, value = pair.partition("=")
        if key not in _READERS:
            raise argparse.ArgumentTypeError(f"{key!r} is none of {', '.join(_READERS)}")
        changes[key] = _READERS[key](value)
    kept = {one.name: getattr(fault.when, one.name) for one in fields(fault.when)}
    return replace(fault, when=When(**kept | changes))


async def _serve(arguments: argparse.Namespace) -> None:
    def show(exchange: Exchange) -> None:
        print(exchange, flush=True)  # noqa: T201 - what the command is for

    host, _, port = arguments.listen.rpartition(":")
    async with FaultyProxy(
        arguments.upstream,
        *arguments.fault,
        host=host or "127.0.0.1",
        port=int(port),
        delay_s=arguments.delay_ms / 1000,
        bytes_per_s=arguments.rate,
        on_exchange=show,
    ) as proxy:
        print(proxy.url, flush=True)  # noqa: T201 - the same
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Run the proxy until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", required=True, help="the registry: HOST:PORT or its URL")
    parser.add_argument("--listen", default="0", help="[HOST:]PORT; 0 takes a free one")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=parse_fault,
        metavar="NAME[=VALUE][,KEY=VALUE]...",
        help=f"one of {', '.join(FAULTS)}; keys: {', '.join(_READERS)}",
    )
    parser.add_argument("--delay-ms", type=float, default=0, help="added to each way")
    parser.add_argument("--rate", type=parse_bytes, help="bytes/s of a connection, such as 24M")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
