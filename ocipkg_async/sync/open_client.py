"""What all blocking verbs stand on: the client's life, and its way into the event loop."""

import warnings
from types import TracebackType
from typing import Self

from .. import client as _async
from ..client import ClientOptions
from ..errors import ClosedError, InvalidArgumentError
from ..events import OnEvent, ignore
from ..transport import CredentialProvider
from .bridge import Bridge


class OpenClient:
    """A blocking client without verbs; see `ocipkg_async.sync.Client`."""

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        credentials: CredentialProvider | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self._client = _async.Client(options, credentials=credentials, on_event=on_event)
        self._open: Bridge | None = None

    def __enter__(self) -> Self:
        """Open the client: start its thread."""
        if self._open is not None:
            raise InvalidArgumentError(
                "the client is open already", hint="one `with` serves all calls, from any thread"
            )
        bridge = Bridge()
        try:
            bridge.call(self._client.__aenter__)
        except BaseException:
            bridge.stop()
            raise
        self._open = bridge
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections and end the thread."""
        bridge, self._open = self._open, None
        # A forked child has nothing to close: the parent has the connections.
        if bridge is not None and not bridge.inherited:
            try:
                bridge.call(self._client.__aexit__, kind, error, trace)
            finally:
                bridge.stop()

    def __del__(self) -> None:
        """Warn about a client that was not closed; its daemon thread ends with the process."""
        bridge = getattr(self, "_open", None)
        if bridge is not None and not bridge.inherited:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=1, source=self)

    @property
    def options(self) -> ClientOptions:
        """How the client works."""
        return self._client.options

    @property
    def _bridge(self) -> Bridge:
        if self._open is None:
            raise ClosedError(
                "the client is not open", hint="use it inside: with Client() as client"
            )
        return self._open
