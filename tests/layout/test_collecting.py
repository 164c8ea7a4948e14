"""Collecting documents that no name leads to: what goes, what stays, and that it is all of it."""

import os
import time
from pathlib import Path

import pytest

from layout.samples import index_of, layer, manifest, push, push_image
from ocipkg_async.content import BytesSource
from ocipkg_async.errors import IntegrityError
from ocipkg_async.layout import Layout
from ocipkg_async.spec import EMPTY, EMPTY_JSON, Descriptor, Digest, Index, Manifest
from ocipkg_async.spec.image_layout import blob_path

LONG_AGO_S = 7200.0


@pytest.fixture
async def layout(tmp_path: Path) -> Layout:
    return await Layout.open(tmp_path / "layout", create=True)


def age(layout: Layout, *but: Digest) -> None:
    """Make everything old but some blobs."""
    then = time.time() - LONG_AGO_S
    for path in layout.path.rglob("*"):
        if path.is_file() and path.name not in {digest.encoded for digest in but}:
            os.utime(path, (then, then))


async def collected(layout: Layout) -> set[Digest]:
    """Collect; what a run without removal says is what is removed, and the rest is whole."""
    files = sorted(layout.path.rglob("*"))
    before = {entry.digest for entry in await layout.entries()}
    foretold = await layout.collect(untagged=True, dry_run=True)
    assert sorted(layout.path.rglob("*")) == files
    assert {entry.digest for entry in await layout.entries()} == before
    removed = await layout.collect(untagged=True)
    assert sorted(removed) == sorted(foretold)
    assert await layout.verify() == []
    gone = {digest for digest, _ in removed}
    assert {entry.digest for entry in await layout.entries()} == before - gone
    # There is nothing left to do.
    assert await layout.collect(untagged=True) == []
    return gone


async def refer(layout: Layout, subject: Manifest | Index, text: str = "referrer") -> Manifest:
    """Push an image that refers to `subject`, untagged."""
    descriptor, data = layer(text)
    await layout.push(descriptor, BytesSource(data))
    await layout.push(EMPTY, BytesSource(EMPTY_JSON))
    document = manifest(descriptor, subject=subject.descriptor)
    await push(layout, document)
    return document


async def test_only_when_told(layout: Layout) -> None:
    image = await push_image(layout)
    age(layout)
    assert await layout.collect() == []
    assert await collected(layout) == {
        image.digest,
        EMPTY.digest,
        *(layer.digest for layer in image.layers),
    }
    assert await layout.entries() == []


async def test_named_documents_stay_with_what_they_need(layout: Layout) -> None:
    child, nested = await push_image(layout, "child"), await push_image(layout, "nested")
    inner = index_of(nested)
    outer = index_of(child, inner)
    for document in (inner, outer):
        await push(layout, document)
    await layout.tag(outer.descriptor, "v1")
    await push_image(layout, "child")  # listed by itself, too
    lone = await push_image(layout, "lone")
    age(layout)
    assert await collected(layout) == {lone.digest, lone.layers[0].digest}


async def test_one_name_of_several_is_enough(layout: Layout) -> None:
    image = await push_image(layout)
    for name in ("a", "b"):
        await layout.tag(image.descriptor, name)
    await layout.untag("a")
    age(layout)
    assert await collected(layout) == set()


async def test_c37_referrers_of_what_stays_stay_and_others_go(layout: Layout) -> None:
    kept, lost = await push_image(layout, "kept"), await push_image(layout, "lost")
    await layout.tag(kept.descriptor, "v1")
    signature = await refer(layout, kept, "signature")
    of_signature = await refer(layout, signature, "of signature")
    of_lost = await refer(layout, lost, "of lost")
    nobody = manifest(*(await push_image(layout, "x")).layers)
    of_nobody = await refer(layout, Index.build(manifests=(nobody.descriptor,)), "of nobody")
    age(layout)
    gone = await collected(layout)
    assert {lost.digest, of_lost.digest, of_nobody.digest} < gone
    assert gone.isdisjoint({kept.digest, signature.digest, of_signature.digest})
    assert [one.digest for one in await layout.referrers(kept.digest)] == [signature.digest]


