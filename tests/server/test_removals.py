"""What another program removes at any moment of a request is not there; the registry never fails."""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest

from moments import Remover
from ocipkg_async.server import EmbeddedRegistry
from ocipkg_async.spec import EMPTY, Digest, Index
from server.driving import (
    REPOSITORY,
    Answer,
    Driver,
    blob_url,
    manifest,
    manifest_url,
    referrers_url,
)

CONTENT = b"some content"
BLOB = Digest.of(CONTENT)
CHILD = manifest(layers=("child",))
INDEX = Index.build(manifests=(CHILD.descriptor,))
REFERRER = manifest(layers=("referrer",), subject=INDEX)

Request = Callable[[Driver], Awaitable[Answer]]


@pytest.fixture
def remover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remover:
    return Remover(tmp_path / "root", monkeypatch)


def file(digest: Digest, repository: str = REPOSITORY) -> str:
    return f"{repository}/blobs/sha256/{digest.encoded}"


def ask(
    method: str, path: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Request:
    async def send(driver: Driver) -> Answer:
        return await driver(method, path, data=data, headers=headers)

    return send


async def fill(driver: Driver) -> None:
    await driver.push_manifest(layers=("child",))
    for document, name in ((INDEX, "index"), (REFERRER, "referrer")):
        await driver.push_blob(b"referrer")
        assert (await driver.push_document(document, name)).status == 201
    for repository in (REPOSITORY, "source", "target"):
        await driver.push_blob(b"other" if repository == "target" else CONTENT, repository)


PUSH = ask("PUT", manifest_url("new"), data=CHILD.raw, headers={"Content-Type": CHILD.media_type})
MOUNT = f"/v2/target/blobs/uploads/?mount={BLOB}"


@pytest.mark.parametrize(
    ("send", "target", "statuses"),
    [
        (ask("GET", blob_url(BLOB)), file(BLOB), {200, 404}),
        (ask("GET", blob_url(BLOB), headers={"Range": "bytes=2-3"}), file(BLOB), {206, 404}),
        (ask("HEAD", blob_url(BLOB)), file(BLOB), {200, 404}),
        (ask("DELETE", blob_url(BLOB)), file(BLOB), {202, 404}),
        (ask("POST", f"{MOUNT}&from=source"), file(BLOB, "source"), {201, 202}),
        (ask("POST", MOUNT), file(BLOB, "source"), {201, 202}),
        (ask("POST", f"{MOUNT}&from=source"), "source", {201, 202}),
        (ask("GET", manifest_url("index")), file(INDEX.digest), {200, 404}),
        (ask("GET", manifest_url(CHILD.digest)), file(INDEX.digest), {200, 404}),
        (ask("GET", manifest_url(CHILD.digest)), file(CHILD.digest), {200, 404}),
        (ask("GET", referrers_url(INDEX.digest)), file(REFERRER.digest), {200}),
        (ask("DELETE", manifest_url(INDEX.digest)), file(INDEX.digest), {202}),
        (PUSH, file(CHILD.digest), {201}),
        (PUSH, file(EMPTY.digest), {201, 400}),
        (ask("GET", blob_url(BLOB)), REPOSITORY, {200, 404}),
        (ask("GET", manifest_url("index")), REPOSITORY, {200, 404}),
        (ask("GET", manifest_url("index")), f"{REPOSITORY}/index.json", {200, 404}),
        (ask("GET", f"/v2/{REPOSITORY}/tags/list"), REPOSITORY, {200, 404}),
        (ask("GET", referrers_url(INDEX.digest)), REPOSITORY, {200, 404}),
        (ask("DELETE", manifest_url("index")), REPOSITORY, {202, 404}),
        (ask("GET", "/v2/_catalog"), REPOSITORY, {200}),
        (ask("GET", "/"), REPOSITORY, {200}),
        (ask("GET", f"/?repository={REPOSITORY}"), REPOSITORY, {200, 404}),
    ],
)
async def test_c31_removed_at_each_step(
    http: aiohttp.ClientSession, remover: Remover, send: Request, target: str, statuses: set[int]
) -> None:
    """Once with a repository that is opened for it, then with one that is open."""
    root = remover.folder
    full = root.with_name("full")
    async with EmbeddedRegistry(full) as registry:
        await fill(Driver(http, registry.url))
    seen: set[int] = set()
    for is_open in (False, True) if target.startswith(REPOSITORY) else (False,):
        step, removed = 0, True
        while removed:
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(full, root)
            async with EmbeddedRegistry(root) as registry:
                driver = Driver(http, registry.url)
                if is_open:
                    assert (await driver("GET", manifest_url("index"))).status == 200
                remover.arm(root / target, before=step)
                answer = await send(driver)
                removed = remover.disarm()
            assert answer.status in statuses, (is_open, step, answer)
            seen.add(answer.status)
            step += 1
    assert seen == statuses
