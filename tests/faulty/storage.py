"""Signed URLs of the host that redirects lead to, and when they die."""

import secrets
import time
from dataclasses import dataclass

from .exchange import Made
from .faults import Redirect


@dataclass(slots=True)
class _Signed:
    target: str
    authorization: str | None
    status: int
    requests: int | None
    until_s: float | None

    def take(self) -> bool:
        """Whether it is good for one more request."""
        if self.until_s is not None and time.monotonic() > self.until_s:
            return False
        if self.requests is not None:
            self.requests -= 1
            return self.requests >= 0
        return True


class Storage:
    """The signed URLs that were given out."""

    def __init__(self) -> None:
        self._signed: dict[str, _Signed] = {}

    def redirect(self, fault: Redirect, target: str, authorization: str | None, host: str) -> Made:
        """An answer that leads to a new signed URL.

        Args:
            fault: how long it is good, and what follows.
            target: what it stands for.
            authorization: what the registry was shown.
            host: where it leads.
        """
        # Escapes that must come back byte for byte, or the signature is wrong.
        signed = f"{target}?X-Signature={secrets.token_hex(8)}%2F%7E+a%3D&X-Part=a~b"
        alive_s = fault.lifetime_s
        self._signed[signed] = _Signed(
            target=target,
            authorization=authorization,
            status=fault.status,
            requests=fault.requests,
            until_s=None if alive_s is None else time.monotonic() + alive_s,
        )
        return Made(status=307, headers=(("Location", f"http://{host}{signed}"),))

    def take(self, target: str, authorization: str | None) -> tuple[str, str | None] | int:
        """What a signed URL stands for and what to show to the registry, or the status of a refusal."""
        signed = self._signed.get(target)
        if signed is None or authorization is not None:
            return 400  # object stores refuse two ways to authenticate, too
        return (signed.target, signed.authorization) if signed.take() else signed.status
