"""What ``Docker-Content-Digest`` says about an answer (D-08, D-09)."""

from ..errors import DigestMismatchError, InvalidDigestError, ProtocolError
from ..spec import Digest
from ..spec.digest import VERIFIABLE
from ..transport import Headers

_HEADER = "Docker-Content-Digest"


def stated_digest(headers: Headers) -> Digest | None:
    """Return the digest in the header; None without one, or where nobody here can verify it.

    Raises:
        ProtocolError: the header holds something else.
    """
    text = headers.get(_HEADER)
    if not text:
        return None
    try:
        digest = Digest(text)
    except InvalidDigestError as error:
        raise ProtocolError(f"the registry sent a digest header that is none: {error}") from error
    return digest if digest.algorithm in VERIFIABLE else None


def check_stated(headers: Headers, digest: Digest, *, verb: str) -> None:
    """Compare the header, where it speaks of the same algorithm, with the digest it should be.

    Args:
        headers: of the answer.
        digest: what it should be.
        verb: what the registry did: ``answered`` or ``stored``.

    Raises:
        DigestMismatchError: it is another one.
    """
    text = headers.get(_HEADER) or digest
    if text != digest and text.partition(":")[0] == digest.algorithm:
        raise DigestMismatchError(
            f"the registry {verb} {text[:150]!r} instead of {digest}",
            expected=digest,
            actual=text[:150],
        )
