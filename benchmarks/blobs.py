"""Random blobs, and folders that are emptied between runs."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness import MIB
from programs import Blob, ours


def random_file(path: Path, size: int) -> str:
    """Write random bytes; return their digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for begin in range(0, size, MIB):
            data = os.urandom(min(MIB, size - begin))
            digest.update(data)
            file.write(data)
    return f"sha256:{digest.hexdigest()}"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push(host: str, path: Path, digest: str, *, ca_file: Path | None = None) -> Blob:
    """Push a file as the only layer of an artifact."""
    blob = Blob(
        host=host,
        repository="bench/pull",
        digest=digest,
        size=path.stat().st_size,
        ca_file=ca_file,
    )
    trust = ["--ca-file", str(ca_file)] if ca_file else []
    command = ours("push-files", blob.reference, str(path), *trust)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return blob


def emptier(folder: Path) -> Callable[[], None]:
    """Make a folder; return what empties it.

    What a program wrote is removed before the next one runs, or that would pay for writing it to
    the disk.
    """
    folder.mkdir()

    def empty() -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    return empty


def forgetter(registry: Path) -> Callable[[], None]:
    """What lets a registry forget all, so that each push moves the blob."""
    return lambda: shutil.rmtree(registry / "data" / "docker", ignore_errors=True)
