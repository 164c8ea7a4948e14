"""Open uploads, as plain state: who may add which bytes, and when one is given up (C-33).

No file is touched here. The offset is held by the server; whoever sends bytes from elsewhere is
told where to go on.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from ..spec import Digester
from .failures import RefusedError, upload_unknown
from .ranges import ByteRange

MAX_SESSIONS = 1000
"""Open uploads at once: each may have a file, and a client that forgets them must not fill the disk."""

EMPTY_S = 10.0
"""An upload that got no byte for so long may be given up for another one, when all places are taken."""


@dataclass(slots=True, kw_only=True)
class UploadSession:
    """One open upload.

    Attributes:
        id: unguessable, 128 bits.
        repository: where it was opened; it exists nowhere else.
        file: where its bytes are gathered; made by the first byte.
        digester: has hashed every byte that was received.
        used_s: when it was used last.
        busy: held by the request that adds bytes.
    """

    id: str
    repository: str
    file: Path
    digester: Digester
    used_s: float
    closed: bool = False
    busy: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def offset(self) -> int:
        """Bytes received so far."""
        return self.digester.size

    @property
    def path(self) -> str:
        """Path of its URL."""
        return f"/v2/{self.repository}/blobs/uploads/{self.id}"

    @property
    def range(self) -> str:
        """Value of the ``Range`` header; an upload without bytes says ``0-0``, as distribution does."""
        return f"0-{max(self.offset - 1, 0)}"

    def expect(self, algorithm: str) -> None:
        """Hash with the algorithm that was named at the end, if no byte was hashed before (C-16)."""
        if self.offset == 0:
            self.digester = Digester(algorithm)

    def check_start(self, chunk: ByteRange | None) -> None:
        """Check that a chunk begins where the upload stands.

        Raises:
            RefusedError: 416 with the headers that say where to go on (D-61).
        """
        if chunk is not None and chunk.start != self.offset:
            raise RefusedError(
                416,
                "BLOB_UPLOAD_INVALID",
                f"the upload has {self.offset} bytes, the chunk begins at {chunk.start}",
                headers={"Location": self.path, "Range": self.range},
            )


class Sessions:
    """All open uploads of a server.

    Attributes:
        idle_s: an upload that nobody uses for so long has expired.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float],
        max_sessions: int = MAX_SESSIONS,
        idle_s: float,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._max = max_sessions
        self.idle_s = idle_s
        self._open: dict[str, UploadSession] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, repository: str, algorithm: str) -> UploadSession:
        """Begin an upload that is hashed with `algorithm`.

        Raises:
            RefusedError: 429, too many are open.
        """
        if len(self._open) >= self._max and not self._give_up_an_empty_one():
            raise RefusedError(
                429,
                "TOOMANYREQUESTS",
                f"{len(self._open)} uploads are open",
                headers={"Retry-After": "1"},
            )
        session_id = secrets.token_hex(16)
        session = UploadSession(
            id=session_id,
            repository=repository,
            file=self._folder / session_id,
            digester=Digester(algorithm),
            used_s=self._clock(),
        )
        self._open[session_id] = session
        return session

    def _give_up_an_empty_one(self) -> bool:
        """Forget the upload without a byte that was unused for longest; whether there was one.

        Else a client that opens uploads and sends nothing would keep all others out.
        """
        limit = self._clock() - EMPTY_S
        empty = [
            one
            for one in self._open.values()
            if not one.offset and one.used_s < limit and not one.busy.locked()
        ]
        if not empty:
            return False
        self.close(min(empty, key=lambda one: one.used_s))
        return True

    def get(self, repository: str, session_id: str) -> UploadSession:
        """Return an open upload.

        Raises:
            RefusedError: 404, there is none with this id in this repository.
        """
        session = self._open.get(session_id)
        if session is None or session.repository != repository:
            raise upload_unknown(session_id)
        self.used(session)
        return session

    def used(self, session: UploadSession) -> None:
        """Note that an upload was used until now."""
        session.used_s = self._clock()

    def close(self, session: UploadSession) -> None:
        """Forget an upload; its file is the caller's to move or remove."""
        session.closed = True
        self._open.pop(session.id, None)

    def expired(self) -> list[UploadSession]:
        """Close and return the uploads that nobody has used for long."""
        limit = self._clock() - self.idle_s
        old = [one for one in self._open.values() if one.used_s < limit and not one.busy.locked()]
        for session in old:
            self.close(session)
        return old
