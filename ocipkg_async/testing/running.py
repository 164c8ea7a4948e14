"""A registry in a thread of its own, for code that blocks."""

import atexit
import base64
import inspect
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

from ..content.loop_thread import LoopThread, result_of
from ..errors import InvalidArgumentError
from ..server import EmbeddedRegistry, Faults, RequestLog
from ..spec.decoding import encode_json
from .recording import Requests

P = ParamSpec("P")
T = TypeVar("T")

SHUTDOWN_TIMEOUT_S = 0.01
"""A test that is over has no use for answers, and those that a fault delays would hold up its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRegistry:
    """A registry that answers, and what a test does with it.

    Example:
        ::

            with run_registry() as registry:
                registry.faults.refuse_next = 1
                with Client() as client:
                    client.repositories(registry.host)
                assert [one.status for one in registry.requests] == [429, 200]

    Attributes:
        host: host and port, as in a reference.
        url: base URL, without a slash at the end.
        root: folder of the repositories, each an image layout.
        faults: what it does wrong from now on; set its attributes at any time, from any thread.
            Of several that belong together set the one that switches the fault on last.
        requests: what it was asked.
        users: passwords by user name, as `Access` was given them.
    """

    host: str
    url: str
    root: Path
    faults: Faults
    requests: Requests = field(repr=False)
    users: Mapping[str, str] = field(repr=False)

    def docker_config(self, user: str | None = None) -> str:
        """Return the text of a ``config.json`` in which a user is logged in.

        Docker, podman, skopeo, oras and most others read it from the folder that
        ``DOCKER_CONFIG`` names (A-40); `ocipkg_async.ClientOptions` takes the file as ``authfile``.

        Example:
            ::

                with run_registry(access=Access(users={"alice": "secret"})) as registry:
                    Path("config.json").write_text(registry.docker_config())

        Args:
            user: one of `users`; None is the first.

        Raises:
            InvalidArgumentError: there is no such user.
        """
        name = next(iter(self.users), None) if user is None else user
        if name is None or name not in self.users:
            raise InvalidArgumentError(
                f"the registry has no password of {'anybody' if user is None else user}",
                hint='give it users: run_registry(access=Access(users={"alice": "secret"}))',
            )
        token = base64.b64encode(f"{name}:{self.users[name]}".encode()).decode()
        return encode_json({"auths": {self.host: {"auth": token}}}).decode()


def _takes_options_of(
    model: Callable[P, object],
) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Give a function the signature of `model`, for type checkers and for ``help``."""

    def adopt(function: Callable[..., T]) -> Callable[P, T]:
        vars(function)["__signature__"] = inspect.signature(model)
        return function

    return adopt


@_takes_options_of(EmbeddedRegistry)
@contextmanager
def run_registry(root: Path | None = None, **options: Any) -> Iterator[RunningRegistry]:
    """Run an `EmbeddedRegistry` in a thread of its own, with its own event loop.

    At the end of the block, and of a program that never left it, neither thread, socket nor
    private folder is left. Several may run at once.

    - A forked child may ask the registry, which stays the parent's: there `faults` have no effect
      and `requests` stay as they were.
    - In a coroutine it works as well. Its loop stands still while the registry starts and ends,
      for some milliseconds, and for `shutdown_timeout_s` where requests of that loop are not at
      their end; ``async with EmbeddedRegistry()`` spares it that.

    Example:
        ::

            with run_registry(page_entries=2) as registry:
                print(registry.url)

    Args:
        root: folder of the repositories; None is a private temporary folder.
        **options: those of `EmbeddedRegistry`. `faults` are the first ones, `on_request` is called
            in the registry's thread, and `shutdown_timeout_s` is 0.01 where it is not given.

    Raises:
        InvalidArgumentError: the options are contradictory.
        StorageError: the root cannot be used, or another registry serves it.
        ConnectError: the address cannot be listened on.
    """
    faults = options.pop("faults", None) or Faults()
    on_request = options.pop("on_request", None)
    access = options.get("access")
    options.setdefault("shutdown_timeout_s", SHUTDOWN_TIMEOUT_S)

    def record(log: RequestLog) -> None:
        requests.add(log)
        if on_request is not None:
            on_request(log)

    server = EmbeddedRegistry(root, faults=faults, on_request=record, **options)
    thread = LoopThread("oci-registry")
    requests = Requests(partial(_settle, thread, server))
    end = partial(_end, thread)
    atexit.register(end)  # a program may end without leaving the block
    try:
        serving = _started(thread, server)
        yield RunningRegistry(
            host=server.host,
            url=server.url,
            root=server.root,
            faults=faults,
            requests=requests,
            users=access.users if access is not None else {},
        )
    finally:
        end()
        atexit.unregister(end)
    if serving.done() and not serving.cancelled():
        serving.result()  # it failed at its end


def _started(thread: LoopThread, server: EmbeddedRegistry) -> Future[NoReturn]:
    """Start the registry and wait until it answers; it ends with its thread."""
    started: Future[None] = Future()

    def failed(serving: Future[NoReturn]) -> None:
        if not started.done():
            started.set_exception(CancelledError() if serving.cancelled() else serving.exception())

    serving = thread.start(partial(server.run, on_start=lambda _: started.set_result(None)))
    serving.add_done_callback(failed)
    result_of(started)
    return serving


def _settle(thread: LoopThread, server: EmbeddedRegistry) -> None:
    if not thread.inherited:
        with suppress(CancelledError):  # it has ended, or `on_request` reads what it just added
            thread.run(server.settled)


def _end(thread: LoopThread) -> None:
    """Stop the registry with its thread; a forked child has nothing to stop. Twice is as once."""
    if not thread.inherited:
        thread.stop()
