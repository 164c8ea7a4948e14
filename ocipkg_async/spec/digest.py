"""Content digests: parse once, then trust the type.

Grammar and registered algorithms: image-spec v1.1 ``descriptor.md``, section "Digests".
"""

import hashlib
import re
from typing import Any, Self

from ..errors import InvalidDigestError, UnsupportedError

_GRAMMAR = re.compile(
    r"(?P<algorithm>[a-z0-9]+(?:[+._-][a-z0-9]+)*):(?P<encoded>[A-Za-z0-9=_-]+)", re.ASCII
)
_HEX = {"sha256": 64, "sha512": 128}
_LOWER_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
# A digest is printed, logged and used in paths; nothing registered comes near this length.
_MAX_LENGTH = 512

VERIFIABLE = frozenset(_HEX)
"""Algorithms that content can be verified with."""


class Digest(str):
    """A valid digest, ``algorithm:encoded``. It is the text itself, so it compares and hashes as one.

    An unknown algorithm of valid form is accepted: it can be printed and compared, but
    `Digester` refuses it, so nothing is ever fetched by it unverified.

    Raises:
        InvalidDigestError: the text is not a digest, or a known algorithm has the wrong length or
            upper-case hexadecimal digits.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:  # noqa: D102 - the class says it
        if isinstance(text, cls):
            return text
        match = _GRAMMAR.fullmatch(text) if len(text) <= _MAX_LENGTH else None
        if match is None:
            raise InvalidDigestError(
                f"{text[:100]!r} is not a digest", hint="a digest looks like sha256:<64 hex digits>"
            )
        length = _HEX.get(match["algorithm"])
        encoded = match["encoded"]
        if length is not None and (len(encoded) != length or not _LOWER_HEX.fullmatch(encoded)):
            raise InvalidDigestError(
                f"{text!r} is not a {match['algorithm']} digest",
                hint=f"it takes {length} lower-case hexadecimal digits",
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Return the digest of `data`.

        Raises:
            UnsupportedError: content cannot be hashed with `algorithm`.
        """
        digester = Digester(algorithm)
        digester.update(data)
        return cls(digester.digest())

    @property
    def algorithm(self) -> str:
        """The part before the colon, such as ``sha256``."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve characters of the encoded part, for people."""
        return self.encoded[:12]


class Digester:
    """Takes bytes and yields their size and digest.

    `update` releases the interpreter lock for large pieces, so it belongs in a worker thread.

    Raises:
        UnsupportedError: content cannot be hashed with `algorithm`.
    """

    __slots__ = ("_hash", "algorithm", "size")

    def __init__(self, algorithm: str = "sha256") -> None:
        if algorithm not in VERIFIABLE:
            raise UnsupportedError(
                f"content cannot be verified with the digest algorithm {algorithm!r}",
                hint="use content that is addressed by " + " or ".join(sorted(VERIFIABLE)),
            )
        self.algorithm = algorithm
        self.size = 0
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=True)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add `data` at the end."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        """Return the digest of everything added so far."""
        return Digest(f"{self.algorithm}:{self._hash.hexdigest()}")
