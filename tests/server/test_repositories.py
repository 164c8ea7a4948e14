"""Repositories as folders: containment, foreign folders, layouts that other tools wrote."""

from pathlib import Path

import pytest

from ocipkg_async.content import BytesSource
from ocipkg_async.layout import Layout
from ocipkg_async.server.failures import RefusedError
from ocipkg_async.server.repositories import Repositories
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Digest
from server.driving import Driver, Start, manifest, manifest_url, raw_request


async def test_c31_each_repository_is_a_layout_of_its_own(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    document = await driver.push_manifest("v1", "team/app")
    layout = await Layout.open(tmp_path / "team" / "app", read_only=True)
    assert (await layout.resolve("v1")).digest == document.digest
    assert await layout.tags() == ["v1"]


async def test_c31_layout_that_was_there_before_is_served(start: Start, tmp_path: Path) -> None:
    document = manifest(layers=())
    layout = await Layout.open(tmp_path / "some" / "thing", create=True)
    await layout.push(EMPTY, BytesSource(EMPTY_JSON))
    await layout.push_tagged(document.descriptor, BytesSource(document.raw), "v1")
    # A name that is no tag is not listed as one.
    await layout.tag(document.descriptor, "ghcr.io/org/pkg:v2")
    driver = await start(tmp_path)
    assert (await driver("GET", manifest_url("v1", "some/thing"))).body == document.raw
    assert (await driver("GET", "/v2/some/thing/tags/list")).json["tags"] == ["v1"]
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == ["some/thing"]


async def test_repository_above_and_below_another(start: Start, tmp_path: Path) -> None:
    driver = await start(tmp_path)
    for name in ("a/b", "a", "a/b/c"):
        await driver.push_manifest("v1", name)
    for name in ("a/b", "a", "a/b/c"):
        assert (await driver("GET", f"/v2/{name}/tags/list")).json["tags"] == ["v1"]


async def test_folder_with_files_is_not_made_a_repository(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep out")
    driver = await start(tmp_path)
    location = await driver.start("mine")
    answer = await driver("PUT", f"{location}?digest={Digest.of(b'x')}", data=b"x")
    assert answer.status == 500
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


async def test_c32_link_out_of_the_root_is_refused(start: Start, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    await Layout.open(outside, create=True)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    driver = await start(root)
    assert await driver.code_of("/v2/link/tags/list") == (400, "NAME_INVALID")
    assert (await driver("GET", "/v2/_catalog")).json["repositories"] == []
    repositories = Repositories(root)
    with pytest.raises(RefusedError):
        await repositories.create("link/below")
    assert not (outside / "below").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/tags/list",
        "/v2/%2e%2e/etc/tags/list",
        "/v2/a%2f..%2f..%2fetc/tags/list",
        "/v2/a/blobs/sha256:..%2f..%2findex.json",
        "/v2/a/blobs/..%2f..%2findex.json",
        "/v2/a/manifests/..%2f..%2findex.json",
        "/v2/a/blobs/uploads/..%2f..%2f.registry.lock",
        "//etc/passwd",
        "/v2/a\x00b/tags/list",
    ],
)
async def test_s04_path_escapes_are_refused(driver: Driver, path: str) -> None:
    await driver.push_manifest("v1", "a")
    host = driver.url.removeprefix("http://")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = await raw_request(host, request.encode())
    assert answer.split()[1] in {b"400", b"404"}
    assert b"schemaVersion" not in answer
