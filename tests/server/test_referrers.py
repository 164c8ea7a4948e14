"""The selection and the pages of the referrers API."""

from ocipkg_async.server.referrers import fallback_tag, merged, page_of_referrers
from ocipkg_async.spec import Descriptor, Digest, Index, media_types, parse_document


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
