"""What the registry answers when it says no: status, code, and the error document (D-02)."""

from ..errors import (
    AlreadyExistsError,
    DiskFullError,
    InvalidDigestError,
    InvalidDocumentError,
    NotFoundError,
    OCIError,
    UnsupportedError,
)
from ..spec.decoding import encode_json

JSON = "application/json"
API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
"""What older clients look for in the answer to a ping, 401 included."""


class RefusedError(Exception):
    """A request that is answered with an error document. It never leaves the server.

    Attributes:
        status: HTTP status code.
        code: code of the distribution specification, such as ``BLOB_UNKNOWN``.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    @property
    def body(self) -> bytes:
        """The error document."""
        return error_body(self.code, str(self))


def error_body(code: str, message: str) -> bytes:
    """Return an error document with one entry."""
    return encode_json({"errors": [{"code": code, "message": message}]})


def path_unknown() -> RefusedError:
    """Nothing has this path."""
    return RefusedError(404, "UNSUPPORTED", "there is no such path in the distribution API")


def name_invalid(name: str) -> RefusedError:
    """The name is none that a repository can have."""
    return RefusedError(400, "NAME_INVALID", f"{name[:200]!r} cannot be a repository here")


def name_unknown(name: str) -> RefusedError:
    """There is no such repository."""
    return RefusedError(404, "NAME_UNKNOWN", f"there is no repository {name!r}")


def blob_unknown(digest: str) -> RefusedError:
    """The repository does not have this blob."""
    return RefusedError(404, "BLOB_UNKNOWN", f"there is no blob {digest}")


def manifest_unknown(name: str) -> RefusedError:
    """The repository does not have this manifest or tag."""
    return RefusedError(404, "MANIFEST_UNKNOWN", f"there is no manifest {name!r}")


def digest_invalid(text: str) -> RefusedError:
    """Text that is no digest, or one that content cannot be verified with."""
    return RefusedError(400, "DIGEST_INVALID", f"{text[:200]!r} cannot be the digest of content")


def upload_unknown(session_id: str) -> RefusedError:
    """The session was closed, has expired, or never was."""
    return RefusedError(404, "BLOB_UPLOAD_UNKNOWN", f"there is no upload {session_id[:64]!r}")


def unsupported(message: str) -> RefusedError:
    """Switched off, or not allowed on this path."""
    return RefusedError(405, "UNSUPPORTED", message)


def from_error(error: OCIError) -> RefusedError:
    """Return the answer for an error of a lower layer.

    What is the registry's own trouble, 500 and above, is told without the paths of its files.
    """
    if isinstance(error, DiskFullError):
        return RefusedError(507, "UNKNOWN", "the registry's disk is full")
    for kind, status, code in _BY_KIND:
        if isinstance(error, kind):
            return RefusedError(status, code, str(error))
    return RefusedError(500, "UNKNOWN", "the registry failed; its log says how")


# The first that fits decides.
_BY_KIND: tuple[tuple[type[OCIError], int, str], ...] = (
    (InvalidDigestError, 400, "DIGEST_INVALID"),
    (InvalidDocumentError, 400, "MANIFEST_INVALID"),
    (UnsupportedError, 400, "UNSUPPORTED"),
    (AlreadyExistsError, 409, "DENIED"),
    (NotFoundError, 404, "MANIFEST_UNKNOWN"),
)
