"""Entries to the compressed tar of a layer, and its digest before compression. Blocking."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from ..spec import Digest, Digester
from .compress import Compression, compress_to
from .entry import Entry
from .tar_writer import TarWriter

_HASHING_AHEAD = 4  # blocks that wait for the digest of the tar


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInfo:
    """What is known of a layer when it has been written.

    Attributes:
        diff_id: digest of the tar before compression.
        entries: how many files, directories and links are in it.
        tar_size: bytes of the tar before compression.
    """

    diff_id: Digest
    entries: int
    tar_size: int


def write_layer(
    entries: Iterable[Entry],
    write: Callable[[bytes], object],
    *,
    compression: Compression,
    mtime_s: int,
    prefix: str = "",
    on_block: Callable[[str, int], object] = lambda _name, _done: None,
) -> LayerInfo:
    """Write a compressed tar. Blocking; for a worker thread.

    Args:
        entries: from `collect`, sorted.
        write: takes the compressed bytes, in pieces of about a megabyte.
        compression: how.
        mtime_s: seconds since 1970, for every entry.
        prefix: a directory that holds all entries; it gets an entry of its own, first, and stands
            before every name.
        on_block: called for each block of the tar with the entry's name and the bytes of file
            content read so far. What it raises ends the writing.

    Raises:
        InvalidPackageError: a file changed since it was found.
        InvalidArgumentError: `mtime_s` does not fit into a tar header.
        StorageError: a file cannot be read.
    """
    with _digesting() as diff, compress_to(compression, write) as sink:

        def hand_on(block: bytearray) -> None:
            diff.write(block)
            sink.write(block)
            on_block(tar.name, tar.content_bytes)

        tar = TarWriter(hand_on, mtime_s=mtime_s, prefix=prefix)
        if prefix:
            tar.add_directory(prefix)
        for entry in entries:
            tar.add(entry)
        tar.close()
    return LayerInfo(diff_id=diff.digest(), entries=tar.entries, tar_size=tar.size)


class _BackgroundDigester:
    """Hashes blocks in order in a thread of its own, since compressing has the others."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._digester = Digester()
        self._jobs: deque[Future[None]] = deque()

    def write(self, data: bytearray) -> None:
        if len(self._jobs) >= _HASHING_AHEAD:
            self._jobs.popleft().result()
        self._jobs.append(self._pool.submit(self._digester.update, data))

    def digest(self) -> Digest:
        for job in self._jobs:
            job.result()
        return self._digester.digest()


@contextmanager
def _digesting() -> Iterator[_BackgroundDigester]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
    try:
        yield _BackgroundDigester(pool)
    finally:
        pool.shutdown(cancel_futures=False)
