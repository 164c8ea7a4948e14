"""A client that pushes, moves and deletes at random, and remembers what it was promised."""

import contextlib
from collections.abc import Awaitable
from random import Random

import aiohttp

from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Manifest, media_types
from server.driving import Answer, Driver, blob_url, manifest_url

Facts = dict[str, bytes | None]
"""What GET of some paths returns; None is 404."""

TAGS = 4
SAMPLE = 15


class RandomWriter:
    """One client, which works on tags of its own in a repository that all share.

    Args:
        number: which client it is.
        chance: draws what it does.
    """

    SHARED = "team/shared"

    def __init__(self, number: int, chance: Random) -> None:
        self._chance = chance
        self._number = number
        self._own = f"team/own{number}"
        self._known: Facts = {}
        self._recent: list[str] = []
        self._pending: Facts = {}
        self._blobs: dict[str, list[bytes]] = {self.SHARED: [], self._own: []}
        self.acknowledged = 0

    @property
    def tags(self) -> set[str]:
        """Its tags in the shared repository."""
        start = manifest_url("", self.SHARED)
        return {
            path.removeprefix(start)
            for path, body in self._known.items()
            if body is not None and path.startswith(start) and ":" not in path
        }

    async def work(self, drive: Driver) -> None:
        """Do one thing after the other until the registry is gone."""
        # The answer to what was sent last is not known then, even if it was on its way.
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            for repository in (self.SHARED, self._own):
                await self._push(drive, repository, EMPTY_JSON)
            while True:
                await self._step(drive)

    async def check(self, drive: Driver, *, everything: bool = False) -> None:
        """Check that all that was acknowledged is there, and what was not is so wholly or not at all."""
        seen = await _facts(drive, self._pending)
        before = {path: self._known.get(path) for path in self._pending}
        assert seen in (before, self._pending)
        # What never came may yet come from another client, which happens to push the same blob.
        self._known.update({p: body for p, body in seen.items() if body or p in self._known})
        self._pending = {}
        paths = list(self._known)
        if not everything:
            paths = self._recent + self._chance.sample(paths, min(SAMPLE, len(paths)))
        expected = {path: self._known[path] for path in paths}
        assert await _facts(drive, expected) == expected
        self._recent = []

    async def _step(self, drive: Driver) -> None:
        chance = self._chance
        repository = chance.choice([self.SHARED, self._own])
        there = [path for path, body in self._known.items() if body and "/manifests/" in path]
        what = chance.choice(
            ["blob", "chunks", "mount", *3 * ["tag"], "tags", "digest", *2 * ["delete"]]
        )
        if what in {"blob", "chunks"} or len(self._blobs[repository]) < 2:
            size = chance.choice([20, 1000, 100_000, 400_000])
            await self._push(drive, repository, chance.randbytes(size), chunks=what == "chunks")
        elif what == "mount":
            await self._mount(drive, repository)
        elif what != "delete" or not there:
            count = {"tag": 1, "tags": 3}.get(what, 0)
            tags = [f"w{self._number}-{n}" for n in chance.sample(range(TAGS), count)]
            await self._push_manifest(drive, repository, tags)
        else:
            await self._delete(drive, chance.choice(there))

    async def _push(
        self, drive: Driver, repository: str, data: bytes, *, chunks: bool = False
    ) -> None:
        digest = Digest.of(data)
        cut = self._chance.randrange(len(data)) if chunks else 0

        async def send() -> Answer:
            location = await drive.start(repository)
            if cut:
                sent = await drive("PATCH", location, data=data[:cut])
                location = sent.location
            return await drive("PUT", f"{location}?digest={digest}", data=data[cut:])

        await self._do({blob_url(digest, repository): data}, send())
        self._blobs[repository].append(data)

    async def _mount(self, drive: Driver, repository: str) -> None:
        source = self._own if repository == self.SHARED else self.SHARED
        data = self._chance.choice(self._blobs[source])
        digest = Digest.of(data)
        path = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}"
        await self._do({blob_url(digest, repository): data}, drive("POST", path))
        self._blobs[repository].append(data)

    async def _push_manifest(self, drive: Driver, repository: str, tags: list[str]) -> None:
        layers = self._chance.sample(self._blobs[repository], 2)
        document = Manifest.build(
            config=EMPTY,
            layers=tuple(Descriptor.of(data, media_types.OCI_LAYER_TAR) for data in layers),
            artifact_type="application/vnd.test.artifact",
            annotations={"n": self._chance.randbytes(8).hex()},
        )
        names = (document.digest, *tags)
        after: Facts = {manifest_url(name, repository): document.raw for name in names}
        name = tags[0] if len(tags) == 1 else document.digest
        query = "?" + "&".join(f"tag={tag}" for tag in tags) if len(tags) > 1 else ""
        await self._do(after, drive.push_document(document, name + query, repository))

    async def _delete(self, drive: Driver, path: str) -> None:
        name = path.rpartition("/")[2]
        after: Facts = {path: None}
        if ":" in name:  # with its tags
            repository = path.removesuffix(name)
            body = self._known[path]
            after |= {p: None for p, b in self._known.items() if b == body and repository in p}
        await self._do(after, drive("DELETE", path))

    async def _do(self, after: Facts, request: Awaitable[Answer]) -> None:
        self._pending = after
        answer = await request
        assert answer.status in {201, 202}, answer
        self._known.update(after)
        self._recent += after
        self._pending = {}
        self.acknowledged += 1


async def _facts(drive: Driver, paths: Facts) -> Facts:
    found: Facts = {}
    for path in paths:
        answer = await drive("GET", path)
        assert answer.status in {200, 404}, answer
        found[path] = answer.body if answer.status == 200 else None
    return found
