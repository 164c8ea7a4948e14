"""Faults that a test switches on in a running registry (C-40), as plain values.

`injecting` makes them happen. A registry without faults never looks at any of this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

LocationForm = Literal["path", "absolute", "relative", "query", "state"]

STATE = "_state=a%2Fb%7Ec+d%3D"
"""The query of the ``state`` form: escapes that must come back byte for byte (D-51)."""

_CODES = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "BLOB_UPLOAD_UNKNOWN",
    405: "UNSUPPORTED",
    429: "TOOMANYREQUESTS",
}


def _every_request(_method: str, _path: str) -> bool:
    return True


@dataclass(slots=True, kw_only=True)
class Faults:
    """What the registry does wrong from now on. Set the attributes at any time.

    Attributes:
        when: the requests that are affected, from their method and path.
        delay_s: seconds that each request waits.
        refuse_next: how many requests are refused with `refuse_status`; counts down.
        refuse_status: their HTTP status.
        refuse_code: the code in their error document; empty is the usual one of the status.
        retry_after: their ``Retry-After`` header, or None.
        no_digest_header: answers lack ``Docker-Content-Digest``.
        digest_header: what ``Docker-Content-Digest`` says instead, or None.
        warnings: ``Warning`` headers of every answer.
        no_link: lists have no ``Link``, so their further pages are lost.
        link: what ``Link`` says instead, or None.
        no_subject_header: pushed manifests are not answered with ``OCI-Subject``.
        no_referrers: there is no referrers API: 404, and no ``OCI-Subject``.
        location: form of the ``Location`` of uploads, or a function of its usual path.
        chunk_min_bytes: ``OCI-Chunk-Min-Length`` of a new upload, or None.
        no_single_post: a POST of a whole blob only opens an upload.
        no_patch: PATCH is refused with 405.
        drop_upload_at: an upload's connection breaks after so many bytes of one body; see `times`.
        keep_of_chunk: a PATCH keeps no more than so many bytes, and says so; see `times`.
        drop_blob_at: a blob's connection breaks after so many bytes of its body.
        short_blob_at: a blob is announced and sent with only so many bytes.
        wrong_bytes: the first byte of each blob and manifest is another one.
        content_range: the ``Content-Range`` of partial blobs, or None for the right one.
        ignore_range: a blob is always sent whole, with 200.
        content_encoding: a ``Content-Encoding`` header that blobs do not have, or None.
        redirect_blobs_to: base URL at which blobs are read, or None.
        challenge: what ``WWW-Authenticate`` says instead, or None.
        token_methods: HTTP methods that the token endpoint takes; 405 for the others.
        token_fields: names under which an answer of the token endpoint has the token.
        token_announced_s: its ``expires_in``, 0 to leave it out, or None for the right one.
        token_uses: for how many requests a token is good; then it counts as expired, or None.
        times: how many more blobs or upload bodies are broken by the faults above, or None for
            all; counts down.
    """

    when: Callable[[str, str], bool] = _every_request
    delay_s: float = 0.0
    refuse_next: int = 0
    refuse_status: int = 429
    refuse_code: str = ""
    retry_after: str | None = None
    no_digest_header: bool = False
    digest_header: str | None = None
    warnings: tuple[str, ...] = ()
    no_link: bool = False
    link: str | None = None
    no_subject_header: bool = False
    no_referrers: bool = False
    location: LocationForm | Callable[[str], str] = "path"
    chunk_min_bytes: int | None = None
    no_single_post: bool = False
    no_patch: bool = False
    drop_upload_at: int | None = None
    keep_of_chunk: int | None = None
    drop_blob_at: int | None = None
    short_blob_at: int | None = None
    wrong_bytes: bool = False
    content_range: str | None = None
    ignore_range: bool = False
    content_encoding: str | None = None
    redirect_blobs_to: str | None = None
    challenge: str | None = None
    token_methods: tuple[str, ...] = ("GET", "POST")
    token_fields: tuple[str, ...] = ("token", "access_token")
    token_announced_s: int | None = None
    token_uses: int | None = None
    times: int | None = None

    def takes_refusal(self) -> bool:
        """Whether this request is refused; counts it."""
        if self.refuse_next <= 0:
            return False
        self.refuse_next -= 1
        return True

    @property
    def code(self) -> str:
        """Code of the error document of a refusal."""
        return self.refuse_code or _CODES.get(self.refuse_status, "UNKNOWN")

    def ends_token(self, method: str, path: str, uses: int) -> bool:
        """Whether a token that came with so many requests, this one included, is good no more."""
        return self.token_uses is not None and uses > self.token_uses and self.when(method, path)

    def breaks_blob(self) -> bool:
        """Whether this blob is sent wrongly; counts it."""
        broken = (
            self.drop_blob_at is not None
            or self.short_blob_at is not None
            or self.wrong_bytes
            or self.content_range is not None
            or self.ignore_range
            or self.content_encoding is not None
        )
        return broken and self._count()

    def breaks_upload(self, method: str) -> bool:
        """Whether this upload's body is not all kept; counts it."""
        chunk = self.keep_of_chunk is not None and method == "PATCH"
        return (self.drop_upload_at is not None or chunk) and self._count()

    def _count(self) -> bool:
        if self.times is None:
            return True
        if self.times <= 0:
            return False
        self.times -= 1
        return True

    def upload_location(self, path: str, *, base: str, request_path: str) -> str:
        """Return the ``Location`` of an upload.

        Args:
            path: its path.
            base: scheme and host of the request.
            request_path: path of the request, which relative forms start from.
        """
        session_id = path.rpartition("/")[2]
        match self.location:
            case "path":
                return path
            case "absolute":
                return base + path
            case "relative":
                below = "uploads/" if request_path.endswith("/uploads") else ""
                return below + session_id
            case "query":
                return f"?session={session_id}"
            case "state":
                return f"{path}?{STATE}"
            case form:
                return form(path)
