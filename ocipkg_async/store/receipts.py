"""What was unpacked, noted for each manifest before its folder appears; all of it blocks.

::

    <folder>/sha256/<hex>           one line about the package, the lines of the listing, and last
                                    the digest of all lines before
    <folder>/sha256/<hex>.layers    the layers are to be kept, too
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..content.files import atomic_file, remove_stale, write_all
from ..errors import InvalidDocumentError, storage_errors
from ..package import UnpackLimits
from ..package.listing import ListedFolder, decode, encode
from ..spec import Digest, Digester

OF_INSTALLED = UnpackLimits(entries=1 << 62, total_bytes=1 << 62, file_bytes=1 << 62)
"""For what was unpacked already: the usual limits are for what is fetched."""
_VERSION = 1
_LAYERS = ".layers"
_BUFFER_BYTES = 1 << 20
# A byte of a name takes up to six characters of JSON; digests and numbers take some hundred.
_CHARACTERS, _FURTHER_BYTES = 6, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was unpacked of a manifest.

    Attributes:
        key: stands for what was unpacked, and how; equal keys give equal files.
        listing: the files.
    """

    key: str
    listing: ListedFolder


class Receipts:
    """The receipts in one folder, which is made when there is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, digest: Digest, receipt: Receipt) -> None:
        """Keep a receipt.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        path = self._file(digest)
        digester = Digester()
        with storage_errors(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            buffer = bytearray()
            for line in _lines(receipt):
                digester.update(line)
                buffer += line
                if len(buffer) >= _BUFFER_BYTES:
                    write_all(file, memoryview(buffer))
                    buffer = bytearray()
            write_all(file, bytes(buffer) + digester.digest().encode() + b"\n")

    def read(self, digest: Digest, limits: UnpackLimits) -> Receipt | None:
        """Return the receipt of a manifest, or None if there is none.

        Raises:
            InvalidDocumentError: it is damaged.
            LimitExceededError: it lists more than the limits allow.
            StorageError: it cannot be read.
        """
        path = self._file(digest)
        longest = _CHARACTERS * 2 * limits.path_bytes + _FURTHER_BYTES
        with storage_errors(f"read {path}"):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return None
            with file:
                lines = _verified(file, longest)
                key = _key(next(lines, b""))
                return Receipt(key=key, listing=decode(lines, limits))

    def intact(self, digest: Digest, limits: UnpackLimits) -> Receipt | None:
        """Return the receipt of a manifest, or None if there is none that can be read.

        Raises:
            LimitExceededError, StorageError: as `read`.
        """
        try:
            return self.read(digest, limits)
        except InvalidDocumentError:
            return None

    def with_key(self, key: str) -> list[Digest]:
        """Return the manifests that were unpacked to the same files, as far as receipts tell.

        Raises:
            StorageError: they cannot be read.
        """
        found: list[Digest] = []
        for digest in self.all():
            path = self._file(digest)
            with (
                storage_errors(f"read {path}"),
                contextlib.suppress(InvalidDocumentError),
                path.open("rb") as file,
            ):
                if _key(file.readline(_FURTHER_BYTES)) == key:
                    found.append(digest)
        return found

    def all(self) -> list[Digest]:
        """Return the manifests that have a receipt, sorted."""
        found: list[Digest] = []
        for path in sorted(self._folder.glob("*/*")):
            with contextlib.suppress(InvalidDocumentError, ValueError):
                found.append(Digest(f"{path.parent.name}:{path.name}"))
        return found

    def keep_layers(self, digest: Digest) -> None:
        """Note that the layers of a manifest are to be kept.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        path = self._marker(digest)
        with storage_errors(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def keeps_layers(self, digest: Digest) -> bool:
        """Whether the layers of a manifest are to be kept."""
        return self._marker(digest).exists()

    def keep_only(self, digests: frozenset[Digest], *, now_s: float) -> None:
        """Remove the receipts of all other manifests, and what was never finished.

        Raises:
            StorageError: the file system refused.
        """
        kept = {path for digest in digests for path in (self._file(digest), self._marker(digest))}
        with storage_errors(f"clean {self._folder}"):
            for folder in self._folder.glob("*"):
                remove_stale(folder, now_s=now_s, older_than_s=0)
                for path in folder.glob("[!.]*"):
                    if path not in kept:
                        path.unlink(missing_ok=True)

    def _file(self, digest: Digest) -> Path:
        return self._folder / digest.algorithm / digest.encoded

    def _marker(self, digest: Digest) -> Path:
        return self._folder / digest.algorithm / (digest.encoded + _LAYERS)


def _lines(receipt: Receipt) -> Iterator[bytes]:
    yield json.dumps({"version": _VERSION, "key": receipt.key}).encode() + b"\n"
    yield from encode(receipt.listing)


def _verified(file: IO[bytes], longest: int) -> Iterator[bytes]:
    """Yield all lines but the last, which must be the digest of the others."""
    digester = Digester()
    before: bytes | None = None
    while line := file.readline(longest):
        if not line.endswith(b"\n"):
            raise _damaged()
        if before is not None:
            digester.update(before)
            yield before
        before = line
    if before is None or before.strip() != digester.digest().encode():
        raise _damaged()


def _key(line: bytes) -> str:
    try:
        match json.loads(line):
            case {"version": int(version), "key": str(key)} if version == _VERSION:
                return key
            case _:
                raise _damaged()
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> InvalidDocumentError:
    return InvalidDocumentError("the list of unpacked files is damaged")
