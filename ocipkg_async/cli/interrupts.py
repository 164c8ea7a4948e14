"""Runs a command so that Ctrl-C ends it once, however often it is pressed."""

import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import anyio


def run_interruptible(main: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function in an event loop; the first SIGINT cancels it, others are ignored.

    asyncio raises a second one amidst the event loop, wherever that is: clean-up is broken off, and
    worker threads are never told to end, for which the process then waits for ever. People press
    Ctrl-C twice, and ``timeout`` sends it to a process and to its group.

    Raises:
        KeyboardInterrupt: it was cancelled so.
    """

    async def watched() -> None:
        cancel = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(cancel):
            await main()
            return

        # A lock, since a signal that arrives before SIG_IGN holds runs this function within itself.
        first = threading.Lock()

        def once(number: int, frame: FrameType | None) -> None:
            if first.acquire(blocking=False):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                cancel(number, frame)

        signal.signal(signal.SIGINT, once)
        try:
            await main()
        finally:
            if signal.getsignal(signal.SIGINT) is once:
                signal.signal(signal.SIGINT, cancel)

    anyio.run(watched)
