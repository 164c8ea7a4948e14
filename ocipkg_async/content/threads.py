"""Blocking work in worker threads that has ended whenever its caller goes on."""

import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_POLL_S = 0.002


async def run_in_thread(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a blocking function in a worker thread; even when cancelled, return after its end.

    anyio waits for the thread when one of its own scopes is cancelled. A cancellation that comes
    from asyncio (`asyncio.Task.cancel`, `asyncio.timeout`, Ctrl-C) gets past that, and would
    leave the thread writing to a file that its owner then closes, or holding what it opened.
    What `function` returns is lost in that case: register resources for release inside it.
    """
    running = threading.Lock()
    cancelled = False

    def run() -> T:
        with running:
            if cancelled:
                raise RuntimeError("cancelled before it began")  # nobody waits for the outcome
            return function(*args)

    try:
        return await to_thread.run_sync(run)
    except anyio.get_cancelled_exc_class():
        cancelled = True
        with anyio.CancelScope(shield=True):
            while running.locked():
                await _pause()
        raise


async def finish_in_thread(function: Callable[[*Ts], object], *args: *Ts) -> None:
    """Run blocking clean-up in a worker thread, wholly and once, however often it is cancelled.

    For ``finally`` blocks: a shielded scope holds back anyio's cancellation, but not asyncio's,
    which may come before the thread has begun. It is raised when the work is done.
    """
    turn = threading.Lock()
    done = False

    def run() -> None:
        nonlocal done
        with turn:
            if not done:
                done = True
                function(*args)

    cancelled: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while True:
            try:
                await to_thread.run_sync(run)
                break
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


async def _pause() -> None:
    try:
        await anyio.sleep(_POLL_S)
    except anyio.get_cancelled_exc_class():
        return  # a second cancellation must not let go of the thread either; the first is raised
