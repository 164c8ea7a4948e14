"""Many clients at once on one tag, one blob, one repository: C-11, C-33 to C-35 over HTTP."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Iterable

import pytest

from ocipkg_async.layout import Layout
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.server.storage.root_folder import UPLOADS
from ocipkg_async.spec import Digest, Index
from server.driving import REPOSITORY, Answer, Driver, blob_url, manifest, manifest_url

CLIENTS = 24
UPLOADS_URL = f"/v2/{REPOSITORY}/blobs/uploads/"


async def at_once(work: Iterable[Awaitable[Answer]]) -> Counter[int]:
    """Do it all at once; return how often each status was answered."""
    return Counter(answer.status for answer in await asyncio.gather(*work))


async def test_moves_of_one_tag_end_at_one_of_them_and_readers_see_whole_manifests(
    driver: Driver,
) -> None:
    await driver.push_manifest("moving")
    documents = [
        # Of very different sizes: a mixture of two would show.
        manifest(annotations={"n": str(number), "text": "x" * (number * 3000)})
        for number in range(CLIENTS)
    ]
    known = {document.digest: document.raw for document in (manifest(), *documents)}
    done = False
    reads = 0

    async def read() -> None:
        nonlocal reads
        while not done:
            answer = await driver("GET", manifest_url("moving"))
            assert answer.status == 200
            digest = answer.headers["Docker-Content-Digest"]
            assert answer.body == known[Digest(digest)]
            assert answer.headers["ETag"] == f'"{digest}"'
            head = await driver("HEAD", manifest_url("moving"))
            length = int(head.headers["Content-Length"])
            assert length == len(known[Digest(head.headers["Docker-Content-Digest"])])
            reads += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(read())
        statuses = await at_once(driver.push_document(one, "moving") for one in documents)
        done = True
    assert statuses == {201: CLIENTS}
    assert reads
    last = await driver("GET", manifest_url("moving"))
    assert last.headers["Docker-Content-Digest"] in known
    assert (await driver("GET", manifest_url("moving"))).body == last.body
    # The others lost the tag, not themselves.
    for document in documents:
        assert (await driver("GET", manifest_url(document.digest))).body == document.raw
    assert (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"] == ["moving"]


async def test_tags_set_and_deleted_at_once_keep_to_the_answers(driver: Driver) -> None:
    """Each client works on its own tag, all in one index: none undoes what another was promised."""
    document = await driver.push_manifest()

    async def work(number: int) -> None:
        choice = random.Random(number)  # noqa: S311 - the order of the steps
        tag, there = f"t{number}", False
        for _ in range(6):
            if there and choice.random() < 0.5:
                assert (await driver("DELETE", manifest_url(tag))).status == 202
                there = False
            else:
                assert (await driver.push_document(document, tag)).status == 201
                there = True
            answer = await driver("HEAD", manifest_url(tag))
            assert answer.status == (200 if there else 404)

    await asyncio.gather(*(work(number) for number in range(8)))


async def test_deletes_of_one_manifest_succeed_once(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    path = manifest_url(document.digest)
    statuses = await at_once(driver("DELETE", path) for _ in range(CLIENTS))
    assert statuses == {202: 1, 404: CLIENTS - 1}
    assert (await driver("GET", manifest_url("v1"))).status == 404


async def test_referrers_attached_at_once_are_all_listed(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    documents = [
        manifest(subject=subject, annotations={"n": str(number)}) for number in range(CLIENTS)
    ]
    assert await at_once(map(driver.push_document, documents)) == {201: CLIENTS}
    answer = await driver("GET", f"/v2/{REPOSITORY}/referrers/{subject.digest}")
    listed = [one["digest"] for one in answer.json["manifests"]]
    assert sorted(listed) == sorted(document.digest for document in documents)


async def test_one_blob_pushed_in_many_ways_at_once(
    driver: Driver, embedded: EmbeddedRegistry
) -> None:
    """By both digests, in one request and in two, into old and new repositories, while it is read."""
    data = os.urandom(400_000)
    names = [REPOSITORY, "other", "other/below", "new"]
    await driver.push_blob(data, "other")

    async def post(name: str, algorithm: str) -> Answer:
        path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(data, algorithm)}"
        return await driver("POST", path, data=data)

    async def put(name: str, algorithm: str) -> Answer:
        location = await driver.start(name)
        return await driver("PUT", f"{location}?digest={Digest.of(data, algorithm)}", data=data)

    async def read() -> None:
        for _ in range(10):
            answer = await driver("GET", blob_url(Digest.of(data), "other"))
            assert answer.body == data

    pushes = [
        push(name, algorithm)
        for name in names
        for algorithm in ("sha256", "sha512")
        for push in (post, put, put)
    ]
    statuses, *_ = await asyncio.gather(at_once(pushes), read(), read())
    assert statuses == {201: len(pushes)}
    for name in names:
        for algorithm in ("sha256", "sha512"):
            answer = await driver("GET", blob_url(Digest.of(data, algorithm), name))
            assert answer.body == data
    assert list((embedded.root / UPLOADS).iterdir()) == []


@pytest.mark.parametrize("source", ["&from=source", ""])
async def test_mounts_at_once(driver: Driver, embedded: EmbeddedRegistry, source: str) -> None:
    """Into a repository that is not there yet, the same blobs many times."""
    blobs = [os.urandom(50_000) for _ in range(3)]
    digests = [await driver.push_blob(data, "source") for data in blobs]
    statuses = await at_once(
        driver("POST", f"/v2/{name}/blobs/uploads/?mount={digest}{source}")
        for name in ("new", "new/below")
        for digest in digests
        for _ in range(4)
    )
    assert statuses == {201: 24}
    for name in ("new", "new/below", "source"):
        for digest, data in zip(digests, blobs, strict=True):
            assert (await driver("GET", blob_url(digest, name))).body == data
    assert list((embedded.root / UPLOADS).iterdir()) == []


async def test_mounts_while_the_source_is_deleted(driver: Driver) -> None:
    """Each is a whole blob or a new upload, as its answer says."""
    data = os.urandom(50_000)
    digest = await driver.push_blob(data, "source")

    async def mount(name: str) -> None:
        answer = await driver("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from=source")
        if answer.status == 202:
            assert (await driver("GET", blob_url(digest, name))).status == 404
            assert (await driver("DELETE", answer.location)).status == 204
        else:
            assert answer.status == 201
            assert (await driver("GET", blob_url(digest, name))).body == data

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(mount(f"target{number}"))
            if number == CLIENTS // 2:
                group.create_task(driver("DELETE", blob_url(digest, "source")))
    assert (await driver("GET", blob_url(digest, "source"))).status == 404


async def test_c31_another_writer_in_the_folder(driver: Driver, embedded: EmbeddedRegistry) -> None:
    """A tool that keeps to the layout's lock and the registry lose nothing of each other's."""
    document = await driver.push_manifest("v1")
    layout = await Layout.open(embedded.root / REPOSITORY)
    theirs, ours = ([f"{who}{number}" for number in range(10)] for who in ("theirs", "ours"))

    async def write() -> None:
        for tag in theirs:
            await layout.tag(document.descriptor, tag)

    statuses, _ = await asyncio.gather(
        at_once(driver.push_document(document, tag) for tag in ours), write()
    )
    assert statuses == {201: len(ours)}
    await layout.untag("v1")
    listed = (await driver("GET", f"/v2/{REPOSITORY}/tags/list")).json["tags"]
    assert listed == [*ours, *theirs]
    assert await layout.tags() == listed
    assert (await driver("GET", manifest_url("v1"))).status == 404


async def test_index_pushed_while_its_children_come(driver: Driver) -> None:
    """It is taken when all are there, whoever pushed them, and not before."""
    await driver.push_manifest()
    children = [manifest(annotations={"n": str(number)}) for number in range(4)]
    index = Index.build(manifests=tuple(child.descriptor for child in children))

    async def push_until_taken() -> None:
        while (answer := await driver.push_document(index, "all")).status != 201:
            assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
        for child in children:
            assert (await driver("HEAD", manifest_url(child.digest))).status == 200

    async def push(number: int) -> None:
        for child in children[number:] + children[:number]:
            assert (await driver.push_document(child)).status == 201

    await asyncio.gather(*(push_until_taken() for _ in range(3)), *(push(n) for n in range(4)))
    assert (await driver("GET", manifest_url("all"))).body == index.raw
