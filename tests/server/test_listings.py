"""Lists of tags and of repositories: C-06, C-10, C-38 over HTTP; referrers are elsewhere."""

import pytest

from ocipkg_async.spec import Digest, media_types
from server.driving import REPOSITORY, Driver, Start, manifest_url, referrers_url

TAGS = f"/v2/{REPOSITORY}/tags/list"


async def test_c10_ping(driver: Driver) -> None:
    for method in ("GET", "HEAD"):
        assert (await driver(method, "/v2/")).status == 200


async def test_c10_repository_that_was_never_written(driver: Driver) -> None:
    assert await driver.code_of(TAGS) == (404, "NAME_UNKNOWN")
    answer = await driver("GET", referrers_url(Digest.of(b"x")))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == media_types.OCI_INDEX
    assert answer.json["manifests"] == []
    assert await driver.code_of(referrers_url("sha256:x")) == (400, "DIGEST_INVALID")


async def test_c38_tags_are_sorted_and_paged(driver: Driver) -> None:
    tags = ["B", "_x", "a", "a-1", "a.1", "v10", "v2"]
    for tag in reversed(tags):
        await driver.push_manifest(tag)
    answer = await driver("GET", TAGS)
    assert answer.json == {"name": REPOSITORY, "tags": tags}
    assert answer.headers["Content-Type"] == "application/json"
    assert await driver.pages(f"{TAGS}?n=3", "tags") == [tags[:3], tags[3:6], tags[6:]]
    assert await driver.pages(f"{TAGS}?n=7", "tags") == [tags]
    assert await driver.pages(f"{TAGS}?last=a", "tags") == [tags[3:]]
    assert await driver.pages(f"{TAGS}?last=zzz", "tags") == [[]]
    assert await driver.pages(f"{TAGS}?last=", "tags") == [tags]
    assert await driver.pages(f"{TAGS}?n=0", "tags") == [[]]
    assert await driver.pages(f"{TAGS}?n=0&last=a", "tags") == [[]]


async def test_c38_pages_are_capped_whatever_is_asked_for(start: Start) -> None:
    driver = await start(page_entries=2)
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        await driver.push_manifest(name, name)
        await driver.push_manifest(name)
    for query in ("", "?n=3", "?n=100", f"?n={'9' * 40}"):
        for path, member, expected in (
            (TAGS, "tags", names),
            ("/v2/_catalog", "repositories", [*names, REPOSITORY]),
        ):
            pages = await driver.pages(path + query, member)
            assert [len(page) for page in pages] == [2, 2, len(expected) - 4]
            assert [one for page in pages for one in page] == expected
    assert await driver.pages(f"{TAGS}?n=1", "tags") == [[name] for name in names]


@pytest.mark.parametrize("text", ["-1", "x", "", "1.5", "%31%00", "1%202", "0x1"])
async def test_c38_page_size_that_is_no_number(driver: Driver, text: str) -> None:
    await driver.push_manifest("v1")
    for path in (TAGS, "/v2/_catalog"):
        assert await driver.code_of(f"{path}?n={text}") == (400, "UNSUPPORTED")


async def test_c38_pages_go_on_where_a_tag_was_deleted(driver: Driver) -> None:
    """What stays through the reading is read once, also when the page's last tag goes."""
    for tag in ("a", "b", "c", "d"):
        await driver.push_manifest(tag)
    first = await driver("GET", f"{TAGS}?n=2")
    assert first.json["tags"] == ["a", "b"]
    await driver("DELETE", manifest_url("b"))
    await driver.push_manifest("aa")
    path = first.headers["Link"].removeprefix("<").partition(">")[0]
    assert await driver.pages(path, "tags") == [["c", "d"]]


async def test_c06_tags_after_delete_and_without_a_tag(driver: Driver) -> None:
    document = await driver.push_manifest("one")
    await driver.push_document(document, "two")
    await driver("DELETE", manifest_url("one"))
    assert (await driver("GET", TAGS)).json["tags"] == ["two"]
    await driver("DELETE", manifest_url("two"))
    assert (await driver("GET", TAGS)).json["tags"] == []


async def test_catalog_lists_nested_repositories_in_pages(driver: Driver) -> None:
    names = ["a", "a/b", "a/b/c", "z"]
    assert await driver.pages("/v2/_catalog", "repositories") == [[]]
    for name in ("a/b/c", "z", "a/b", "a"):
        await driver.push_blob(b"data", name)
    assert await driver.pages("/v2/_catalog", "repositories") == [names]
    assert await driver.pages("/v2/_catalog?n=3", "repositories") == [names[:3], names[3:]]
    assert await driver.pages("/v2/_catalog?last=a", "repositories") == [names[1:]]
    assert await driver.pages("/v2/_catalog?last=zz", "repositories") == [[]]
    assert await driver.pages("/v2/_catalog?n=0", "repositories") == [[]]


@pytest.mark.parametrize("path", ["/v2/_catalog", TAGS, referrers_url(Digest.of(b"x"))])
async def test_lists_take_no_writes(driver: Driver, path: str) -> None:
    await driver.push_manifest("v1")
    for method in ("PUT", "POST", "DELETE"):
        answer = await driver(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
