"""Tags, repositories, referrers: C-06, C-07, C-10, C-37, C-38 over HTTP."""

import re

import pytest

from ocipkg_async.spec import Descriptor, Digest, Index, Manifest, media_types
from server.driving import REPOSITORY, Driver, Start, manifest, manifest_url

TAGS = f"/v2/{REPOSITORY}/tags/list"


def referrers_url(digest: str, repository: str = REPOSITORY) -> str:
    return f"/v2/{repository}/referrers/{digest}"


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


async def follow(driver: Driver, path: str, member: str) -> list[list[str]]:
    """Read pages until there is no Link."""
    pages = []
    while True:
        answer = await driver("GET", path)
        assert answer.status == 200
        pages.append(answer.json[member])
        link = answer.headers.get("Link")
        if link is None:
            return pages
        match = re.fullmatch(r'<(.+)>; rel="next"', link)
        assert match is not None
        path = match[1]


async def test_c38_tags_are_sorted_and_paged(driver: Driver) -> None:
    tags = ["B", "_x", "a", "a-1", "a.1", "v10", "v2"]
    for tag in reversed(tags):
        await driver.push_manifest(tag)
    answer = await driver("GET", TAGS)
    assert answer.json == {"name": REPOSITORY, "tags": tags}
    assert answer.headers["Content-Type"] == "application/json"
    assert await follow(driver, f"{TAGS}?n=3", "tags") == [tags[:3], tags[3:6], tags[6:]]
    assert await follow(driver, f"{TAGS}?n=7", "tags") == [tags]
    assert await follow(driver, f"{TAGS}?last=a", "tags") == [tags[3:]]
    assert await follow(driver, f"{TAGS}?n=0", "tags") == [[]]
    assert (await driver("GET", f"{TAGS}?n=x")).status == 400


async def test_c06_tags_after_delete_and_without_a_tag(driver: Driver) -> None:
    document = await driver.push_manifest("one")
    await driver.push_document(document, "two")
    await driver("DELETE", manifest_url("one"))
    assert (await driver("GET", TAGS)).json["tags"] == ["two"]
    await driver("DELETE", manifest_url("two"))
    assert (await driver("GET", TAGS)).json["tags"] == []


async def test_catalog_lists_nested_repositories_in_pages(driver: Driver) -> None:
    names = ["a", "a/b", "a/b/c", "z"]
    assert await follow(driver, "/v2/_catalog", "repositories") == [[]]
    for name in ("a/b/c", "z", "a/b", "a"):
        await driver.push_blob(b"data", name)
    assert await follow(driver, "/v2/_catalog", "repositories") == [names]
    assert await follow(driver, "/v2/_catalog?n=3", "repositories") == [names[:3], names[3:]]
    assert await follow(driver, "/v2/_catalog?last=a", "repositories") == [names[1:]]


async def test_c07_referrers(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    pushed: dict[str, tuple[str, str, dict[str, str] | None]] = {}
    for number, kind in enumerate(("a/one", "a/one+x", "a/two")):
        notes = {"n": str(number)}
        document = await driver.push_manifest(
            subject=subject, artifact_type=kind, annotations=notes
        )
        pushed[document.digest] = (media_types.OCI_MANIFEST, kind, notes)
    index = Index.build(
        manifests=(subject.descriptor,), subject=subject.descriptor, artifact_type="a/two"
    )
    answer = await driver.push_document(index, "index")
    assert answer.headers["OCI-Subject"] == subject.digest
    pushed[index.digest] = (media_types.OCI_INDEX, "a/two", None)

    answer = await driver("GET", referrers_url(subject.digest))
    assert "OCI-Filters-Applied" not in answer.headers
    assert {
        one["digest"]: (one["mediaType"], one["artifactType"], one.get("annotations"))
        for one in answer.json["manifests"]
    } == pushed

    for kind, asked in (("a/two", "a%2Ftwo"), ("a/one+x", "a/one%2Bx"), ("a/one+x", "a/one+x")):
        answer = await driver("GET", f"{referrers_url(subject.digest)}?artifactType={asked}")
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        found = {one["digest"] for one in answer.json["manifests"]}
        assert found == {digest for digest, (_, has, _) in pushed.items() if has == kind}


async def test_c37_referrer_of_a_missing_subject_and_after_delete(driver: Driver) -> None:
    subject = manifest(annotations={"never": "pushed"})
    document = await driver.push_manifest(subject=subject)
    url = referrers_url(subject.digest)
    assert [one["digest"] for one in (await driver("GET", url)).json["manifests"]] == [
        document.digest
    ]
    await driver("DELETE", manifest_url(document.digest))
    assert (await driver("GET", url)).json["manifests"] == []


async def test_c37_child_that_refers_is_found_after_its_index_was_deleted(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    child = await driver.push_manifest(subject=subject)
    index = Index.build(manifests=(child.descriptor,))
    await driver.push_document(index, "index")
    for _ in range(2):
        answer = await driver("GET", referrers_url(subject.digest))
        assert [one["digest"] for one in answer.json["manifests"]] == [child.digest]
        await driver("DELETE", manifest_url(index.digest))


async def test_d86_artifact_type_from_the_config(driver: Driver) -> None:
    config = b'{"of": "mine"}'
    subject = await driver.push_manifest("v1")
    await driver.push_blob(config)
    document = Manifest.build(
        config=Descriptor.of(config, "application/vnd.mine"),
        layers=(),
        subject=subject.descriptor,
    )
    await driver.push_document(document)
    answer = await driver("GET", referrers_url(subject.digest))
    assert [one["artifactType"] for one in answer.json["manifests"]] == ["application/vnd.mine"]


async def test_c37_manifests_under_the_fallback_tag_are_listed(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    here = await driver.push_manifest(annotations={"old": "client"})
    listed = here.descriptor
    index = Index.build(manifests=(listed,))
    await driver.push_document(index, subject.digest.replace(":", "-"))
    answer = await driver("GET", referrers_url(subject.digest))
    assert [one["digest"] for one in answer.json["manifests"]] == [here.digest]


async def test_d85_referrers_in_pages(start: Start) -> None:
    driver = await start(page_entries=2)
    subject = await driver.push_manifest("v1")
    documents = [
        await driver.push_manifest(subject=subject, annotations={"n": str(number)})
        for number in range(5)
    ]
    pages = await follow(driver, referrers_url(subject.digest), "manifests")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {one["digest"] for page in pages for one in page} == {one.digest for one in documents}  # type: ignore[index]


async def test_c37_referrers_switched_off(start: Start) -> None:
    driver = await start(referrers=False)
    subject = await driver.push_manifest("v1")
    document = manifest(subject=subject)
    answer = await driver.push_document(document)
    assert answer.status == 201
    assert "OCI-Subject" not in answer.headers
    assert (await driver("GET", referrers_url(subject.digest))).status == 404


@pytest.mark.parametrize("path", ["/v2/_catalog", TAGS, referrers_url(Digest.of(b"x"))])
async def test_lists_take_no_writes(driver: Driver, path: str) -> None:
    await driver.push_manifest("v1")
    for method in ("PUT", "POST", "DELETE"):
        answer = await driver(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
