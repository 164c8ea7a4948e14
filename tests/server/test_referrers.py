"""Referrers: their selection and pages as plain values, then C-07, C-37 over HTTP."""

import tracemalloc

from ocipkg_async.server.storage.referrers import fallback_tag, merged, page_of_referrers
from ocipkg_async.spec import Descriptor, Digest, Index, Manifest, media_types, parse_document
from server.driving import Driver, Start, manifest, manifest_url, referrers_url


def entry(text: str, artifact_type: str = "application/a") -> Descriptor:
    data = text.encode()
    return Descriptor(
        media_type=media_types.OCI_MANIFEST,
        digest=Digest.of(data),
        size=len(data),
        artifact_type=artifact_type,
    )


def listed(body: bytes) -> list[str]:
    index = parse_document(body, media_type=media_types.OCI_INDEX)
    assert isinstance(index, Index)
    return [one.digest for one in index.manifests]


def test_d90_fallback_tag_of_a_long_digest_is_cut() -> None:
    assert fallback_tag(Digest("sha256:" + "a" * 64)) == "sha256-" + "a" * 64
    assert fallback_tag(Digest("sha512:" + "b" * 128)) == "sha512-" + "b" * 64


def test_c37_listed_under_the_fallback_tag_and_found_are_one_entry() -> None:
    old = entry("x", "application/old")
    new = entry("x", "application/new")
    other = entry("y")
    assert set(merged([new], [old, other], artifact_type=None)) == {new, other}


def test_d84_filter() -> None:
    one, two = entry("x", "application/a"), entry("y", "application/b")
    assert merged([one, two], [], artifact_type="application/b") == [two]


def test_d85_pages_keep_the_filter_and_lose_nothing() -> None:
    entries = merged([entry(str(n)) for n in range(7)], [], artifact_type=None)
    found: list[str] = []
    last = None
    pages = 0
    while True:
        page = page_of_referrers(
            entries, path="/r", last=last, artifact_type="a/b+c", max_entries=3
        )
        found += listed(page.body)
        pages += 1
        if page.link is None:
            break
        assert page.link.endswith('&artifactType=a%2Fb%2Bc>; rel="next"')
        last = found[-1]
    assert found == [one.digest for one in entries]
    assert pages == 3


def test_page_stays_below_what_clients_read() -> None:
    big = [
        Descriptor(
            media_type=media_types.OCI_MANIFEST,
            digest=Digest.of(str(n).encode()),
            size=1,
            annotations={"text": "x" * 1_000_000},
        )
        for n in range(5)
    ]
    page = page_of_referrers(
        merged(big, [], artifact_type=None), path="/r", last=None, artifact_type=None, max_entries=9
    )
    assert len(page.body) < 4 << 20
    assert page.link is not None


def test_d82_nothing_is_an_empty_index() -> None:
    page = page_of_referrers([], path="/r", last=None, artifact_type=None, max_entries=9)
    assert listed(page.body) == []
    assert page.link is None


async def found(driver: Driver, subject: Manifest | Index) -> set[str]:
    """The digests of its referrers, each listed once."""
    answer = await driver("GET", referrers_url(subject.digest))
    assert answer.status == 200
    digests = [one["digest"] for one in answer.json["manifests"]]
    assert len(digests) == len(set(digests))
    return set(digests)


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
    assert await found(driver, subject) == {document.digest}
    await driver("DELETE", manifest_url(document.digest))
    assert await found(driver, subject) == set()


