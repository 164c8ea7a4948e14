"""Collecting what a layout no longer needs: all that is not listed, or that no name leads to."""

import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import islice

from ..content import run_in_thread
from ..errors import storage_errors
from ..spec import Descriptor, Digest
from . import index_file, sweeping
from .blob_folder import BlobFolder
from .documents import Documents, Listed
from .entries import Entries, names_of
from .index_json import IndexJson

# As many as an index.json can list: all are looked at twice, the second time while nobody can push.
_REMEMBERED = 1_000_000


class Collection:
    """One collection; see `Layout.collect`.

    Args:
        store: the layout.
        index: its ``index.json``.
        blobs: its blobs.
        untagged: whether documents without a name may go.
    """

    def __init__(
        self, store: Listed, index: IndexJson, blobs: BlobFolder, *, untagged: bool
    ) -> None:
        self._store = store
        self._index = index
        self._blobs = blobs
        self._untagged = untagged
        self._documents = Documents(store, remembered=_REMEMBERED)

    async def run(
        self,
        held: AbstractAsyncContextManager[object],
        *,
        older_than_s: float,
        partials_older_than_s: float,
        dry_run: bool,
    ) -> list[tuple[Digest, int]]:
        """Remove what can go, or with `dry_run` only return it.

        Raises:
            IntegrityError, InvalidDocumentError: a document is damaged; nothing was removed.
            StorageError: the file system refused.
        """
        await self._look(older_than_s)
        async with held, self._index.locked():
            # Under the lock again: little is new, and that alone is read.
            gone, needed = await self._look(older_than_s)
            if gone and not dry_run:
                await self._index.change(lambda tree: index_file.without_digests(tree, gone))
            sweep = partial(
                sweeping.sweep,
                self._index.layout,
                self._blobs.path,
                keep=needed,
                older_than_s=older_than_s,
                partials_older_than_s=partials_older_than_s,
                now_s=time.time(),
                dry_run=dry_run,
            )
            return await run_in_thread(sweep)

    async def _look(self, older_than_s: float) -> tuple[frozenset[Digest], frozenset[Digest]]:
        """Return the documents whose entries go, and everything that stays.

        Raises:
            IntegrityError, InvalidDocumentError: a document is damaged.
        """
        entries = await self._store.listing()
        if not self._untagged:
            return frozenset(), frozenset(await self._documents.reachable(entries, subjects=True))
        roots = [one for one in entries if names_of(one) or not one.is_document]
        needed = await self._documents.reachable(roots, subjects=True)
        loose = _loose(entries, needed)
        await self._add_needed(loose, needed, older_than_s)
        return frozenset(loose.keys() - needed.keys()), frozenset(needed)

    async def _add_needed(
        self,
        loose: dict[Digest, Descriptor],
        needed: dict[Digest, Descriptor],
        older_than_s: float,
    ) -> None:
        """Add those of `loose` that are young or refer to what is needed, as a whole.

        A part of an index counts for the index: it has no entry of its own to stay by.
        """
        referring: dict[Digest, list[Digest]] = {}
        owners: dict[Digest, list[Digest]] = {}
        for digest, descriptor in loose.items():
            below = await self._documents.reachable([descriptor], subjects=False)
            for part in below.values():
                links = await self._documents.links(part)
                if links is not None:
                    owners.setdefault(part.digest, []).append(digest)
                    if links.subject is not None:
                        referring.setdefault(links.subject.digest, []).append(digest)
        todo = [owner for part in await self._young(owners, older_than_s) for owner in owners[part]]
        todo += [
            owner for subject in needed.keys() & referring.keys() for owner in referring[subject]
        ]
        while todo:
            digest = todo.pop()
            if digest in needed:
                continue
            before = len(needed)
            await self._documents.reachable([loose[digest]], subjects=True, found=needed)
            for new in islice(reversed(needed), len(needed) - before):
                todo += referring.get(new, ())

    async def _young(self, digests: Iterable[Digest], older_than_s: float) -> list[Digest]:
        def look() -> list[Digest]:
            now_s = time.time()
            with storage_errors("examine blobs"):
                return [one for one in digests if self._blobs.age_s(one, now_s) < older_than_s]

        return await run_in_thread(look)


def _loose(entries: Entries, needed: dict[Digest, Descriptor]) -> dict[Digest, Descriptor]:
    """Return the documents that are listed without a name, and nowhere else."""
    return {one.digest: one for one in entries if one.is_document and one.digest not in needed}
