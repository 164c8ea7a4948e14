"""Uploading a blob whose digest is known, from a source that can be opened again.

The usual way is one streamed PUT. After a cut the registry is asked where the upload stands, and
what it lacks follows in PATCH requests; where it forgot the upload, a new one begins. A PUT that
failed is never sent again in its session: some registries end that session, and some append.
"""

from ...errors import IntegrityError, OCIError, ProtocolError, RegistryError
from ...events import Warned
from ...spec import Descriptor
from ..endpoint import Endpoint
from ..options import TransferOptions
from ..quirks import quirks_of
from .asking import WORTH_ASKING_BYTES, Standing, find_place
from .kept import KeptUpload
from .open_upload import OpenUpload
from .opening import is_there, mismatch, open_session
from .parts import Part, Parts
from .plan import (
    ASKABLE,
    MAX_FORMS,
    SESSION_LOST,
    SESSIONS,
    Form,
    form_of,
    learn,
    loses_answers,
    may_resume,
    refusal,
)
from .session import UploadSession

_TOLD = "told"  # of what follows from the other facts, once
PROGRESS_BYTES = 1 << 20
"""What has to get through to be worth all tries that it took."""
_MAX_MISPLACED = 5
"""How often in a row what was sent may be in the wrong place, without waiting and being counted."""


