"""What a registry was asked, for the thread of a test."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from ..server import RequestLog


class Requests(Sequence[RequestLog]):
    """The requests that a registry has answered, in that order; it may be read by any thread.

    Reading waits until what clients have got the whole answer of is in it, mostly for less than a
    millisecond; where an answer is on its way that nobody takes, for up to a second. Requests
    whose answer has not begun are neither in it nor waited for.

    Example:
        ::

            with run_registry() as registry:
                urlopen(registry.url + "/v2/").close()
                assert [(one.method, one.path) for one in registry.requests] == [("GET", "/v2/")]
                registry.requests.clear()

    Args:
        settle: called before reading; returns when what was answered has been added.
    """

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._logs: list[RequestLog] = []

    def add(self, log: RequestLog) -> None:
        """Add a request; for the registry."""
        self._logs.append(log)

    def clear(self) -> None:
        """Forget what was answered so far."""
        self._settle()
        self._logs.clear()

    def __len__(self) -> int:
        self._settle()
        return len(self._logs)

    @overload
    def __getitem__(self, index: int) -> RequestLog: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestLog]: ...
    def __getitem__(self, index: int | slice) -> RequestLog | list[RequestLog]:
        self._settle()
        return self._logs[index]

    def __iter__(self) -> Iterator[RequestLog]:
        self._settle()
        return iter(self._logs.copy())

    def __repr__(self) -> str:
        """Show a line for each, as ``serve`` prints it: what a failed assertion is read for."""
        return "\n".join(["<requests>", *map(str, self), "</requests>"])
