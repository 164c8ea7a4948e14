"""Ctrl-C while a coroutine runs, pressed more than once."""

import signal
import threading

import anyio
import pytest

from ocipkg_async.cli.interrupts import run_interruptible


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)
def test_a_second_signal_amidst_the_first_is_ignored() -> None:
    cleaned: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    async def main() -> None:
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        # As the interpreter does when the second arrives before the first was dealt with.
        handler(signal.SIGINT, None)
        handler(signal.SIGINT, None)
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("cleaned up")

    try:
        with pytest.raises(KeyboardInterrupt):
            run_interruptible(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == ["cleaned up"]
