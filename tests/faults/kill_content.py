"""What is moved while the program is killed: a large file and a small folder, and looks at them."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.killing import SIZE, seeded
from ocipkg_async.registry.download import journal
from ocipkg_async.spec import Descriptor, Digest

_PIECE_BYTES = 1 << 20

SMALL = {"tree/a": b"a" * 100_000, "tree/b/c": b"c" * 10}


@dataclass(frozen=True, kw_only=True)
class Content:
    """A large file and a small folder, and what is large in them."""

    large: Path
    tree: Path
    blob: Descriptor

    def check(self, folder: Path) -> None:
        """All of it is in a folder, and right."""
        assert sha256_of(folder / "large.bin") == self.blob.digest.encoded
        for name, data in SMALL.items():
            assert (folder / name).read_bytes() == data

    def check_visible(self, folder: Path) -> bool:
        """What is in a folder is right; return whether it is all."""
        large = folder / "large.bin"
        if large.exists():
            assert sha256_of(large) == self.blob.digest.encoded
        small = [name for name in SMALL if (folder / name).exists()]
        for name in small:
            assert (folder / name).read_bytes() == SMALL[name]
        return large.exists() and len(small) == len(SMALL)


@contextmanager
def made(folder: Path) -> Iterator[Content]:
    """Content in a folder, which is removed at the end."""
    large, tree = folder / "large.bin", folder / "tree"
    encoded = _write_random(large, SIZE)
    for name, data in SMALL.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    blob = Descriptor(
        media_type="application/octet-stream", digest=Digest(f"sha256:{encoded}"), size=SIZE
    )
    yield Content(large=large, tree=tree, blob=blob)
    shutil.rmtree(folder)


def _write_random(path: Path, size: int) -> str:
    """Write bytes that do not repeat; return their SHA-256 in hex."""
    chance, digest = seeded(), hashlib.sha256()
    with path.open("wb") as file:
        for left in range(size, 0, -_PIECE_BYTES):
            piece = chance.randbytes(min(left, _PIECE_BYTES))
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def journaled(folder: Path, blob: Descriptor, original: Path) -> int:
    """Bytes that an unfinished download below `folder` says to have; they must be there."""
    files = list(folder.rglob(f".partial-sha256-{blob.digest.encoded}.journal"))
    total = 0
    for file in files:
        data = file.with_name(file.name.removesuffix(".journal"))
        for start, stop in journal.parse(
            file.read_bytes(), blob, length=data.stat().st_size if data.exists() else 0
        ):
            with data.open("rb") as have, original.open("rb") as wanted:
                have.seek(start)
                wanted.seek(start)
                for at in range(start, stop, _PIECE_BYTES):
                    length = min(_PIECE_BYTES, stop - at)
                    assert have.read(length) == wanted.read(length), f"wrong bytes from {at} on"
            total += stop - start
    return total
