"""What clients may take of a registry: connections, bytes and time."""

from dataclasses import dataclass, fields

from ...errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may take of a registry.

    A connection holds up to 5 MiB of an upload, or a manifest, or 2 MiB of requests sent ahead of
    their answers; so `connections` bounds the memory as well.

    Attributes:
        connections: open at once. Further ones take the place of those that wait for a request,
            or else wait themselves. Each may need three file descriptors.
        line_bytes: longest URL of a request; a push with 100 tags of 128 characters fits.
        header_bytes: longest header.
        headers: most headers of one request.
        idle_s: how long a connection may have no request: from its start or its last answer to the
            end of a request's head, its TLS handshake included.
        stall_s: how long a body may bring no byte, and a client take no byte of an answer.
        bytes_per_s: what a body has to bring on average, once `stall_s` has passed.
        upload_idle_s: an upload that nobody uses for so long is removed.

    Raises:
        InvalidArgumentError: a limit is not above 0.
    """

    connections: int = 256
    line_bytes: int = 16 << 10
    header_bytes: int = 8 << 10
    headers: int = 64
    idle_s: float = 60.0
    stall_s: float = 60.0
    bytes_per_s: float = 1024.0
    upload_idle_s: float = 3600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InvalidArgumentError(f"{field.name}={value} is not above 0")

    def patience_s(self, *, elapsed_s: float, received: int) -> float:
        """Return how long the next bytes of a body may be waited for; not above 0 is no longer.

        Args:
            elapsed_s: how long the body has been received for.
            received: how many bytes of it have come.
        """
        behind_s = elapsed_s - received / self.bytes_per_s
        return self.stall_s - max(behind_s, 0.0)