async def test_c37_child_that_refers_is_found_after_its_index_was_deleted(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    child = await driver.push_manifest(subject=subject)
    index = Index.build(manifests=(child.descriptor,))
    await driver.push_document(index, "index")
    for _ in range(2):
        assert await found(driver, subject) == {child.digest}
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
    assert await found(driver, subject) == {here.digest}


async def test_d85_referrers_in_pages(start: Start) -> None:
    """All of them and the filtered ones; ``n`` is no parameter of this list."""
    driver = await start(page_entries=2)
    subject = await driver.push_manifest("v1")
    kinds = ["a/one", "a/two+json"]
    pushed = [
        await driver.push_manifest(
            subject=subject, artifact_type=kinds[number % 2], annotations={"n": str(number)}
        )
        for number in range(10)
    ]
    for query, expected in (
        ("", pushed),
        ("?n=9", pushed),
        ("?artifactType=a%2Ftwo%2Bjson", pushed[1::2]),
        ("?artifactType=a/none", []),
    ):
        pages = await driver.pages(referrers_url(subject.digest) + query, "manifests")
        assert [len(page) for page in pages[:-1]] == [2] * ((len(expected) - 1) // 2)
        listed = [one["digest"] for page in pages for one in page]
        assert len(listed) == len(set(listed))
        assert set(listed) == {one.digest for one in expected}


async def test_d85_pages_of_referrers_go_on_where_one_was_deleted(start: Start) -> None:
    driver = await start(page_entries=2)
    subject = await driver.push_manifest("v1")
    pushed = sorted(
        [
            (await driver.push_manifest(subject=subject, annotations={"n": str(number)})).digest
            for number in range(4)
        ]
    )
    first = await driver("GET", referrers_url(subject.digest))
    await driver("DELETE", manifest_url(pushed[1]))
    path = first.headers["Link"].removeprefix("<").partition(">")[0]
    (page,) = await driver.pages(path, "manifests")
    assert [one["digest"] for one in page] == pushed[2:]


async def test_c37_referrers_switched_off(start: Start) -> None:
    driver = await start(referrers=False)
    subject = await driver.push_manifest("v1")
    document = manifest(subject=subject)
    answer = await driver.push_document(document)
    assert answer.status == 201
    assert "OCI-Subject" not in answer.headers
    assert (await driver("GET", referrers_url(subject.digest))).status == 404


async def test_c37_referrer_that_was_deleted_comes_back(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    document = await driver.push_manifest(subject=subject)
    for _ in range(2):
        assert await found(driver, subject) == {document.digest}
        await driver("DELETE", manifest_url(document.digest))
        assert await found(driver, subject) == set()
        answer = await driver.push_document(document)
        assert answer.headers["OCI-Subject"] == subject.digest
    assert await found(driver, subject) == {document.digest}


async def test_c37_referrers_of_a_subject_that_was_deleted(driver: Driver) -> None:
    """They stay, are still listed, and are there when the subject comes back."""
    subject = await driver.push_manifest("v1")
    document = await driver.push_manifest("signature", subject=subject)
    assert (await driver("DELETE", manifest_url(subject.digest))).status == 202
    assert await found(driver, subject) == {document.digest}
    assert (await driver("GET", manifest_url("signature"))).body == document.raw
    await driver.push_document(subject, "v2")
    assert await found(driver, subject) == {document.digest}


async def test_c37_referrer_without_its_tag_is_still_one(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    document = await driver.push_manifest("signature", subject=subject)
    await driver("DELETE", manifest_url("signature"))
    assert await found(driver, subject) == {document.digest}
    # The tag of another manifest takes nothing from it, either.
    await driver.push_document(document, "moving")
    await driver.push_manifest("moving", annotations={"n": "2"})
    assert await found(driver, subject) == {document.digest}


async def test_c37_each_digest_of_a_subject_has_its_own_referrers(driver: Driver) -> None:
    short = await driver.push_manifest("v1")
    digest = Digest.of(short.raw, "sha512")
    await driver.push_document(short, digest)
    long = parse_document(short.raw, media_type=short.media_type, digest=digest)
    pushed = {
        one.digest: await driver.push_manifest(
            subject=one, annotations={"of": one.digest.algorithm}
        )
        for one in (short, long)
    }
    for one in (short, long):
        assert await found(driver, one) == {pushed[one.digest].digest}


async def test_c37_referrers_are_those_of_one_repository(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    await driver.push_manifest("v1", "other")
    document = await driver.push_manifest(subject=subject)
    assert await found(driver, subject) == {document.digest}
    answer = await driver("GET", referrers_url(subject.digest, "other"))
    assert answer.json["manifests"] == []


async def test_long_annotations_of_many_referrers_are_not_held_at_once(driver: Driver) -> None:
    subject = await driver.push_manifest("v1")
    sent = set[str]()
    for number in range(30):
        notes = {"long": "x" * (2 << 20), "number": str(number)}
        document = await driver.push_manifest(layers=(), subject=subject, annotations=notes)
        sent.add(document.digest)
    tracemalloc.start()
    try:
        for query in ("", "?artifactType=application/vnd.test.artifact"):
            pages = await driver.pages(referrers_url(subject.digest) + query, "manifests")
            listed = [(one["digest"], len(one["annotations"]["long"])) for p in pages for one in p]
            assert sorted(listed) == [(digest, 2 << 20) for digest in sorted(sent)]
            pages.clear()
        held, _ = tracemalloc.get_traced_memory()
        assert held < 45 << 20, "all that was pushed is 60 MiB"
    finally:
        tracemalloc.stop()
