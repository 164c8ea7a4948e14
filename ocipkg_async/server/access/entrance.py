"""Access control of a running registry, put together."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ..connections import Limits
from ..faults import Faults
from ..watching import kept_fresh
from .guard import Guard
from .options import Access
from .passwords import Passwords
from .token_endpoint import TokenEndpoint
from .tokens import Tokens


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where requests are let in.

    Attributes:
        guard: lets them pass or refuses them.
        tokens: gives out tokens to show to the guard, or None: it asks for passwords.
    """

    guard: Guard
    tokens: TokenEndpoint | None


@asynccontextmanager
async def entrance(
    access: Access,
    *,
    limits: Limits,
    faults: Faults | None,
    on_warning: Callable[[str], None],
) -> AsyncIterator[Entrance]:
    """Have access control, whose password file is read again when it changes.

    Raises:
        InvalidArgumentError: the password file cannot be used.
    """
    passwords = Passwords(access)
    async with AsyncExitStack() as stack:
        if access.htpasswd is not None:
            await stack.enter_async_context(
                kept_fresh([access.htpasswd], passwords.load, on_warning=on_warning)
            )
        tokens = endpoint = None
        if access.tokens:
            tokens = Tokens(clock=time.monotonic, lifetime_s=access.token_lifetime_s)
            endpoint = TokenEndpoint(access, passwords, tokens, limits=limits, faults=faults)
        yield Entrance(Guard(access, passwords, tokens, faults=faults), endpoint)
