"""One upload that is open on a registry, and the requests that go to its newest location."""

import anyio

from ...content import Source
from ...errors import OCIError
from ...spec import Digest
from ...transport import Response, check_place, same_origin
from ..digest_header import check_stated
from ..endpoint import Endpoint
from .parts import Part
from .session import UploadSession
from .sources import SentSource

# A registry that does not answer a cancellation forgets the session by itself.
_CANCEL_S = 5.0
_OCTETS = {"Content-Type": "application/octet-stream"}
# 201 for a chunk is ECR; others answer 200 or 204 (D-65).
_TAKEN = frozenset({200, 201, 202, 204})
# 202 to the PUT says that it may come to be; who gets it looks.
_CLOSED = frozenset({200, 201, 202, 204})


class OpenUpload:
    """An open upload.

    Attributes:
        session: where it stands.
    """

    def __init__(self, endpoint: Endpoint, session: UploadSession) -> None:
        self._endpoint = endpoint
        self.session = session

    async def add_chunk(self, chunk: bytes) -> None:
        """Send a chunk, of which the registry may keep less (D-57, D-60)."""
        response = await self._send(
            "PATCH", accept=_TAKEN, body=chunk, content_range=self.session.content_range(len(chunk))
        )
        self.session = self.session.accepted(response.url, response.headers, sent=len(chunk))

    async def add_all(self, body: SentSource) -> None:
        """Send the whole of a source in one request (D-56)."""
        response = await self._send("PATCH", accept=_TAKEN, body=body)
        self.session = self.session.streamed(response.url, response.headers, sent=body.result[1])

    async def add_part(self, part: Part, *, counts_right: bool) -> None:
        """Send a part, of which the registry may keep less.

        Args:
            part: what comes next.
            counts_right: what the registry says to have is to be believed.
        """
        session = self.session
        whole = not session.offset and part.last
        response = await self._send(
            "PATCH",
            accept=_TAKEN,
            body=part,
            # All in one is a stream, which registries take that know no chunks (D-56).
            content_range=None if whole else session.content_range(part.length),
        )
        moved = session.accepted if counts_right and not whole else session.streamed
        self.session = moved(response.url, response.headers, sent=part.length)

    async def ask(self) -> bool:
        """Ask where it stands; return whether it can go on from there (D-61)."""
        response = await self._send("GET", accept=frozenset({200, 204}), retry=True)
        resumed = self.session.resumed(response.url, response.headers)
        self.session = resumed or self.session
        return resumed is not None

    async def close(self, digest: Digest, rest: Source | bytes) -> bool:
        """Send what is left, and the digest of it all (D-58).

        Returns:
            whether the registry says that the blob is there now, not only that it shall be.

        Raises:
            DigestMismatchError: the registry says that it stored something else (D-65).
        """
        length = len(rest) if isinstance(rest, bytes) else rest.size
        later = self.session.offset and length
        response = await self._send(
            "PUT",
            url=self.session.closing_url(digest),
            accept=_CLOSED,
            body=rest,
            content_range=self.session.content_range(length or 0) if later else None,
        )
        check_stated(response.headers, digest, verb="stored")
        return response.status != 202

    async def cancel(self) -> None:
        """Tell the registry to forget it, as far as it can be told (D-64)."""
        with anyio.move_on_after(_CANCEL_S, shield=True):
            try:
                await self._send("DELETE", accept=frozenset({*_TAKEN, 404, 405}))
            except OCIError:
                return  # the failure that led here is the one to report

    async def _send(
        self,
        method: str,
        *,
        accept: frozenset[int],
        url: str | None = None,
        body: Source | bytes | None = None,
        content_range: str | None = None,
        retry: bool = False,
    ) -> Response:
        """Send a request and leave its answer, whose headers tell everything."""
        transport = self._endpoint.transport
        registry_url = transport.base_url(self._endpoint.registry)
        check_place(
            self.session.location,
            registry_url=registry_url,
            allowed_hosts=transport.options.redirect_hosts,
        )
        headers = dict(_OCTETS) if body is not None else {}
        if content_range is not None:
            headers["Content-Range"] = content_range
        request = self._endpoint.request(
            method,
            url or self.session.location,
            scopes=self._endpoint.push,
            accept=accept,
            headers=headers,
            body=body,
            retry=retry,
            # The registry alone gets its credentials, wherever it sends the content (S-11).
            credentials=same_origin(self.session.location, registry_url),
        )
        async with transport.send(request) as response:
            return response
