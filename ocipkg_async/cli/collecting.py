"""``serve`` collects from time to time, and says what was removed."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from ..errors import InvalidArgumentError, OCIError
from ..server import Collected, EmbeddedRegistry
from .text import count_text, printable, size_text

GRACE_MINUTES = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting:
    """How often, and what.

    Attributes:
        every_s: seconds between two collections.
        grace_s: what is younger stays.
        untagged: whether manifests without a tag go, too.
    """

    every_s: float
    grace_s: float
    untagged: bool

    @classmethod
    def of(
        cls, *, every_minutes: float | None, grace_minutes: float | None, untagged: bool
    ) -> "Collecting | None":
        """Return what the options say; None is never.

        Raises:
            InvalidArgumentError: an option has no use without another.
        """
        if every_minutes is None:
            if grace_minutes is not None or untagged:
                name = "--collect-untagged" if untagged else "--grace"
                raise InvalidArgumentError(
                    f"{name} needs --collect-every",
                    hint="nothing is removed by itself; say how often it is to be looked for",
                )
            return None
        grace = GRACE_MINUTES if grace_minutes is None else grace_minutes
        return cls(every_s=every_minutes * 60, grace_s=grace * 60, untagged=untagged)

    async def run(
        self, registry: EmbeddedRegistry, note: Callable[[str], None], *, as_json: bool
    ) -> None:
        """Collect until cancelled; an error ends nothing, the next time may do better."""
        form = _json_lines if as_json else _text_lines
        while True:
            await anyio.sleep(self.every_s)
            try:
                done = await registry.collect(grace_s=self.grace_s, untagged=self.untagged)
            except OCIError as error:
                done = [Collected(repository="", error=error)]
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                for line in form(done):
                    note(line)


def _text_lines(done: Sequence[Collected]) -> list[str]:
    lines = [
        f"warning: nothing was collected in {printable(one.repository) or 'any repository'}: "
        f"{printable(str(one.error))}"
        for one in done
        if one.error is not None
    ]
    touched = [one for one in done if one.removed]
    if touched:
        count = sum(len(one.removed) for one in touched)
        places = count_text(len(touched), "repository", "repositories")
        size = size_text(sum(one.bytes for one in touched))
        lines.append(f"collected {count_text(count, 'blob')}, {size}, in {places}")
    return lines


def _json_lines(done: Sequence[Collected]) -> list[str]:
    found = [one for one in done if one.removed or one.error is not None]
    return [
        json.dumps(
            {
                "event": "collected",
                "time_s": round(time.time(), 3),
                "repository": one.repository or None,
                "blobs": len(one.removed),
                "bytes": one.bytes,
                "error": None if one.error is None else str(one.error),
            }
        )
        for one in found
    ]
