"""The body of a request, as it comes in."""

import anyio
from aiohttp import ClientError, StreamReader
from aiohttp.web import RequestPayloadError

from ..failures import RefusedError
from .limits import Limits


class Incoming:
    """A request's body, which has to come at a pace.

    Attributes:
        received: how many bytes have come.
    """

    def __init__(self, content: StreamReader, limits: Limits, *, code: str) -> None:
        self._content = content
        self._limits = limits
        self._code = code
        self._started_s = anyio.current_time()
        self.received = 0

    async def piece(self) -> bytes:
        """Return the bytes that come next; nothing at the end.

        Raises:
            RefusedError: 408, they did not come in time; 400, the body broke off.
        """
        patience_s = self._limits.patience_s(
            elapsed_s=anyio.current_time() - self._started_s, received=self.received
        )
        try:
            with anyio.fail_after(patience_s):
                piece = await self._content.readany()
        except TimeoutError as error:
            raise RefusedError(
                408, self._code, "the body came too slowly", headers={"Connection": "close"}
            ) from error
        except (OSError, ClientError, RequestPayloadError) as error:
            raise RefusedError(400, self._code, "the body broke off") from error
        self.received += len(piece)
        return piece
