"""Errors to exit codes; the table is in the group's help."""

from .. import errors

ERROR = 1
USAGE = 2
AUTH = 3
NOT_FOUND = 4
INTEGRITY = 5
NETWORK = 6
CONFLICT = 7
DISK = 8
INTERRUPTED = 130
TERMINATED = 143

# The first match counts.
_CODES: tuple[tuple[type[errors.OCIError], int], ...] = (
    (errors.UnauthorizedError, AUTH),
    (errors.DeniedError, AUTH),
    (errors.CredentialError, AUTH),
    (errors.NotFoundError, NOT_FOUND),
    (errors.IntegrityError, INTEGRITY),
    (errors.InvalidPackageError, INTEGRITY),
    (errors.InvalidLayoutError, INTEGRITY),
    (errors.InvalidDocumentError, INTEGRITY),
    (errors.TransportError, NETWORK),
    (errors.RegistryError, NETWORK),
    (errors.AlreadyExistsError, CONFLICT),
    (errors.StorageError, DISK),
    (errors.InvalidArgumentError, USAGE),
    (errors.InvalidReferenceError, USAGE),
    (errors.InvalidDigestError, USAGE),
    (errors.InvalidPlatformError, USAGE),
)


def exit_code(error: errors.OCIError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, errors.MultipleErrors):
        codes = {exit_code(one) for one in error.errors}
        return codes.pop() if len(codes) == 1 else ERROR
    if isinstance(error, errors.BuildError):
        return error.status
    return next((code for kind, code in _CODES if isinstance(error, kind)), ERROR)
