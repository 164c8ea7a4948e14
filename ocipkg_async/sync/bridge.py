"""The blocking client's way into its event loop."""

import asyncio
import contextlib
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import ParamSpec, TypeVar

from ..content.loop_thread import LoopThread
from ..errors import ClosedError

P = ParamSpec("P")
T = TypeVar("T")


class Bridge(LoopThread):
    """The event loop of one client, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__("ocipkg-async")

    def call(self, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function in the loop and wait for it.

        Raises:
            ClosedError: this client cannot be called here, or not any more.
        """
        if self.inherited:
            raise ClosedError(
                "this client was opened before a fork", hint="open a new client in the child"
            )
        if self.is_current:
            raise ClosedError(
                "an event callback called its own client", hint="hand the event to another thread"
            )
        _warn_in_loop()
        try:
            return self.run(func, *args, **kwargs)
        except CancelledError as error:
            raise ClosedError(
                "the client was closed during this call", hint="end all calls before its block"
            ) from error


def _warn_in_loop() -> None:
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        warnings.warn(
            "the blocking client was called inside an event loop, which stands still meanwhile; "
            "use ocipkg_async.Client there",
            RuntimeWarning,
            stacklevel=4,
        )
