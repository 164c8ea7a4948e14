"""Name resolution that refuses names which point into internal networks (S-13).

The text of a redirect or token realm is checked before; a name can still resolve to an internal
address, so what it resolves to is checked once more, right before connecting.
"""

import contextlib
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from ..errors import RedirectError
from .urls import is_internal


@dataclass(frozen=True, slots=True)
class _Guard:
    registry: str
    allowed: frozenset[str]


_guard: ContextVar[_Guard | None] = ContextVar("ocipkg_async_guard", default=None)


@contextlib.contextmanager
def guard(registry: str | None, allowed: frozenset[str]) -> Iterator[None]:
    """Judge the names resolved inside.

    Args:
        registry: host that the request is for; if it is internal itself, others may be too. None
            judges nothing: behind a proxy it is the proxy that resolves and connects.
        allowed: hosts that may be internal.
    """
    token = _guard.set(None if registry is None else _Guard(registry, allowed))
    try:
        yield
    finally:
        _guard.reset(token)


class GuardedResolver(AbstractResolver):
    """Resolves like the system, and judges the result by the guard that is in force."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()
        self._internal: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            RedirectError: all of them are internal, and must not be contacted.
        """
        found = await self._inner.resolve(host, port, family)
        rule = _guard.get()
        name = host.lower().removesuffix(".")
        if rule is None or name in rule.allowed or f"{name}:{port}" in rule.allowed:
            return found
        if name == rule.registry:
            if any(is_internal(one["host"]) for one in found):
                self._internal.add(name)
            return found
        if is_internal(rule.registry) or rule.registry in self._internal:
            return found
        safe = [one for one in found if not is_internal(one["host"])]
        if found and not safe:
            raise RedirectError(
                f"{rule.registry} leads to {name}, which is an address of an internal network",
                hint="if it belongs to the registry, add the host to redirect_hosts or token_realms",
            )
        return safe

    async def close(self) -> None:
        """Free nothing: there is nothing to free."""
        await self._inner.close()
