"""One event loop in one daemon thread, and calls into it from any other."""

import asyncio
import contextlib
import os
import selectors
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
T = TypeVar("T")

# Waiting on a future without a timeout does not see Ctrl-C on Windows.
_SLICE_S = 0.2 if sys.platform == "win32" else None

_Ready = Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]]


class LoopThread:
    """One event loop in one daemon thread, and calls into it.

    The thread is started here, not by anyio: a portal that anyio starts blocks the interpreter's
    exit, and a forked child's clean-up, when it was not stopped.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        ready: _Ready = Future()
        self._thread = threading.Thread(
            target=_serve, args=(ready, self._ended, self._selector), name=name, daemon=True
        )
        try:
            with _whole_interrupts():
                self._thread.start()
                self._portal, self._loop = ready.result()
        except BaseException:
            # Ctrl-C: a loop that has begun is told to end, another does not begin.
            if not ready.cancel() and ready.exception() is None:
                portal, _ = ready.result()
                portal.start_task_soon(portal.stop)
            raise
        _loops.add(self)

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child, where the thread does not exist."""
        return os.getpid() != self._pid

    @property
    def is_current(self) -> bool:
        """Whether the caller is in this thread, which therefore cannot be waited for."""
        return threading.current_thread() is self._thread

    def start(
        self, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Start a coroutine function in the loop; cancelling what is returned cancels it.

        Raises:
            CancelledError: the loop has ended, or is the caller's own.
        """
        try:
            with _whole_interrupts():
                return self._portal.start_task_soon(partial(func, *args, **kwargs))
        except RuntimeError as error:
            raise CancelledError from error

    def run(self, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function in the loop and wait for it; Ctrl-C cancels it there.

        Raises:
            CancelledError: the loop ended before the function did, or as `start`.
        """
        future = self.start(func, *args, **kwargs)
        try:
            return result_of(future)
        except BaseException:
            future.cancel()
            raise

    def let_go(self) -> None:
        """Cut what a forked child inherited off from the parent.

        A connection that is open in the child, too, is not closed when the parent closes it, and
        an address is still listened on. And what the child's interpreter throws away would be
        taken out of the parent's epoll set, which a fork shares: the parent would wait for it for
        ever.
        """
        self._loop.set_exception_handler(lambda _loop, _context: None)
        nothing = os.open(os.devnull, os.O_RDWR)
        for key in self._selector.get_map().values():
            os.dup2(nothing, key.fd, inheritable=False)
        os.close(nothing)

    def stop(self) -> None:
        """End the loop and its threads, after what still runs in it was cancelled."""
        _loops.discard(self)
        with contextlib.suppress(RuntimeError), _whole_interrupts():  # it was told before
            self._portal.start_task_soon(self._portal.stop, True)  # noqa: FBT003 - anyio's
        with _whole_interrupts():
            # A `join` that Ctrl-C breaks off takes the thread for ended until Python 3.13: the next
            # one, at the interpreter's exit, would not wait.
            while not self._ended.wait(_SLICE_S):
                pass
        self._thread.join()


def result_of(future: Future[T]) -> T:
    """Wait for what another thread does, so that Ctrl-C ends the waiting."""
    with _whole_interrupts():
        while not wait((future,), _SLICE_S).done:
            pass
    return future.result()


@contextlib.contextmanager
def _whole_interrupts() -> Iterator[None]:
    """Let Ctrl-C out as what it is, which Python's conditions do not always.

    Where it comes just as one has let go of its lock, to wait, they fail to let go of it again.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


_loops: weakref.WeakSet[LoopThread] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: leave what the parent has open alone."""
    for loop in list(_loops):
        loop.let_go()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)


def _serve(ready: _Ready, over: threading.Event, selector: selectors.BaseSelector) -> None:
    loop: asyncio.AbstractEventLoop | None = None
    ended = False

    async def main() -> None:
        nonlocal loop, ended
        loop = asyncio.get_running_loop()
        async with BlockingPortal() as portal:
            if ready.set_running_or_notify_cancel():
                ready.set_result((portal, loop))
                await portal.sleep_until_stopped()
        ended = True

    options: dict[str, object] = {}
    if sys.platform != "win32":  # its loops do without
        options["loop_factory"] = partial(asyncio.SelectorEventLoop, selector)
    try:
        anyio.run(main, backend_options=options)
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        # To end its own threads asyncio starts one, which Python 3.12 refuses at its exit.
        elif not (ended and isinstance(error, RuntimeError)):
            raise
    finally:
        selector.close()
        for thread in threading.enumerate():
            # anyio tells the loop's worker threads to end, and does not wait for them.
            if loop is not None and getattr(thread, "loop", None) is loop:
                thread.join()
        over.set()
