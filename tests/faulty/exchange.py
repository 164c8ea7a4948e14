"""What is noted of a request, and answers that the proxy makes itself."""

import math
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Self

from .faults import Refuse


@dataclass(slots=True)
class Exchange:
    """What became of a request.

    Attributes:
        method: its method.
        target: path and query.
        range: its Range header, or None.
        storage: it came to the second host.
        connection: number of the client's connection.
        status: of the answer; 0 where there was none.
        received: bytes of its body that came from the client.
        sent: bytes of the answer's body that went to the client.
        hits: the faults that struck.
    """

    method: str
    target: str
    range: str | None
    storage: bool
    connection: int
    status: int = 0
    received: int = 0
    sent: int = 0
    hits: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        parts = [
            f"#{self.connection}{' storage' if self.storage else ''}",
            f"{self.method} {self.target}",
            self.range or "",
            f"-> {self.status or 'no answer'}",
            f"{self.received} B in" if self.received else "",
            f"{self.sent} B out" if self.sent else "",
            f"[{', '.join(self.hits)}]" if self.hits else "",
        ]
        return " ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An answer that the proxy makes itself."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""
    message: str = ""
    read_body: bool = False

    @classmethod
    def of(cls, refuse: Refuse) -> Self:
        after = refuse.retry_after_s
        headers: tuple[tuple[str, str], ...] = ()
        if after is not None:
            # A date has whole seconds, and must not ask for less.
            text = formatdate(math.ceil(time.time()) + after, usegmt=True)
            headers = (("Retry-After", text if refuse.date else str(after)),)
        return cls(
            status=refuse.status,
            headers=headers,
            code=refuse.code,
            message=refuse.message,
            read_body=refuse.read_body,
        )
