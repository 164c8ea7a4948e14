"""How blobs move to and from registries, with all defaults in one place."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidArgumentError

MAX_CONNECTIONS = 16
"""More connections to one host are rude, and cost more than they bring; many servers refuse them."""
MAX_PART_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """How blobs move to and from registries.

    Attributes:
        connections: for one large download; None starts with 4 and adapts between 1 and 16 by what
            it measures.
        part_bytes: what one range request of a large download asks for; None is 8 to 16 MiB, by size.
        resume: keep what was received of a blob when its download fails, and go on with what an
            earlier run left. Without, every download starts at its first byte and leaves nothing.
        partial: folder for unfinished downloads of `pull`, which nobody else should be able to
            write to; None is a hidden folder of the user's own beside the output.
        chunk_bytes: push blobs as PATCH chunks of this size; None does as each registry needs.
        resume_uploads: keep unfinished upload sessions open, and go on with those that an earlier
            run left, where the registry keeps them too.
        state: folder that remembers upload sessions; None is the user's state folder.

    Raises:
        InvalidArgumentError: a number is out of its range.
    """

    connections: int | None = None
    part_bytes: int | None = None
    resume: bool = True
    partial: Path | None = None
    chunk_bytes: int | None = None
    resume_uploads: bool = False
    state: Path | None = None

    def __post_init__(self) -> None:
        if self.connections is not None and not 1 <= self.connections <= MAX_CONNECTIONS:
            raise InvalidArgumentError(
                f"connections must be between 1 and {MAX_CONNECTIONS}, not {self.connections}"
            )
        if self.part_bytes is not None and not 1 <= self.part_bytes <= MAX_PART_BYTES:
            raise InvalidArgumentError(
                f"part_bytes must be between 1 and {MAX_PART_BYTES}, not {self.part_bytes}"
            )
        if self.chunk_bytes is not None and self.chunk_bytes < 1:
            raise InvalidArgumentError(f"chunk_bytes must be at least 1, not {self.chunk_bytes}")