async def test_referrer_in_an_index_without_a_name_keeps_the_index(layout: Layout) -> None:
    """It has no entry of its own by which it could stay."""
    kept = await push_image(layout, "kept")
    await layout.tag(kept.descriptor, "v1")
    signature, other = await refer(layout, kept, "signature"), await push_image(layout, "other")
    index = index_of(signature, other)
    await push(layout, index)
    age(layout)
    assert await collected(layout) == set()


async def test_subject_of_what_stays_stays(layout: Layout) -> None:
    subject = await push_image(layout, "subject")
    signature = await refer(layout, subject)
    await layout.tag(signature.descriptor, "signature")
    age(layout)
    assert await collected(layout) == set()


async def test_an_index_without_a_name_goes_and_a_named_part_of_it_stays(layout: Layout) -> None:
    named, other = await push_image(layout, "named"), await push_image(layout, "other")
    index = index_of(named, other)
    await push(layout, index)
    await layout.tag(named.descriptor, "v1")
    age(layout)
    assert await collected(layout) == {index.digest, other.digest, other.layers[0].digest}


async def test_i09_young_documents_stay_with_what_they_need(layout: Layout) -> None:
    young, child, old = [await push_image(layout, text) for text in ("young", "child", "old")]
    index = index_of(child)
    await push(layout, index)
    subject = await push_image(layout, "subject")
    signature = await refer(layout, subject)
    # A part that a client found keeps the index, through which it is found again.
    age(layout, young.digest, child.digest, signature.digest)
    assert await collected(layout) == {old.digest, old.layers[0].digest}


@pytest.mark.parametrize("how", ["moved", "tagged elsewhere", "removed"])
async def test_i09_age_counts_from_the_loss_of_the_last_name(layout: Layout, how: str) -> None:
    first, second = await push_image(layout, "first"), await push_image(layout, "second")
    await layout.tag(first.descriptor, "v1")
    age(layout)
    if how == "moved":
        await layout.push_tagged(second.descriptor, BytesSource(second.raw), "v1")
    elif how == "tagged elsewhere":
        await layout.tag(second.descriptor, "v1")
    else:
        await layout.untag("v1")
    assert first.digest not in await collected(layout)
    age(layout)
    assert first.digest in await collected(layout)


async def test_i03_entries_of_unknown_types_stay(layout: Layout) -> None:
    blob = Descriptor.of(b"data", "application/x.unknown")
    await layout.push(blob, BytesSource(b"data"))
    await layout.tag(blob, "unknown")
    await layout.untag("unknown")
    age(layout)
    assert await collected(layout) == set()
    assert [entry.digest for entry in await layout.entries()] == [blob.digest]


async def test_long_chains_of_referrers_in_any_order(layout: Layout) -> None:
    chain = [await push_image(layout, "start")]
    for number in range(30):
        chain.append(await refer(layout, chain[-1], f"link {number}"))
    await layout.tag(chain[0].descriptor, "v1")
    age(layout)
    assert await collected(layout) == set()
    await layout.untag("v1")
    age(layout)
    assert {document.digest for document in chain} <= await collected(layout)


async def test_nothing_goes_while_a_document_is_damaged(layout: Layout) -> None:
    image = await push_image(layout)
    await layout.tag((await push_image(layout, "kept")).descriptor, "v1")
    (layout.path / blob_path(image.digest)).write_bytes(b"x" * image.size)
    age(layout)
    before = sorted(layout.path.rglob("*"))
    with pytest.raises(IntegrityError):
        await layout.collect(untagged=True)
    assert sorted(layout.path.rglob("*")) == before
