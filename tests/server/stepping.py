"""One request, what is there before and after it, and the pieces that such are made of."""

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY_JSON, Digest, Index, Manifest
from server.driving import Answer, Driver, manifest

LARGE = bytes(range(256)) * (10 << 10)
"""More than is gathered in memory before it is written."""
ONE = manifest(layers=("one",))
TWO = manifest(layers=("two",))
CHILDREN = [manifest(layers=("one",), annotations={"n": str(n)}) for n in range(2)]
INDEX = Index.build(manifests=tuple(child.descriptor for child in CHILDREN))
REFERRER = manifest(layers=("one",), subject=ONE)
OLD_S = 7200.0

NAME = "team/app"

Facts = dict[str, bytes | None]
"""What GET returns, by the path below the repository; None is 404, a list is its sorted names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a step is done.

    Attributes:
        registry: a running registry.
        drive: sends requests to it.
    """

    registry: EmbeddedRegistry
    drive: Driver

    async def send(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request that must succeed."""
        path = path if path.startswith("/") else f"/v2/{NAME}/{path}"
        answer = await self.drive(method, path, **more)
        assert answer.status in {200, 201, 202, 204}, answer
        return answer

    async def push(self, document: Manifest | Index, name: str | None = None) -> None:
        """Push a manifest by its digest, or by a name with what follows it."""
        headers = {"Content-Type": document.media_type}
        path = f"manifests/{name or document.digest}"
        await self.send("PUT", path, data=document.raw, headers=headers)

    async def facts(self, paths: Mapping[str, object]) -> Facts:
        """What is there; every digest that is in a path is right."""
        found: Facts = {}
        for path in paths:
            answer = await self.drive("GET", f"/v2/{NAME}/{path}")
            assert answer.status in {200, 404}, answer
            body = answer.body if answer.status == 200 else None
            if path == "tags/list":
                body = " ".join(answer.json["tags"]).encode() if body else b""
            elif path.startswith("referrers/"):
                listed = [one["digest"] for one in answer.json["manifests"]]
                body = " ".join(sorted(listed)).encode()
            elif body is not None and ":" in path:
                digest = Digest(path.rpartition("/")[2])
                assert Digest.of(body, digest.algorithm) == digest
            found[path] = body
        return found


Do = Callable[[Place], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request.

    Attributes:
        prepare: what is acknowledged before.
        act: the request, or those that are one push. Done again it succeeds, unless it is `once`.
        before: what there is before.
        after: what of it is different when it was done.
        once: it can only be done once.
        whole: half of it is never seen.
    """

    prepare: Do
    act: Do
    before: Facts = field(default_factory=dict)
    after: Facts
    once: bool = False
    whole: bool = True

    @property
    def all_before(self) -> Facts:
        return {**dict.fromkeys(self.after), **self.before}

    @property
    def all_after(self) -> Facts:
        return {**self.all_before, **self.after}


def blob(data: bytes, algorithm: str = "sha256") -> str:
    return f"blobs/{Digest.of(data, algorithm)}"


def there(*documents: Manifest | Index) -> Facts:
    """By digest; and the blobs that all of them need."""
    found: Facts = {f"manifests/{document.digest}": document.raw for document in documents}
    return {**found, **{blob(data): data for data in (EMPTY_JSON, b"one", b"two")}}


def gone(*documents: Manifest | Index) -> Facts:
    return {f"manifests/{document.digest}": None for document in documents}


def tagged(*, tags: str, **names: Manifest | Index | None) -> Facts:
    """The tags, and what some lead to."""
    found = {f"manifests/{name}": one.raw if one else None for name, one in names.items()}
    return {"tags/list": tags.encode(), **found}


def have(*documents: Manifest | Index, tags: tuple[str, ...] = ()) -> Do:
    """Push documents with all they need; the first gets the tags."""

    async def prepare(place: Place) -> None:
        for data in (EMPTY_JSON, b"one", b"two"):
            await place.send("POST", f"blobs/uploads/?digest={Digest.of(data)}", data=data)
        for document in documents:
            await place.push(document)
        for tag in tags:
            await place.push(documents[0], tag)

    return prepare


def pushed(document: Manifest | Index, name: str | None = None) -> Do:
    return lambda place: place.push(document, name)


def deleted(path: str) -> Do:
    return lambda place: place.send("DELETE", path)


async def nothing(_: Place) -> None:
    """The repository is not there yet."""


async def put_blob(place: Place) -> None:
    await place.drive.push_blob(LARGE, NAME)


async def put_long_digest(place: Place) -> None:
    await place.drive.push_blob(LARGE, NAME, algorithm="sha512")


async def post_blob(place: Place) -> None:
    path = f"/v2/{NAME}/blobs/uploads/?digest={Digest.of(LARGE)}"
    await place.send("POST", path, data=LARGE)


async def send_chunks(place: Place) -> None:
    location = await place.drive.start(NAME)
    cuts = [0, 100_000, 200_000, len(LARGE)]
    for start, stop in itertools.pairwise(cuts):
        method, query = (
            ("PATCH", "") if stop < len(LARGE) else ("PUT", f"?digest={Digest.of(LARGE)}")
        )
        headers = {"Content-Range": f"{start}-{stop - 1}"}
        answer = await place.send(method, location + query, data=LARGE[start:stop], headers=headers)
        location = answer.location


async def have_source(place: Place) -> None:
    await place.drive.push_blob(LARGE, f"{NAME}/source")


async def mount(place: Place) -> None:
    source = f"{NAME}/source"
    await place.send("POST", f"blobs/uploads/?mount={Digest.of(LARGE)}&from={source}")


def aged(do: Do) -> Do:
    """Prepare it, as if that had been long ago; with a blob that nothing needs."""

    async def prepare(place: Place) -> None:
        await do(place)
        await place.drive.push_blob(LARGE, NAME)
        for path in place.registry.root.joinpath(NAME).rglob("*"):
            if path.is_file():
                time_s = path.stat().st_mtime - OLD_S
                os.utime(path, (time_s, time_s))

    return prepare


async def collect(place: Place) -> None:
    await place.registry.collect()


async def collect_untagged(place: Place) -> None:
    await place.registry.collect(untagged=True)
