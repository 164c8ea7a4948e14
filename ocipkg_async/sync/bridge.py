"""One event loop in one thread, and calls into it from any other."""

import asyncio
import contextlib
import os
import select
import selectors
import sys
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from ..errors import ClosedError

P = ParamSpec("P")
T = TypeVar("T")

# Waiting on a future without a timeout does not see Ctrl-C on Windows.
_SLICE_S = 0.2 if sys.platform == "win32" else None


class Bridge:
    """One event loop in one daemon thread, and calls into it.

    The thread is started here, not by anyio: a portal that anyio starts blocks the interpreter's
    exit, and a forked child's clean-up, when it was not stopped.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._selector = (
            selectors.EpollSelector() if sys.platform == "linux" else selectors.DefaultSelector()
        )
        ready: Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]] = Future()
        self._thread = threading.Thread(
            target=_serve, args=(ready, self._selector), name="ocipkg-async", daemon=True
        )
        self._thread.start()
        self._portal, self._loop = ready.result()
        _bridges.add(self)

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child, where the thread does not exist."""
        return os.getpid() != self._pid

    def call(self, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function in the loop and wait for it."""
        if self.inherited:
            raise ClosedError(
                "this client was opened before a fork", hint="open a new client in the child"
            )
        if threading.current_thread() is self._thread:
            raise ClosedError(
                "an event callback called its own client", hint="hand the event to another thread"
            )
        _warn_in_loop()
        future = self._portal.start_task_soon(partial(func, *args, **kwargs))
        try:
            while not wait((future,), _SLICE_S).done:
                pass
            return future.result()
        except CancelledError as error:
            raise ClosedError(
                "the client was closed during this call", hint="end all calls before its block"
            ) from error
        except BaseException:
            future.cancel()  # Ctrl-C: the task is cancelled in its loop
            raise

    def let_go(self) -> None:
        """Cut what a forked child inherited off from the parent.

        Connections that the child's interpreter throws away would otherwise be taken out of the
        parent's epoll set, which a fork shares, and the parent would wait for them for ever.
        """
        self._loop.set_exception_handler(lambda _loop, _context: None)
        if sys.platform == "linux":
            with select.epoll() as fresh:
                os.dup2(fresh.fileno(), self._selector.fileno(), inheritable=False)

    def stop(self) -> None:
        """End the loop and its thread, after what still runs in it was cancelled."""
        self._portal.start_task_soon(self._portal.stop, True).result()  # noqa: FBT003 - anyio's
        self._thread.join()


_bridges: weakref.WeakSet[Bridge] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: leave what the parent has open alone."""
    for bridge in list(_bridges):
        bridge.let_go()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)


def _serve(
    ready: "Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]]",
    selector: selectors.BaseSelector,
) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            ready.set_result((portal, asyncio.get_running_loop()))
            await portal.sleep_until_stopped()

    options: dict[str, object] = {}
    if sys.platform != "win32":  # its loops do without
        options["loop_factory"] = partial(asyncio.SelectorEventLoop, selector)
    try:
        anyio.run(main, backend_options=options)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)
    finally:
        selector.close()


def _warn_in_loop() -> None:
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        warnings.warn(
            "the blocking client was called inside an event loop, which stands still meanwhile; "
            "use ocipkg_async.Client there",
            RuntimeWarning,
            stacklevel=4,
        )