class KnownUpload:
    """One blob on its way. Use it once.

    Args:
        endpoint: where to.
        descriptor: what it is.
        parts: its bytes.
        options: how blobs move.
        session: one that is open already, from a mount that did not succeed.
        kept: what is remembered of the upload for later processes, or None: it is not resumable.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        descriptor: Descriptor,
        parts: Parts,
        *,
        options: TransferOptions,
        session: UploadSession | None = None,
        kept: KeptUpload | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._parts = parts
        self._options = options
        self._given = session
        self._kept = kept
        self._quirks = quirks_of(endpoint.registry)
        self._learned = endpoint.memory.capabilities
        self._budget = endpoint.transport.budget()
        self._upload: OpenUpload | None = None
        # What the registry may have at most, and what it once had for certain, in any session.
        self._reached = 0
        self._mark = 0
        self._misplaced = 0
        self._going_on = False
        self._part: Part | None = None
        self._refused: OCIError | None = None
        self._forms = 0

    async def run(self) -> None:
        """Send it.

        Raises:
            IntegrityError: the source's bytes are not what the descriptor says.
            RegistryError, TransportError: the registry refused, or could not be reached.
            StorageError: what is remembered for later cannot be written.
        """
        try:
            with self._endpoint.transport.limited(
                self._budget, what=f"the upload of {self._descriptor.digest}"
            ):
                async with self._parts:
                    await self._run()
        except BaseException as error:
            # What another process may go on with is left open; wrong bytes are of no use to it.
            await self._give_up(
                keep=self._kept is not None and not isinstance(error, IntegrityError)
            )
            raise
        if self._kept is not None:
            await self._kept.remove()

    async def _run(self) -> None:
        await self._begin()
        while True:
            try:
                await self._send()
            except OCIError as error:
                if await self._recover(error):
                    return
            else:
                return

    # --- sessions ------------------------------------------------------------------------------

    async def _begin(self) -> None:
        if self._kept is not None and not may_resume(self._quirks, self._learned):
            await self._keep_nothing()
        left = self._kept.session if self._kept is not None else None
        if left is not None:
            self._upload, self._reached = OpenUpload(self._endpoint, left), self._descriptor.size
            if await self._goes_on(raising=True):
                await self._cancel_given()
                return
            # Never cancelled: who knows where an old location leads.
            self._upload = None
        await self._open()

    async def _open(self) -> None:
        """Open a session and remember it."""
        if self._kept is not None:
            await self._kept.remove()
        given, self._given = self._given, None
        session = given or await open_session(self._endpoint, self._descriptor.digest)
        self._upload = OpenUpload(self._endpoint, session)
        self._reached = 0
        self._going_on = False
        if self._kept is not None:
            await self._kept.save(session)

    async def _give_up(self, *, keep: bool) -> None:
        """End what is open; with `keep` all but what another process may go on with."""
        upload, self._upload = self._upload, None
        if not keep:
            if self._kept is not None:
                await self._kept.remove()
            if upload is not None:
                await upload.cancel()
        await self._cancel_given()

    async def _cancel_given(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            await OpenUpload(self._endpoint, given).cancel()

    async def _keep_nothing(self) -> None:
        """Go on without a later process in mind."""
        if self._kept is not None:
            await self._kept.remove()
            self._kept = None
        if self._learned.known(_TOLD):
            return
        self._learned.learn(_TOLD, supported=True)
        registry = self._endpoint.registry
        text = (
            f"{registry} does not let uploads be resumed; a new try sends each blob from its start"
        )
        self._endpoint.transport.report(Warned(action="upload", name=registry, text=text))

    # --- sending -------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Send what the registry does not have, and close the upload."""
        upload, size = self._opened, self._descriptor.size
        form = self._form(upload.session)
        self._part = None
        while chunk := form.next_chunk(offset=upload.session.offset, size=size):
            await self._parts.seek(upload.session.offset)
            part = self._next(chunk)
            await upload.add_part(part, counts_right=self._quirks.counts_right)
            self._advanced(upload.session.offset)
            if self._kept is not None:
                await self._kept.save(upload.session)
        rest = size - upload.session.offset
        if upload.session.offset and rest:
            await self._parts.seek(upload.session.offset)
        part = self._next(rest)
        stored = await upload.close(self._descriptor.digest, part if rest else b"")
        if not stored and not await is_there(self._endpoint, self._descriptor):
            raise ProtocolError(
                f"{self._endpoint.registry} took the upload of {self._descriptor.digest}, "
                "and does not have it",
                hint="it may take its time; look again later",
            )

    def _form(self, session: UploadSession) -> Form:
        wanted = self._options.chunk_bytes
        return form_of(
            size=self._descriptor.size,
            wanted=wanted,
            resumable=self._kept is not None or (self._going_on and wanted is None),
            min_chunk_bytes=session.min_chunk_bytes,
            quirks=self._quirks,
            learned=self._learned,
        )

    def _next(self, length: int) -> Part:
        offset = self._opened.session.offset
        self._part = part = self._parts.part(offset, length)
        return part

    def _advanced(self, offset: int) -> None:
        """Note what the registry says to have; enough of it gives the tries back."""
        self._reached = max(self._reached, offset)
        if offset - self._mark >= PROGRESS_BYTES:
            self._mark = offset
            self._misplaced = 0
            if self._budget.failed:
                self._budget.progressed()

    @property
    def _opened(self) -> OpenUpload:
        if self._upload is None:
            raise AssertionError("no session is open")
        return self._upload

    # --- recovering ----------------------------------------------------------------------------

    async def _recover(self, error: OCIError) -> bool:
        """Make another try possible after a failure, or raise it.

        Returns:
            whether the blob is there already.
        """
        # A source that is a registry made its own retries.
        if error is self._parts.failure:
            raise error
        part = self._part
        sent = part.sent if part is not None else 0
        self._reached = max(self._reached, self._opened.session.offset + sent)
        if await self._learned_from(error, part) or await self._mixed_up(error):
            return False
        whole = part is not None and part.last and sent == part.length
        if whole and loses_answers(error) and await is_there(self._endpoint, self._descriptor):
            return True
        # What was not put where the registry stands needs no wait, only to know where that is.
        misplaced = isinstance(error, RegistryError) and error.status == 416
        if misplaced and self._misplaced < _MAX_MISPLACED and self._asks(error, sent):
            self._misplaced += 1
            if await self._goes_on(misplaced=True):
                return False
        name = self._descriptor.title or self._descriptor.digest.short
        if not await self._endpoint.transport.again(
            self._budget, error, action="upload", also=SESSION_LOST, name=name
        ):
            raise error
        if misplaced or not self._asks(error, sent) or not await self._goes_on(cut=True):
            await self._anew()
        return False

    async def _learned_from(self, error: OCIError, part: Part | None) -> bool:
        """Whether a refusal leaves another form to try."""
        length = part.length if part is not None else 0
        what = refusal(error, length=length, first=not self._opened.session.offset)
        if what is None:
            return False
        self._refused = self._refused or error
        self._forms += 1
        other = learn(what, error, length=length, learned=self._learned)
        if not other or self._forms >= MAX_FORMS:
            raise self._refused
        await self._anew()
        return True

    async def _mixed_up(self, error: OCIError) -> bool:
        """Whether wrong bytes arrived because of where the registry said that the upload stood.

        Raises:
            DigestMismatchError: wrong bytes arrived, and it was not that.
        """
        wrong = mismatch(error, self._descriptor.digest)
        if wrong is None:
            return False
        if not self._going_on:
            raise wrong from error
        self._learned.learn(SESSIONS, supported=False)
        await self._anew()
        return True

    def _asks(self, error: OCIError, sent: int) -> bool:
        """Whether it may pay to ask where the upload stands."""
        if not may_resume(self._quirks, self._learned):
            return False
        if isinstance(error, RegistryError) and error.status not in ASKABLE:
            return False
        session = self._opened.session
        chunk = self._form(session).next_chunk(offset=0, size=self._descriptor.size)
        return bool(session.offset or chunk) or sent >= WORTH_ASKING_BYTES

    async def _goes_on(
        self, *, cut: bool = False, misplaced: bool = False, raising: bool = False
    ) -> bool:
        """Whether the upload goes on where the registry says it stands; see `find_place`."""
        upload = self._opened
        found = await find_place(
            upload, reached=self._reached, cut=cut, misplaced=misplaced, raising=raising
        )
        if found is Standing.LOST:
            self._learned.learn(SESSIONS, supported=False)
        if found is not Standing.FOUND:
            return False
        self._going_on = True
        self._advanced(upload.session.offset)
        if self._kept is not None:
            await self._kept.save(upload.session)
        return True

    async def _anew(self) -> None:
        """Give the session up and open another."""
        upload, self._upload = self._upload, None
        if self._kept is not None and not may_resume(self._quirks, self._learned):
            await self._keep_nothing()
        if upload is not None:
            await upload.cancel()
        await self._open()
