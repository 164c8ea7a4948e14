"""What a layer may cost to unpack: limits on entries, bytes, ratio, names and depth (S-27)."""

from dataclasses import dataclass, fields

from ..errors import InvalidArgumentError, LimitExceededError

RATIO_GRACE_BYTES = 256 << 20
"""Output below which the ratio is not looked at: short runs of zeros compress without bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """How much unpacking may need; exceeding one ends it with `LimitExceededError`.

    Attributes:
        entries: entries in all layers together, and the folders that only their names imply: one
            name can stand for 128. The largest images have some 500,000.
        total_bytes: bytes in all files together, holes included.
        file_bytes: bytes in one file, holes included.
        ratio: uncompressed bytes for one compressed byte, after the first 256 MiB. Real layers
            stay below 50; gzip reaches 1,030 on zeros alone, zstd 30,000.
        path_bytes: bytes in one name or link target, encoded. Linux takes no more than 4,096.
        depth: folders inside folders; each open level holds a file descriptor.
        pax_bytes: bytes in one extended header, long name or sparse map. Extended attributes have
            up to 64 KiB each.
    """

    entries: int = 1_000_000
    total_bytes: int = 256 << 30
    file_bytes: int = 128 << 30
    ratio: int = 250
    path_bytes: int = 4096
    depth: int = 128
    pax_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise InvalidArgumentError(f"the limit {field.name} must be at least 1")


class Budget:
    """Counts what was used of the limits that hold for all layers together."""

    def __init__(self, limits: UnpackLimits) -> None:
        self.limits = limits
        self.entries = 0
        self.bytes = 0

    def entry(self) -> None:
        """Count one entry.

        Raises:
            LimitExceededError: it is one too many.
        """
        self.entries += 1
        if self.entries > self.limits.entries:
            raise exceeded("entries", f"more than {self.limits.entries} entries")

    def file(self, name: str, size: int) -> None:
        """Count a file before it is written.

        Raises:
            LimitExceededError: the file, or all together, are too large.
        """
        if size > self.limits.file_bytes:
            raise exceeded("file_bytes", f"the file {name!r} with {size} bytes")
        self.bytes += size
        if self.bytes > self.limits.total_bytes:
            raise exceeded("total_bytes", f"more than {self.limits.total_bytes} bytes")


def exceeded(limit: str, what: str) -> LimitExceededError:
    """Return the error for a limit that was passed: `what` is there, in words."""
    return LimitExceededError(
        f"the package holds {what}, over the limit",
        hint=f"if you trust the package, raise the limit {limit} (--limit {limit}=NUMBER)",
    )
