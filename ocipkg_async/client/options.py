"""What a client can be told, with all defaults in one place."""

from dataclasses import dataclass, field
from pathlib import Path

from ..content.reader import MAX_DOCUMENT_BYTES
from ..copy import DEFAULT_CONCURRENCY
from ..errors import InvalidArgumentError
from ..package import UnpackLimits
from ..registry import TransferOptions
from ..transport import TransportOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client works.

    Attributes:
        store: folder of the local package store; None is ``$OCIPKG_STORE`` or the user's data folder.
        authfile: credential file to use instead of Docker's and podman's.
        concurrency: pieces of content in flight in one operation.
        max_manifest_bytes: largest manifest that is read.
        keep_layers: keep the layers of packages that are installed beside their files, which takes
            twice the space; `Client.save` needs no registry then.
        limits: bounds for unpacking.
        transfer: parts, connections and resuming of large blobs, chunks of pushed ones.
        transport: connections, TLS, time limits, retries, proxies.
    """

    store: Path | None = None
    authfile: Path | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    max_manifest_bytes: int = MAX_DOCUMENT_BYTES
    keep_layers: bool = False
    limits: UnpackLimits = field(default_factory=UnpackLimits)
    transfer: TransferOptions = field(default_factory=TransferOptions)
    transport: TransportOptions = field(default_factory=TransportOptions)

    def __post_init__(self) -> None:
        for name in ("concurrency", "max_manifest_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise InvalidArgumentError(f"{name} must be at least 1, not {value}")
